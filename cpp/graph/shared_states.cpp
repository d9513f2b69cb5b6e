#include "graph/shared_states.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/lock_all.h"
#include "graph/derived.h"

namespace ravine {

SharedStates::SharedStates(std::vector<Array> arrays, std::vector<std::shared_ptr<Derived>> derived,
                           std::vector<Mutex*> locks, bool only_reads)
    : arrays_(std::move(arrays)),
      derived_(std::move(derived)),
      locks_(std::move(locks)),
      only_reads_(only_reads),
      locks_with_writers_(locks_) {
  for (const auto& value : derived_)
    arrays_.insert(arrays_.end(), value->states().begin(), value->states().end());
}

void SharedStates::list_writers() {
  writers_added_ = WriteRecord::writers_added();  // before they are looked at
  writers_.clear();
  snapshot_.reset();
  LocksInOrder of_writers;
  for (const Array& array : arrays_)
    for (auto& writer : array.writes().writers())
      if (of_writers.insert(&writer->mutex).second) writers_.push_back(std::move(writer));
  LocksInOrder all = of_writers;
  all.insert(locks_.begin(), locks_.end());
  writers_locks_.assign(of_writers.begin(), of_writers.end());
  locks_with_writers_.assign(all.begin(), all.end());
}

// Those that are written; of a kept value all, as nobody sees to it that others stay as they are.
std::vector<Array> SharedStates::to_be_copied() const {
  std::map<const std::byte*, Array> found;
  for (const Array& array : arrays_)
    if (!array.writes().writers().empty()) found.emplace(array.data(), array);
  for (const auto& value : derived_)
    for (const Array& state : value->states()) found.emplace(state.data(), state);
  std::vector<Array> result;
  for (const auto& [address, array] : found) result.push_back(array);
  return result;
}

std::shared_ptr<const Snapshot> SharedStates::before_run() {
  const auto ended = [](const auto& writer) { return writer->ended.load(std::memory_order_relaxed); };
  if (writers_added_ != WriteRecord::writers_added() || std::any_of(writers_.begin(), writers_.end(), ended))
    list_writers();
  const auto here = [](const auto& writer) {
    return writer->thread.load(std::memory_order_relaxed) == this_thread();
  };
  if (!only_reads_ || std::all_of(writers_.begin(), writers_.end(), here)) return nullptr;
  if (snapshot_ == nullptr) snapshot_ = std::make_shared<Snapshot>(to_be_copied(), derived_);
  snapshot_->refresh(writers_locks_);
  return snapshot_;
}

bool SharedStates::overtaken() const {
  if (!only_reads_ || writers_added_ == WriteRecord::writers_added()) return false;
  const auto is_new = [this](const auto& writer) {
    return std::find(writers_.begin(), writers_.end(), writer) == writers_.end();
  };
  return std::any_of(arrays_.begin(), arrays_.end(), [&](const Array& array) {
    const std::vector<std::shared_ptr<Writer>> writers = array.writes().writers();
    return std::any_of(writers.begin(), writers.end(), is_new);
  });
}

}  // namespace ravine
