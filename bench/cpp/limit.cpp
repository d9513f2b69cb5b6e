#include "limit.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "core/team.h"
#include "dispatch/dispatch.h"
#include "limit_loops.h"
#include "numbers.h"

namespace ravine::bench {
namespace {

const LimitLoops& loops_in_force() {
  const std::string isa = active_isa();
#ifdef RAVINE_X86_64
  if (isa == "x86-64-v4") return x86_64_v4::limit_loops;
  if (isa == "x86-64-v3") return x86_64_v3::limit_loops;
#endif
  return generic::limit_loops;
}

class MultiplyAdds final : public Limit {
 public:
  explicit MultiplyAdds(int threads) : loop_(loops_in_force().multiply_adds) {
    float sink[16];
    amount_ = loop_(rounds, sink) * threads;
  }
  void run(int threads) override {
    run_on_team(
        threads, 0,
        [](void* context, const Team&) noexcept {
          float sink[16];
          static_cast<MultiplyAdds*>(context)->loop_(rounds, sink);
        },
        this);
  }
  double amount() const override { return amount_; }
  bool counts_bytes() const override { return false; }

 private:
  static constexpr std::int64_t rounds = 1 << 17;
  double (*loop_)(std::int64_t, float*);
  double amount_;
};

class PlainLoop final : public Limit {
 public:
  explicit PlainLoop(const Streams& streams) : elements_(streams.elements), streams_(streams) {
    if (streams.reads > max_streams || streams.writes > max_streams || streams.in_place > streams.reads ||
        streams.in_place > streams.writes)
      throw std::invalid_argument("plain_loop: no such loop");
    loop_ = loops_in_force().streams[streams.reads][streams.writes];
    for (int r = 0; r < streams.reads; ++r) {
      arrays_.push_back(numbers(elements_));
      reads_[r] = arrays_.back().get();
    }
    for (int w = 0; w < streams.writes; ++w) {
      if (w < streams.in_place) {
        writes_[w] = arrays_[static_cast<std::size_t>(w)].get();
        continue;
      }
      arrays_.push_back(numbers(elements_));
      writes_[w] = arrays_.back().get();
    }
  }
  void run(int threads) override {
    run_on_team(
        threads, 0,
        [](void* context, const Team& team) noexcept {
          const auto& self = *static_cast<const PlainLoop*>(context);
          constexpr std::int64_t granule = 64;  // so that no round of the loop is cut
          const Pieces mine = pieces_of(self.elements_ / granule, team);
          self.loop_(self.reads_, self.writes_, mine.begin * granule, mine.end * granule);
        },
        this);
  }
  double amount() const override {
    return static_cast<double>(streams_.reads + streams_.writes) * static_cast<double>(elements_) *
           static_cast<double>(sizeof(float));
  }
  bool counts_bytes() const override { return true; }

 private:
  std::int64_t elements_;
  Streams streams_;
  StreamLoop loop_ = nullptr;
  std::vector<Memory> arrays_;
  const float* reads_[max_streams] = {};
  float* writes_[max_streams] = {};
};

}  // namespace

std::unique_ptr<Limit> multiply_adds(int threads) { return std::make_unique<MultiplyAdds>(threads); }
std::unique_ptr<Limit> plain_loop(const Streams& streams) { return std::make_unique<PlainLoop>(streams); }

}  // namespace ravine::bench
