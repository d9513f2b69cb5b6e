// What the kernel tests share: guarded and poisoned memory, runs on every ISA and team size, comparison with
// float64.
//
//   on_every_isa([](const KernelTable& table) {
//     Buffer<float> x = random_buffer<float>(n, seed), y(n);   // y holds NaN
//     SomeArgs args{...};
//     run_same_bits(table, table.of(DType::float32).some, args, {y.memory()}, {workspace.memory()});
//     expect_close(y, reference, 1e-6, 1e-6);
//   });
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/team.h"
#include "dispatch/dispatch.h"

namespace ravine::testing {

using kernels::Kernel;
using kernels::KernelTable;

inline constexpr int team_sizes[] = {1, 2, 3, 5};

using Memory = std::span<std::byte>;

// NaN in float32 and float64, -1 in signed integers, 255 in bytes: whoever reads it is found out.
inline void poison(Memory memory) {
  if (!memory.empty()) std::memset(memory.data(), 0xff, memory.size());
}

// n elements, 64-byte aligned, poisoned, between two guard zones that must not change while it lives.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t n)
      : size_(n), bytes_(static_cast<std::size_t>(n) * sizeof(T) + 3 * guard, guard_byte) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    first_ = guard + (guard - address % guard) % guard;
    poison(memory());
  }
  Buffer(std::initializer_list<T> values) : Buffer(static_cast<std::int64_t>(values.size())) {
    std::int64_t i = 0;
    for (T value : values) (*this)[i++] = value;
  }
  Buffer(Buffer&&) noexcept = default;  // a vector's move keeps the address, so the alignment
  Buffer& operator=(Buffer&&) noexcept = default;
  ~Buffer() {
    if (bytes_.empty()) return;  // it was moved from
    expect_untouched(0, first_);
    expect_untouched(first_ + size_bytes(), bytes_.size());
  }

  T* data() { return reinterpret_cast<T*>(bytes_.data() + first_); }
  const T* data() const { return reinterpret_cast<const T*>(bytes_.data() + first_); }
  std::int64_t size() const { return size_; }
  T& operator[](std::int64_t i) { return data()[i]; }
  const T& operator[](std::int64_t i) const { return data()[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  Memory memory() { return {reinterpret_cast<std::byte*>(data()), size_bytes()}; }

 private:
  static constexpr std::size_t guard = 64;
  static constexpr std::byte guard_byte{0x5a};
  std::size_t size_bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }
  void expect_untouched(std::size_t begin, std::size_t end) const {
    for (std::size_t i = begin; i < end; ++i)
      if (bytes_[i] != guard_byte) {
        ADD_FAILURE() << "memory was written "
                      << static_cast<std::int64_t>(i) - static_cast<std::int64_t>(first_)
                      << " bytes from the beginning of a buffer of " << size_bytes() << " bytes";
        return;
      }
  }

  std::int64_t size_ = 0;
  std::vector<std::byte> bytes_;
  std::size_t first_ = 0;
};

// Uniform in [low, high); whole numbers for integer types; every seed another sequence.
template <class T>
Buffer<T> random_buffer(std::int64_t n, std::uint64_t seed, double low = -1, double high = 1) {
  Buffer<T> buffer(n);
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  for (T& value : buffer) {
    if constexpr (std::is_same_v<T, bool>) value = uniform(engine) > (low + high) / 2;
    else value = static_cast<T>(uniform(engine));
  }
  return buffer;
}

template <class T>
Buffer<T> copy_of(const Buffer<T>& from) {
  Buffer<T> to(from.size());
  std::memcpy(to.data(), from.data(), to.memory().size());
  return to;
}

// Calls f(table) for every instruction set that this machine has.
template <class Function>
void on_every_isa(Function f) {
  for (const std::string& isa : supported_isas()) {
    SCOPED_TRACE("isa " + isa);
    f(kernels_of(isa));
  }
}

// As much of a thread's scratch as the shapes of tests reach.
inline constexpr std::size_t poisoned_scratch = std::size_t{2} << 20;

// One run on a team of at most `threads`; every thread's scratch is poisoned first.
template <class Args>
void run(const KernelTable& table, Kernel<std::type_identity_t<Args>> kernel, const Args& args,
         int threads = 1) {
  ASSERT_NE(kernel, nullptr);
  struct Call {
    const KernelTable* table;
    Kernel<Args> kernel;
    const Args* args;
  } call{&table, kernel, &args};
  run_on_team(
      threads, table.scratch_bytes,
      [](void* context, const Team& team) noexcept {
        const Call& self = *static_cast<const Call*>(context);
        poison({team.scratch, std::min(self.table->scratch_bytes, poisoned_scratch)});
        self.kernel(*self.args, team);
      },
      &call);
}

// Runs the kernel once per team size. Before each run `outputs` and `workspaces` are poisoned, then `prepare`
// may set what the kernel reads and changes. Fails unless `outputs` hold the same bits for every team size.
template <class Args>
void run_same_bits(const KernelTable& table, Kernel<std::type_identity_t<Args>> kernel, const Args& args,
                   std::initializer_list<Memory> outputs, std::initializer_list<Memory> workspaces = {},
                   const std::function<void()>& prepare = {}) {
  std::vector<std::vector<std::byte>> expected;
  for (const int threads : team_sizes) {
    for (Memory memory : outputs) poison(memory);
    for (Memory memory : workspaces) poison(memory);
    if (prepare) prepare();
    run(table, kernel, args, threads);
    std::size_t index = 0;
    for (Memory memory : outputs) {
      if (threads == team_sizes[0]) expected.emplace_back(memory.begin(), memory.end());
      else
        EXPECT_TRUE(memory.empty() || std::memcmp(memory.data(), expected[index].data(), memory.size()) == 0)
            << "output " << index << " has other bits for " << threads << " threads than for one";
      ++index;
    }
  }
}

// |actual - expected| <= absolute + relative |expected|; NaN equals NaN, infinities equal themselves.
template <class Actual, class Expected>
void expect_close(const Actual& actual, const Expected& expected, double relative, double absolute,
                  const std::string& what = "") {
  const auto n = static_cast<std::int64_t>(std::size(expected));
  ASSERT_EQ(static_cast<std::int64_t>(std::size(actual)), n) << what;
  int shown = 0;
  for (std::int64_t i = 0; i < n && shown < 5; ++i) {
    const double got = static_cast<double>(actual.data()[i]), want = static_cast<double>(expected.data()[i]);
    if (std::isnan(want) ? std::isnan(got) : got == want) continue;
    if (std::isfinite(got) && std::isfinite(want) &&
        std::abs(got - want) <= absolute + relative * std::abs(want))
      continue;
    ADD_FAILURE() << what << " element " << i << " of " << n << ": got " << got << ", expected " << want;
    ++shown;
  }
}

// Sizes around the vector lengths and the tile boundaries.
inline constexpr std::int64_t odd_sizes[] = {0, 1, 3, 7, 8, 15, 16, 17, 33, 65, 127, 257, 1000};

}  // namespace ravine::testing
