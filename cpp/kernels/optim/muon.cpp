// Muon's step of matrices: momentum, Newton and Schulz's iteration towards the nearest orthogonal matrix,
// the move. A small matrix is one thread's from beginning to end; a large one is the whole team's.
//
// With the shorter side first, an iteration is A = x x^T, P = a + b A + c A^2, x = P x; else A = x^T x,
// x = x P. A and P are symmetric: of their products only the blocks on and above the diagonal are
// computed, and mirrored.
#include "kernels/api/table.h"
#include "kernels/gemm/blocked.h"
#include "kernels/optim/clipping.h"
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// A matrix up to this size is left to one thread: its products would leave a team too little between
// barriers.
constexpr std::int64_t small_matrix = 1 << 14;
template <class T>
constexpr std::int64_t small_memory = 4 * small_matrix + 64;  // with the sums of its parts
template <class T>
constexpr std::size_t operand_bytes = (a_capacity<T> + b_capacity<T>)*sizeof(T);
static_assert(operand_bytes<float> + small_memory<float> * sizeof(float) <= product_scratch_bytes);
static_assert(operand_bytes<double> + small_memory<double> * sizeof(double) <= product_scratch_bytes);

// Elements of a large matrix that are moved, and whose squares are summed, together.
constexpr std::int64_t part = 1 << 13;

// b += (1 - momentum) (g - b);  u = g + momentum (b - g) for nesterov, else b
template <class T>
struct Ahead {
  using Hyper = MuonHyper;
  RunningMean<T> mean;
  Vec<T> momentum;
  bool nesterov;

  RAVINE_INLINE Ahead(const Hyper& hyper, const ParameterSegment&)
      : mean(hyper.momentum), momentum(splat_of<T>(hyper.momentum)), nesterov(hyper.nesterov != 0) {}
  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> g, State state) const {
    const Vec<T> b = mean(state.get(2), g);
    state.set(2, b);
    return nesterov ? g + momentum * (b - g) : b;
  }
};

// p = (1 - lr weight_decay) p - g, where g is the direction times the step's gradient_scale
template <class T>
struct Move {
  using Hyper = MuonHyper;
  Vec<T> shrink;

  RAVINE_INLINE Move(const Hyper& hyper, const ParameterSegment&)
      : shrink(splat_of<T>(1 - hyper.lr * hyper.weight_decay)) {}
  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State) const {
    return shrink * p - g;
  }
};

// Where the products of one matrix lie: `side` is the shorter of its sides.
template <class T>
struct Memory {
  T *x, *next;           // [rows, columns]
  T *gram, *polynomial;  // [side, side]
  double* squares;       // of the direction's parts
};
std::int64_t side_of(const MatrixShape& shape) { return smaller(shape.rows, shape.columns); }
template <class T>
std::int64_t elements_of(const MatrixShape& shape) {
  const std::int64_t side = side_of(shape);
  return 2 * round_up(shape.size(), lanes<T>) + 2 * round_up(side * side, lanes<T>);
}
template <class T>
Memory<T> memory_at(T* from, const MatrixShape& shape) {
  const std::int64_t side = side_of(shape), square = round_up(side * side, lanes<T>);
  const std::int64_t whole = round_up(shape.size(), lanes<T>);
  T* const behind = from + 2 * (whole + square);
  return {from, from + whole, from + 2 * whole, from + 2 * whole + square, reinterpret_cast<double*>(behind)};
}

// Of a rectangle of a symmetric matrix what lies right of its rows' square on the diagonal, to below it.
template <class T>
void mirror(T* matrix, std::int64_t side, Range rows, Range columns) {
  constexpr int n = lanes<T>;
  for (std::int64_t i = rows.begin; i < rows.end; i += n) {
    const std::int64_t height = smaller(n, rows.end - i);
    for (std::int64_t j = larger(rows.end, columns.begin); j < columns.end; j += n) {
      const std::int64_t width = smaller(n, columns.end - j);
      Vec<T> v[n];
      if (width == n && height == n) {
#pragma GCC unroll 16
        for (int l = 0; l < n; ++l) v[l] = load(matrix + (i + l) * side + j);
      } else {
        for (int l = 0; l < n; ++l) v[l] = l < height ? load(matrix + (i + l) * side + j, width) : Vec<T>{};
      }
      transpose<T, n>(v);
      for (int l = 0; l < width; ++l) store(matrix + (j + l) * side + i, v[l], height);
    }
  }
}

// Rows of a block of a symmetric product: by its size alone. Below the least, packing the right operand for
// each block costs more than it saves.
std::int64_t block_height(std::int64_t side) {
  constexpr std::int64_t least = 96;
  return side <= least ? side : round_up(larger(ceil_div(side, 10), least), micro_rows);
}

