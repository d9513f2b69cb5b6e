// Sums of rows by index: the rows that a gradient has, each once.
#include "kernels/api/gather.h"
#include "kernels/api/table.h"
#include "kernels/base/vector_loop.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

struct Entry {
  std::int64_t index, position;
};

// By index, equal ones by position as they came: a radix sort by bytes, as many as the extent has. Returns
// where the result lies, `entries` or `other`.
Entry* sort_by_index(Entry* entries, Entry* other, std::int64_t n, std::int64_t extent) {
  constexpr int bits = 8, digits = 1 << bits;
  for (int shift = 0; shift < 64 && (extent - 1) >> shift > 0; shift += bits) {
    const auto digit_of = [shift](const Entry& entry) { return entry.index >> shift & (digits - 1); };
    std::int64_t places[digits] = {};
    for (std::int64_t i = 0; i < n; ++i) ++places[digit_of(entries[i])];
    std::int64_t place = 0;
    for (std::int64_t& count : places) {
      const std::int64_t own = count;
      count = place;
      place += own;
    }
    for (std::int64_t i = 0; i < n; ++i) other[places[digit_of(entries[i])]++] = entries[i];
    Entry* const sorted = other;
    other = entries;
    entries = sorted;
  }
  return entries;
}

// What the sorting thread leaves for all: entries [starts[r], starts[r + 1]) belong to row r.
struct Groups {
  const Entry* entries = nullptr;
  std::int64_t n = 0;
};

struct Workspace {
  Groups* groups;
  Entry *entries, *other;
  std::int64_t* starts;

  explicit Workspace(const CoalesceRowsArgs& args)
      : groups(static_cast<Groups*>(args.workspace)),
        entries(reinterpret_cast<Entry*>(groups + 1)),
        other(entries + args.count),
        starts(reinterpret_cast<std::int64_t*>(other + args.count)) {}
  static std::size_t bytes(std::int64_t count) {
    return sizeof(Groups) + static_cast<std::size_t>(count) * (2 * sizeof(Entry) + sizeof(std::int64_t)) +
           sizeof(std::int64_t);
  }
};

void group_by_index(const CoalesceRowsArgs& args, const Workspace& memory) {
  std::int64_t valid = 0;
  for (std::int64_t j = 0; j < args.count; ++j) {
    const std::int64_t index = args.indices[j];
    if (index >= args.extent) report(args.fault, args.fault_code, j, index);
    else if (index >= 0) memory.entries[valid++] = {index, j};
  }
  const Entry* const sorted = sort_by_index(memory.entries, memory.other, valid, args.extent);
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < valid; ++i) {
    if (i > 0 && sorted[i].index == sorted[i - 1].index) continue;
    memory.starts[n] = i;
    args.unique[n++] = sorted[i].index;
  }
  memory.starts[n] = valid;
  *memory.groups = {sorted, n};
  for (; n < args.count; ++n) args.unique[n] = -1;
}

constexpr std::int64_t piece_rows = 16;

}  // namespace

template <class T>
std::size_t coalesce_rows_workspace(const CoalesceRowsArgs& args) {
  return Workspace::bytes(args.count);
}
template std::size_t coalesce_rows_workspace<float>(const CoalesceRowsArgs&);
template std::size_t coalesce_rows_workspace<double>(const CoalesceRowsArgs&);

// One thread sorts, all sum: a row belongs to one of them, so its sum does not depend on the division.
template <class T>
void coalesce_rows(const CoalesceRowsArgs& args, const Team& team) {
  const Workspace memory(args);
  if (team.rank == 0) group_by_index(args, memory);
  team.barrier();
  const auto [entries, n] = *memory.groups;
  const T* const source = static_cast<const T*>(args.source);
  const std::int64_t inner = args.inner;
  const auto for_each_row = [&](std::int64_t first, std::int64_t end, auto body) {
    const Pieces mine = pieces_of(ceil_div(end - first, piece_rows), team);
    const std::int64_t stop = smaller(first + mine.end * piece_rows, end);
    for (std::int64_t r = first + mine.begin * piece_rows; r < stop; ++r)
      body(r, static_cast<T*>(args.rows) + r * inner);
  };
  for_each_row(0, n, [&](std::int64_t r, T* to) {
    const std::int64_t begin = memory.starts[r], end = memory.starts[r + 1];
    for_each_vector<T>(inner, [&](std::int64_t i, auto tail) {
      Vec<T> sum{};
      for (std::int64_t e = begin; e < end; ++e) sum += load(source + entries[e].position * inner + i, tail);
      store(to + i, sum, tail);
    });
  });
  for_each_row(n, args.count, [&](std::int64_t, T* to) {
    for_each_vector<T>(inner, [&](std::int64_t i, auto tail) { store(to + i, Vec<T>{}, tail); });
  });
}
template void coalesce_rows<float>(const CoalesceRowsArgs&, const Team&);
template void coalesce_rows<double>(const CoalesceRowsArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
