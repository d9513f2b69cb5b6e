#include "graph/program.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <iomanip>
#include <mutex>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/lock_all.h"
#include "core/memory_error.h"
#include "core/team.h"
#include "core/thread_count.h"
#include "graph/derived.h"
#include "graph/passes/verify.h"
#include "graph/schedule/ordered.h"

namespace ravine {
namespace {

std::atomic<bool> poison_arenas{false};

// Below this a second thread gains less than its barriers cost, and loses much when the other core is taken.
constexpr double single_thread_cost = 20000;  // ns on one core

// In ns on one core, roughly: 100 GFLOP/s, 40 GB/s, and what a call costs by itself.
double cost_of(const KernelCall& call) { return 60 + std::max(call.flops / 100, call.bytes / 40); }

// Puts the numbers of arrays back in the end.
class StatesAsBefore {
 public:
  explicit StatesAsBefore(std::span<const Array> states) : states_(states) {
    for (const Array& state : states) {
      bytes_.push_back(with_memory(
          state.bytes(), [] { return std::string("a copy of the state, to profile what changes it,"); },
          [&] { return std::vector<std::byte>(state.data(), state.data() + state.bytes()); }));
    }
  }
  ~StatesAsBefore() {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      std::memcpy(states_[i].data(), bytes_[i].data(), bytes_[i].size());
      states_[i].writes().written();
    }
  }
  StatesAsBefore(const StatesAsBefore&) = delete;
  StatesAsBefore& operator=(const StatesAsBefore&) = delete;

 private:
  std::span<const Array> states_;
  std::vector<std::vector<std::byte>> bytes_;
};

}  // namespace

Program::Program(Interface interface, Schedule schedule, std::vector<std::shared_ptr<Derived>> derived,
                 const kernels::KernelTable& kernels)
    : interface_(std::move(interface)),
      schedule_(std::move(schedule)),
      derived_(std::move(derived)),
      scratch_bytes_(kernels.scratch_bytes),
      isa_(kernels.isa) {
  expect_written(schedule_);
  reuse_in_place(schedule_);
  mark_non_temporal_outputs(schedule_);
  arena_ = place_in_arena(schedule_);
  place_barriers(schedule_);
  patches_ = resolve(schedule_);
  if (verifies()) expect_ordered(schedule_.calls, schedule_.storages);
  written_ = written_states(schedule_);
  list_shared_locks();
  register_writers();
  double cost = 0;
  for (const KernelCall& call : schedule_.calls) cost += cost_of(call);
  single_threaded_ = cost < single_thread_cost;
}

void Program::list_shared_locks() {
  LocksInOrder locks;
  for (const auto& target : schedule_.targets) locks.insert(&target->mutex());
  if (schedule_.draws) locks.insert(&schedule_.random->mutex);
  shared_locks_.assign(locks.begin(), locks.end());
}

void Program::register_writers() {
  for (const auto& target : schedule_.targets)
    if (auto writer = target->writer();
        writer != nullptr && std::find(writers_.begin(), writers_.end(), writer) == writers_.end())
      writers_.push_back(std::move(writer));
  for (const Array& state : written_)
    for (const auto& writer : writers_) state.writes().add_writer(writer);
  if (schedule_.targets.empty())
    states_.emplace(schedule_.kept, derived_, shared_locks_, /*only_reads=*/written_.empty());
}

void set_arena_poisoning(bool on) { poison_arenas.store(on, std::memory_order_relaxed); }

const std::string& Program::scope_of(const KernelCall& call) const {
  return (*schedule_.scopes)[call.origin.scope];
}

int Program::threads() const { return single_threaded_ ? 1 : num_threads(); }

void Program::begin(std::span<const void* const> inputs, std::span<void* const> outputs) {
  for (const PointerPatch& patch : patches_) {
    const auto index = static_cast<std::size_t>(patch.index);
    const void* base = patch.is_output ? outputs[index] : inputs[index];
    patch.field.set(static_cast<const std::byte*>(base) + patch.byte_offset);
  }
  if (poison_arenas.load(std::memory_order_relaxed))
    std::memset(arena_.memory.get(), 0xFF, static_cast<std::size_t>(arena_.bytes));
  *schedule_.fault = {};
  refused_ = false;
  for (const auto& target : schedule_.targets) target->before_run();
}

