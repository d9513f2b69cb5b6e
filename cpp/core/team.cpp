// A pool of worker threads. OpenMP is not used: its runtime hangs in a child that forks after a parallel
// region, two copies of it in one process oversubscribe the machine, and its waiting policy is fixed when it
// is loaded. Since no result depends on the size of a team, a run takes whichever workers are idle and never
// waits for others.
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "core/cpu.h"
#include "core/error.h"
#include "core/executor.h"
#include "core/fork.h"
#include "core/memory.h"
#include "core/memory_error.h"
#include "core/team_limit.h"

namespace ravine {
namespace {

void pause_cpu() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

using Time = TeamLimit::Time;
Time now() { return std::chrono::steady_clock::now().time_since_epoch(); }

// Waits until `word` differs from `old`: a spin, because the next kernel is microseconds away, then sleep.
// Every few microseconds the spin lets another thread run that waits for this core: it may be the one waited
// for. Returns how long it took, without the first microseconds: only then is the clock worth a look.
Time wait_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t old, int spins) {
  constexpr int spins_between_yields = 256;
  int spin = 1;
  for (; spin <= std::min(spins, spins_between_yields); ++spin) {
    if (word.load(std::memory_order_acquire) != old) return Time(0);
    pause_cpu();
  }
  const Time start = now();
  for (; spin <= spins; ++spin) {
    if (word.load(std::memory_order_acquire) != old) return now() - start;
    if (spin % spins_between_yields == 0) sched_yield();
    else pause_cpu();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
  return now() - start;
}

// About 1 ms where every thread has a core of its own; spinning only steals time where threads share cores.
// Threads that slept sooner may share a core for long while another is idle: a scheduler that wakes a thread
// beside the one that wakes it sees them take turns in waiting, never two that want to run. (A convolution of
// 80 us took 350.)
constexpr int long_spins = 40000, short_spins = 20;

// Moves this thread to another core than `core`, where it may run on others. A scheduler wakes a thread
// beside the one that wakes it, and can leave two that spin there for tens of milliseconds.
void leave_core(int core) {
  const CpuSet allowed = CpuSet::of_this_thread();
  CpuSet others = allowed;
  others.remove(core);
  if (others.count() > 0 && others.apply_to_this_thread()) allowed.apply_to_this_thread();
}

// Denormals slow arithmetic down up to 100 times and mean nothing in training: zero for the duration of a
// run.
class FlushDenormals {
#if defined(__SSE__)
 public:
  FlushDenormals() : previous_(_mm_getcsr()) {
    _mm_setcsr(previous_ | 0x8040);
  }  // flush-to-zero, denormals-are-zero
  ~FlushDenormals() { _mm_setcsr(previous_); }

 private:
  unsigned previous_;
#elif defined(__aarch64__)
 public:
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(previous_));
    asm volatile("msr fpcr, %0" : : "r"(previous_ | (std::uint64_t{1} << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(previous_)); }

 private:
  std::uint64_t previous_;
#endif
};

// A thread's workspace grows and stays.
class Scratch {
 public:
  std::byte* reserve(std::size_t bytes) {
    if (bytes > size_) {
      release();
      data_ = with_memory(
          bytes, [] { return std::string("the workspace of a thread"); },
          [bytes] { return reserve_bytes(bytes); });
      size_ = bytes;
    }
    return data_.get();
  }

 private:
  void release() {
    data_ = nullptr;
    size_ = 0;
  }
  SharedBytes data_;
  std::size_t size_ = 0;
};

}  // namespace

// Sense-counting barrier: the last thread to arrive opens the next phase.
class TeamBarrier {
 public:
  TeamBarrier(int size, int spins) : size_(static_cast<std::uint32_t>(size)), spins_(spins) {}

  void arrive_and_wait(bool caller) {
    const std::uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
    } else {
      const Time waited = wait_while_equal(phase_, phase, spins_);
      if (caller) caller_waited_ += waited;
    }
  }

  Time caller_waited() const { return caller_waited_; }

 private:
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> phase_{0};
  std::uint32_t size_;
  int spins_;
  Time caller_waited_{0};  // the caller alone writes and reads it
};

void Team::barrier() const {
  if (size > 1) shared->arrive_and_wait(rank == 0);
}

