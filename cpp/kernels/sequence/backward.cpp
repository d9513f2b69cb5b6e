// The gradient of a recurrent layer: every row of the batch back through its steps.
#include "kernels/api/sequence.h"
#include "kernels/api/table.h"
#include "kernels/base/workspace.h"
#include "kernels/sequence/cells.h"
#include "kernels/sequence/product.h"
#include "kernels/sequence/steps.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

template <class T>
struct BackwardMemory {
  std::int64_t recurrent, projection, zeros, carry;  // in elements

  explicit BackwardMemory(const RecurrenceGradArgs& args)
      : recurrent(PackedWeights<T>::elements(1, args.state_size(), args.gate_columns())),
        projection(args.projected > 0 ? PackedWeights<T>::elements(1, args.hidden, args.projected) : 0),
        zeros(larger(args.hidden, args.state_size())),
        carry(args.batch * args.hidden) {}
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const std::int64_t elements : {recurrent, projection, zeros, carry})
      sum += Workspace::bytes<T>(elements);
    return sum;
  }
};

template <class T>
class Backward {
 public:
  explicit Backward(const RecurrenceGradArgs& args)
      : args_(args),
        memory_(args),
        workspace_(args.workspace),
        recurrent_(workspace_.take<T>(memory_.recurrent), 1, args.state_size(), args.gate_columns()),
        projection_(workspace_.take<T>(memory_.projection), 1, args.hidden, args.projected),
        zeros_(workspace_.take<T>(memory_.zeros)),
        carry_(workspace_.take<T>(memory_.carry)),
        apply_cell_(backward_cell<T>(args.cell)),
        time_(args, /*backward=*/true) {}

