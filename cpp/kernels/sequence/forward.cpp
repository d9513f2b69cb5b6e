// A recurrent layer forward: every row of the batch through its steps.
#include "kernels/api/sequence.h"
#include "kernels/api/table.h"
#include "kernels/base/workspace.h"
#include "kernels/sequence/cells.h"
#include "kernels/sequence/product.h"
#include "kernels/sequence/steps.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

template <class T>
struct ForwardMemory {
  std::int64_t recurrent, projection, zeros, unprojected;  // in elements

  explicit ForwardMemory(const RecurrenceArgs& args)
      : recurrent(PackedWeights<T>::elements(gates_of(args.cell), args.hidden, args.state_size())),
        projection(args.projected > 0 ? PackedWeights<T>::elements(1, args.projected, args.hidden) : 0),
        zeros(larger(args.hidden, args.state_size())),
        unprojected(args.projected > 0 && !args.keeps_history ? args.batch * args.hidden : 0) {}
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const std::int64_t elements : {recurrent, projection, zeros, unprojected})
      sum += Workspace::bytes<T>(elements);
    return sum;
  }
};

template <class T>
class Forward {
 public:
  explicit Forward(const RecurrenceArgs& args)
      : args_(args),
        memory_(args),
        workspace_(args.workspace),
        recurrent_(workspace_.take<T>(memory_.recurrent), gates_of(args.cell), args.hidden,
                   args.state_size()),
        projection_(workspace_.take<T>(memory_.projection), 1, args.projected, args.hidden),
        zeros_(workspace_.take<T>(memory_.zeros)),
        unprojected_(args.keeps_history ? static_cast<T*>(args.unprojected)
                                        : workspace_.take<T>(memory_.unprojected)),
        apply_cell_(forward_cell<T>(args.cell)),
        time_(args, /*backward=*/false) {}

  void run(const Team& team) const {
    const std::int64_t size = args_.state_size();
    recurrent_.pack({static_cast<const T*>(args_.weight), 1, size}, args_.hidden * size, team);
    if (is_projected()) projection_.pack({static_cast<const T*>(args_.projection), 1, args_.hidden}, 0, team);
    if (team.rank == 0) fill_zeros(zeros_, memory_.zeros);
    team.barrier();
    for_each_block(args_.batch, team, [&](Range block) {
      for (std::int64_t turn = 0; turn < args_.steps; ++turn) {
        const std::int64_t t = time_.at(turn);
        StepRows rows;
        time_.sort(block, t, rows);
        step(t, rows.starting, rows.n_starting, /*starts=*/true);
        step(t, rows.going_on, rows.n_going_on, /*starts=*/false);
        for (std::int64_t i = 0; i < rows.n_idle; ++i) rest(t, rows.idle[i]);
      }
      for (std::int64_t row = block.begin; row < block.end; ++row) finish(row);
    });
  }

 private:
  bool is_projected() const { return args_.projected > 0; }
  bool has_cell_state() const { return args_.cell == RecurrentCell::lstm; }
  static void fill_zeros(T* to, std::int64_t count) {
    for_each_vector<T>(count, [&](std::int64_t i, auto n) { store(to + i, Vec<T>{}, n); });
  }
  static void copy(T* to, const T* from, std::int64_t count) {
    for_each_vector<T>(count, [&](std::int64_t i, auto n) { store(to + i, load(from + i, n), n); });
  }
  // The row of an array [steps, batch, columns].
  std::int64_t at(std::int64_t t, std::int64_t row) const { return t * args_.batch + row; }
  T* output(std::int64_t t, std::int64_t row) const {
    return static_cast<T*>(args_.output) + at(t, row) * args_.state_size();
  }
  const T* state_before(std::int64_t t, std::int64_t row, bool starts) const {
    if (!starts) return output(time_.before(t), row);
    if (args_.initial == nullptr) return zeros_;
    return static_cast<const T*>(args_.initial) + row * args_.state_size();
  }
  // Without a history there is one c, that of the last step so far.
  T* cell(std::int64_t t, std::int64_t row) const {
    if (!has_cell_state()) return nullptr;
    if (args_.keeps_history) return static_cast<T*>(args_.cells) + at(t, row) * args_.hidden;
    return static_cast<T*>(args_.last_cell) + row * args_.hidden;
  }
  const T* cell_before(std::int64_t t, std::int64_t row, bool starts) const {
    if (!has_cell_state()) return nullptr;
    if (!starts) return cell(time_.before(t), row);
    if (args_.initial_cell == nullptr) return zeros_;
    return static_cast<const T*>(args_.initial_cell) + row * args_.hidden;
  }
  T* unprojected(std::int64_t t, std::int64_t row) const {
    return unprojected_ + (args_.keeps_history ? at(t, row) : row) * args_.hidden;
  }
  T* activations(std::int64_t t, std::int64_t row) const {
    if (args_.activations == nullptr) return nullptr;
    return static_cast<T*>(args_.activations) + at(t, row) * 4 * args_.hidden;
  }

