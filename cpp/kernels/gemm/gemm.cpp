// C[b] = A[b] B[b]: chooses, by shape alone, among four ways to run the blocked loop nest of blocked.h.
#include "kernels/api/gemm.h"

#include "kernels/api/table.h"
#include "kernels/gemm/blocked.h"
#include "kernels/gemm/dot.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

enum class Method {
  blocked,
  split,    // k is cut, the parts' products are added in order: few tiles, long k
  swapped,  // C^T = B^T A^T: few rows against a B that lies along k is then read in place, once, not packed
  dot,      // very few rows against such a B
};

struct Plan {
  Method method;
  std::int64_t batch, splits;
};

template <class T>
Plan plan_of(const GemmArgs& args) {
  std::int64_t batch = 1;
  for (int d = 0; d < args.batch_rank; ++d) batch *= args.batch_extents[d];
  // Above this many rows a packed B is used often enough. (128 x 2048 x 2048 on two cores: 450 GFLOP/s
  // swapped, 360 packed.)
  constexpr std::int64_t max_swapped_rows = 6 * panel_columns<float>;
  if (args.b.row_stride == 1 && args.b.column_stride != 1) {
    if (args.m <= max_dot_rows && args.a.column_stride == 1) return {Method::dot, batch, 1};
    if (args.m <= max_swapped_rows && args.n > args.m) return {Method::swapped, batch, 1};
  }
  const std::int64_t splits = depth_splits<T>(batch, args.m, args.n, args.k);
  return {splits > 1 ? Method::split : Method::blocked, batch, splits};
}

// Few rows against a large B that lies along n: it passes once, from memory, and short runs leave the columns
// of a panel on few of its pages. (32 x 4096 x 4096 on two cores: 380 GFLOP/s, 310 in usual runs.) Rows that
// a large power of two separates meet in a few sets of L2, and a run of more than 1 MB / that power pushes
// its own rows out between being asked for and being read. (Runs of 64 instead of 128: 5 to 10 % faster.)
template <class T>
std::int64_t blocked_run_depth(const GemmArgs& args) {
  constexpr std::int64_t large = std::int64_t{8} << 20, size = sizeof(T);
  constexpr std::int64_t few_rows = 64, one_block = Blocking<T>::max_block_rows;
  if (args.b.column_stride != 1 || args.n * args.k * size < large || args.m > one_block)
    return usual_run_depth<T>(args.k);
  if (args.m > few_rows) return equal_parts(args.k, 1280 / size, 16);
  constexpr std::int64_t l2_bytes = std::int64_t{1} << 20, shortest = 64;
  const std::int64_t row_bytes = args.n * size, power = row_bytes & -row_bytes;
  return equal_parts(args.k, larger(smaller(512 / size, l2_bytes / power), shortest), 16);
}

// The matrices of one element of the batch.
template <class T>
struct Matrices {
  const T *a, *b;
  T* c;
};
template <class T>
Matrices<T> matrices_of(const GemmArgs& args, std::int64_t index) {
  std::int64_t a = 0, b = 0, c = 0;
  for (int d = args.batch_rank - 1; d >= 0; --d) {
    const std::int64_t at = index % args.batch_extents[d];
    index /= args.batch_extents[d];
    a += at * args.a.batch_strides[d];
    b += at * args.b.batch_strides[d];
    c += at * args.c.batch_strides[d];
  }
  return {static_cast<const T*>(args.a.data) + a, static_cast<const T*>(args.b.data) + b,
          static_cast<T*>(args.c.data) + c};
}

template <class T>
MatrixC<T> output_of(const GemmArgs& args, T* c, std::int64_t index) {
  return {c, args.c.row_stride, args.epilogue, index * args.m, 0};
}

template <class T>
MatrixA<T> left_of(const GemmArgs& args, const T* a, T* row_sums) {
  return {a, args.a.row_stride, args.a.column_stride, row_sums};
}
// Where A is not the left operand, or is not read in blocks.
template <class T>
void sum_rows_apart(const GemmArgs& args, const Team& team) {
  if (args.row_sums == nullptr) return;
  const MatrixA<T> a = left_of<T>(args, static_cast<const T*>(args.a.data), static_cast<T*>(args.row_sums));
  a.sum(share_of(args.m, micro_rows, team.rank, team.size), {0, args.k}, false);
}

template <class T>
void run_blocked(const GemmArgs& args, const Plan& plan, const Team& team) {
  const Share mine = share<T>(plan.batch, args.m, args.n, team);
  for (std::int64_t index = mine.products.begin; index < mine.products.end; ++index) {
    const Matrices<T> at = matrices_of<T>(args, index);
    multiply<T>(left_of<T>(args, at.a, static_cast<T*>(args.row_sums)),
                MatrixB<T>{at.b, args.b.row_stride, args.b.column_stride}, output_of(args, at.c, index),
                mine.rows, mine.columns, Range{0, args.k}, args.accumulate, team.scratch,
                blocked_run_depth<T>(args));
  }
}

