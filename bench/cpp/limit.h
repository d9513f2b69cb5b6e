// What the machine can do at most, measured in the process that uses it, on the instruction set in force and
// on as many threads, really running together, as the kernel that is compared.
#pragma once

#include <cstdint>
#include <memory>

namespace ravine::bench {

// A piece of work that the machine does as fast as it can, to be timed beside a kernel.
class Limit {
 public:
  virtual ~Limit() = default;
  virtual void run(int threads) = 0;
  virtual double amount() const = 0;  // of one run, in flops or bytes
  virtual bool counts_bytes() const = 0;
};

// Float32 multiply-adds in registers, two operations each: 1.5 M on every thread.
std::unique_ptr<Limit> multiply_adds(int threads);

// A plain loop over `elements` float32 numbers that reads and writes as many arrays as the kernel does, the
// sum of what it reads. The first `in_place` written arrays are read too.
struct Streams {
  int reads = 1, writes = 1, in_place = 0;
  std::int64_t elements = 0;
};
std::unique_ptr<Limit> plain_loop(const Streams& streams);

}  // namespace ravine::bench
