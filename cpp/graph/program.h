// A compiled graph: a flat list of kernel calls with resolved pointers, and the memory that they work in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/fork.h"
#include "graph/schedule/schedule.h"
#include "graph/schedule/steps.h"
#include "graph/shared_states.h"

namespace ravine {

class Derived;

// What a program takes and gives.
struct Interface {
  std::vector<TensorType> inputs, outputs;
  std::vector<std::string> input_names;
};

class Program {
 public:
  // `schedule` as lowering made it; `derived` are the kept values that its calls read.
  Program(Interface interface, Schedule schedule, std::vector<std::shared_ptr<Derived>> derived,
          const kernels::KernelTable& kernels);

  // Runs once. Inputs and outputs are dense row-major tensors of the graph's types, in the graph's order. An
  // index out of range raises ValueError, and then no state has changed. One run at a time, and one of all
  // programs that share an effect's target or random numbers; other callers wait. Programs that share
  // parameters only may run at once: those that a training state changes are read as they are between two of
  // its steps. A step waits for that: in the thread that makes the steps, or if the run changes states
  // itself, until the run is over; else until the parameters are copied. If a guard refuses, no state behind
  // it changes, targets are told of that and no random numbers count as drawn.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs);
  // The same for who sees to it that nobody writes what is read.
  void run_inside(std::span<const void* const> inputs, std::span<void* const> outputs);
  // The same on copies of what is read.
  void run_on(const Snapshot& copies, std::span<const void* const> inputs, std::span<void* const> outputs);

  // Runs so many times, in turns as usual and with a barrier and a look at the clock around each call. States
  // and random numbers are then as they were before, and no target has been told of a run.
  struct Profile {
    std::vector<double> whole;                 // seconds of each run as usual
    std::vector<std::vector<double>> seconds;  // [run][call]
    int threads = 1;
  };
  // On at most `threads` threads; 0: as many as a run has.
  Profile profile(std::span<const void* const> inputs, std::span<void* const> outputs, int runs,
                  int threads = 0);

  // Whether a guard left effects out of the newest run.
  bool refused() const { return refused_; }

  const std::vector<TensorType>& input_types() const { return interface_.inputs; }
  const std::vector<std::string>& input_names() const { return interface_.input_names; }
  const std::vector<TensorType>& output_types() const { return interface_.outputs; }
  std::span<const KernelCall> calls() const { return schedule_.calls; }
  // The path of the module that a call belongs to, or of the first of several.
  const std::string& scope_of(const KernelCall& call) const;
  std::int64_t arena_bytes() const { return arena_.bytes; }
  std::string isa() const { return isa_; }
  bool single_threaded() const { return single_threaded_; }
  std::shared_ptr<RandomState> random() const { return schedule_.random; }
  // A table of the calls: kernel, shapes, what is fused, barriers, lifetimes in the arena.
  std::string describe() const;

 private:
  int threads() const;
  void expect_counts(std::span<const void* const> inputs, std::span<void* const> outputs) const;
  void read(std::shared_ptr<const Snapshot> copies);
  void read_from(const Snapshot* copies);
  std::span<Mutex* const> locks() const;
  std::span<const std::shared_ptr<Derived>> kept_values() const;
  void begin(std::span<const void* const> inputs, std::span<void* const> outputs);
  void compute(std::span<const void* const> inputs, std::span<void* const> outputs);
  void finish();
  void run_calls(const Team& team) const;
  void run_timed_calls(const Team& team, std::span<double> seconds) const;
  void expect_no_fault() const;
  bool effects_may_begin(std::size_t call) const;
  void list_shared_locks();
  void register_writers();

  Interface interface_;
  Schedule schedule_;
  std::vector<std::shared_ptr<Derived>> derived_;
  Arena arena_;
  std::vector<PointerPatch> patches_;
  std::vector<Array> written_;  // states that calls write
  std::size_t scratch_bytes_;
  std::string isa_;
  bool single_threaded_ = false;
  bool refused_ = false;
  // What a run changes besides its own memory, and other programs may change too: held while it runs.
  std::vector<Mutex*> shared_locks_;
  std::vector<std::shared_ptr<Writer>> writers_;  // as which it runs
  std::optional<SharedStates> states_;            // of a program that is no writer itself
  std::shared_ptr<const Snapshot> copies_;        // that the calls read at present; null: none
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
