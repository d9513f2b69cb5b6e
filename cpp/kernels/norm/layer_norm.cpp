// LayerNorm over the rows of dense [rows, columns]. A row belongs to one thread, so nothing depends on the
// team. Forward, as many short rows are taken at once as a vector has lanes: their sums become lanes of one
// vector, and none waits for another's.
#include "kernels/api/norm.h"
#include "kernels/api/table.h"
#include "kernels/base/vector_loop.h"
#include "simd/math.h"
#include "simd/rows.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// sums[s] = sum over the row of what term(i, n, out) puts in out[s] for its lanes: in T over chunks, in
// double over the chunks, so that the error does not grow with the length of the row.
template <class T, int N, class Term>
RAVINE_INLINE void row_sums(std::int64_t columns, double (&sums)[N], Term term) {
  constexpr std::int64_t chunk = 4096;
  constexpr int K = 4;  // independent sums hide the latency of an addition
  for (int s = 0; s < N; ++s) sums[s] = 0;
  for (std::int64_t first = 0; first < columns; first += chunk) {
    const std::int64_t end = smaller(first + chunk, columns);
    Vec<T> parts[K][N] = {}, terms[N];
    std::int64_t i = first;
    for (; i + K * lanes<T> <= end; i += K * lanes<T>) {
#pragma GCC unroll 4
      for (int k = 0; k < K; ++k) {
        term(i + k * lanes<T>, All{}, terms);
        for (int s = 0; s < N; ++s) parts[k][s] += terms[s];
      }
    }
    for (; i + lanes<T> <= end; i += lanes<T>) {
      term(i, All{}, terms);
      for (int s = 0; s < N; ++s) parts[0][s] += terms[s];
    }
    if (i < end) {
      term(i, end - i, terms);
      for (int s = 0; s < N; ++s) parts[1][s] += terms[s];
    }
    for (int s = 0; s < N; ++s)
      sums[s] +=
          static_cast<double>(sum_of_lanes<T>((parts[0][s] + parts[1][s]) + (parts[2][s] + parts[3][s])));
  }
}

// The lanes that a load with this count fills with data, as they are; 0 in the others.
template <class T>
RAVINE_INLINE Vec<T> valid_lanes(Vec<T> v, All) {
  return v;
}
template <class T>
RAVINE_INLINE Vec<T> valid_lanes(Vec<T> v, std::int64_t n) {
  for (int lane = 0; lane < lanes<T>; ++lane) v[lane] = lane < n ? v[lane] : T(0);
  return v;
}

// ---- short rows: blocks of at most one row a lane

constexpr std::int64_t longest_short_row = 512;  // a block stays in L1

// sums[s]: lane r is the sum over row r of what term(r, i, n, out) puts in the lanes of out[s].
template <class T, int N, class Rows, class Term>
RAVINE_INLINE void sums_of_rows(Rows rows, std::int64_t columns, Vec<T> (&sums)[N], Term term) {
  Vec<T> of_rows[N][lanes<T>] = {};
  for (std::int64_t r = 0; r < rows; ++r) {
    Vec<T> even[N] = {}, odd[N] = {}, terms[N];
    const auto add = [&](Vec<T>(&to)[N], std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
      term(r, i, n, terms);
      for (int s = 0; s < N; ++s) to[s] += terms[s];
    };
    std::int64_t i = 0;
    for (; i + 2 * lanes<T> <= columns; i += 2 * lanes<T>) {
      add(even, i, All{});
      add(odd, i + lanes<T>, All{});
    }
    if (i + lanes<T> <= columns) {
      add(even, i, All{});
      i += lanes<T>;
    }
    if (i < columns) add(odd, i, columns - i);
    for (int s = 0; s < N; ++s) of_rows[s][r] = even[s] + odd[s];
  }
  for (int s = 0; s < N; ++s)
    sums[s] = reduce_rows<T>(of_rows[s], [](Vec<T> a, Vec<T> b) RAVINE_INLINE_LAMBDA { return a + b; });
}

// A number for each row of a block, to be read row by row.
template <class T>
struct OfRows {
  explicit OfRows(Vec<T> values) { store(numbers, values); }
  RAVINE_INLINE Vec<T> operator[](std::int64_t row) const { return splat(numbers[row]); }
  alignas(64) T numbers[64 / sizeof(T)] = {};  // of any vector
};

