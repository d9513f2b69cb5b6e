// Updates of single rows: of those that have a gradient, and of rules that keep a number a row.
#include "kernels/api/table.h"
#include "kernels/optim/clipping.h"
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// ---- row-wise Adagrad

// s += mean of g^2 over the row;  p -= lr / (sqrt(s) + eps) g
// The scale comes as the sum over the segment that rules with sums have.
template <class T>
struct ScaledRow {
  using Hyper = AdagradHyper;
  WeightDecay<T> weight_decay;
  Vec<T> scale;

  RAVINE_INLINE ScaledRow(const Hyper& hyper, const ParameterSegment& row)
      : weight_decay(hyper.weight_decay), scale(splat_of<T>(row.sums[0])) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State) const {
    weight_decay(p, g);
    return p - scale * g;
  }
  template <class State>
  RAVINE_INLINE void measure(Vec<T> p, Vec<T> g, State, SumOfSquares<T>* sums) const {
    weight_decay(p, g);
    sums[0].add(g);
  }
};

}  // namespace

template <class T>
void update_rowwise_adagrad(const OptimizerStep& step, const ParameterSegment& segment, const void* gradient,
                            std::int64_t offset, std::int64_t count) {
  if (count == 0) return;
  const auto& hyper = *static_cast<const AdagradHyper*>(step.hyper);
  ParameterSegment row = segment;
  double sums[2];
  measure_part<T, ScaledRow<T>>(step, row, gradient, offset, count, sums);
  T& row_sum = static_cast<T*>(segment.slots[1])[offset / count];
  const double before = hyper.first_step != 0 ? hyper.initial_accumulator : static_cast<double>(row_sum);
  row_sum = static_cast<T>(before + sums[0] / static_cast<double>(count));
  row.sums[0] = hyper.lr / (__builtin_sqrt(static_cast<double>(row_sum)) + hyper.eps);
  update_part<T, ScaledRow<T>>(step, row, gradient, offset, count);
}
template void update_rowwise_adagrad<float>(const OptimizerStep&, const ParameterSegment&, const void*,
                                            std::int64_t, std::int64_t);
template void update_rowwise_adagrad<double>(const OptimizerStep&, const ParameterSegment&, const void*,
                                             std::int64_t, std::int64_t);

template <class T>
void rowwise_adagrad_matrices(const MatrixStepArgs& args, const Team& team) {
  const OptimizerArgs& of_step = args.step;
  if (of_step.fault != nullptr && of_step.fault->code != 0) return;
  const Clipping clipping(of_step);
  if (clipping.skips()) return;
  constexpr std::int64_t piece_rows = 16;
  for (std::int64_t s = 0; s < of_step.n_segments; ++s) {
    const ParameterSegment& segment = of_step.segments[s];
    const std::int64_t columns = args.shapes[s].columns;
    const OptimizerStep step = clipping.step_of(s);
    const Range mine = share_of(args.shapes[s].rows, piece_rows, team.rank, team.size);
    for (std::int64_t r = mine.begin; r < mine.end; ++r)
      update_rowwise_adagrad<T>(step, segment, static_cast<const T*>(segment.gradient) + r * columns,
                                r * columns, columns);
  }
}
template void rowwise_adagrad_matrices<float>(const MatrixStepArgs&, const Team&);
template void rowwise_adagrad_matrices<double>(const MatrixStepArgs&, const Team&);

// ---- rows that have a gradient

namespace {

// How many rows there are before the first -1.
std::int64_t rows_of(const OptimizerRowsArgs& args) {
  std::int64_t low = 0, high = args.count;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (args.indices[middle] < 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

// Rows lie anywhere in tables larger than the caches, hidden from the hardware prefetcher.
constexpr std::int64_t prefetch_distance = 8;

template <class T>
RAVINE_INLINE void prefetch_row(const ParameterSegment& segment, std::int64_t offset, std::int64_t count) {
  constexpr std::int64_t line = 64 / sizeof(T);
  const auto prefetch = [&](const void* array) {
    if (array == nullptr) return;
    for (std::int64_t i = 0; i < count; i += line)
      __builtin_prefetch(static_cast<const T*>(array) + offset + i, 1);
  };
  prefetch(segment.parameter);
  for (int s = 0; s < max_slots; ++s)
    if (s == 0 || segment.slots[s] != nullptr) prefetch(segment.slots[s]);
}

}  // namespace

template <class T>
void optimizer_rows(const OptimizerRowsArgs& args, const Team& team) {
  const OptimizerArgs& of_step = args.step;
  if (of_step.fault != nullptr && of_step.fault->code != 0) return;
  const Clipping clipping(of_step);
  if (clipping.skips()) return;
  const ParameterSegment& segment = of_step.segments[0];
  const OptimizerStep step = clipping.step_of(0);
  const std::int64_t inner = args.inner;
  constexpr std::int64_t piece_rows = 16;
  const Range mine = share_of(rows_of(args), piece_rows, team.rank, team.size);
  for (std::int64_t r = mine.begin; r < mine.end; ++r) {
    if (r + prefetch_distance < mine.end)
      prefetch_row<T>(segment, args.indices[r + prefetch_distance] * inner, inner);
    of_step.functions.update(step, segment, static_cast<const T*>(segment.gradient) + r * inner,
                             args.indices[r] * inner, inner);
  }
}
template void optimizer_rows<float>(const OptimizerRowsArgs&, const Team&);
template void optimizer_rows<double>(const OptimizerRowsArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