void Program::expect_no_fault() const {
  const kernels::Fault& fault = *schedule_.fault;
  if (fault.code == 0) return;
  const FaultMessage& message = schedule_.fault_messages[static_cast<std::size_t>(fault.code - 1)];
  fail<ValueError>(message.before, fault.value, message.after);
}

void Program::expect_counts(std::span<const void* const> inputs, std::span<void* const> outputs) const {
  check<ValueError>(inputs.size() == interface_.inputs.size(), "program: got ", inputs.size(),
                    " inputs, expected ", interface_.inputs.size());
  check<ValueError>(outputs.size() == interface_.outputs.size(), "program: got ", outputs.size(),
                    " outputs, expected ", interface_.outputs.size());
}

void Program::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  expect_counts(inputs, outputs);
  const std::lock_guard lock(mutex_);
  for (;;) {
    if (states_) read(states_->before_run());
    const LockAll held(locks());
    const DerivedReaders readers(kept_values());
    compute(inputs, outputs);
    if (states_ && states_->overtaken()) continue;
    finish();
    return;
  }
}

void Program::run_inside(std::span<const void* const> inputs, std::span<void* const> outputs) {
  expect_counts(inputs, outputs);
  const std::lock_guard lock(mutex_);
  const LockAll held(shared_locks_);
  const DerivedReaders readers(derived_);
  compute(inputs, outputs);
  finish();
}

void Program::run_on(const Snapshot& copies, std::span<const void* const> inputs,
                     std::span<void* const> outputs) {
  expect_counts(inputs, outputs);
  const std::lock_guard lock(mutex_);
  const LockAll held(shared_locks_);
  read_from(&copies);
  struct Back {  // also if the run throws: the copies may go
    Program& program;
    ~Back() { program.read_from(nullptr); }
  } const back{*this};
  compute(inputs, outputs);
  finish();
}

// Lets the next run read these copies, or the states themselves.
void Program::read(std::shared_ptr<const Snapshot> copies) {
  if (copies == copies_) return;
  read_from(copies.get());
  copies_ = std::move(copies);
}

void Program::read_from(const Snapshot* copies) {
  for (const Binding& binding : schedule_.bindings) {
    const Storage& storage = schedule_.storage(binding.storage);
    if (storage.kind != Storage::Kind::external) continue;
    const std::byte* place = copies == nullptr ? storage.address : copies->place_of(storage.address);
    binding.field.set(place + binding.byte_offset);
  }
}

// That a run holds.
std::span<Mutex* const> Program::locks() const {
  return states_ && copies_ == nullptr ? states_->locks() : shared_locks_;
}

// Those that a run has to have up to date.
std::span<const std::shared_ptr<Derived>> Program::kept_values() const {
  return copies_ == nullptr ? std::span(derived_) : std::span<const std::shared_ptr<Derived>>();
}

void Program::compute(std::span<const void* const> inputs, std::span<void* const> outputs) {
  for (const auto& writer : writers_) writer->thread.store(this_thread(), std::memory_order_relaxed);
  begin(inputs, outputs);
  run_on_team(
      threads(), scratch_bytes_,
      [](void* self, const Team& team) noexcept { static_cast<const Program*>(self)->run_calls(team); }, this,
      TeamSize::adaptive);
  for (const Array& state : written_) state.writes().written();
}

void Program::finish() {
  expect_no_fault();
  refused_ = std::any_of(schedule_.guards.begin(), schedule_.guards.end(),
                         [](const Guard& guard) { return guard.refuses(); });
  if (refused_) {
    for (const auto& target : schedule_.targets) target->after_refusal();
    return;
  }
  if (schedule_.draws) ++schedule_.random->step;
  for (const auto& target : schedule_.targets) target->after_run();
}

void Program::run_calls(const Team& team) const {
  bool with_effects = true;
  for (std::size_t i = 0; i < schedule_.calls.size(); ++i) {
    const KernelCall& call = schedule_.calls[i];
    if (call.barrier_before) team.barrier();
    if (call.tests_guards) with_effects = with_effects && effects_may_begin(i);
    if (call.effect && !with_effects) break;  // nothing but effects follows
    call.invoke(call.function, call.args.get(), team);
  }
}

