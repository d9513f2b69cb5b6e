// A compiled graph: a flat list of kernel calls with resolved pointers, and the memory that they work in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/fork.h"
#include "dispatch/dispatch.h"
#include "graph/graph.h"
#include "graph/random_state.h"

namespace ravine {

class Derived;

// Where a tensor lies: in a storage of the program, strided.
struct View {
  int storage = -1;
  std::int64_t offset = 0;  // in elements
  DType dtype = DType::float32;
  Shape shape;
  Strides strides;
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
  bool effect = false;             // changes a state: left out if a fault is set or a guard refuses
  bool tests_guards = false;       // the first effect, and the first ones behind guards
  double cost = 0;                 // nanoseconds on one core, roughly
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

// Writes the address of a run's input or output into the arguments of calls.
struct PointerPatch {
  PointerField field;
  bool is_output;
  int index;
  std::int64_t byte_offset;
};

class Program {
 public:
  // Runs once. Inputs and outputs are dense row-major tensors of the graph's types, in the graph's order. An
  // index out of range raises ValueError, and then no state has changed. One run at a time, and one of all
  // programs that share an effect's target or random numbers; other callers wait. Programs that share
  // parameters only may run at once: where one of them writes a parameter, the others may read some elements
  // from before and some from after.
  // If a guard refuses, no state behind it changes, targets are not told and no random numbers count as
  // drawn.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);

  // Whether a guard left effects out of the newest run.
  bool refused() const { return refused_; }

  const std::vector<TensorType>& input_types() const { return input_types_; }
  const std::vector<std::string>& input_names() const { return input_names_; }
  const std::vector<TensorType>& output_types() const { return output_types_; }
  std::span<const KernelCall> calls() const { return calls_; }
  std::span<const Storage> storages() const { return storages_; }
  std::int64_t arena_bytes() const { return arena_bytes_; }
  std::string isa() const { return isa_; }
  bool single_threaded() const { return single_threaded_; }
  std::shared_ptr<RandomState> random() const { return random_; }
  // A table of the calls: kernel, shapes, what is fused, barriers, lifetimes in the arena.
  std::string describe() const;

 private:
  friend class Lowering;
  friend class ProgramCompiler;
  struct FaultMessage {
    std::string before, after;  // "cross_entropy: label ", " is outside [0, 10)"
  };

  void run_calls(const Team& team) const;
  bool effects_may_begin(std::size_t call) const;

  std::vector<TensorType> input_types_, output_types_;
  std::vector<std::string> input_names_;
  std::vector<KernelCall> calls_;
  std::vector<Storage> storages_;
  std::vector<PointerPatch> patches_;
  std::vector<FaultMessage> fault_messages_;
  std::vector<std::shared_ptr<EffectTarget>> targets_;
  std::deque<Guard> guards_;    // at addresses that stay: patches write into them
  std::vector<Array> kept_;     // states and constants
  std::vector<Array> written_;  // states that calls write
  std::vector<std::shared_ptr<Derived>> derived_;
  std::vector<std::shared_ptr<void>> owned_;  // objects that arguments of calls point to
  SharedBytes arena_;
  std::int64_t arena_bytes_ = 0;
  std::size_t scratch_bytes_ = 0;
  bool single_threaded_ = false;
  std::string isa_;
  kernels::Fault fault_;
  std::shared_ptr<RandomState> random_;
  bool draws_ = false;
  bool refused_ = false;
  // What a run changes besides its own memory, and other programs may change too: held while it runs.
  std::vector<Mutex*> shared_locks_;
  Mutex mutex_;
};

// For tests: every run first fills its arena with NaN, so that reading what was not written shows.
void set_arena_poisoning(bool on);

struct CompileOptions {
  std::shared_ptr<RandomState> random;            // null: a state of the program's own, seed 0
  const kernels::KernelTable* kernels = nullptr;  // null: the active ones
  // What depends on states alone is computed in the first run, and again once such a state changed. For
  // programs that run more often than their states change, and have no effects.
  bool keep_derived = false;
};

// Compiles what the outputs and the graph's effects need. The graph is not changed.
std::unique_ptr<Program> compile(const Graph& graph, std::span<const Value> outputs,
                                 const CompileOptions& options = {});

}  // namespace ravine
