// Adafactor: of vectors a rule as any other; matrices keep the mean squares of their rows and columns alone.
//
// A step of a matrix reads the gradient three times: for the sums of its squares, for the rms of the update,
// which rows' and columns' means must be known for, and for the update. Between, the partial sums of tiles
// are combined in the order of the tiles.
#include "kernels/api/table.h"
#include "kernels/optim/clipping.h"
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// Bounds that keep zeros from becoming NaN, where eps1 is nothing to T.
template <class T>
constexpr T smallest = sizeof(T) == sizeof(float) ? T(0x1p-126) : T(0x1p-1022);
template <class T>
constexpr T largest = sizeof(T) == sizeof(float) ? T(0x1p127) : T(0x1p1023);

template <class T>
RAVINE_INLINE T least_mean(const AdafactorHyper& hyper) {
  constexpr T machine_eps = sizeof(T) == sizeof(float) ? T(0x1p-23) : T(0x1p-52);
  return hyper.machine_eps != 0 ? machine_eps : static_cast<T>(hyper.eps1);
}

// max(rms(w), eps2) rate / max(1, rms(u) / d), from the sums of squares of w and u.
RAVINE_INLINE double step_size(const AdafactorHyper& hyper, const double* squares, std::int64_t size) {
  const double count = static_cast<double>(size);
  const double weight = __builtin_sqrt(squares[0] / count), update = __builtin_sqrt(squares[1] / count);
  const double excess = update / hyper.d;
  return (weight < hyper.eps2 ? hyper.eps2 : weight) * hyper.rate / (excess < 1 ? 1 : excess);
}

// v += share (g^2 - v);  u = g / sqrt(max(v, eps^2));  p = (1 - decay) p - step u
template <class T>
struct Adafactor {
  using Hyper = AdafactorHyper;
  Vec<T> share, least, step, shrink;

  RAVINE_INLINE Adafactor(const Hyper& hyper, const ParameterSegment& segment)
      : share(splat_of<T>(hyper.share)),
        least(maximum(splat<T>(least_mean<T>(hyper) * least_mean<T>(hyper)), splat<T>(smallest<T>))),
        step(splat_of<T>(step_size(hyper, segment.sums, segment.size))),
        shrink(splat_of<T>(1 - hyper.decay)) {}

  RAVINE_INLINE Vec<T> direction(Vec<T> g, Vec<T> v) const { return g / square_root<T>(maximum(v, least)); }
  template <class State>
  RAVINE_INLINE void measure(Vec<T> p, Vec<T> g, State state, SumOfSquares<T>* sums) const {
    Vec<T> v = state.get(0);
    v += share * (g * g - v);
    state.set(0, v);
    sums[0].add(p);
    sums[1].add(direction(g, v));
  }
  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    return p * shrink - step * direction(g, state.get(0));
  }
};

// ---- matrices
// u = g / sqrt(max(v, eps^2)) with v = r s / max(mean(r), eps) is g min(R S, 1 / eps) with the factors R of
// the row and S of the column, so that roots are taken of the means alone.

// Matrices up to the least size are one tile. Larger tiles leave fewer partial sums, smaller ones more to
// share among threads; long rows are what memory streams.
constexpr std::int64_t least_tile = 1 << 15, largest_tile = 1 << 17, tile_columns = 4096;

// How one segment is cut. Matrices that fit into a tile, and those with inner elements, are never cut.
struct Tiling {
  MatrixShape shape;
  std::int64_t batches = 1;  // matrices in a tile
  std::int64_t row_blocks = 1, block_rows, column_tiles = 1, tile_width;

