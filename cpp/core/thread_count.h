// How many threads a run may use.
#pragma once

#include <string>

namespace ravine {

// set_num_threads, else RAVINE_NUM_THREADS, else OMP_NUM_THREADS, else the smallest of affinity, the control
// groups' quota (a part of a CPU counts as one) and physical cores. ThreadsScope overrides it for the calling
// thread while it lives. ValueError where RAVINE_NUM_THREADS is no number from 1 to 1024; such an
// OMP_NUM_THREADS, which was not meant for us alone, is left out.
int num_threads();
void set_num_threads(int threads);  // ValueError outside 1..1024

// A sentence for the user about an OMP_NUM_THREADS that num_threads() leaves out; else empty.
std::string ignored_thread_setting();

class ThreadsScope {
 public:
  explicit ThreadsScope(int threads);
  ~ThreadsScope();
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int previous_;
};

}  // namespace ravine