// `rows` is std::int64_t, or a constant for a whole block.
template <class T, class Rows>
RAVINE_INLINE void layer_norm_block(const LayerNormArgs& args, std::int64_t first, Rows rows) {
  const std::int64_t columns = args.columns;
  const T* const x = static_cast<const T*>(args.input) + first * columns;
  T* const y = static_cast<T*>(args.output) + first * columns;
  const T* const gamma = static_cast<const T*>(args.gamma);
  const T* const beta = static_cast<const T*>(args.beta);
  const Vec<T> count = splat(static_cast<T>(columns));
  const auto at = [&](std::int64_t r, std::int64_t i, auto n)
                      RAVINE_INLINE_LAMBDA { return load(x + r * columns + i, n); };
  Vec<T> sum[1], deviations[2];
  sums_of_rows<T>(rows, columns, sum,
                  [&](std::int64_t r, std::int64_t i, auto n, Vec<T>* out)
                      RAVINE_INLINE_LAMBDA { out[0] = at(r, i, n); });
  const Vec<T> center = sum[0] / count;
  const OfRows<T> centers(center);
  sums_of_rows<T>(rows, columns, deviations,
                  [&](std::int64_t r, std::int64_t i, auto n, Vec<T>* out) RAVINE_INLINE_LAMBDA {
                    out[0] = valid_lanes<T>(at(r, i, n) - centers[r], n);
                    out[1] = out[0] * out[0];
                  });
  const Vec<T> error = deviations[0] / count;  // of the center as the mean
  const Vec<T> mean = center + error;
  const Vec<T> variance = maximum(deviations[1] / count - error * error, Vec<T>{});
  const Vec<T> rstd = T(1) / square_root<T>(variance + static_cast<T>(args.eps));
  store(static_cast<T*>(args.mean) + first, mean, static_cast<std::int64_t>(rows));
  store(static_cast<T*>(args.rstd) + first, rstd, static_cast<std::int64_t>(rows));
  const OfRows<T> means(mean), rstds(rstd);
  for (std::int64_t r = 0; r < rows; ++r)
    for_each_vector<T>(columns, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
      Vec<T> value = (at(r, i, n) - means[r]) * rstds[r];
      if (gamma != nullptr) value *= load(gamma + i, n);
      if (beta != nullptr) value += load(beta + i, n);
      store(y + r * columns + i, value, n);
    });
}

// block(first, rows) for rows [begin, end), whole blocks with a constant.
template <class T, class Block>
RAVINE_INLINE void for_each_block(std::int64_t begin, std::int64_t end, Block block) {
  constexpr std::integral_constant<std::int64_t, lanes<T>> whole{};
  std::int64_t row = begin;
  for (; row + whole <= end; row += whole) block(row, whole);
  if (row < end) block(row, end - row);
}

constexpr std::int64_t grad_piece_rows(std::int64_t rows) {
  const std::int64_t even = (rows + 31) / 32;
  return even < 4 ? 4 : even > 64 ? 64 : even;
}

}  // namespace

template <class T>
void layer_norm(const LayerNormArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const T* gamma = static_cast<const T*>(args.gamma);
  const T* beta = static_cast<const T*>(args.beta);
  if (columns <= longest_short_row) {
    const Pieces blocks = pieces_of(ceil_div(args.rows, lanes<T>), team);
    for_each_block<T>(blocks.begin * lanes<T>, smaller(blocks.end * lanes<T>, args.rows),
                      [&](std::int64_t first, auto rows) { layer_norm_block<T>(args, first, rows); });
    return;
  }
  const Pieces mine = pieces_of(args.rows, team);
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    const T* x = static_cast<const T*>(args.input) + row * columns;
    T* y = static_cast<T*>(args.output) + row * columns;
    const double count = static_cast<double>(columns);
    double sum[1], deviations[2];
    row_sums<T>(columns, sum, [&](std::int64_t i, auto n, Vec<T>* out) { out[0] = load(x + i, n); });
    const T center = static_cast<T>(sum[0] / count);
    row_sums<T>(columns, deviations, [&](std::int64_t i, auto n, Vec<T>* out) {
      out[0] = valid_lanes<T>(load(x + i, n) - splat(center), n);
      out[1] = out[0] * out[0];
    });
    const double error = deviations[0] / count;  // of the center as the mean
    const T mean = static_cast<T>(static_cast<double>(center) + error);
    const double variance = deviations[1] / count - error * error;
    const T rstd = static_cast<T>(1 / __builtin_sqrt((variance < 0 ? 0 : variance) + args.eps));
    static_cast<T*>(args.mean)[row] = mean;
    static_cast<T*>(args.rstd)[row] = rstd;
    for_each_vector<T>(columns, [&](std::int64_t i, auto n) {
      Vec<T> value = (load(x + i, n) - splat(mean)) * splat(rstd);
      if (gamma != nullptr) value *= load(gamma + i, n);
      if (beta != nullptr) value += load(beta + i, n);
      store(y + i, value, n);
    });
  }
}
template void layer_norm<float>(const LayerNormArgs&, const Team&);
template void layer_norm<double>(const LayerNormArgs&, const Team&);