  void run(const Team& team) const {
    recurrent_.pack({static_cast<const T*>(args_.weight), args_.state_size(), 1}, 0, team);
    if (is_projected()) projection_.pack({static_cast<const T*>(args_.projection), args_.hidden, 1}, 0, team);
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
      if (args_.has_initial) finish(block);
    });
  }

 private:
  bool is_projected() const { return args_.projected > 0; }
  bool is_gru() const { return args_.cell == RecurrentCell::gru; }
  bool has_cell_state() const { return args_.cell == RecurrentCell::lstm; }
  static void fill_zeros(T* to, std::int64_t count) {
    for_each_vector<T>(count, [&](std::int64_t i, auto n) { store(to + i, Vec<T>{}, n); });
  }
  static void copy(T* to, const T* from, std::int64_t count) {
    for_each_vector<T>(count, [&](std::int64_t i, auto n) { store(to + i, load(from + i, n), n); });
  }
  // The row of an array [steps, batch, columns], or of none.
  template <class Void>
  auto row_of(Void* array, std::int64_t t, std::int64_t row, std::int64_t columns) const {
    using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
    return array == nullptr ? nullptr : static_cast<Element*>(array) + (t * args_.batch + row) * columns;
  }
  const T* state(std::int64_t t, std::int64_t row) const {
    return row_of(args_.output, t, row, args_.state_size());
  }
  // The gradient by W h.
  T* grad_recurrent(std::int64_t t, std::int64_t row) const {
    return row_of(is_gru() ? args_.grad_recurrent : args_.grad_gates, t, row, args_.gate_columns());
  }
  T* grad_projected(std::int64_t t, std::int64_t row) const {
    return row_of(args_.grad_projected, t, row, args_.projected);
  }
  T* carry(std::int64_t row) const { return carry_ + row * args_.hidden; }

  // f(first row of a tile, rows, its products, first column, columns): the products are what the rows' later
  // steps hand back to h, if a row has such steps. Else they are the gradient by the last state.
  template <class F>
  void for_each_tile(std::int64_t t, const std::int64_t* rows, std::int64_t count, bool starts, F f) const {
    const T* later[max_block_rows];
    for (std::int64_t i = 0; i < count && !starts; ++i) later[i] = grad_recurrent(time_.before(t), rows[i]);
    recurrent_.for_each([&](std::int64_t j, std::int64_t columns, std::int64_t width) {
      for (std::int64_t first = 0, height = 0; first < count; first += height) {
        height = tile_height(count - first);
        ProductTile<T> tile;
        if (starts) take_last_state(rows + first, height, j, columns, tile);
        else recurrent_.multiply(later + first, height, j, width, tile.data);
        f(first, height, tile, j, columns);
      }
    });
  }
  void take_last_state(const std::int64_t* rows, std::int64_t height, std::int64_t j, std::int64_t columns,
                       ProductTile<T>& tile) const {
    const T* const last = static_cast<const T*>(args_.grad_last);
    for (std::int64_t i = 0; i < height; ++i) {
      T* const to = tile.data + i * panel_columns<T>;
      for_each_vector<T>(columns, [&](std::int64_t l, auto n) {
        store(to + l, last == nullptr ? Vec<T>{} : load(last + rows[i] * args_.state_size() + j + l, n));
      });
    }
  }

  [[gnu::noinline]] void step(std::int64_t t, const std::int64_t* rows, std::int64_t count,
                              bool starts) const {
    BackwardRow<T> at_step[max_block_rows];
    for (std::int64_t i = 0; i < count; ++i) at_step[i] = row_at_step(t, rows[i], starts);
    const auto apply_cell = [&](std::int64_t first, std::int64_t height, const ProductTile<T>& tile,
                                std::int64_t j, std::int64_t columns) {
      apply_cell_({at_step + first, height, j, columns, tile.data, args_.hidden});
    };
    if (!is_projected()) return for_each_tile(t, rows, count, starts, apply_cell);
    go_through_projection(t, rows, count, starts, apply_cell);
  }

  // The gradient by the projected h first, and from it that by o tanh(c).
  template <class F>
  void go_through_projection(std::int64_t t, const std::int64_t* rows, std::int64_t count, bool starts,
                             F apply_cell) const {
    const T* projected[max_block_rows];
    for (std::int64_t i = 0; i < count; ++i) projected[i] = grad_projected(t, rows[i]);
    for_each_tile(t, rows, count, starts,
                  [&](std::int64_t first, std::int64_t height, const ProductTile<T>& tile, std::int64_t j,
                      std::int64_t columns) {
                    for (std::int64_t i = 0; i < height; ++i) {
                      const std::int64_t row = rows[first + i];
                      const T* const dy = row_of(args_.grad_output, t, row, args_.projected);
                      T* const to = grad_projected(t, row) + j;
                      for_each_vector<T>(columns, [&](std::int64_t l, auto n) {
                        const Vec<T> later = load(tile.row(i) + l);
                        store(to + l, dy == nullptr ? later : later + load(dy + j + l, n), n);
                      });
                    }
                  });
    projection_.for_each([&](std::int64_t j, std::int64_t columns, std::int64_t width) {
      for (std::int64_t first = 0, height = 0; first < count; first += height) {
        height = tile_height(count - first);
        ProductTile<T> tile;
        projection_.multiply(projected + first, height, j, width, tile.data);
        apply_cell(first, height, tile, j, columns);
      }
    });
  }

  BackwardRow<T> row_at_step(std::int64_t t, std::int64_t row, bool starts) const {
    const std::int64_t hidden = args_.hidden, size = args_.state_size();
    // The layer's step before this one, which the loop comes to later.
    const bool is_first = t == time_.first(time_.length(row));
    const std::int64_t earlier = args_.reverse ? t + 1 : t - 1;
    const T* before = zeros_;
    if (!is_first) before = state(earlier, row);
    else if (args_.initial != nullptr) before = static_cast<const T*>(args_.initial) + row * size;
    const T *cell_before = nullptr, *carried = nullptr;
    if (has_cell_state()) {
      cell_before = zeros_;
      if (!is_first) cell_before = row_of(args_.cells, earlier, row, hidden);
      else if (args_.initial_cell != nullptr)
        cell_before = static_cast<const T*>(args_.initial_cell) + row * hidden;
    }
    if (has_cell_state() || is_gru()) {
      if (!starts) carried = carry(row);
      else if (has_cell_state() && args_.grad_last_cell != nullptr)
        carried = static_cast<const T*>(args_.grad_last_cell) + row * hidden;
    }
    // With a projection the cell sees the output's gradient through it.
    const void* const grad_output = is_projected() ? nullptr : args_.grad_output;
    return {.grad_output = row_of(grad_output, t, row, size),
            .activations = row_of(args_.activations, t, row, 4 * hidden),
            .output = state(t, row),
            .before = before,
            .cell = row_of(args_.cells, t, row, hidden),
            .cell_before = cell_before,
            .carried = carried,
            .carry = carry(row),
            .grad_gates = row_of(args_.grad_gates, t, row, args_.gate_columns()),
            .grad_recurrent = row_of(args_.grad_recurrent, t, row, args_.gate_columns())};
  }

  // What is past a row's length.
  [[gnu::noinline]] void rest(std::int64_t t, std::int64_t row) const {
    fill_zeros(row_of(args_.grad_gates, t, row, args_.gate_columns()), args_.gate_columns());
    if (is_gru()) fill_zeros(grad_recurrent(t, row), args_.gate_columns());
    if (is_projected()) fill_zeros(grad_projected(t, row), args_.projected);
  }

  // The gradients by the initial state, for which the first step hands back as any other does.
  [[gnu::noinline]] void finish(Range block) const {
    const std::int64_t size = args_.state_size(), hidden = args_.hidden, columns = args_.gate_columns();
    T* const grad_first = static_cast<T*>(args_.grad_first);
    std::int64_t stepped[max_block_rows], n_stepped = 0;
    for (std::int64_t row = block.begin; row < block.end; ++row) {
      const std::int64_t length = time_.length(row);
      T* const first = grad_first + row * columns;
      if (length == 0) {
        fill_zeros(first, columns);
        hand_over(args_.grad_initial, args_.grad_last, row, size);
        if (has_cell_state()) hand_over(args_.grad_initial_cell, args_.grad_last_cell, row, hidden);
        continue;
      }
      stepped[n_stepped++] = row;
      copy(first, grad_recurrent(time_.first(length), row), columns);
      if (has_cell_state()) copy(static_cast<T*>(args_.grad_initial_cell) + row * hidden, carry(row), hidden);
    }
    recurrent_.for_each([&](std::int64_t j, std::int64_t count, std::int64_t width) {
      for (std::int64_t first = 0, height = 0; first < n_stepped; first += height) {
        height = tile_height(n_stepped - first);
        const T* rows[micro_rows];
        for (std::int64_t i = 0; i < height; ++i) rows[i] = grad_first + stepped[first + i] * columns;
        ProductTile<T> tile;
        recurrent_.multiply(rows, height, j, width, tile.data);
        for (std::int64_t i = 0; i < height; ++i) {
          const std::int64_t row = stepped[first + i];
          T* const to = static_cast<T*>(args_.grad_initial) + row * size + j;
          for_each_vector<T>(count, [&](std::int64_t l, auto n) {
            Vec<T> sum = load(tile.row(i) + l);
            if (is_gru()) sum += load(carry(row) + j + l, n);
            store(to + l, sum, n);
          });
        }
      }
    });
  }
  void hand_over(void* to, const void* from, std::int64_t row, std::int64_t columns) const {
    T* const target = static_cast<T*>(to) + row * columns;
    if (from == nullptr) fill_zeros(target, columns);
    else copy(target, static_cast<const T*>(from) + row * columns, columns);
  }

  const RecurrenceGradArgs& args_;
  BackwardMemory<T> memory_;
  Workspace workspace_;
  PackedWeights<T> recurrent_, projection_;
  T *zeros_, *carry_;
  BackwardCell<T> apply_cell_;
  Time time_;
};

}  // namespace

template <class T>
void recurrence_grad(const RecurrenceGradArgs& args, const Team& team) {
  Backward<T>(args).run(team);
}
template void recurrence_grad<float>(const RecurrenceGradArgs&, const Team&);
template void recurrence_grad<double>(const RecurrenceGradArgs&, const Team&);

template <class T>
std::size_t recurrence_grad_workspace(const RecurrenceGradArgs& args) {
  return static_cast<std::size_t>(BackwardMemory<T>(args).bytes());
}
template std::size_t recurrence_grad_workspace<float>(const RecurrenceGradArgs&);
template std::size_t recurrence_grad_workspace<double>(const RecurrenceGradArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
