// What lowering makes of a graph: kernel calls in order, the memory that they work in, and the pointers that
// are still to be filled in. The steps in steps.h turn it into what a program runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dispatch/dispatch.h"
#include "graph/graph.h"
#include "graph/random_state.h"

namespace ravine {

// Where a tensor lies: in a storage of the program, strided.
struct View {
  int storage = -1;
  std::int64_t offset = 0;  // in elements
  DType dtype = DType::float32;
  Shape shape;
  Strides strides;

  std::int64_t bytes() const { return numel(shape) * static_cast<std::int64_t>(size_of(dtype)); }
  std::int64_t byte_offset() const { return offset * static_cast<std::int64_t>(size_of(dtype)); }
};

// A piece of memory that a program uses.
struct Storage {
  enum class Kind : std::uint8_t { arena, input, output, external };
  Kind kind = Kind::arena;
  std::int64_t bytes = 0;
  std::byte* address = nullptr;         // external, and arena once planned
  int index = 0;                        // which input or output
  std::int64_t offset = 0;              // in the arena
  int first_call = -1, last_call = -1;  // lifetime, in calls
  std::int64_t bytes_read = 0;          // by all calls together
};

// One kernel call. The arguments' type is known to `invoke` only.
struct KernelCall {
  std::string kernel;       // "gemm", "elementwise"
  std::string description;  // "(64, 784) x (784, 128)"
  std::string fused;        // "add, relu"
  void (*invoke)(const void* function, const void* args, const Team& team) = nullptr;
  const void* function = nullptr;
  std::shared_ptr<void> args;
  bool barrier_before = false;
  bool effect = false;          // changes a state: left out if a fault is set or a guard refuses
  bool tests_guards = false;    // the first effect, and the first ones behind guards
  double flops = 0, bytes = 0;  // floating-point operations, bytes moved
  Origin origin;
  std::vector<int> reads, writes;  // storages
};

// What is tested before the effects from `call` on: that a scalar is finite, or what a target says.
struct Guard {
  std::size_t call = 0;
  const void* value = nullptr;
  DType dtype = DType::float32;
  const EffectTarget* target = nullptr;
  bool refuses() const;
};

// A pointer of any object type in some call's arguments. It is written as bytes: an lvalue of another pointer
// type may not be used for it.
class PointerField {
 public:
  template <class Pointee>
  explicit PointerField(Pointee*& field) : bytes_(&field) {
    static_assert(sizeof(Pointee*) == sizeof(const void*) && !std::is_function_v<Pointee>);
  }
  void set(const void* address) const { std::memcpy(bytes_, &address, sizeof address); }

 private:
  void* bytes_;
};

// A pointer that gets its value once memory is planned.
struct Binding {
  PointerField field;
  int storage;
  std::int64_t byte_offset;
};

// What the error of a fault says around the number that was found.
struct FaultMessage {
  std::string before, after;  // "cross_entropy: label ", " is outside [0, 10)"
};

struct Schedule {
  std::vector<KernelCall> calls;
  std::shared_ptr<const Scopes> scopes;  // of their origins
  std::vector<Storage> storages;
  std::vector<Binding> bindings;
  std::deque<Guard> guards;  // at addresses that stay: bindings write into them
  std::vector<std::shared_ptr<EffectTarget>> targets;
  std::vector<Array> kept;                   // states and constants
  std::vector<std::shared_ptr<void>> owned;  // objects that arguments of calls point to
  std::shared_ptr<RandomState> random;
  bool draws = false;  // random numbers
  std::shared_ptr<kernels::Fault> fault = std::make_shared<kernels::Fault>();
  std::vector<FaultMessage> fault_messages;  // by code - 1

  // What lowering knows of storages: (output, input) that may be one memory if the input's life ends there,
  // and the storages of elementwise results.
  std::vector<std::pair<int, int>> in_place;
  std::vector<std::pair<kernels::TileOutput*, int>> tile_outputs;

  KernelCall& call(int index) { return calls[static_cast<std::size_t>(index)]; }
  Storage& storage(int index) { return storages[static_cast<std::size_t>(index)]; }
  const Storage& storage(int index) const { return storages[static_cast<std::size_t>(index)]; }
  int add_storage(const Storage& storage);
  // A call reads or writes the memory of a view through a pointer in its arguments.
  void bind(int call, PointerField field, const View& view, bool write);
  void add_fused(int call, const std::string& steps);
};

}  // namespace ravine
