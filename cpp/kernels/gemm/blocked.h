// The loop nest that GEMM and convolution share. A thread multiplies a rectangle of C on its own: it packs
// what it reads into its scratch, so no thread waits for another. An element's sum runs over k in order, in
// runs of one depth counted from the start of k, so it is the same whatever rectangle, and so whatever
// thread, it falls to.
#pragma once

#include "core/caches.h"
#include "kernels/base/scratch.h"
#include "kernels/gemm/pack.h"
#include "kernels/tile/elementwise.h"

namespace ravine::kernels::RAVINE_ISA {

// ---- static model
// How a sum over k is cut into runs, each of them summed in registers. It decides about the result's bits, so
// the shape of the whole product alone decides about it: not a thread's rectangle, not the machine's caches.
// Long runs spare C the way to memory and back, and with it a wide strip of B the repacking of A. (2048
// cubed: 0.93 of the peak in runs of 1024, 0.84 in runs of 320.)
template <class T>
inline constexpr std::int64_t longest_run = 4096 / sizeof(T);
static_assert(longest_run<float> <= max_run_depth);

// The size of equal parts, in whole units, that are at most as large as the largest number of units in
// `most`.
RAVINE_INLINE std::int64_t equal_parts(std::int64_t extent, std::int64_t most, std::int64_t unit) {
  const std::int64_t units = larger(ceil_div(extent, unit), 1);
  return ceil_div(units, ceil_div(units, most / unit)) * unit;
}
template <class T>
RAVINE_INLINE std::int64_t usual_run_depth(std::int64_t k) {
  return equal_parts(k, longest_run<T>, 16);
}

// What a thread keeps of packed operands: by its caches, and without effect on the result.
template <class T>
struct Blocking {
  std::int64_t b_elements;  // in its share of L3
  std::int64_t block_rows;  // of A, in L2 beside two panels of B

  explicit Blocking(std::int64_t run_depth) {
    constexpr std::int64_t size = sizeof(T);
    const Caches cache = caches();
    b_elements = smaller(larger(cache.l3_bytes / 2, cache.l2_bytes / 2), max_b_bytes) / size;
    const std::int64_t room = smaller(cache.l2_bytes, max_l2_bytes) / 4 * 3 / size / run_depth;
    const std::int64_t rows = (room - 2 * panel_columns<T>) / micro_rows * micro_rows;
    block_rows = larger(smaller(rows, max_block_rows), 4 * micro_rows);
  }

  static constexpr std::int64_t max_block_rows = 192;
  static constexpr std::int64_t max_b_bytes = std::int64_t{4} << 20, max_l2_bytes = std::int64_t{3} << 19;
};
// The memory that it takes at most, of B and of A.
template <class T>
inline constexpr std::int64_t b_capacity = Blocking<T>::max_b_bytes / sizeof(T);
template <class T>
inline constexpr std::int64_t a_capacity =
    round_up(larger(Blocking<T>::max_l2_bytes / 4 * 3 / sizeof(T), max_run_depth * 4 * micro_rows), lanes<T>);
static_assert((a_capacity<double> + b_capacity<double>)*sizeof(double) <= product_scratch_bytes);
static_assert((a_capacity<float> + b_capacity<float>)*sizeof(float) <= product_scratch_bytes);
static_assert(Blocking<float>::max_block_rows % micro_rows == 0);

// So few rows read B too seldom to pay for packing it, where whole vectors of it can be read in place.
inline constexpr std::int64_t rows_to_pack_b = 2 * micro_rows + 1;
// So few panels of columns read A too seldom to pay for packing it.
inline constexpr std::int64_t panels_in_place_a = 4;

// Rows of the micro-tile that is `left` rows from the end of its block. The last two share their rows where
// the last alone would have too few sums to hide a multiply-add's latency on two multipliers. (32 rows in
// tiles of 6: 6, 6, 6, 6, 4, 4, not 6, 6, 6, 6, 6, 2.)
RAVINE_INLINE std::int64_t tile_height(std::int64_t left) {
  constexpr std::int64_t sums_in_flight = 8, enough_rows = ceil_div(sums_in_flight, micro_vectors);
  if (left > micro_rows && left < micro_rows + enough_rows) return ceil_div(left, 2);
  return smaller(left, micro_rows);
}

// ---- where C goes
// Rows at a fixed stride, with an epilogue whose element (epilogue_row, epilogue_column) is C's (0, 0).
template <class T>
struct MatrixC {
  T* data;
  std::int64_t stride;
  const TileProgram* epilogue = nullptr;
  std::int64_t epilogue_row = 0, epilogue_column = 0;
  bool streams = false;  // it is written past the caches, where its rows are summed in one run