// Per piece of rows [2, columns]: the sums of dy xhat and of dy.
template <class T>
std::size_t layer_norm_grad_workspace(const LayerNormGradArgs& args) {
  const std::int64_t pieces = ceil_div(args.rows, grad_piece_rows(args.rows));
  return static_cast<std::size_t>(pieces * 2 * args.columns) * sizeof(T);
}
template std::size_t layer_norm_grad_workspace<float>(const LayerNormGradArgs&);
template std::size_t layer_norm_grad_workspace<double>(const LayerNormGradArgs&);

template <class T>
void layer_norm_grad(const LayerNormGradArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const std::int64_t piece_rows = grad_piece_rows(args.rows), pieces = ceil_div(args.rows, piece_rows);
  const T* gamma = static_cast<const T*>(args.gamma);
  const bool with_parameters = args.grad_gamma != nullptr || args.grad_beta != nullptr;
  T* workspace = static_cast<T*>(args.workspace);

  const Pieces mine = pieces_of(pieces, team);
  for (std::int64_t piece = mine.begin; piece < mine.end; ++piece) {
    T* gamma_sums = workspace + piece * 2 * columns;
    T* beta_sums = gamma_sums + columns;
    const std::int64_t first = piece * piece_rows, end = smaller(first + piece_rows, args.rows);
    for (std::int64_t row = first; row < end; ++row) {
      const T* x = static_cast<const T*>(args.input) + row * columns;
      const T* dy = static_cast<const T*>(args.grad_output) + row * columns;
      T* dx = static_cast<T*>(args.grad_input) + row * columns;
      const Vec<T> mean = splat(static_cast<const T*>(args.mean)[row]);
      const Vec<T> rstd = splat(static_cast<const T*>(args.rstd)[row]);
      const auto grad_xhat = [&](std::int64_t i, auto n) {
        const Vec<T> g = load(dy + i, n);
        return gamma != nullptr ? g * load(gamma + i, n) : g;
      };
      double sums[2];  // of g and of g xhat; lanes beyond the row have g = 0
      row_sums<T>(columns, sums, [&](std::int64_t i, auto n, Vec<T>* out) {
        out[0] = grad_xhat(i, n);
        out[1] = valid_lanes<T>(out[0] * ((load(x + i, n) - mean) * rstd), n);
      });
      const Vec<T> mean_g = splat(static_cast<T>(sums[0] / static_cast<double>(columns)));
      const Vec<T> mean_g_xhat = splat(static_cast<T>(sums[1] / static_cast<double>(columns)));
      for_each_vector<T>(columns, [&](std::int64_t i, auto n) {
        const Vec<T> xhat = (load(x + i, n) - mean) * rstd;
        const Vec<T> g = load(dy + i, n);
        if (with_parameters) {
          store(gamma_sums + i, row == first ? g * xhat : load(gamma_sums + i, n) + g * xhat, n);
          store(beta_sums + i, row == first ? g : load(beta_sums + i, n) + g, n);
        }
        if (args.grad_input != nullptr)
          store(dx + i, rstd * (grad_xhat(i, n) - mean_g - xhat * mean_g_xhat), n);
      });
    }
  }
  if (!with_parameters) return;
  team.barrier();

  constexpr std::int64_t chunk = 64;
  const Pieces chunks = pieces_of(ceil_div(columns, chunk), team);
  for (std::int64_t c = chunks.begin; c < chunks.end; ++c) {
    const std::int64_t first = c * chunk, count = smaller(chunk, columns - first);
    double gamma_sums[chunk] = {}, beta_sums[chunk] = {};
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const T* partial = workspace + piece * 2 * columns + first;
      for (std::int64_t i = 0; i < count; ++i) {
        gamma_sums[i] += static_cast<double>(partial[i]);
        beta_sums[i] += static_cast<double>(partial[columns + i]);
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      if (args.grad_gamma != nullptr)
        static_cast<T*>(args.grad_gamma)[first + i] = static_cast<T>(gamma_sums[i]);
      if (args.grad_beta != nullptr)
        static_cast<T*>(args.grad_beta)[first + i] = static_cast<T>(beta_sums[i]);
    }
  }
}
template void layer_norm_grad<float>(const LayerNormGradArgs&, const Team&);
template void layer_norm_grad<double>(const LayerNormGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
