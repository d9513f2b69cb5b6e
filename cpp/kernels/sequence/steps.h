// Who takes which step: rows of the batch in their own time.
#pragma once

#include "kernels/api/sequence.h"
#include "kernels/base/ranges.h"
#include "kernels/gemm/micro.h"

namespace ravine::kernels::RAVINE_ISA {

// So many rows go through all steps together: enough to read the weights seldom, few enough to keep their
// states in the caches.
inline constexpr std::int64_t max_block_rows = 8 * micro_rows;

// The rows of a block at one step, in their order.
struct StepRows {
  std::int64_t starting[max_block_rows], going_on[max_block_rows], idle[max_block_rows];
  std::int64_t n_starting = 0, n_going_on = 0, n_idle = 0;
};

// The time of a call: what its arguments say of lengths and the direction.
class Time {
 public:
  // backward: steps are taken in the opposite order, the last first.
  Time(const RecurrenceShape& shape, bool backward) : shape_(shape), backward_(backward) {}

  // Clamped: a length out of bounds is reported by the forward kernel.
  std::int64_t length(std::int64_t row) const {
    if (shape_.lengths == nullptr) return shape_.steps;
    return smaller(larger(shape_.lengths[row], 0), shape_.steps);
  }
  // The place in the sequence of the turn-th step that this kernel takes.
  std::int64_t at(std::int64_t turn) const { return upwards() ? turn : shape_.steps - 1 - turn; }
  // The place that this kernel came from.
  std::int64_t before(std::int64_t t) const { return upwards() ? t - 1 : t + 1; }

  // Where a row of so many steps, at least 1, takes its first and last step in the order of the layer.
  std::int64_t first(std::int64_t length) const { return shape_.reverse ? length - 1 : 0; }
  std::int64_t last(std::int64_t length) const { return shape_.reverse ? 0 : length - 1; }

  void sort(Range block, std::int64_t t, StepRows& rows) const {
    rows.n_starting = rows.n_going_on = rows.n_idle = 0;
    for (std::int64_t row = block.begin; row < block.end; ++row) {
      const std::int64_t n = length(row);
      if (t >= n) rows.idle[rows.n_idle++] = row;
      else if (t == (backward_ ? last(n) : first(n))) rows.starting[rows.n_starting++] = row;
      else rows.going_on[rows.n_going_on++] = row;
    }
  }

 private:
  bool upwards() const { return shape_.reverse == backward_; }

  const RecurrenceShape& shape_;
  bool backward_;
};

// f(block) for blocks of about equal size of this thread's rows.
template <class F>
void for_each_block(std::int64_t batch, const Team& team, F f) {
  const Pieces mine = pieces_of(batch, team);
  const std::int64_t count = mine.end - mine.begin, blocks = ceil_div(count, max_block_rows);
  for (std::int64_t block = 0; block < blocks; ++block)
    f(Range{mine.begin + count * block / blocks, mine.begin + count * (block + 1) / blocks});
}

}  // namespace ravine::kernels::RAVINE_ISA