  T* row(std::int64_t i) const { return data + i * stride; }
  void complete(Range rows, Range columns) const {
    if (epilogue == nullptr) return;
    run_epilogue(*epilogue, row(rows.begin) + columns.begin, stride, epilogue_row + rows.begin, rows.size(),
                 epilogue_column + columns.begin, columns.size());
  }
};

// Whether C [rows, columns], dense and without an epilogue, is better written past the caches: it does not
// fit into them, and before it is written there it would be read from memory.
template <class T>
bool should_stream(const T* c, std::int64_t rows, std::int64_t columns, const Team& team) {
  constexpr std::int64_t line = 64;  // bytes, which are written together
  constexpr std::int64_t size = sizeof(T);
  return vector_bytes > 16 && rows * columns * size > caches().l3_bytes * team.size &&
         columns * size % line == 0 && reinterpret_cast<std::uintptr_t>(c) % line == 0;
}

// ---- one thread's rectangle
// A block of A as the micro-kernels will read it: packed, or in place.
template <class T, class A>
class BlockOfA {
 public:
  // pack: what can be read in place is packed nonetheless.
  BlockOfA(const A& a, bool pack, std::byte* memory)
      : a_(a),
        access_(a.access()),
        pack_(pack || access_ == AAccess::packed || far_apart(a)),
        packed_(reinterpret_cast<T*>(memory)),
        addresses_(reinterpret_cast<const T**>(memory)) {}

  void prepare(Range rows, Range depth) {
    first_row_ = rows.begin;
    end_row_ = rows.end;
    depth_ = depth;
    if (!pack_ && access_ == AAccess::adjacent) return;
    for (std::int64_t i = rows.begin, height = 0; i < rows.end; i += height) {
      height = tile_height(rows.end - i);
      if (!pack_) {  // every panel has the same runs
        runs_ = a_.point(addresses_ + panel_of(i) * micro_rows * runs_, run_depths_, i,
                         static_cast<int>(height), depth);
      } else if (!packed_on_the_way(height)) {
        a_.pack(packed_panel(i), i, static_cast<int>(height), depth);
      }
    }
  }

  // Multiplies the panel that begins at row i; args lacks only what concerns A. `first`: no panel of B was
  // multiplied by this block yet.
  void multiply(MicroArgs<T>& args, std::int64_t i, std::int64_t height, std::int64_t vectors, bool first) {
    if (first && pack_ && packed_on_the_way(height)) {
      if (vectors > 1) return multiply_and_pack_a(args, i, vectors);
      a_.pack(packed_panel(i), i, micro_rows, depth_);
    }
    const ALayout layout = point(args, i, first);
    MicroKernels<T>::all.multiply(layout, height, vectors, args);
  }

  // Multiplies the block's first panel, of micro_rows, by a panel of B read in place, and packs the latter.
  void multiply_and_pack_b(Packs packs, MicroArgs<T>& args, T* packed_b, std::int64_t vectors, bool first) {
    if (first && pack_ && packed_on_the_way(micro_rows))
      a_.pack(packed_panel(first_row_), first_row_, micro_rows, depth_);
    args.packed = packed_b;
    const ALayout layout = point(args, first_row_, first);
    MicroKernels<T>::all.multiply_and_pack(packs, layout, vectors, args);
  }

 private:
  // Rows so far apart that a panel uses too little of the cache lines it touches, to be read again and again.
  static bool far_apart(const A& a) {
    if constexpr (requires { a.step(); }) {
      return a.access() == AAccess::adjacent && a.step() * static_cast<std::int64_t>(sizeof(T)) > 128;
    }
    return false;
  }

  static constexpr std::int64_t max_runs = max_run_depth / min_run + 2;

