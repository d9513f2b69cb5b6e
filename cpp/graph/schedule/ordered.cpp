#include "graph/schedule/ordered.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"

namespace ravine {
namespace {

bool share_bytes(const Storage& a, const Storage& b) {
  if (&a == &b) return true;
  if (a.kind != b.kind || a.bytes == 0 || b.bytes == 0) return false;
  switch (a.kind) {
    case Storage::Kind::arena:
      return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
    case Storage::Kind::external:
      return a.address < b.address + b.bytes && b.address < a.address + a.bytes;
    default:
      return a.index == b.index;
  }
}

std::string label(std::span<const KernelCall> calls, std::size_t i) {
  return str("call ", i, " '", calls[i].kernel, "' (", calls[i].description, ")");
}

// Calls without a barrier between them run at the same time on different threads.
void expect_barriers(std::span<const KernelCall> calls, std::span<const Storage> storages) {
  const auto meet = [&](const std::vector<int>& mine, const std::vector<int>& others) {
    return std::any_of(mine.begin(), mine.end(), [&](int a) {
      return std::any_of(others.begin(), others.end(), [&](int b) {
        return share_bytes(storages[static_cast<std::size_t>(a)], storages[static_cast<std::size_t>(b)]);
      });
    });
  };
  std::size_t begin = 0;  // of the calls since the last barrier
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const KernelCall& call = calls[i];
    if (call.barrier_before) begin = i;
    const bool waits = call.tests_guards || (call.effect && (i == 0 || !calls[i - 1].effect));
    check<RuntimeError>(!waits || begin == i, "schedule: ", label(calls, i),
                        ", where effects begin, does not wait for the calls before it");
    for (std::size_t other = begin; other < i; ++other) {
      const KernelCall& before = calls[other];
      check<RuntimeError>(!meet(call.writes, before.writes) && !meet(call.writes, before.reads) &&
                              !meet(call.reads, before.writes),
                          "schedule: ", label(calls, i), " touches memory of ", label(calls, other),
                          " without a barrier between them");
    }
  }
}

// Who wrote the bytes of the arena last, as ranges side by side.
class Owners {
 public:
  void write(const Storage& storage, int index) {
    if (storage.bytes == 0) return;
    cut_at(storage.offset);
    cut_at(storage.offset + storage.bytes);
    ranges_.erase(ranges_.lower_bound(storage.offset), ranges_.lower_bound(storage.offset + storage.bytes));
    ranges_[storage.offset] = {storage.offset + storage.bytes, index};
  }

  // A storage, if there is one, that wrote into this one's bytes after it; else -1.
  int intruder(const Storage& storage, int index) const {
    auto range = ranges_.upper_bound(storage.offset);
    if (range != ranges_.begin()) --range;
    for (; range != ranges_.end() && range->first < storage.offset + storage.bytes; ++range)
      if (range->second.end > storage.offset && range->second.index != index) return range->second.index;
    return -1;
  }

 private:
  struct Range {
    std::int64_t end;
    int index;
  };

  void cut_at(std::int64_t place) {
    auto range = ranges_.lower_bound(place);
    if (range == ranges_.begin()) return;
    --range;
    if (range->second.end <= place) return;
    ranges_[place] = range->second;
    range->second.end = place;
  }

  std::map<std::int64_t, Range> ranges_;  // by begin
};

void expect_lives(std::span<const KernelCall> calls, std::span<const Storage> storages) {
  Owners owners;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const auto each_of_arena = [&](const std::vector<int>& indices, const auto& visit) {
      for (const int index : indices) {
        const Storage& storage = storages[static_cast<std::size_t>(index)];
        if (storage.kind == Storage::Kind::arena) visit(storage, index);
      }
    };
    each_of_arena(calls[i].reads, [&](const Storage& storage, int index) {
      // An epilogue reads what its own call writes.
      if (std::find(calls[i].writes.begin(), calls[i].writes.end(), index) != calls[i].writes.end()) return;
      check<RuntimeError>(owners.intruder(storage, index) < 0, "schedule: ", label(calls, i),
                          " reads a storage whose memory another one has taken over");
    });
    each_of_arena(calls[i].writes, [&](const Storage& storage, int index) { owners.write(storage, index); });
  }
}

}  // namespace

void expect_ordered(std::span<const KernelCall> calls, std::span<const Storage> storages) {
  expect_barriers(calls, storages);
  expect_lives(calls, storages);
}

}  // namespace ravine
