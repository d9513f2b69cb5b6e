#include "graph/program.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <mutex>
#include <sstream>

#include "core/error.h"
#include "core/team.h"
#include "core/thread_count.h"
#include "graph/derived.h"

namespace ravine {
namespace {

std::atomic<bool> poison_arenas{false};

std::string byte_count(std::int64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  if (bytes < 1024) {
    text << bytes << " B";
  } else if (bytes < 1024 * 1024) {
    text << static_cast<double>(bytes) / 1024 << " KiB";
  } else {
    text << static_cast<double>(bytes) / (1024 * 1024) << " MiB";
  }
  return text.str();
}

class LockAll {
 public:
  explicit LockAll(std::span<Mutex* const> locks) : locks_(locks) {
    for (Mutex* lock : locks_) lock->lock();
  }
  ~LockAll() {
    for (Mutex* lock : locks_) lock->unlock();
  }
  LockAll(const LockAll&) = delete;
  LockAll& operator=(const LockAll&) = delete;

 private:
  std::span<Mutex* const> locks_;
};

}  // namespace

void set_arena_poisoning(bool on) { poison_arenas.store(on, std::memory_order_relaxed); }

void Program::run(std::span<const void* const> inputs, std::span<void* const> outputs) {
  check<ValueError>(inputs.size() == input_types_.size(), "program: got ", inputs.size(),
                    " inputs, expected ", input_types_.size());
  check<ValueError>(outputs.size() == output_types_.size(), "program: got ", outputs.size(),
                    " outputs, expected ", output_types_.size());
  const int threads = single_threaded_ ? 1 : num_threads();
  const std::lock_guard lock(mutex_);
  const LockAll shared(shared_locks_);
  for (const PointerPatch& patch : patches_) {
    const auto index = static_cast<std::size_t>(patch.index);
    const void* base = patch.is_output ? outputs[index] : inputs[index];
    patch.field.set(static_cast<const std::byte*>(base) + patch.byte_offset);
  }
  if (poison_arenas.load(std::memory_order_relaxed))
    std::memset(arena_.get(), 0xFF, static_cast<std::size_t>(arena_bytes_));
  fault_ = {};
  refused_ = false;
  const DerivedReaders readers(derived_);
  for (const auto& target : targets_) target->before_run();
  run_on_team(
      threads, scratch_bytes_,
      [](void* self, const Team& team) noexcept { static_cast<const Program*>(self)->run_calls(team); }, this,
      TeamSize::adaptive);
  for (const Array& state : written_) state.writes().written();
  if (fault_.code != 0) {
    const FaultMessage& message = fault_messages_[static_cast<std::size_t>(fault_.code - 1)];
    fail<ValueError>(message.before, fault_.value, message.after);
  }
  refused_ = std::any_of(guards_.begin(), guards_.end(), [](const Guard& guard) { return guard.refuses(); });
  if (refused_) return;
  if (draws_) ++random_->step;
  for (const auto& target : targets_) target->after_run();
}

void Program::run_calls(const Team& team) const {
  bool with_effects = true;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const KernelCall& call = calls_[i];
    if (call.barrier_before) team.barrier();
    if (call.tests_guards) with_effects = with_effects && effects_may_begin(i);
    if (call.effect && !with_effects) break;  // nothing but effects follows
    call.invoke(call.function, call.args.get(), team);
  }
}

// Every thread tests for itself; what it reads does not change any more in this run.
bool Program::effects_may_begin(std::size_t call) const {
  return fault_.code == 0 && std::none_of(guards_.begin(), guards_.end(), [&](const Guard& guard) {
           return guard.call == call && guard.refuses();
         });
}

bool Guard::refuses() const {
  if (target != nullptr) return target->refuses();
  if (dtype == DType::float32) return !std::isfinite(*static_cast<const float*>(value));
  if (dtype == DType::float64) return !std::isfinite(*static_cast<const double*>(value));
  return false;
}

std::string Program::describe() const {
  std::ostringstream text;
  text << "program for " << isa_ << ": " << calls_.size() << " kernel calls, arena "
       << byte_count(arena_bytes_) << (single_threaded_ ? ", one thread" : "") << "\n";
  for (std::size_t i = 0; i < input_types_.size(); ++i)
    text << "  input  " << i << "  " << to_string(input_types_[i]) << "  " << input_names_[i] << "\n";
  for (std::size_t i = 0; i < output_types_.size(); ++i)
    text << "  output " << i << "  " << to_string(output_types_[i]) << "\n";
  for (const auto& value : derived_)
    text << "  kept   " << value->description() << "  -> "
         << byte_count(static_cast<std::int64_t>(value->value().bytes())) << "\n";
  std::size_t widest = 6;
  for (const KernelCall& call : calls_) widest = std::max(widest, call.kernel.size());
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const KernelCall& call = calls_[i];
    text << std::setw(4) << i << (call.barrier_before ? " | " : "   ") << std::left
         << std::setw(static_cast<int>(widest)) << call.kernel << std::right << "  " << call.description;
    if (!call.fused.empty()) text << "  + " << call.fused;
    std::int64_t written = 0;
    for (const int storage : call.writes) written += storages_[static_cast<std::size_t>(storage)].bytes;
    text << "  -> " << byte_count(written) << "\n";
  }
  text << "  (| waits for all threads)\n";
  return text.str();
}

}  // namespace ravine