  bool packed_on_the_way(std::int64_t height) const {
    return access_ != AAccess::packed && height == micro_rows;
  }
  void multiply_and_pack_a(MicroArgs<T>& args, std::int64_t i, std::int64_t vectors) {
    args.packed = packed_panel(i);
    if (access_ == AAccess::by_rows) {
      const T* addresses[micro_rows * max_runs];
      args.runs = a_.point(addresses, run_depths_, i, micro_rows, depth_);
      args.a_rows = args.next_a_rows = addresses;
      args.run_depths = run_depths_;
      MicroKernels<T>::all.multiply_and_pack(Packs::a, ALayout::by_rows, vectors, args);
    } else if constexpr (requires { a_.at(i, i); }) {
      args.a = a_.at(i, depth_.begin);
      args.a_step = a_.step();
      args.depth = depth_.size();
      MicroKernels<T>::all.multiply_and_pack(Packs::a, ALayout::adjacent, vectors, args);
    }
  }
  // What concerns the panel of A at row i, packed or in place.
  ALayout point(MicroArgs<T>& args, std::int64_t i, bool first) const {
    if (!pack_ && access_ == AAccess::by_rows) {
      args.a_rows = args.next_a_rows = addresses_ + panel_of(i) * micro_rows * runs_;
      if (first && i + micro_rows < end_row_) args.next_a_rows += micro_rows * runs_;
      args.run_depths = run_depths_;
      args.runs = runs_;
      return ALayout::by_rows;
    }
    args.a = packed_panel(i);
    args.a_step = micro_rows;
    args.depth = depth_.size();
    if constexpr (requires { a_.at(i, i); }) {
      if (!pack_) {
        args.a = a_.at(i, depth_.begin);
        args.a_step = a_.step();
      }
    }
    return ALayout::adjacent;
  }

  // All panels but the last two have micro_rows.
  std::int64_t panel_of(std::int64_t i) const { return ceil_div(i - first_row_, micro_rows); }
  T* packed_panel(std::int64_t i) const { return packed_ + panel_of(i) * micro_rows * depth_.size(); }

  const A& a_;
  AAccess access_;
  bool pack_;
  T* packed_;
  const T** addresses_;
  std::int64_t first_row_ = 0, end_row_ = 0, runs_ = 0;
  Range depth_{0, 0};
  std::int64_t run_depths_[max_runs];
};

// C[rows, columns] = A[rows, depth] B[depth, columns] (+ C), by one thread. C has row(i) and complete(rows,
// columns).
template <class T, class A, class B, class C>
class Multiplication {
 public:
  Multiplication(const A& a, const B& b, const C& c, Range rows, Range columns, Range depth, bool accumulate,
                 std::byte* scratch, std::int64_t run_depth)
      : a_(a),
        b_(b),
        c_(c),
        rows_(rows),
        columns_(columns),
        depth_(depth),
        accumulate_(accumulate),
        packed_a_(scratch),
        packed_b_(reinterpret_cast<T*>(scratch) + a_capacity<T>),
        blocking_(run_depth),
        block_rows_(equal_parts(rows.size(), blocking_.block_rows, micro_rows)),
        run_depth_(run_depth) {
    if (depth.size() == 0) return;
    if constexpr (requires { b.gathers(); }) {
      static_assert(requires { a.row_stride; });  // a matrix, never read by rows while B is gathered
      if (b.gathers() && a.access() == AAccess::adjacent && rows.size() >= rows_to_pack_b)
        read_b_ = ReadB::gathered_once;
    }
    if (!b.in_place()) return;
    read_b_ = rows.size() < rows_to_pack_b ? ReadB::in_place : ReadB::in_place_once;
  }

  void run() const {
    if (rows_.size() <= 0 || columns_.size() <= 0) return;
    const std::int64_t strip_columns = equal_parts(
        columns_.size(), larger(blocking_.b_elements / run_depth_, panel_columns<T>), panel_columns<T>);
    // Deep strips of B spare C the way to memory and back: as deep as the capacity allows.
    const std::int64_t strip_width = smaller(strip_columns, round_up(columns_.size(), lanes<T>));
    const std::int64_t strip_depth = larger(blocking_.b_elements / strip_width / run_depth_, 1) * run_depth_;
    for (std::int64_t j0 = columns_.begin; j0 < columns_.end; j0 += strip_columns) {
      const Range strip{j0, smaller(j0 + strip_columns, columns_.end)};
      std::int64_t q0 = depth_.begin;
      do {  // once even where depth is empty: C must become 0
        const Range deep{q0, smaller(q0 + strip_depth, depth_.end)};
        multiply_strip(strip, deep);
        q0 = deep.end;
      } while (q0 < depth_.end);
    }
    if (streams()) finish_streams();
  }

 private:
  bool streams() const {
    if constexpr (requires { c_.streams; }) return c_.streams && !accumulate_ && depth_.size() <= run_depth_;
    return false;
  }

  // The last two: whoever reads a panel first leaves it packed.
  enum class ReadB { packed, in_place, in_place_once, gathered_once };
  bool packs_on_the_way(std::int64_t count, std::int64_t width) const {
    if (read_b_ == ReadB::in_place_once) return count == width;
    return read_b_ == ReadB::gathered_once && width == panel_columns<T>;
  }