  explicit Tiling(const MatrixShape& of) : shape(of), block_rows(of.rows), tile_width(of.columns) {
    const std::int64_t matrix = of.rows * of.columns * of.inner;
    if (of.inner == 1 && (matrix > least_tile || of.columns > tile_columns)) {
      const std::int64_t elements = smaller(larger(matrix / 4, least_tile / 2), largest_tile);
      column_tiles = ceil_div(of.columns, tile_columns);
      tile_width = ceil_div(ceil_div(of.columns, column_tiles), 16) * 16;
      column_tiles = ceil_div(of.columns, tile_width);
      row_blocks = ceil_div(of.rows * tile_width, elements);
      block_rows = ceil_div(ceil_div(of.rows, row_blocks), 4) * 4;
      row_blocks = ceil_div(of.rows, block_rows);
    } else if (of.batch > 1 && 2 * matrix <= least_tile) {
      batches = least_tile / larger(matrix, 1);
    }
  }
  bool whole() const { return row_blocks * column_tiles == 1; }
  std::int64_t tiles() const {
    if (shape.size() == 0) return 0;
    if (!whole()) return shape.batch * row_blocks * column_tiles;
    return shape.batch == 1 ? 1 : ceil_div(shape.batch, batches);
  }
  std::int64_t row_partials() const { return whole() ? 0 : shape.batch * column_tiles * shape.rows; }
  std::int64_t column_partials() const { return whole() ? 0 : shape.batch * row_blocks * shape.columns; }
  std::int64_t row_sums() const { return shape.inner == 1 ? shape.batch * row_blocks : 0; }
  std::int64_t workspace() const { return row_partials() + column_partials() + row_sums() + 2 * tiles(); }
};

// A segment under work: its cut, and its part of the workspace.
struct Work {
  std::int64_t segment;
  Tiling tiling;
  double* row_partials;     // sums of squares, [batch, column tiles, rows]
  double* column_partials;  // [batch, row blocks, columns]
  double* row_sums;         // of new row means, [batch, row blocks]
  double* squares;          // of weights and updates, [tiles][2]
};

struct Tile {
  std::int64_t number, first_batch, end_batch;
  std::int64_t row_block, first_row, end_row;
  std::int64_t column_tile, first_column, end_column;
};

Tile tile_of(const Tiling& tiling, std::int64_t number) {
  const std::int64_t matrix_tiles = tiling.row_blocks * tiling.column_tiles;
  Tile tile;
  tile.number = number;
  tile.first_batch = number / matrix_tiles * tiling.batches;
  tile.end_batch = smaller(tile.first_batch + tiling.batches, tiling.shape.batch);
  tile.row_block = number % matrix_tiles / tiling.column_tiles;
  tile.first_row = tile.row_block * tiling.block_rows;
  tile.end_row = smaller(tile.first_row + tiling.block_rows, tiling.shape.rows);
  tile.column_tile = number % tiling.column_tiles;
  tile.first_column = tile.column_tile * tiling.tile_width;
  tile.end_column = smaller(tile.first_column + tiling.tile_width, tiling.shape.columns);
  return tile;
}
// The elements of tiles with smaller numbers.
std::int64_t elements_before(const Tiling& tiling, const Tile& tile) {
  const MatrixShape& shape = tiling.shape;
  const std::int64_t matrix = shape.rows * shape.columns * shape.inner;
  return tile.first_batch * matrix + tile.first_row * shape.columns +
         (tile.end_row - tile.first_row) * tile.first_column;
}