template <class T>
void run_split(const GemmArgs& args, const Plan& plan, const Team& team) {
  const std::int64_t m = args.m, n = args.n;
  T* const partials = static_cast<T*>(args.workspace);  // [splits][batch][m][n]
  // [splits][m]
  T* const row_sums = args.row_sums == nullptr ? nullptr : partials + plan.splits * plan.batch * m * n;
  const Share mine = share<T>(plan.splits * plan.batch, m, n, team);
  for (std::int64_t part = mine.products.begin; part < mine.products.end; ++part) {
    const Matrices<T> at = matrices_of<T>(args, part % plan.batch);
    multiply<T>(left_of<T>(args, at.a, row_sums == nullptr ? nullptr : row_sums + part * m),
                MatrixB<T>{at.b, args.b.row_stride, args.b.column_stride},
                MatrixC<T>{partials + part * m * n, n}, mine.rows, mine.columns,
                split_of(args.k, part / plan.batch, plan.splits), false, team.scratch);
  }
  team.barrier();
  if (row_sums != nullptr && team.rank == 0)
    add_splits(static_cast<T*>(args.row_sums), row_sums, m, plan.splits, m, false);
  const Pieces rows = pieces_of(plan.batch * m, team);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t index = row / m;
    const MatrixC<T> output = output_of(args, matrices_of<T>(args, index).c, index);
    T* const c = output.row(row % m);
    add_splits(c, partials + row * n, plan.batch * m * n, plan.splits, n, args.accumulate);
    output.complete({row % m, row % m + 1}, {0, n});
  }
}

// C^T in the workspace; a finished block of it is turned into its place in C.
template <class T>
struct TransposedC {
  T* transposed;  // [n][m]
  std::int64_t m;
  MatrixC<T> c;
  bool accumulate;

  T* row(std::int64_t j) const { return transposed + j * m; }
  void complete(Range columns_of_c, Range rows_of_c) const {
    constexpr int n = lanes<T>;
    for (std::int64_t i = rows_of_c.begin; i < rows_of_c.end; i += n) {
      const std::int64_t height = smaller(n, rows_of_c.end - i);
      for (std::int64_t j = columns_of_c.begin; j < columns_of_c.end; j += n) {
        const std::int64_t width = smaller(n, columns_of_c.end - j);
        Vec<T> v[n];
        if (width == n && height == n) {
#pragma GCC unroll 16
          for (int l = 0; l < n; ++l) v[l] = load(row(j + l) + i);
        } else {
          for (int l = 0; l < n; ++l) v[l] = l < width ? load(row(j + l) + i, height) : Vec<T>{};
        }
        transpose<T, n>(v);
        for (int l = 0; l < height; ++l) {
          T* const to = c.row(i + l) + j;
          store(to, accumulate ? load(to, width) + v[l] : v[l], width);
        }
      }
    }
    c.complete(rows_of_c, columns_of_c);
  }
};

template <class T>
void run_swapped(const GemmArgs& args, const Plan& plan, const Team& team) {
  sum_rows_apart<T>(args, team);
  const Share mine = share<T>(plan.batch, args.n, args.m, team);
  for (std::int64_t index = mine.products.begin; index < mine.products.end; ++index) {
    const Matrices<T> at = matrices_of<T>(args, index);
    const TransposedC<T> output{static_cast<T*>(args.workspace) + index * args.m * args.n, args.m,
                                output_of(args, at.c, index), args.accumulate};
    multiply<T>(MatrixA<T>{at.b, args.b.column_stride, args.b.row_stride},
                MatrixB<T>{at.a, args.a.column_stride, args.a.row_stride}, output, mine.rows, mine.columns,
                Range{0, args.k}, false, team.scratch);
  }
}

template <class T>
void run_dot(const GemmArgs& args, const Plan& plan, const Team& team) {
  sum_rows_apart<T>(args, team);
  const std::int64_t strips = ceil_div(args.n, lanes<T>);
  const Pieces pieces = pieces_of(plan.batch * strips, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end;) {
    const std::int64_t index = piece / strips, first = piece % strips;
    const std::int64_t count = smaller(strips - first, pieces.end - piece);
    const Range columns{first * lanes<T>, smaller((first + count) * lanes<T>, args.n)};
    const Matrices<T> at = matrices_of<T>(args, index);
    const MatrixC<T> output = output_of(args, at.c, index);
    for (std::int64_t j = columns.begin; j < columns.end;
         j += lanes<T>) {  // a strip of B stays in L1 over the rows
      const Range strip{j, smaller(j + lanes<T>, columns.end)};
      for (std::int64_t i = 0; i < args.m; ++i) {
        dot_row(at.a + i * args.a.row_stride, at.b, args.b.column_stride, args.k, output.row(i), strip,
                args.accumulate);
      }
    }
    output.complete({0, args.m}, columns);
    piece += count;
  }
}

}  // namespace

template <class T>
void gemm(const GemmArgs& args, const Team& team) {
  const Plan plan = plan_of<T>(args);
  if (plan.batch == 0 || args.m == 0 || args.n == 0) return;
  switch (plan.method) {
    case Method::blocked:
      return run_blocked<T>(args, plan, team);
    case Method::split:
      return run_split<T>(args, plan, team);
    case Method::swapped:
      return run_swapped<T>(args, plan, team);
    case Method::dot:
      return run_dot<T>(args, plan, team);
  }
}
template void gemm<float>(const GemmArgs&, const Team&);
template void gemm<double>(const GemmArgs&, const Team&);

template <class T>
std::size_t gemm_workspace(const GemmArgs& args) {
  const Plan plan = plan_of<T>(args);
  if (plan.method != Method::split && plan.method != Method::swapped) return 0;
  const std::int64_t row_sums = plan.method == Method::split ? args.m : 0;
  return static_cast<std::size_t>(plan.splits * (plan.batch * args.m * args.n + row_sums)) * sizeof(T);
}
template std::size_t gemm_workspace<float>(const GemmArgs&);
template std::size_t gemm_workspace<double>(const GemmArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