  void multiply_strip(Range strip, Range deep) const {
    pack_b(strip, deep);
    const bool pack_a = strip.size() > panels_in_place_a * panel_columns<T> || depth_.size() == 0;
    BlockOfA<T, A> block_of_a(a_, pack_a, packed_a_);
    for (std::int64_t i0 = rows_.begin; i0 < rows_.end; i0 += block_rows_) {
      const Range block{i0, smaller(i0 + block_rows_, rows_.end)};
      std::int64_t p0 = deep.begin;
      do {
        const Range run{p0, smaller(p0 + run_depth_, deep.end)};
        multiply_block(block_of_a, block, strip, deep, run);
        p0 = run.end;
      } while (p0 < deep.end);
      if (deep.end == depth_.end) c_.complete(block, strip);
    }
  }

  // The panels of a strip that no micro-kernel can read in place or pack on its way: all, or those of a
  // ragged width.
  void pack_b(Range strip, Range deep) const {
    std::int64_t first = 0;
    if (read_b_ == ReadB::gathered_once) first = full_panels<T>(strip.size()) * panel_columns<T>;
    // Whole vectors of the last panel might reach beyond B.
    if (read_b_ == ReadB::in_place || read_b_ == ReadB::in_place_once)
      first = strip.size() % lanes<T> == 0 ? strip.size() : last_panel<T>(strip.size());
    if (first < strip.size())
      b_.pack(packed_b_ + first * deep.size(), {strip.begin + first, strip.end}, deep);
  }

  void multiply_block(BlockOfA<T, A>& block_of_a, Range block, Range strip, Range deep, Range run) const {
    T* c_rows[Blocking<T>::max_block_rows];
    for (std::int64_t i = block.begin; i < block.end; ++i) c_rows[i - block.begin] = c_.row(i);
    block_of_a.prepare(block, run);
    for_each_panel<T>(strip, [&](std::int64_t j, std::int64_t count, std::int64_t width) {
      const std::int64_t vectors = width / lanes<T>;
      const bool first_panel = j == strip.begin;
      MicroArgs<T> args;
      args.column = j;
      args.last = count - (vectors - 1) * lanes<T>;
      args.accumulate = accumulate_ || run.begin > depth_.begin;
      args.streams = streams();
      args.b = packed_b_ + (j - strip.begin) * deep.size() + (run.begin - deep.begin) * width;
      args.b_step = width;
      std::int64_t i = block.begin;
      // What the micro-kernels ask for: the next panel of B, if it comes from memory.
      const T* next_b = nullptr;
      std::int64_t next_b_step = 0;
      const bool packs_b = packs_on_the_way(count, width);
      // A single block packs every panel in the same place, which stays in L1 or L2.
      if (packs_b && rows_.size() <= block_rows_) args.b = packed_b_;
      T* const packed = const_cast<T*>(args.b);
      if constexpr (requires { b_.at(j, j); }) {
        if (read_b_ == ReadB::in_place && count == width) {
          args.b = b_.at(run.begin, j);
          args.b_step = b_.step();
        }
        if (packs_b && block.begin == rows_.begin) {
          MicroArgs<T> first = args;
          first.b = b_.at(run.begin, j);
          first.b_step = b_.step();
          first.b_rows = depth_.end - run.begin;
          first.c_rows = c_rows;
          look_ahead(first, packed, 0);
          block_of_a.multiply_and_pack_b(Packs::b, first, packed, vectors, first_panel);
          i += micro_rows;
          if (j + width < columns_.end) next_b = b_.at(run.begin, j + width);
          next_b_step = b_.step();
        }
      }
      if constexpr (requires { b_.gathers(); }) {
        if (packs_b && block.begin == rows_.begin) {
          MicroArgs<T> first = args;
          first.c_rows = c_rows;
          look_ahead(first, packed, 0);
          const T* addresses[micro_vectors][max_run_depth + gather_ahead];
          b_.gather(first.b_gathered, addresses, j, run);
          block_of_a.multiply_and_pack_b(Packs::gathered_b, first, packed, vectors, first_panel);
          i += micro_rows;
        }
      }
      for (std::int64_t height = 0; i < block.end; i += height) {
        height = tile_height(block.end - i);
        args.c_rows = c_rows + (i - block.begin);
        // One vector of the panel for each tile.
        const std::int64_t vector = ceil_div(i - block.begin, micro_rows) - 1;
        if (next_b != nullptr && vector < micro_vectors)
          look_ahead(args, next_b + vector * lanes<T>, next_b_step);
        else look_ahead(args, args.b, 0);
        block_of_a.multiply(args, i, height, vectors, first_panel);
      }
      if constexpr (requires { a_.row_sums; }) {
        if (a_.row_sums != nullptr && j == 0) a_.sum(block, run, run.begin > depth_.begin);
      }
    });
  }