void Program::run_timed_calls(const Team& team, std::span<double> seconds) const {
  using Clock = std::chrono::steady_clock;
  bool with_effects = true;
  for (std::size_t i = 0; i < schedule_.calls.size(); ++i) {
    const KernelCall& call = schedule_.calls[i];
    team.barrier();
    const Clock::time_point begin = Clock::now();
    if (call.tests_guards) with_effects = with_effects && effects_may_begin(i);
    if (call.effect && !with_effects) break;
    call.invoke(call.function, call.args.get(), team);
    team.barrier();
    if (team.rank == 0) seconds[i] = std::chrono::duration<double>(Clock::now() - begin).count();
  }
}

Program::Profile Program::profile(std::span<const void* const> inputs, std::span<void* const> outputs,
                                  int runs, int threads) {
  check<ValueError>(runs >= 1, "profile: runs must be at least 1, got ", runs);
  check<ValueError>(inputs.size() == interface_.inputs.size() && outputs.size() == interface_.outputs.size(),
                    "profile: got ", inputs.size(), " inputs and ", outputs.size(), " outputs, expected ",
                    interface_.inputs.size(), " and ", interface_.outputs.size());
  Profile profile;
  profile.threads = threads > 0 ? threads : this->threads();
  profile.seconds.assign(static_cast<std::size_t>(runs), std::vector<double>(schedule_.calls.size(), 0.0));
  const std::lock_guard lock(mutex_);
  if (states_) read(states_->before_run());
  const LockAll held(locks());
  const DerivedReaders readers(kept_values());
  const StatesAsBefore restored(written_);
  struct Work {
    const Program& program;
    std::span<double> seconds;  // empty: as usual
  };
  const auto run_once = [&](std::span<double> seconds) {
    begin(inputs, outputs);
    Work work{*this, seconds};
    const auto start = std::chrono::steady_clock::now();
    run_on_team(
        profile.threads, scratch_bytes_,
        [](void* what, const Team& team) noexcept {
          const Work& given = *static_cast<const Work*>(what);
          if (given.seconds.empty()) given.program.run_calls(team);
          else given.program.run_timed_calls(team, given.seconds);
        },
        &work, TeamSize::adaptive);
    const auto stop = std::chrono::steady_clock::now();
    expect_no_fault();
    return std::chrono::duration<double>(stop - start).count();
  };
  run_once({});  // memory is touched for the first time
  for (std::vector<double>& seconds : profile.seconds) {
    profile.whole.push_back(run_once({}));
    run_once(seconds);
  }
  return profile;
}

// Every thread tests for itself; what it reads does not change any more in this run.
bool Program::effects_may_begin(std::size_t call) const {
  return schedule_.fault->code == 0 &&
         std::none_of(schedule_.guards.begin(), schedule_.guards.end(),
                      [&](const Guard& guard) { return guard.call == call && guard.refuses(); });
}

std::string Program::describe() const {
  std::ostringstream text;
  text << "program for " << isa_ << ": " << schedule_.calls.size() << " kernel calls, arena "
       << byte_count(static_cast<std::size_t>(arena_.bytes)) << (single_threaded_ ? ", one thread" : "")
       << "\n";
  for (std::size_t i = 0; i < interface_.inputs.size(); ++i)
    text << "  input  " << i << "  " << to_string(interface_.inputs[i]) << "  " << interface_.input_names[i]
         << "\n";
  for (std::size_t i = 0; i < interface_.outputs.size(); ++i)
    text << "  output " << i << "  " << to_string(interface_.outputs[i]) << "\n";
  for (const auto& value : derived_)
    text << "  kept   " << value->description() << "  -> " << byte_count(value->value().bytes()) << "\n";
  std::size_t widest = 6;
  for (const KernelCall& call : schedule_.calls) widest = std::max(widest, call.kernel.size());
  for (std::size_t i = 0; i < schedule_.calls.size(); ++i) {
    const KernelCall& call = schedule_.calls[i];
    text << std::setw(4) << i << (call.barrier_before ? " | " : "   ") << std::left
         << std::setw(static_cast<int>(widest)) << call.kernel << std::right << "  " << call.description;
    if (!call.fused.empty()) text << "  + " << call.fused;
    std::int64_t written = 0;
    for (const int storage : call.writes) written += schedule_.storage(storage).bytes;
    text << "  -> " << byte_count(static_cast<std::size_t>(written));
    if (const std::string& scope = scope_of(call); !scope.empty()) text << "  in " << scope;
    text << "\n";
  }
  text << "  (| waits for all threads)\n";
  return text.str();
}

}  // namespace ravine