// visit(work, tile) for the tiles of this thread, from the first on or from the last: a pass that begins
// where the one before has ended finds that in cache.
template <bool from_last = false, class Visit>
RAVINE_INLINE void for_each_tile(const MatrixStepArgs& args, const Team& team, Visit visit) {
  const std::int64_t n = args.step.n_segments;
  std::int64_t total = 0, memory_size = 0;
  for (std::int64_t s = 0; s < n; ++s) total += args.step.segments[s].size;
  if constexpr (from_last)
    for (std::int64_t s = 0; s < n; ++s) memory_size += Tiling(args.shapes[s]).workspace();
  const Pieces mine = pieces_of(total, team);  // the tiles that begin in here
  std::int64_t start = from_last ? total : 0;
  auto* memory = static_cast<double*>(args.step.workspace) + memory_size;
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t s = from_last ? n - 1 - k : k, size = args.step.segments[s].size;
    const Tiling tiling(args.shapes[s]);
    if constexpr (from_last) start -= size, memory -= tiling.workspace();
    Work work{s, tiling, memory, nullptr, nullptr, nullptr};
    work.column_partials = work.row_partials + tiling.row_partials();
    work.row_sums = work.column_partials + tiling.column_partials();
    work.squares = work.row_sums + tiling.row_sums();
    if (size > 0 && start < mine.end && start + size > mine.begin) {
      const std::int64_t tiles = tiling.tiles();
      for (std::int64_t i = 0; i < tiles; ++i) {
        const Tile tile = tile_of(tiling, from_last ? tiles - 1 - i : i);
        const std::int64_t at = start + elements_before(tiling, tile);
        if (at >= mine.begin && at < mine.end) visit(work, tile);
      }
    }
    if constexpr (!from_last) start += size, memory += tiling.workspace();
  }
}

template <class T>
class Matrices {
 public:
  Matrices(const MatrixStepArgs& args, const Team& team)
      : args_(args),
        team_(team),
        clipping_(args.step),
        hyper_(*static_cast<const AdafactorHyper*>(args.step.step->hyper)),
        share_(static_cast<T>(hyper_.share)),
        least_(least_mean<T>(hyper_)) {}

  void run() {
    if (clipping_.skips()) return;
    bool cut = false;
    for (std::int64_t s = 0; s < args_.step.n_segments; ++s) cut = cut || !Tiling(args_.shapes[s]).whole();
    for_each_tile(args_, team_, [&](const Work& work, const Tile& tile) { sum_squares(work, tile); });
    if (cut) {
      team_.barrier();
      for_each_tile(args_, team_, [&](const Work& work, const Tile& tile) { combine(work, tile); });
      team_.barrier();
    }
    for_each_tile<true>(args_, team_, [&](const Work& work, const Tile& tile) { measure(work, tile); });
    team_.barrier();
    std::int64_t segment = -1;
    double squares[2] = {};
    for_each_tile(args_, team_, [&](const Work& work, const Tile& tile) {
      if (work.segment != segment) {
        segment = work.segment;
        squares[0] = squares[1] = 0;
        for (std::int64_t t = 0; t < work.tiling.tiles(); ++t)
          for (int i = 0; i < 2; ++i) squares[i] += work.squares[2 * t + i];
      }
      update(work, tile, squares);
    });
  }

 private:
  struct Place {
    const ParameterSegment& segment;
    T *rows, *columns;  // the means
    Place(const MatrixStepArgs& args, const Work& work)
        : segment(args.step.segments[work.segment]),
          rows(static_cast<T*>(segment.slots[1])),
          columns(static_cast<T*>(segment.slots[2])) {}
    const T* gradient(std::int64_t at) const { return static_cast<const T*>(segment.gradient) + at; }
    T* parameter(std::int64_t at) const { return static_cast<T*>(segment.parameter) + at; }
  };

  // mean += share (sum / count - mean)
  RAVINE_INLINE T moved(T mean, double sum, std::int64_t count) const {
    return mean + share_ * (static_cast<T>(sum / static_cast<double>(count)) - mean);
  }

