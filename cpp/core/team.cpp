// A pool of worker threads. OpenMP is not used: its runtime hangs in a child that forks after a parallel
// region, two copies of it in one process oversubscribe the machine, and its waiting policy is fixed when it
// is loaded. Since no result depends on the size of a team, a run takes whichever workers are idle and never
// waits for others.
#include "core/team.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"

namespace ravine {
namespace {

constexpr int max_threads = 1024;

void pause_cpu() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `word` differs from `old`: a spin, because the next kernel is microseconds away, then sleep.
// Every few microseconds the spin lets another thread run that waits for this core: it may be the one waited
// for.
void wait_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t old, int spins) {
  constexpr int spins_between_yields = 256;
  for (int spin = 1; spin <= spins; ++spin) {
    if (word.load(std::memory_order_acquire) != old) return;
    if (spin % spins_between_yields == 0) sched_yield();
    else pause_cpu();
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

// Threads of all teams that run now.
std::atomic<int> threads_in_use{0};

// About 1 ms where every thread has a core of its own; spinning only steals time where threads share cores.
// Threads that slept sooner may share a core for long while another is idle: a scheduler that wakes a thread
// beside the one that wakes it sees them take turns in waiting, never two that want to run. (A convolution of
// 80 us took 350.)
constexpr int long_spins = 40000, short_spins = 20;
int spins_now() {
  return threads_in_use.load(std::memory_order_relaxed) <= cpu_info().affinity ? long_spins : short_spins;
}

// Moves this thread to another core than `core`, where it may run on others. A scheduler wakes a thread
// beside the one that wakes it, and can leave two that spin there for tens of milliseconds.
void leave_core(int core) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<std::size_t>(core), &others);
  if (CPU_COUNT(&others) == 0) return;
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
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
      data_ = reserve_bytes(bytes);
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

  void arrive_and_wait() {
    const std::uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
    } else {
      wait_while_equal(phase_, phase, spins_);
    }
  }

 private:
  alignas(64) std::atomic<std::uint32_t> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> phase_{0};
  std::uint32_t size_;
  int spins_;
};

void Team::barrier() const {
  if (size > 1) shared->arrive_and_wait();
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
  std::size_t scratch_bytes = 0;
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

// Workers are never joined: they hold no resource that outlives the process, and a join at exit could hang.
class Pool {
 public:
  // Claims up to `wanted` idle workers, starting new ones while the pool is smaller than that.
  void claim(int wanted, std::size_t scratch_bytes, std::vector<Worker*>& claimed) {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(workers_.size()) < wanted) {
      auto* worker = new Worker;
      try {
        std::thread(work, std::ref(*worker)).detach();
      } catch (const std::system_error&) {  // no more threads to be had: a smaller team gives the same result
        delete worker;
        break;
      }
      workers_.push_back(worker);
    }
    for (Worker* worker : workers_) {
      if (static_cast<int>(claimed.size()) == wanted) break;
      if (worker->busy.load(std::memory_order_acquire)) continue;
      worker->scratch = worker->storage.reserve(scratch_bytes);
      worker->busy.store(true, std::memory_order_relaxed);
      claimed.push_back(worker);
    }
  }

 private:
  std::mutex mutex_;
  std::vector<Worker*> workers_;
};

std::atomic<Pool*> pool{nullptr};

// In a forked child the workers do not exist: it starts with a new pool. (The parent's is leaked there; its
// mutex may be held.)
void forget_pool() { pool.store(new Pool, std::memory_order_release); }

Pool& the_pool() {
  static const bool ready = [] {
    pool.store(new Pool, std::memory_order_release);
    pthread_atfork(nullptr, nullptr, forget_pool);
    return true;
  }();
  (void)ready;
  return *pool.load(std::memory_order_acquire);
}

int environment_threads(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  // OMP_NUM_THREADS may be a list ("4,2"): its first number counts.
  check<ValueError>(end != text && (*end == '\0' || *end == ',') && threads >= 1 && threads <= max_threads,
                    variable, "='", text, "': expected a number of threads from 1 to ", max_threads);
  return static_cast<int>(threads);
}

int default_threads() {
  if (const int threads = environment_threads("RAVINE_NUM_THREADS")) return threads;
  if (const int threads = environment_threads("OMP_NUM_THREADS")) return threads;
  const CpuInfo& cpu = cpu_info();
  int threads = std::min(cpu.affinity, cpu.physical_cores);
  if (cpu.cgroup_quota > 0)
    threads = std::min(threads, std::max(1, static_cast<int>(std::ceil(cpu.cgroup_quota))));
  return threads;
}

std::atomic<int> process_threads{0};  // 0: not set, the default serves
thread_local int scope_threads = 0;   // 0: no ThreadsScope

int checked_threads(int threads) {
  check<ValueError>(threads >= 1 && threads <= max_threads, "number of threads: got ", threads,
                    ", expected 1 to ", max_threads);
  return threads;
}

}  // namespace

void run_on_team(int threads, std::size_t scratch_bytes, TeamFunction function, void* context) {
  static thread_local Scratch scratch;
  static thread_local std::vector<Worker*> claimed;
  const FlushDenormals flush{};
  claimed.clear();
  if (threads > 1) the_pool().claim(threads - 1, scratch_bytes, claimed);
  const int size = static_cast<int>(claimed.size()) + 1;
  std::byte* own_scratch = scratch.reserve(scratch_bytes);
  if (size == 1) {
    function(context, Team{0, 1, own_scratch, nullptr});
    return;
  }
  threads_in_use.fetch_add(size, std::memory_order_relaxed);
  const int spins = spins_now();
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
  for (std::uint32_t left; (left = job.running.load(std::memory_order_acquire)) != 0;)
    wait_while_equal(job.running, left, spins);
  threads_in_use.fetch_sub(size, std::memory_order_relaxed);
}

int num_threads() {
  if (scope_threads > 0) return scope_threads;
  int threads = process_threads.load(std::memory_order_relaxed);
  if (threads == 0) {
    threads = default_threads();
    process_threads.store(threads, std::memory_order_relaxed);
  }
  return threads;
}

void set_num_threads(int threads) {
  process_threads.store(checked_threads(threads), std::memory_order_relaxed);
}

ThreadsScope::ThreadsScope(int threads) : previous_(scope_threads) {
  scope_threads = checked_threads(threads);
}
ThreadsScope::~ThreadsScope() { scope_threads = previous_; }

}  // namespace ravine
