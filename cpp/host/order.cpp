#include "host/order.h"

#include <algorithm>

namespace ravine::host {
namespace {

// function(T{}) for the type of a dtype; bools count as bytes.
template <class F>
void with_type(DType dtype, F function) {
  switch (dtype) {
    case DType::float32:
      return function(float{});
    case DType::float64:
      return function(double{});
    case DType::int32:
      return function(std::int32_t{});
    case DType::int64:
      return function(std::int64_t{});
    case DType::uint8:
    case DType::boolean:
      return function(std::uint8_t{});
  }
}

// NaN counts as larger than every number.
template <class T>
bool is_less(T a, T b) {
  return a < b || (a == a && b != b);
}

// ---- sorting: merge sort from runs of this length, each sorted by insertion

constexpr std::int64_t run_length = 16;

template <class Before>
void sort_row(std::int64_t* indices, std::int64_t* spare, std::int64_t count, Before before) {
  int passes = 0;
  for (std::int64_t width = run_length; width < count; width *= 2) ++passes;
  // The last pass has to end in `indices`.
  std::int64_t *from = indices, *to = spare;
  if (passes % 2 == 1) std::swap(from, to);
  for (std::int64_t begin = 0; begin < count; begin += run_length) {
    const std::int64_t end = std::min(begin + run_length, count);
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t place = i;
      for (; place > begin && before(i, from[place - 1]); --place) from[place] = from[place - 1];
      from[place] = i;
    }
  }
  for (std::int64_t width = run_length; width < count; width *= 2) {
    for (std::int64_t begin = 0; begin < count; begin += 2 * width) {
      const std::int64_t middle = std::min(begin + width, count), end = std::min(begin + 2 * width, count);
      std::merge(from + begin, from + middle, from + middle, from + end, to + begin, before);
    }
    std::swap(from, to);
  }
}

}  // namespace

void argsort(const ArgsortArgs& args, std::int64_t begin_row, std::int64_t end_row) {
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t row = begin_row; row < end_row; ++row) {
      const T* x = static_cast<const T*>(args.input) + row * args.count;
      std::int64_t* indices = args.indices + row * args.count;
      std::int64_t* spare = static_cast<std::int64_t*>(args.workspace) + row * args.count;
      const auto ascending = [x](std::int64_t a, std::int64_t b) { return is_less(x[a], x[b]); };
      const auto descending = [x](std::int64_t a, std::int64_t b) { return is_less(x[b], x[a]); };
      if (args.descending) sort_row(indices, spare, args.count, descending);
      else sort_row(indices, spare, args.count, ascending);
    }
  });
}

void search_sorted(const SearchSortedArgs& args, std::int64_t begin, std::int64_t end) {
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = args.shared ? 0 : i / args.values_per_row;
      const T* first = static_cast<const T*>(args.boundaries) + row * args.count;
      const T value = static_cast<const T*>(args.values)[i];
      args.output[i] = (args.right ? std::upper_bound(first, first + args.count, value, is_less<T>)
                                   : std::lower_bound(first, first + args.count, value, is_less<T>)) -
                       first;
    }
  });
}

// ---- scans

namespace {

// Sums of integers wrap around.
template <class T>
using SumOf = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;

template <class T>
void scan_sum(const ScanArgs& args, const T* input, T* output, std::int64_t columns) {
  SumOf<T> sums[scan_columns] = {};
  for (std::int64_t step = 0; step < args.axis; ++step) {
    const std::int64_t row = (args.reverse ? args.axis - 1 - step : step) * args.inner;
    for (std::int64_t i = 0; i < columns; ++i) {
      sums[i] += static_cast<SumOf<T>>(input[row + i]);
      output[row + i] = static_cast<T>(sums[i]);
    }
  }
}

template <class T>
void scan_extreme(const ScanArgs& args, const T* input, std::int64_t* output, std::int64_t columns) {
  T best[scan_columns] = {};
  std::int64_t place[scan_columns] = {};
  for (std::int64_t step = 0; step < args.axis; ++step) {
    const std::int64_t at = args.reverse ? args.axis - 1 - step : step, row = at * args.inner;
    for (std::int64_t i = 0; i < columns; ++i) {
      const T x = input[row + i];
      const bool as_good = args.scan == Scan::argmax ? x >= best[i] : x <= best[i];
      if (step == 0 || (best[i] == best[i] && (x != x || as_good))) best[i] = x, place[i] = at;
      output[row + i] = place[i];
    }
  }
}

}  // namespace

void scan(const ScanArgs& args, std::int64_t begin_part, std::int64_t end_part) {
  const std::int64_t parts = (args.inner + scan_columns - 1) / scan_columns;
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    for (std::int64_t part = begin_part; part < end_part; ++part) {
      const std::int64_t column = part % parts * scan_columns,
                         columns = std::min(scan_columns, args.inner - column);
      const std::int64_t first = part / parts * args.axis * args.inner + column;
      const T* input = static_cast<const T*>(args.input) + first;
      if (args.scan == Scan::sum) scan_sum(args, input, static_cast<T*>(args.output) + first, columns);
      else scan_extreme(args, input, static_cast<std::int64_t*>(args.output) + first, columns);
    }
  });
}

// ---- winners

void scatter_winner(const ScatterWinnerArgs& args, std::int64_t begin_outer, std::int64_t end_outer) {
  const std::int64_t axis = args.axis, inner = args.inner, count = args.count;
  with_type(args.dtype, [&](auto type) {
    using T = decltype(type);
    const auto wins = [&](T challenger, T holder) {
      if (holder != holder) return false;
      if (challenger != challenger) return true;
      return args.winner == Winner::largest ? challenger > holder : challenger < holder;
    };
    for (std::int64_t o = begin_outer; o < end_outer; ++o) {
      std::int64_t* to = args.output + o * axis * inner;
      std::fill(to, to + axis * inner, -1);
      const T* from = static_cast<const T*>(args.source) + o * count * inner;
      for (std::int64_t j = 0; j < count; ++j)
        for (std::int64_t i = 0; i < inner; ++i) {
          const std::int64_t position = (o * count + j) * inner + i;
          const std::int64_t index = args.index_dtype == DType::int32
                                         ? static_cast<const std::int32_t*>(args.indices)[position]
                                         : static_cast<const std::int64_t*>(args.indices)[position];
          if (index < 0 || index >= axis) {
            kernels::report(args.fault, args.fault_code, position, index);
            continue;
          }
          std::int64_t& holder = to[index * inner + i];
          if (holder < 0 || args.winner == Winner::last ||
              wins(from[j * inner + i], from[holder * inner + i]))
            holder = j;
        }
    }
  });
}

}  // namespace ravine::host