  // Sets what the micro-kernel asks for: what C needs soon, else what lies at `from`.
  void look_ahead(MicroArgs<T>& args, const T* from, std::int64_t step) const {
    args.ahead[0] = args.ahead[1] = from;
    args.ahead_step = step;
    if constexpr (requires { c_.look_ahead(args); }) c_.look_ahead(args);
  }

  const A& a_;
  const B& b_;
  const C& c_;
  Range rows_, columns_, depth_;
  bool accumulate_;
  ReadB read_b_ = ReadB::packed;
  std::byte* packed_a_;
  T* packed_b_;
  Blocking<T> blocking_;
  std::int64_t block_rows_, run_depth_;
};
// depth and run_depth, by which the sums over k are grouped, must depend on the whole product alone, not on
// the thread's rectangle.
template <class T, class A, class B, class C>
void multiply(const A& a, const B& b, const C& c, Range rows, Range columns, Range depth, bool accumulate,
              std::byte* scratch, std::int64_t run_depth) {
  Multiplication<T, A, B, C>(a, b, c, rows, columns, depth, accumulate, scratch, run_depth).run();
}
template <class T, class A, class B, class C>
void multiply(const A& a, const B& b, const C& c, Range rows, Range columns, Range depth, bool accumulate,
              std::byte* scratch) {
  multiply<T>(a, b, c, rows, columns, depth, accumulate, scratch, usual_run_depth<T>(depth.size()));
}

// ---- the team's division
// This thread's share of `count` products, each m x n: a range of products and a rectangle of micro-tiles in
// them.
struct Share {
  Range products, rows, columns;
};

// Cuts the micro-tiles of all products into team.size boxes, so that the largest box is smallest. Every
// element of C is computed alike in any box, so the bits do not depend on the cut.
template <class T>
Share share(std::int64_t count, std::int64_t m, std::int64_t n, const Team& team) {
  const std::int64_t row_units = ceil_div(m, micro_rows), column_units = ceil_div(n, panel_columns<T>);
  int best[3] = {1, team.size, 1};
  std::int64_t best_cost = -1;
  for (int products = 1; products <= team.size; ++products) {
    if (team.size % products != 0) continue;
    const int rest = team.size / products;
    for (int columns = 1; columns <= rest; ++columns) {
      if (rest % columns != 0) continue;
      const std::int64_t rows_each = ceil_div(row_units, rest / columns);
      const std::int64_t columns_each = ceil_div(column_units, columns);
      // A tile's arithmetic, and in the same unit about what packing its share of A and of B costs.
      const std::int64_t cost =
          ceil_div(count, products) * (8 * rows_each * columns_each + 4 * rows_each + 4 * columns_each);
      if (best_cost < 0 || cost < best_cost) {
        best_cost = cost;
        best[0] = products;
        best[1] = rest / columns;
        best[2] = columns;
      }
    }
  }
  const int rank = team.rank;
  return {share_of(count, 1, rank / (best[1] * best[2]), best[0]),
          share_of(m, micro_rows, rank / best[2] % best[1], best[1]),
          share_of(n, panel_columns<T>, rank % best[2], best[2])};
}

// ---- sums over a long k
// Into how many parts k is cut: few tiles of C and a long k leave too few pieces for a team. By shape only.
template <class T>
std::int64_t depth_splits(std::int64_t count, std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t enough_tiles = 64, shortest = 512;
  const std::int64_t tiles = count * ceil_div(m, micro_rows) * ceil_div(n, panel_columns<T>);
  if (tiles == 0 || tiles >= enough_tiles / 2) return 1;
  return larger(smaller(ceil_div(enough_tiles, tiles), k / shortest), 1);
}
// Part `split` of k.
RAVINE_INLINE Range split_of(std::int64_t k, std::int64_t split, std::int64_t splits) {
  return share_of(k, 64, static_cast<int>(split), static_cast<int>(splits));
}

// to[j] = the sum over the parts, in order, of partials[part * stride + j] (+ to[j]), for j < n.
template <class T>
void add_splits(T* to, const T* partials, std::int64_t stride, std::int64_t splits, std::int64_t n,
                bool accumulate) {
  for (std::int64_t j = 0; j < n; j += lanes<T>) {
    const std::int64_t count = smaller(n - j, lanes<T>);
    Vec<T> sum = load(partials + j, count);
    for (std::int64_t split = 1; split < splits; ++split) sum += load(partials + split * stride + j, count);
    store(to + j, accumulate ? load(to + j, count) + sum : sum, count);
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
