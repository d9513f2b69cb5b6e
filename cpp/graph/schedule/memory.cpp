#include <set>
#include <unordered_map>

#include "core/error.h"
#include "core/memory_error.h"
#include "graph/schedule/planner.h"
#include "graph/schedule/steps.h"

namespace ravine {

void expect_written(const Schedule& schedule) {
  std::vector<bool> written(schedule.storages.size(), false);
  for (const KernelCall& call : schedule.calls) {
    for (const int storage : call.writes) written[static_cast<std::size_t>(storage)] = true;
    for (const int index : call.reads) {
      const Storage& storage = schedule.storage(index);
      const bool known = storage.kind != Storage::Kind::arena || storage.bytes == 0;
      check<RuntimeError>(known || written[static_cast<std::size_t>(index)], "lowering: '", call.kernel,
                          "' (", call.description, ") reads memory that nothing has written");
    }
  }
}

void reuse_in_place(Schedule& schedule) {
  std::unordered_map<int, int> replaced;
  const auto same_as = [&](int storage) {
    for (auto place = replaced.find(storage); place != replaced.end(); place = replaced.find(storage))
      storage = place->second;
    return storage;
  };
  for (const auto& [output, input] : schedule.in_place) {
    const int target = same_as(input), own = same_as(output);
    Storage& from = schedule.storage(target);
    Storage& into = schedule.storage(own);
    const bool fits = target != own && from.kind == Storage::Kind::arena &&
                      into.kind == Storage::Kind::arena && from.bytes == into.bytes &&
                      from.last_call == into.first_call;
    if (!fits) continue;
    from.last_call = into.last_call;
    into.first_call = into.last_call = -1;
    replaced[own] = target;
  }
  for (Binding& binding : schedule.bindings) binding.storage = same_as(binding.storage);
  for (KernelCall& call : schedule.calls) {
    for (int& storage : call.reads) storage = same_as(storage);
    for (int& storage : call.writes) storage = same_as(storage);
  }
}

void mark_non_temporal_outputs(Schedule& schedule) {
  for (const auto& [output, index] : schedule.tile_outputs) {
    const Storage& storage = schedule.storage(index);
    const bool own = storage.kind == Storage::Kind::arena || storage.kind == Storage::Kind::output;
    // Memory that was taken over has a life of its own no more.
    output->unread = own && storage.first_call >= 0 && storage.bytes_read <= storage.bytes / 64;
  }
}

Arena place_in_arena(Schedule& schedule) {
  std::vector<Lifetime> lifetimes;
  std::vector<Storage*> planned;
  for (Storage& storage : schedule.storages) {
    if (storage.kind != Storage::Kind::arena || storage.first_call < 0) continue;
    lifetimes.push_back({storage.bytes, storage.first_call, storage.last_call});
    planned.push_back(&storage);
  }
  const Placement placement = plan_memory(lifetimes);
  const auto bytes = static_cast<std::size_t>(placement.arena_bytes);
  Arena arena{with_memory(
                  bytes, [] { return std::string("a program's arena (smaller batches need a smaller one)"); },
                  [bytes] { return reserve_bytes(bytes); }),
              placement.arena_bytes};
  for (std::size_t i = 0; i < planned.size(); ++i) {
    planned[i]->offset = placement.offsets[i];
    planned[i]->address = arena.memory.get() + placement.offsets[i];
  }
  return arena;
}

std::vector<PointerPatch> resolve(const Schedule& schedule) {
  std::vector<PointerPatch> patches;
  for (const Binding& binding : schedule.bindings) {
    const Storage& storage = schedule.storage(binding.storage);
    const bool is_output = storage.kind == Storage::Kind::output;
    if (is_output || storage.kind == Storage::Kind::input)
      patches.push_back({binding.field, is_output, storage.index, binding.byte_offset});
    else binding.field.set(storage.address + binding.byte_offset);
  }
  return patches;
}

std::vector<Array> written_states(const Schedule& schedule) {
  std::set<const std::byte*> addresses;
  for (const KernelCall& call : schedule.calls)
    for (const int index : call.writes)
      if (schedule.storage(index).kind == Storage::Kind::external)
        addresses.insert(schedule.storage(index).address);
  std::vector<Array> written;
  for (const Array& array : schedule.kept)
    if (addresses.erase(array.data()) != 0) written.push_back(array);
  return written;
}

}  // namespace ravine
