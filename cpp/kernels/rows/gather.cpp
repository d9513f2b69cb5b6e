// Gathering and scattering by index along the middle axis of [outer, axis, inner].
#include "kernels/api/gather.h"

#include "kernels/api/table.h"
#include "kernels/base/vector_loop.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// body(index_of) with index_of(i) reading the i-th index, whichever integer type it has.
template <class Body>
RAVINE_INLINE void with_indices(const void* indices, DType dtype, Body body) {
  if (dtype == DType::int32) {
    const std::int32_t* values = static_cast<const std::int32_t*>(indices);
    body([values](std::int64_t i) { return static_cast<std::int64_t>(values[i]); });
  } else {
    const std::int64_t* values = static_cast<const std::int64_t*>(indices);
    body([values](std::int64_t i) { return values[i]; });
  }
}

// Moves an element: an unsigned number of its size that may alias anything.
template <int Size>
struct Bits;
template <>
struct Bits<1> {
  typedef std::uint8_t type;
};
template <>
struct Bits<4> {
  typedef std::uint32_t type __attribute__((may_alias));
};
template <>
struct Bits<8> {
  typedef std::uint64_t type __attribute__((may_alias));
};

// Rows of `inner` elements, or single elements, are numbered (o, j) as the output has them.
constexpr std::int64_t piece_rows = 64;

template <int Size>
void gather(const GatherArgs& args, const Team& team) {
  using Element = typename Bits<Size>::type;
  const std::int64_t axis = args.axis, inner = args.inner, count = args.count;
  const std::int64_t rows = args.outer * count;
  const std::size_t row_bytes = static_cast<std::size_t>(inner) * Size;
  const Pieces mine = pieces_of(ceil_div(rows, piece_rows), team);
  const std::int64_t end = smaller(mine.end * piece_rows, rows);
  with_indices(args.indices, args.index_dtype, [&](auto index_of) {
    std::int64_t row = mine.begin * piece_rows;
    std::int64_t o = row < end ? row / count : 0, j = row - o * count;
    for (; row < end; ++row, ++j) {
      if (j == count) ++o, j = 0;
      const Element* input = static_cast<const Element*>(args.input) + o * axis * inner;
      Element* output = static_cast<Element*>(args.output) + row * inner;
      if (!args.per_element) {
        const std::int64_t index = index_of(j);
        const bool inside = index >= 0 && index < axis;
        if (!inside) report(args.fault, args.fault_code, j, index);
        if (inner == 1) *output = inside ? input[index] : Element(0);
        else if (row_bytes == 0) continue;
        else if (inside) __builtin_memcpy(output, input + index * inner, row_bytes);
        else __builtin_memset(output, 0, row_bytes);
        continue;
      }
      for (std::int64_t i = 0; i < inner; ++i) {
        const std::int64_t index = index_of(row * inner + i);
        const bool inside = index >= 0 && index < axis;
        if (!inside) report(args.fault, args.fault_code, row * inner + i, index);
        output[i] = inside ? input[index * inner + i] : Element(0);
      }
    }
  });
}

}  // namespace

Kernel<GatherArgs> gather_kernel(DType dtype) {
  switch (size_of(dtype)) {
    case 1:
      return gather<1>;
    case 4:
      return gather<4>;
    case 8:
      return gather<8>;
  }
  return nullptr;
}

// Destinations are divided, rows (o, index) by rank: whoever owns a row adds all that belongs there, in
// increasing j, so its sum does not depend on the division. Every thread reads all the indices of the o it
// shares in.
template <class T>
void scatter_add(const ScatterAddArgs& args, const Team& team) {
  const std::int64_t axis = args.axis, inner = args.inner, count = args.count;
  T* output = static_cast<T*>(args.output);
  const T* source = static_cast<const T*>(args.source);
  const Pieces mine = pieces_of(args.outer * axis, team);
  if (mine.end > mine.begin && inner > 0)
    __builtin_memset(output + mine.begin * inner, 0,
                     static_cast<std::size_t>((mine.end - mine.begin) * inner) * sizeof(T));

  with_indices(args.indices, args.index_dtype, [&](auto index_of) {
    // True where the index is one to add at; false for the skipped one, and with a fault outside the axis.
    const auto is_valid = [&](std::int64_t position, std::int64_t index) {
      if (index >= 0 && index < axis) return index != args.skip_index;
      if (args.skip_index < 0 || index != args.skip_index)
        report(args.fault, args.fault_code, position, index);
      return false;
    };
    if (axis == 0 && team.rank == 0) {  // no destinations: every index is a fault
      const std::int64_t indices = args.per_element ? args.outer * count * inner : args.outer > 0 ? count : 0;
      for (std::int64_t i = 0; i < indices; ++i) is_valid(i, index_of(i));
    }
    for (std::int64_t first = mine.begin; first < mine.end;) {
      const std::int64_t o = first / axis, low = first % axis, high = smaller(axis, low + mine.end - first);
      T* to = output + o * axis * inner;
      const T* from = source + o * count * inner;
      for (std::int64_t j = 0; j < count; ++j, from += inner) {
        if (!args.per_element) {
          const std::int64_t index = index_of(j);
          if (!is_valid(j, index) || index < low || index >= high) continue;
          T* row = to + index * inner;
          for_each_vector<T>(inner, [&](std::int64_t i, auto n) {
            store(row + i, load(row + i, n) + load(from + i, n), n);
          });
          continue;
        }
        for (std::int64_t i = 0; i < inner; ++i) {
          const std::int64_t position = (o * count + j) * inner + i, index = index_of(position);
          if (is_valid(position, index) && index >= low && index < high) to[index * inner + i] += from[i];
        }
      }
      first += high - low;
    }
  });
}
template void scatter_add<float>(const ScatterAddArgs&, const Team&);
template void scatter_add<double>(const ScatterAddArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
