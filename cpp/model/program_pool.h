// The programs of one graph, by the size of the batch and what else tells them apart. Several callers at once
// have a program each, with memory of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "core/fork.h"
#include "graph/program.h"

namespace ravine {

class ProgramPool {
 public:
  using Key = std::vector<std::int64_t>;
  using Build = std::function<std::unique_ptr<Program>(const Key& key)>;
  explicit ProgramPool(Build build) : build_(std::move(build)) {}

  // A program for one caller, which goes back in the end.
  class Lease {
   public:
    Lease(ProgramPool& owner, Key key, std::uint64_t generation, std::unique_ptr<Program> program)
        : owner_(owner), key_(std::move(key)), generation_(generation), program_(std::move(program)) {}
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Program* operator->() const { return program_.get(); }

   private:
    ProgramPool& owner_;
    Key key_;
    std::uint64_t generation_;
    std::unique_ptr<Program> program_;
  };

  // One that waits, or a new one. Raises what `build` raises.
  Lease take(const Key& key);
  // Drops all; those that are out, when they come back.
  void clear();

 private:
  static constexpr std::size_t max_keys = 64;  // the newest used are kept
  struct Waiting {
    Key key;
    std::vector<std::unique_ptr<Program>> programs;
  };

  std::vector<std::unique_ptr<Program>>& waiting_for(const Key& key);  // with the lock held

  Build build_;
  std::list<Waiting> waiting_;  // the newest used first
  std::uint64_t generation_ = 0;
  Mutex mutex_;
};

}  // namespace ravine
