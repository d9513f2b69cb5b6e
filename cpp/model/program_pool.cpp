#include "model/program_pool.h"

#include <algorithm>
#include <mutex>

namespace ravine {

std::vector<std::unique_ptr<Program>>& ProgramPool::waiting_for(const Key& key) {
  const auto known = std::ranges::find_if(waiting_, [&](const Waiting& own) { return own.key == key; });
  if (known != waiting_.end()) {
    waiting_.splice(waiting_.begin(), waiting_, known);
  } else {
    waiting_.push_front({key, {}});
    if (waiting_.size() > max_keys) waiting_.pop_back();
  }
  return waiting_.front().programs;
}

ProgramPool::Lease ProgramPool::take(const Key& key) {
  std::unique_ptr<Program> program;
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    generation = generation_;
    std::vector<std::unique_ptr<Program>>& programs = waiting_for(key);
    if (!programs.empty()) {
      program = std::move(programs.back());
      programs.pop_back();
    }
  }
  if (program == nullptr) program = build_(key);
  return {*this, key, generation, std::move(program)};
}

ProgramPool::Lease::~Lease() {
  const std::lock_guard lock(owner_.mutex_);
  if (generation_ == owner_.generation_) owner_.waiting_for(key_).push_back(std::move(program_));
}

void ProgramPool::clear() {
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  ++generation_;
}

}  // namespace ravine