  // ---- sums of squares
  void sum_squares(const Work& work, const Tile& tile) {
    const Place place(args_, work);
    const MatrixShape& shape = work.tiling.shape;
    const GradientOfStep<T> gradient_of(clipping_.step_of(work.segment));
    for (std::int64_t b = tile.first_batch; b < tile.end_batch; ++b) {
      if (shape.inner > 1) {
        sum_inner(place, shape, b, gradient_of);
        continue;
      }
      const std::int64_t width = tile.end_column - tile.first_column, height = tile.end_row - tile.first_row;
      alignas(64) T columns[tile_columns];
      for_each_vector<T>(
          width, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA { store(columns + i, Vec<T>{}, n); });
      T* const rows = reinterpret_cast<T*>(team_.scratch);  // at most largest_tile
      const T* const g =
          place.gradient((b * shape.rows + tile.first_row) * shape.columns + tile.first_column);
      std::int64_t r = 0;
      for (; r + 4 <= height; r += 4)
        sum_rows<4>(g + r * shape.columns, shape.columns, width, gradient_of, rows + r, columns);
      for (; r < height; ++r)
        sum_rows<1>(g + r * shape.columns, shape.columns, width, gradient_of, rows + r, columns);

      if (work.tiling.whole()) {
        finish(place.rows + b * shape.rows, rows, height, shape.columns);
        finish(place.columns + b * shape.columns, columns, width, shape.rows);
        work.row_sums[b] = sum(place.rows + b * shape.rows, height);
        continue;
      }
      double* const row_partials =
          work.row_partials + (b * work.tiling.column_tiles + tile.column_tile) * shape.rows + tile.first_row;
      double* const column_partials = work.column_partials +
                                      (b * work.tiling.row_blocks + tile.row_block) * shape.columns +
                                      tile.first_column;
      for (std::int64_t i = 0; i < height; ++i) row_partials[i] = static_cast<double>(rows[i]);
      for (std::int64_t j = 0; j < width; ++j) column_partials[j] = static_cast<double>(columns[j]);
    }
  }

