#include <gtest/gtest.h>
#include <ravine/ravine.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

// A host's pool of threads.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void post(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }
  int done() const { return done_; }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      ++done_;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool ended_ = false;
  std::atomic<int> done_{0};
  std::vector<std::thread> threads_;
};

// Large enough for several threads.
std::vector<double> losses() {
  const ravine::TrainStep step(
      ravine::Model([](const ravine::nn::Scope& scope, ravine::Tensor x) {
        return ravine::nn::linear(scope / "out", ravine::nn::relu(ravine::nn::linear(scope / "in", x, 256)),
                                  4);
      }),
      [](ravine::Tensor y, ravine::Tensor target) { return ravine::loss::mse(y, target); },
      ravine::optim::sgd({.lr = 0.1}));
  std::vector<float> x(128 * 256), y(128 * 4, 0.5f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) / 17.0f;
  std::vector<double> result;
  for (int i = 0; i < 10; ++i)
    result.push_back(step({ravine::view(x, {128, 256}), ravine::view(y, {128, 4})}));
  return result;
}

class ExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override { ravine::set_num_threads(3); }
  void TearDown() override {
    ravine::set_executor({});
    ravine::set_num_threads(threads_);
  }
  const int threads_ = ravine::num_threads();
};

TEST_F(ExecutorTest, TheHostsThreadsGiveTheSameBits) {
  const std::vector<double> own = losses();
  Pool pool(3);
  std::atomic<int> asked{0};
  ravine::set_executor([&](std::function<void()> job) {
    ++asked;
    pool.post(std::move(job));
  });
  EXPECT_EQ(losses(), own);
  EXPECT_GE(asked, 20);  // two for each step
  ravine::set_executor({});
  const int before = asked;
  EXPECT_EQ(losses(), own);
  EXPECT_EQ(asked, before);
}

TEST_F(ExecutorTest, AHostThatDoesNotHelpIsNotWaitedFor) {
  const std::vector<double> own = losses();
  std::vector<std::function<void()>> late;
  const std::vector<ravine::Executor> hosts{
      [](std::function<void()> job) { job(); },                               // in the caller
      [](std::function<void()>) {},                                           // never
      [&](std::function<void()> job) { late.push_back(std::move(job)); },     // after the run
      [](std::function<void()>) { throw std::runtime_error("no threads"); },  // refused
  };
  for (const ravine::Executor& host : hosts) {
    ravine::set_executor(host);
    EXPECT_EQ(losses(), own);
  }
  for (const auto& job : late) job();
  EXPECT_GE(late.size(), 20u);
}

}  // namespace
