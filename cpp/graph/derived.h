// Values that depend on states alone, kept from run to run: a filter with its BatchNorm's scale in it, in the
// form that Winograd's products read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <span>
#include <vector>

#include "core/fork.h"
#include "graph/program.h"

namespace ravine {

class Snapshot;

// One such value. Programs that need the same share it; it is computed again once a state that it depends on
// was written, or may have been.
class Derived {
 public:
  // The value of a node that depends on states and constants alone.
  static std::shared_ptr<Derived> of(const Value& value, const kernels::KernelTable& kernels);

  const Array& value() const { return value_; }
  const std::string& description() const { return description_; }
  std::span<const Array> states() const { return states_; }
  // To be called before a run that reads the value, without holding the lock of any.
  void refresh();
  // What the value is of copies of the states, into memory as that of `value()`.
  void compute_from(const Snapshot& copies, void* target) const;
  // Held by readers during a run.
  Mutex& lock() { return lock_; }

 private:
  Derived() = default;
  bool in_doubt() const;
  std::uint64_t version() const;

  std::unique_ptr<Program> program_;
  std::vector<Array> states_;
  Array value_;
  std::string description_;
  std::atomic<std::uint64_t> computed_of_{~std::uint64_t{0}};  // version() of the states that the value is of
  Mutex lock_;
};

// Values for a run: up to date when it begins, and unchanged until it ends.
class DerivedReaders {
 public:
  explicit DerivedReaders(std::span<const std::shared_ptr<Derived>> values);
  DerivedReaders(const DerivedReaders&) = delete;
  DerivedReaders& operator=(const DerivedReaders&) = delete;

 private:
  std::vector<std::shared_lock<Mutex>> locks_;
};

}  // namespace ravine
