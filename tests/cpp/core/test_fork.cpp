#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "core/fork.h"
#include "core/team.h"

namespace ravine::testing {
namespace {

// What `function` says in a forked child; false too if the child hangs.
template <class Function>
bool in_child(Function function) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(function() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void run(int threads, void (*function)(const Team&) noexcept) {
  run_on_team(
      threads, 64,
      [](void* context, const Team& team) noexcept {
        reinterpret_cast<void (*)(const Team&) noexcept>(context)(team);
      },
      reinterpret_cast<void*>(function));
}

TEST(Mutex, LetsOneWriterOrManyReadersIn) {
  Mutex mutex;
  int plain = 0;  // a data race where the lock does not hold
  std::atomic<int> torn{0};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 3; ++writer)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const std::lock_guard lock(mutex);
        plain += 2;
        plain -= 1;
      }
    });
  for (int reader = 0; reader < 2; ++reader)
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const std::shared_lock lock(mutex);
        if (const int before = plain; before != plain) ++torn;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(plain, 6000);
  EXPECT_EQ(torn, 0);
  mutex.lock_shared();
  mutex.lock_shared();  // readers do not wait for each other
  mutex.unlock_shared();
  mutex.unlock_shared();
}

TEST(Mutex, IsFreeInAForkedChildWhoeverHeldIt) {
  Mutex exclusive, shared;
  std::atomic<bool> held{false}, done{false};
  std::thread holder([&] {
    const std::lock_guard lock(exclusive);
    const std::shared_lock reader(shared);
    held = true;
    while (!done) std::this_thread::yield();
  });
  while (!held) std::this_thread::yield();
  EXPECT_TRUE(in_child([&] {
    for (int time = 0; time < 2; ++time) {
      const std::lock_guard first(exclusive);
      const std::lock_guard second(shared);
    }
    return in_child([&] {  // and in a child of the child
      const std::lock_guard first(exclusive);
      return true;
    });
  }));
  done = true;
  holder.join();
  const std::lock_guard after(exclusive);
}

TEST(PerProcess, AChildHasItsOwn) {
  static PerProcess<std::atomic<int>> number;
  number.get() = 5;
  EXPECT_TRUE(in_child([] { return number.get() == 0 && (number.get() = 3) == 3; }));
  EXPECT_EQ(number.get(), 5);
}

TEST(Team, RunsInAChildThatWasForkedWhileATeamRan) {
  static std::atomic<bool> running{false}, done{false};
  std::thread caller([] {
    run(2, [](const Team&) noexcept {
      running = true;
      while (!done) std::this_thread::yield();
    });
  });
  while (!running) std::this_thread::yield();
  EXPECT_TRUE(in_child([] {
    static std::atomic<int> ranks{0};
    run(2, [](const Team& team) noexcept {
      ++ranks;
      team.barrier();
    });
    return ranks == 2;
  }));
  done = true;
  caller.join();
}

// The sanitizers' operator new ends the process instead of throwing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Team, IsWholeAfterARunThatHadNoMemory) {
  static std::atomic<int> ranks{0};
  const TeamFunction count = [](void*, const Team&) noexcept { ++ranks; };
  run_on_team(3, 0, count, nullptr);
  EXPECT_EQ(ranks, 3);
  EXPECT_THROW(run_on_team(3, std::size_t{1} << 62, count, nullptr), std::bad_alloc);
  EXPECT_EQ(ranks, 3);
  run_on_team(3, 0, count, nullptr);
  EXPECT_EQ(ranks, 6);
}
#endif

TEST(Team, WorkersBlockAllSignals) {
  static std::atomic<int> open{0};
  run(3, [](const Team& team) noexcept {
    if (team.rank == 0) return;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGPROF})
      open += sigismember(&blocked, signal) == 0;
  });
  EXPECT_EQ(open, 0);
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGINT), 0);
}

}  // namespace
}  // namespace ravine::testing