  template <int n_rows>
  RAVINE_INLINE void sum_rows(const T* g, std::int64_t stride, std::int64_t width,
                              const GradientOfStep<T>& gradient_of, T* rows, T* columns) const {
    Vec<T> sums[n_rows] = {};
    for_each_vector<T>(width, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
      Vec<T> squares[n_rows], of_column = load(columns + j, n);
#pragma GCC unroll 4
      for (int r = 0; r < n_rows; ++r) {
        const Vec<T> x = gradient_of(load(g + r * stride + j, n));
        squares[r] = x * x;
        sums[r] += squares[r];
      }
      if constexpr (n_rows == 4) of_column += (squares[0] + squares[1]) + (squares[2] + squares[3]);
      else of_column += squares[0];
      store(columns + j, of_column, n);
    });
#pragma GCC unroll 4
    for (int r = 0; r < n_rows; ++r) rows[r] = sum_of_lanes<T>(sums[r]);
  }

  // Into the means themselves: rows and columns are few.
  void sum_inner(const Place& place, const MatrixShape& shape, std::int64_t b,
                 const GradientOfStep<T>& gradient_of) const {
    const Vec<T> kept = splat<T>(1 - share_);
    const Vec<T> of_row = splat<T>(share_ / static_cast<T>(shape.columns));
    const Vec<T> of_column = splat<T>(share_ / static_cast<T>(shape.rows));
    T* const rows = place.rows + b * shape.rows * shape.inner;
    T* const columns = place.columns + b * shape.columns * shape.inner;
    for_each_vector<T>(shape.inner, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
      for (std::int64_t r = 0; r < shape.rows; ++r) {
        Vec<T> sum{};
        for (std::int64_t c = 0; c < shape.columns; ++c) {
          const std::int64_t at = ((b * shape.rows + r) * shape.columns + c) * shape.inner + i;
          const Vec<T> x = gradient_of(load(place.gradient(at), n)), square = x * x;
          sum += square;
          T* const column = columns + c * shape.inner + i;
          Vec<T> mean = load(column, n);
          if (r == 0) mean = kept * mean;
          store(column, mean + of_column * square, n);
        }
        T* const row = rows + r * shape.inner + i;
        store(row, kept * load(row, n) + of_row * sum, n);
      }
    });
  }

  void finish(T* means, const T* sums, std::int64_t count, std::int64_t of) const {
    const Vec<T> share = splat<T>(share_), divisor = splat<T>(static_cast<T>(of));
    for_each_vector<T>(count, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
      const Vec<T> mean = load(means + i, n);
      store(means + i, mean + share * (load(sums + i, n) / divisor - mean), n);
    });
  }
  static double sum(const T* x, std::int64_t count) {
    double total = 0;
    for (std::int64_t i = 0; i < count; ++i) total += static_cast<double>(x[i]);
    return total;
  }

  // The means of a block's rows, by its first tile, and of a tile's columns, by the first of them.
  void combine(const Work& work, const Tile& tile) {
    if (work.tiling.whole()) return;
    const Place place(args_, work);
    const MatrixShape& shape = work.tiling.shape;
    const std::int64_t b = tile.first_batch;
    if (tile.column_tile == 0) {
      const double* const partials = work.row_partials + b * work.tiling.column_tiles * shape.rows;
      double total = 0;
      for (std::int64_t r = tile.first_row; r < tile.end_row; ++r) {
        double square = 0;
        for (std::int64_t t = 0; t < work.tiling.column_tiles; ++t) square += partials[t * shape.rows + r];
        T& mean = place.rows[b * shape.rows + r];
        mean = moved(mean, square, shape.columns);
        total += static_cast<double>(mean);
      }
      work.row_sums[b * work.tiling.row_blocks + tile.row_block] = total;
    }
    if (tile.row_block == 0) {
      double* const partials = work.column_partials + b * work.tiling.row_blocks * shape.columns;
      for (std::int64_t t = 1; t < work.tiling.row_blocks; ++t)
        for (std::int64_t c = tile.first_column; c < tile.end_column; ++c)
          partials[c] += partials[t * shape.columns + c];
      for (std::int64_t c = tile.first_column; c < tile.end_column; ++c) {
        T& mean = place.columns[b * shape.columns + c];
        mean = moved(mean, partials[c], shape.rows);
      }
    }
  }

  // ---- with the means known
  // visit(parameter's and gradient's element, u, count) for the vectors of a tile; new_row() before each run
  // of elements that lie one behind the other.
  template <class Visit, class NewRow>
  RAVINE_INLINE void for_each_update(const Work& work, const Tile& tile, Visit visit, NewRow new_row) {
    const Place place(args_, work);
    const MatrixShape& shape = work.tiling.shape;
    const GradientOfStep<T> gradient_of(clipping_.step_of(work.segment));
    const Vec<T> one = splat<T>(1), least = splat<T>(least_ > smallest<T> ? least_ : smallest<T>),
                 most = splat<T>(largest<T>);
    const Vec<T> limit = minimum(one / least, most);
    for (std::int64_t b = tile.first_batch; b < tile.end_batch; ++b) {
      if (shape.inner > 1) {
        const T* const rows = place.rows + b * shape.rows * shape.inner;
        const T* const columns = place.columns + b * shape.columns * shape.inner;
        for_each_vector<T>(shape.inner, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
          Vec<T> mean{};
          for (std::int64_t r = 0; r < shape.rows; ++r) mean += load(rows + r * shape.inner + i, n);
          const Vec<T> divisor = maximum(mean / splat<T>(static_cast<T>(shape.rows)), least);
          for (std::int64_t r = 0; r < shape.rows; ++r) {
            const Vec<T> mean_of_row = load(rows + r * shape.inner + i, n) / divisor;
            const Vec<T> row = minimum(one / square_root<T>(mean_of_row), most);
            for (std::int64_t c = 0; c < shape.columns; ++c) {
              const Vec<T> column = one / square_root<T>(load(columns + c * shape.inner + i, n));
              const std::int64_t at = ((b * shape.rows + r) * shape.columns + c) * shape.inner + i;
              visit(at, gradient_of(load(place.gradient(at), n)) * minimum(row * column, limit), n);
            }
          }
        });
        new_row();
        continue;
      }
      double total = 0;
      for (std::int64_t k = 0; k < work.tiling.row_blocks; ++k)
        total += work.row_sums[b * work.tiling.row_blocks + k];
      const T mean = static_cast<T>(total / static_cast<double>(shape.rows));
      const Vec<T> divisor = maximum(splat<T>(mean), least);
      const std::int64_t width = tile.end_column - tile.first_column, height = tile.end_row - tile.first_row;
      T* const row_factors = reinterpret_cast<T*>(team_.scratch);
      for_each_vector<T>(height, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
        const Vec<T> row = load(place.rows + b * shape.rows + tile.first_row + i, n);
        store(row_factors + i, minimum(one / square_root<T>(row / divisor), most), n);
      });
      alignas(64) T column_factors[tile_columns];
      for_each_vector<T>(width, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
        const Vec<T> column = load(place.columns + b * shape.columns + tile.first_column + j, n);
        store(column_factors + j, one / square_root<T>(column), n);
      });
      for (std::int64_t r = 0; r < height; ++r) {
        const Vec<T> row = splat<T>(row_factors[r]);
        const std::int64_t at = (b * shape.rows + tile.first_row + r) * shape.columns + tile.first_column;
        const T* const g = place.gradient(at);
        for_each_vector<T>(width, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
          visit(at + j, gradient_of(load(g + j, n)) * minimum(row * load(column_factors + j, n), limit), n);
        });
        new_row();
      }
    }
  }

  void measure(const Work& work, const Tile& tile) {
    const Place place(args_, work);
    SumOfSquares<T> totals[2];
    // A row's sums are short enough for T.
    Vec<T> weights{}, updates{};
    for_each_update(
        work, tile,
        [&](std::int64_t at, Vec<T> u, auto n) RAVINE_INLINE_LAMBDA {
          const Vec<T> p = load(place.parameter(at), n);
          weights += p * p;
          updates += u * u;
        },
        [&]() RAVINE_INLINE_LAMBDA {
          totals[0].add_sum(weights);
          totals[1].add_sum(updates);
          weights = updates = Vec<T>{};
        });
    for (int i = 0; i < 2; ++i) work.squares[2 * tile.number + i] = totals[i].total();
  }

  void update(const Work& work, const Tile& tile, const double* squares) {
    const Place place(args_, work);
    const Vec<T> step = splat_of<T>(step_size(hyper_, squares, place.segment.size));
    const Vec<T> shrink = splat_of<T>(1 - hyper_.decay);
    const FollowingStep<T> follow(*args_.step.step, place.segment);
    const SlotsFrom<T> from(place.segment, 0);
    for_each_update(
        work, tile,
        [&](std::int64_t at, Vec<T> u, auto n) RAVINE_INLINE_LAMBDA {
          T* const parameter = place.parameter(at);
          const Vec<T> p = load(parameter, n) * shrink - step * u;
          store(parameter, follow(p, RuleState<T, decltype(n)>{from.slots, at, n}), n);
        },
        []() RAVINE_INLINE_LAMBDA {});
  }

  const MatrixStepArgs& args_;
  const Team& team_;
  const Clipping clipping_;
  const AdafactorHyper& hyper_;
  const T share_, least_;
};

}  // namespace

RAVINE_UPDATE_FUNCTION(adafactor, Adafactor)
RAVINE_MEASURE_FUNCTION(adafactor, Adafactor)

template <class T>
std::size_t adafactor_matrices_workspace(const MatrixStepArgs& args) {
  std::int64_t count = 0;
  for (std::int64_t s = 0; s < args.step.n_segments; ++s) count += Tiling(args.shapes[s]).workspace();
  return static_cast<std::size_t>(count) * sizeof(double);
}
template std::size_t adafactor_matrices_workspace<float>(const MatrixStepArgs&);
template std::size_t adafactor_matrices_workspace<double>(const MatrixStepArgs&);

template <class T>
void adafactor_matrices(const MatrixStepArgs& args, const Team& team) {
  if (args.step.fault != nullptr && args.step.fault->code != 0) return;
  Matrices<T>(args, team).run();
}
template void adafactor_matrices<float>(const MatrixStepArgs&, const Team&);
template void adafactor_matrices<double>(const MatrixStepArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