// This thread's share of c = A B, where c is symmetric: an equal part of the area, in rectangles.
// finish(row, columns) completes a row of one.
template <class T, class Finish>
void multiply_symmetric(const MatrixA<T>& a, const MatrixB<T>& b, T* c, std::int64_t side, std::int64_t depth,
                        const Team& team, Finish finish) {
  const std::int64_t height = block_height(side);
  std::int64_t area = 0;
  for (std::int64_t i = 0; i < side; i += height) area += smaller(height, side - i) * (side - i);
  const Pieces mine = pieces_of(area, team);
  std::int64_t start = 0;  // the area of the blocks before
  for (std::int64_t i = 0; i < side; i += height) {
    const Range rows{i, smaller(i + height, side)};
    // The column of this block at which so much of the area is done.
    const auto column_at = [&](std::int64_t done) {
      if (done <= start) return rows.begin;
      return smaller(rows.begin + round_up((done - start) / rows.size(), panel_columns<T>), side);
    };
    const Range columns{column_at(mine.begin), column_at(mine.end)};
    start += rows.size() * (side - rows.begin);
    if (columns.size() <= 0) continue;
    multiply<T>(a, b, MatrixC<T>{c, side}, rows, columns, Range{0, depth}, false, team.scratch);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) finish(row, columns);
    mirror(c, side, rows, columns);
  }
}

// One matrix, by all threads of `team` together.
template <class T>
class Orthogonalization {
 public:
  Orthogonalization(const OptimizerStep& step, const ParameterSegment& segment, const MatrixShape& shape,
                    const Memory<T>& memory, const Team& team)
      : step_(step),
        hyper_(*static_cast<const MuonHyper*>(step.hyper)),
        segment_(segment),
        shape_(shape),
        memory_(memory),
        team_(team) {}

  void run() {
    look_ahead();
    team_.barrier();
    normalize();
    for (int k = 0; k < static_cast<int>(hyper_.iterations); ++k) {
      team_.barrier();
      iterate();
    }
    team_.barrier();
    move();
  }

 private:
  // visit(offset, count) for this thread's parts of the matrix.
  template <class Visit>
  RAVINE_INLINE void for_each_own_part(Visit visit) const {
    const std::int64_t size = shape_.size();
    const Pieces mine = pieces_of(ceil_div(size, part), team_);
    for (std::int64_t k = mine.begin; k < mine.end; ++k) visit(k * part, smaller(part, size - k * part));
  }

  void look_ahead() {
    for_each_own_part([&](std::int64_t offset, std::int64_t count) RAVINE_INLINE_LAMBDA {
      SumOfSquares<T> sum;
      T* const to = memory_.x + offset;
      const void* const gradient = static_cast<const T*>(segment_.gradient) + offset;
      for_each_element<T, Ahead<T>>(step_, segment_, gradient, offset, count, GradientOfStep<T>(step_),
                                    [&](const Ahead<T>& rule, Vec<T>, Vec<T> g, auto state)
                                        RAVINE_INLINE_LAMBDA {
                                          const Vec<T> u = rule(g, state);
                                          sum.add(u);
                                          store(to + state.i, u, state.n);
                                        });
      memory_.squares[offset / part] = sum.total();
    });
  }

  void normalize() {
    double square = 0;
    for (std::int64_t k = 0; k < ceil_div(shape_.size(), part); ++k) square += memory_.squares[k];
    const double norm = __builtin_sqrt(square);
    const Vec<T> divisor = splat_of<T>(norm < hyper_.eps ? hyper_.eps : norm);
    for_each_own_part([&](std::int64_t offset, std::int64_t count) RAVINE_INLINE_LAMBDA {
      T* const x = memory_.x + offset;
      for_each_vector<T>(count, [&](std::int64_t i, auto n)
                                    RAVINE_INLINE_LAMBDA { store(x + i, load(x + i, n) / divisor, n); });
    });
  }