  [[gnu::noinline]] void step(std::int64_t t, const std::int64_t* rows, std::int64_t count,
                              bool starts) const {
    const bool from_zero = starts && args_.initial == nullptr;
    ForwardRow<T> at_step[max_block_rows];
    const T* before[max_block_rows];
    for (std::int64_t i = 0; i < count; ++i) {
      at_step[i] = row_at_step(t, rows[i], starts);
      before[i] = at_step[i].before;
    }
    recurrent_.for_each([&](std::int64_t j, std::int64_t columns, std::int64_t width) {
      for (std::int64_t first = 0, height = 0; first < count; first += height) {
        height = tile_height(count - first);
        ProductTile<T> tile;
        recurrent_.multiply(from_zero ? nullptr : before + first, height, j, width, tile.data);
        apply_cell_({at_step + first, height, j, columns, tile.data, args_.hidden});
      }
    });
    if (is_projected()) project(t, rows, count);
  }
  ForwardRow<T> row_at_step(std::int64_t t, std::int64_t row, bool starts) const {
    return {.gates = static_cast<const T*>(args_.gates) + at(t, row) * args_.gate_columns(),
            .bias = static_cast<const T*>(args_.bias),
            .before = state_before(t, row, starts),
            .cell_before = cell_before(t, row, starts),
            .activations = activations(t, row),
            .cell = cell(t, row),
            .output = is_projected() ? unprojected(t, row) : output(t, row)};
  }

  [[gnu::noinline]] void project(std::int64_t t, const std::int64_t* rows, std::int64_t count) const {
    projection_.for_each([&](std::int64_t j, std::int64_t columns, std::int64_t width) {
      for (std::int64_t first = 0, height = 0; first < count; first += height) {
        height = tile_height(count - first);
        const T* cells[micro_rows];
        for (std::int64_t i = 0; i < height; ++i) cells[i] = unprojected(t, rows[first + i]);
        ProductTile<T> tile;
        projection_.multiply(cells, height, j, width, tile.data);
        for (std::int64_t i = 0; i < height; ++i) copy(output(t, rows[first + i]) + j, tile.row(i), columns);
      }
    });
  }

  // What is past a row's length.
  [[gnu::noinline]] void rest(std::int64_t t, std::int64_t row) const {
    fill_zeros(output(t, row), args_.state_size());
    if (!args_.keeps_history) return;
    if (args_.activations != nullptr) fill_zeros(activations(t, row), 4 * args_.hidden);
    if (has_cell_state()) fill_zeros(cell(t, row), args_.hidden);
    if (is_projected()) fill_zeros(unprojected(t, row), args_.hidden);
  }

  [[gnu::noinline]] void finish(std::int64_t row) const {
    const std::int64_t length = time_.length(row), t = time_.last(length);
    if (args_.lengths != nullptr && args_.lengths[row] != length)
      report(args_.fault, args_.fault_code, row, args_.lengths[row]);
    const bool starts = length == 0;  // the state is still the initial one
    T* const last = static_cast<T*>(args_.last) + row * args_.state_size();
    copy(last, starts ? state_before(t, row, starts) : output(t, row), args_.state_size());
    if (has_cell_state()) {
      T* const last_cell = static_cast<T*>(args_.last_cell) + row * args_.hidden;
      const T* const from = starts ? cell_before(t, row, starts) : cell(t, row);
      if (from != last_cell) copy(last_cell, from, args_.hidden);
    }
  }

  const RecurrenceArgs& args_;
  ForwardMemory<T> memory_;
  Workspace workspace_;
  PackedWeights<T> recurrent_, projection_;
  T *zeros_, *unprojected_;
  ForwardCell<T> apply_cell_;
  Time time_;
};

}  // namespace

template <class T>
void recurrence(const RecurrenceArgs& args, const Team& team) {
  Forward<T>(args).run(team);
}
template void recurrence<float>(const RecurrenceArgs&, const Team&);
template void recurrence<double>(const RecurrenceArgs&, const Team&);

template <class T>
std::size_t recurrence_workspace(const RecurrenceArgs& args) {
  return static_cast<std::size_t>(ForwardMemory<T>(args).bytes());
}
template std::size_t recurrence_workspace<float>(const RecurrenceArgs&);
template std::size_t recurrence_workspace<double>(const RecurrenceArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
