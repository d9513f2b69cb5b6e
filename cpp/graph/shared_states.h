// The states that a program reads while others may write them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/array.h"
#include "graph/snapshot.h"

namespace ravine {

class SharedStates {
 public:
  // `locks` are held by every run; a program that `only_reads` may run on copies.
  SharedStates(std::vector<Array> arrays, std::vector<std::shared_ptr<Derived>> derived,
               std::vector<Mutex*> locks, bool only_reads);

  // What the next run is to read. Null: the arrays themselves, with `locks()` held. Else copies, with the
  // locks that it always holds: for arrays that another thread changed last, which then waits no longer than
  // it takes to copy them.
  std::shared_ptr<const Snapshot> before_run();
  std::span<Mutex* const> locks() const { return locks_with_writers_; }
  // Whether there is a writer whose lock the run that ends now did not hold: it may have read what he had
  // half changed.
  bool overtaken() const;

 private:
  void list_writers();
  std::vector<Array> to_be_copied() const;

  std::vector<Array> arrays_;
  std::vector<std::shared_ptr<Derived>> derived_;
  std::vector<Mutex*> locks_;
  bool only_reads_;
  std::uint64_t writers_added_ = 0;  // when they were listed
  std::vector<std::shared_ptr<Writer>> writers_;
  std::vector<Mutex*> writers_locks_, locks_with_writers_;
  std::shared_ptr<Snapshot> snapshot_;
};

}  // namespace ravine
