// State that outlives programs: parameters, running statistics, optimizer slots, constants.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "core/fork.h"
#include "core/memory.h"
#include "core/shape.h"
#include "core/writer.h"

namespace ravine {

// Order of a dense tensor's elements in memory: last axis fastest, or the channel axis 1 fastest (NHWC;
// filters [out, kernel_h, kernel_w, in]). The shape is always the logical one, [N, C, H, W].
enum class Layout : std::uint8_t { row_major, channels_last };

// Tells whether memory may have changed since it was looked at last. Programs and everything else of Ravine
// that writes into an array records it; so must who writes through Array::data. While somebody holds a
// writable view, any moment may bring a write that nobody sees.
class WriteRecord {
 public:
  void written() { version_.fetch_add(1, std::memory_order_release); }
  void open_view() { views_.fetch_add(1, std::memory_order_relaxed); }
  void close_view() {
    written();
    views_.fetch_sub(1, std::memory_order_release);
  }
  bool in_doubt() const { return views_.load(std::memory_order_acquire) != 0; }  // ask before version()
  // In a forked child everything may have changed: a run of the parent's can have been cut off.
  std::uint64_t version() const {
    return version_.load(std::memory_order_acquire) + (std::uint64_t{fork_generation()} << 40);
  }

  // From now on this one writes, too.
  void add_writer(const std::shared_ptr<Writer>& writer);
  std::vector<std::shared_ptr<Writer>> writers() const;  // that have not ended
  // How many writers were added so far, to any memory: as long as that stays, so do all `writers()`, but for
  // those that end.
  static std::uint64_t writers_added();

 private:
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::int64_t> views_{0};
  mutable Mutex mutex_;  // of writers_
  std::vector<std::shared_ptr<Writer>> writers_;
};

// A dense tensor that owns its memory; copies share it.
class Array {
 public:
  Array() = default;
  Array(DType dtype, const Shape& shape, Layout layout = Layout::row_major);

  static Array scalar(double value, DType dtype);  // shape (); converted as C++ does, to bool: value != 0

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }  // in elements
  Layout layout() const { return layout_; }
  std::int64_t size() const { return numel(shape_); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }

  std::byte* data() const { return data_.get(); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_.get());
  }
  const SharedBytes& owner() const { return data_; }
  WriteRecord& writes() const { return *writes_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  DType dtype_ = DType::float32;
  Shape shape_;
  Strides strides_;
  Layout layout_ = Layout::row_major;
  SharedBytes data_;
  std::shared_ptr<WriteRecord> writes_;
};

}  // namespace ravine