  void iterate() {
    const std::int64_t rows = shape_.rows, columns = shape_.columns, side = side_of(shape_);
    const bool wide = rows < columns;  // x^T x reads its right operand in place
    T *const x = memory_.x, *const gram = memory_.gram, *const polynomial = memory_.polynomial;
    const MatrixA<T> left{x, columns, 1}, left_transposed{x, 1, columns};
    const MatrixB<T> right{x, columns, 1}, right_transposed{x, 1, columns};
    const auto as_it_is = [](std::int64_t, Range) {};
    if (wide) multiply_symmetric<T>(left, right_transposed, gram, side, columns, team_, as_it_is);
    else multiply_symmetric<T>(left_transposed, right, gram, side, rows, team_, as_it_is);
    team_.barrier();

    const Vec<T> b = splat_of<T>(hyper_.b), c = splat_of<T>(hyper_.c);
    const T a = static_cast<T>(hyper_.a);
    multiply_symmetric<T>(MatrixA<T>{gram, side, 1}, MatrixB<T>{gram, side, 1}, polynomial, side, side, team_,
                          [&](std::int64_t i, Range across) RAVINE_INLINE_LAMBDA {
                            T* const row = polynomial + i * side + across.begin;
                            const T* const linear = gram + i * side + across.begin;
                            for_each_vector<T>(
                                across.size(), [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
                                  store(row + j, b * load(linear + j, n) + c * load(row + j, n), n);
                                });
                            if (i >= across.begin && i < across.end) row[i - across.begin] += a;
                          });
    team_.barrier();

    const Share mine = share<T>(1, rows, columns, team_);
    const MatrixC<T> next{memory_.next, columns};
    if (mine.products.size() > 0) {
      if (wide)
        multiply<T>(MatrixA<T>{polynomial, side, 1}, right, next, mine.rows, mine.columns, Range{0, side},
                    false, team_.scratch);
      else
        multiply<T>(left, MatrixB<T>{polynomial, side, 1}, next, mine.rows, mine.columns, Range{0, side},
                    false, team_.scratch);
    }
    T* const before = memory_.x;
    memory_.x = memory_.next;
    memory_.next = before;
  }

  void move() {
    const double rows = static_cast<double>(shape_.rows), columns = static_cast<double>(shape_.columns);
    const double ratio = hyper_.match_rms_adamw != 0 ? 0.2 * __builtin_sqrt(rows > columns ? rows : columns)
                                                     : __builtin_sqrt(rows > columns ? rows / columns : 1);
    OptimizerStep step = step_;
    step.gradient_scale = hyper_.lr * ratio;
    step.clip_value = __builtin_inf();
    for_each_own_part([&](std::int64_t offset, std::int64_t count) RAVINE_INLINE_LAMBDA {
      update_part<T, Move<T>>(step, segment_, memory_.x + offset, offset, count);
    });
  }

  const OptimizerStep& step_;
  const MuonHyper& hyper_;
  const ParameterSegment& segment_;
  const MatrixShape& shape_;
  Memory<T> memory_;
  const Team& team_;
};

// Multiplications of a step, about.
double cost_of(const MatrixShape& shape) {
  const double side = static_cast<double>(side_of(shape));
  return static_cast<double>(shape.size()) * side;
}

}  // namespace

// Of the team's matrices the largest; one thread's have their memory in its scratch.
template <class T>
std::size_t muon_matrices_workspace(const MatrixStepArgs& args) {
  std::int64_t elements = 0, parts = 0;
  for (std::int64_t s = 0; s < args.step.n_segments; ++s) {
    if (args.shapes[s].size() <= small_matrix) continue;
    elements = larger(elements, elements_of<T>(args.shapes[s]));
    parts = larger(parts, ceil_div(args.shapes[s].size(), part));
  }
  return static_cast<std::size_t>(elements) * sizeof(T) + static_cast<std::size_t>(parts) * sizeof(double);
}
template std::size_t muon_matrices_workspace<float>(const MatrixStepArgs&);
template std::size_t muon_matrices_workspace<double>(const MatrixStepArgs&);

template <class T>
void muon_matrices(const MatrixStepArgs& args, const Team& team) {
  if (args.step.fault != nullptr && args.step.fault->code != 0) return;
  const Clipping clipping(args.step);
  if (clipping.skips()) return;
  double total = 0;
  for (std::int64_t s = 0; s < args.step.n_segments; ++s) {
    if (args.shapes[s].size() == 0) continue;
    if (args.shapes[s].size() <= small_matrix) {
      total += cost_of(args.shapes[s]);
      continue;
    }
    const OptimizerStep step = clipping.step_of(s);
    const Memory<T> memory = memory_at(static_cast<T*>(args.step.workspace), args.shapes[s]);
    Orthogonalization<T>(step, args.step.segments[s], args.shapes[s], memory, team).run();
    team.barrier();  // the next one's memory is the same
  }

  Team alone;
  alone.scratch = team.scratch;
  T* const own = reinterpret_cast<T*>(team.scratch + operand_bytes<T>);
  double start = 0;
  for (std::int64_t s = 0; s < args.step.n_segments; ++s) {
    const MatrixShape& shape = args.shapes[s];
    if (shape.size() == 0 || shape.size() > small_matrix) continue;
    const int owner = static_cast<int>(start / total * team.size);
    start += cost_of(shape);
    if (owner != team.rank) continue;
    const OptimizerStep step = clipping.step_of(s);
    Orthogonalization<T>(step, args.step.segments[s], shape, memory_at(own, shape), alone).run();
  }
}
template void muon_matrices<float>(const MatrixStepArgs&, const Team&);
template void muon_matrices<double>(const MatrixStepArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