namespace {

struct Job {
  TeamFunction function;
  void* context;
  TeamBarrier* barrier;
  int team_size, spins;
  int core;                            // the caller's, which workers leave to it; -1: they may share it
  std::atomic<std::uint32_t> running;  // workers that have not finished
};

// A worker sleeps on `ticket`; the thread that claimed it (`busy`) writes job, rank and scratch, then raises
// the ticket.
struct alignas(64) Worker {
  std::atomic<std::uint32_t> ticket{0};
  std::atomic<bool> busy{false};
  Job* job = nullptr;
  int rank = 0;
  std::byte* scratch = nullptr;
  Scratch storage;
};

void work(Worker& worker) {
  const FlushDenormals flush{};
  std::uint32_t seen = 0;
  int spins = 0;
  for (;;) {
    wait_while_equal(worker.ticket, seen, spins);
    seen = worker.ticket.load(std::memory_order_acquire);
    Job& job = *worker.job;
    if (job.core >= 0 && sched_getcpu() == job.core) leave_core(job.core);
    job.function(job.context, Team{worker.rank, job.team_size, worker.scratch, job.barrier});
    spins = job.spins;
    worker.busy.store(false, std::memory_order_release);
    // The job lives on the caller's stack: this is the last touch but for the wake-up of its address.
    if (job.running.fetch_sub(1, std::memory_order_acq_rel) == 1) job.running.notify_one();
  }
}

// A host blocks a signal in all of its threads to wait for it, and knows nothing of these: they take none but
// those of their own faults.
void start_thread(Worker& worker) {
  sigset_t all, before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread(work, std::ref(worker)).detach();
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Workers are never joined: they hold no resource that outlives the process, and a join at exit could hang.
class Pool {
 public:
  // Claims up to `threads - 1` idle workers, starting new ones while the pool is smaller than that. Where
  // there is no memory and where there are no threads to be had, fewer: a smaller team gives the same result.
  void claim(int threads, std::size_t scratch_bytes, bool adaptive, std::vector<Worker*>& claimed) {
    const std::lock_guard lock(mutex_);
    const int wanted = (adaptive ? limit_.size_for(threads, now()) : threads) - 1;
    try {
      const auto most = static_cast<std::size_t>(wanted);
      claimed.reserve(most);
      workers_.reserve(most);
      while (workers_.size() < most) {
        auto worker = std::make_unique<Worker>();
        start_thread(*worker);
        workers_.push_back(worker.release());
      }
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
    for (Worker* worker : workers_) {
      if (static_cast<int>(claimed.size()) == wanted) break;
      if (worker->busy.load(std::memory_order_acquire)) continue;
      try {
        worker->scratch = worker->storage.reserve(scratch_bytes);
        claimed.push_back(worker);
      } catch (const std::bad_alloc&) {
        break;
      }
      worker->busy.store(true, std::memory_order_relaxed);
    }
    threads_in_use_ += static_cast<int>(claimed.size()) + 1;
  }

  // Whether every thread of the teams that run now has a core of its own.
  bool has_cores() const { return threads_in_use_.load(std::memory_order_relaxed) <= cpu_info().affinity; }

  void release(int size) { threads_in_use_ -= size; }

  void report(int size, Time run, Time wait) {
    const std::lock_guard lock(mutex_);
    limit_.finished(size, now(), run, wait);
  }

 private:
  Mutex mutex_;
  std::vector<Worker*> workers_;
  TeamLimit limit_;
  std::atomic<int> threads_in_use_{0};
};

// The workers do not exist in a forked child, which starts with a pool of its own.
PerProcess<Pool> pool;

std::atomic<bool> adaptive_teams{true};

Scratch& scratch_of_this_thread() {
  static thread_local Scratch scratch;
  return scratch;
}

// ---- the host's threads

// A run that jobs in the host's pool join until it begins. They own it too: one that comes late finds it
// closed.
struct HostRun {
  static constexpr std::uint32_t closed = std::uint32_t{1} << 31;

  HostRun(TeamFunction of, void* with, std::size_t bytes, int most_spins)
      : function(of), context(with), scratch_bytes(bytes), spins(most_spins) {}

  const TeamFunction function;
  void* const context;
  const std::size_t scratch_bytes;
  const int spins;
  const std::thread::id caller = std::this_thread::get_id();
  std::optional<TeamBarrier> barrier;
  std::atomic<std::uint32_t> joined{0};   // jobs, and whether the run is closed
  std::atomic<std::uint32_t> size{0};     // of the team; 0: it has not begun
  std::atomic<std::uint32_t> running{0};  // jobs that have not finished

  void join() {
    if (std::this_thread::get_id() == caller)
      return;  // a host without threads runs jobs where they are given
    std::byte* scratch = nullptr;
    try {
      scratch = scratch_of_this_thread().reserve(scratch_bytes);
    } catch (const std::bad_alloc&) {
      return;
    }
    std::uint32_t before = joined.load(std::memory_order_relaxed);
    do {
      if ((before & closed) != 0) return;
    } while (!joined.compare_exchange_weak(before, before + 1, std::memory_order_acq_rel));
    wait_while_equal(size, 0, spins);
    const FlushDenormals flush{};
    const auto rank = static_cast<int>(before) + 1, team_size = static_cast<int>(size.load());
    function(context, Team{rank, team_size, scratch, &*barrier});
    if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
  }
};

// How long a run waits for the host's threads to come, about as long as it takes to wake one.
constexpr Time host_patience = std::chrono::microseconds(50);

void run_on_host(const Executor& executor, int threads, std::size_t scratch_bytes, std::byte* own_scratch,
                 TeamFunction function, void* context) {
  const int spins = threads <= cpu_info().affinity ? long_spins : short_spins;
  const auto run = std::make_shared<HostRun>(function, context, scratch_bytes, spins);
  std::uint32_t asked = 0;
  try {
    for (; static_cast<int>(asked) + 1 < threads; ++asked) executor([run] { run->join(); });
  } catch (...) {  // the host has no more: a smaller team gives the same result
  }
  const Time begin = now();
  while (run->joined.load(std::memory_order_acquire) < asked && now() - begin < host_patience) pause_cpu();
  const std::uint32_t joined = run->joined.fetch_or(HostRun::closed, std::memory_order_acq_rel);
  const auto size = static_cast<int>(joined) + 1;
  run->barrier.emplace(size, spins);
  run->running.store(joined, std::memory_order_relaxed);
  run->size.store(joined + 1, std::memory_order_release);
  run->size.notify_all();
  function(context, Team{0, size, own_scratch, &*run->barrier});
  for (std::uint32_t left; (left = run->running.load(std::memory_order_acquire)) != 0;)
    wait_while_equal(run->running, left, spins);
}

}  // namespace

void set_adaptive_teams(bool on) { adaptive_teams.store(on, std::memory_order_relaxed); }

void run_on_team(int threads, std::size_t scratch_bytes, TeamFunction function, void* context,
                 TeamSize kind) {
  static thread_local std::vector<Worker*> claimed;
  const FlushDenormals flush{};
  std::byte* own_scratch = scratch_of_this_thread().reserve(scratch_bytes);
  if (threads == 1) {
    function(context, Team{0, 1, own_scratch, nullptr});
    return;
  }
  if (const std::shared_ptr<const Executor> host = host_executor()) {
    run_on_host(*host, threads, scratch_bytes, own_scratch, function, context);
    return;
  }
  const bool adaptive = kind == TeamSize::adaptive && adaptive_teams.load(std::memory_order_relaxed);
  Pool& workers = pool.get();
  claimed.clear();
  workers.claim(threads, scratch_bytes, adaptive, claimed);
  // From here to the end nothing throws: the workers are marked as busy until they have run.
  const int size = static_cast<int>(claimed.size()) + 1;
  if (size == 1) {
    function(context, Team{0, 1, own_scratch, nullptr});
    workers.release(1);
    return;
  }
  const Time start = adaptive ? now() : Time(0);
  const int spins = workers.has_cores() ? long_spins : short_spins;
  TeamBarrier barrier(size, spins);
  const int core = spins == long_spins ? sched_getcpu() : -1;
  Job job{function, context, &barrier, size, spins, core, static_cast<std::uint32_t>(size - 1)};
  for (int i = 0; i + 1 < size; ++i) {
    Worker& worker = *claimed[static_cast<std::size_t>(i)];
    worker.job = &job;
    worker.rank = i + 1;
    worker.ticket.fetch_add(1, std::memory_order_acq_rel);
    worker.ticket.notify_one();
  }
  function(context, Team{0, size, own_scratch, &barrier});
  Time waited = barrier.caller_waited();
  for (std::uint32_t left; (left = job.running.load(std::memory_order_acquire)) != 0;)
    waited += wait_while_equal(job.running, left, spins);
  workers.release(size);
  if (adaptive) workers.report(size, now() - start, waited);
}

}  // namespace ravine
