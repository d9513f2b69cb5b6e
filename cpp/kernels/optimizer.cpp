// The pass of an optimizer over all its parameters; the rules' formulas stand in optimizer_*.cpp.
#include "kernels/optimizer.h"

#include "kernels/table.h"
#include "kernels/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// Segments lie in one imagined row, each beginning at a multiple of `granule` elements; the row is cut every
// `piece` elements. So cuts depend on sizes alone, and a cut inside an aligned segment is aligned too.
constexpr std::int64_t granule = 64;
constexpr std::int64_t piece = 1 << 13;

template <class Update>
RAVINE_INLINE void for_each_part(const OptimizerArgs& args, const Team& team, Update update) {
  std::int64_t total = 0;
  for (std::int64_t s = 0; s < args.n_segments; ++s)
    total += ceil_div(args.segments[s].size, granule) * granule;
  const Pieces mine = pieces_of(ceil_div(total, piece), team);
  std::int64_t start = 0;  // of the segment in the row
  for (std::int64_t s = 0; s < args.n_segments; ++s) {
    const ParameterSegment& segment = args.segments[s];
    const std::int64_t end = smaller(start + segment.size, mine.end * piece);
    std::int64_t from = larger(start, mine.begin * piece);
    while (from < end) {
      const std::int64_t to = smaller(end, (from / piece + 1) * piece);
      update(segment, from - start, to - from);
      from = to;
    }
    start += ceil_div(segment.size, granule) * granule;
  }
}

}  // namespace

template <class T>
void optimizer_step(const OptimizerArgs& args, const Team& team) {
  if (args.fault != nullptr && args.fault->code != 0) return;
  for_each_part(args, team, [&](const ParameterSegment& segment, std::int64_t offset, std::int64_t count) {
    args.update(*args.step, segment, static_cast<const T*>(segment.gradient) + offset, offset, count);
  });
}
template void optimizer_step<float>(const OptimizerArgs&, const Team&);
template void optimizer_step<double>(const OptimizerArgs&, const Team&);

// Defined, for float and double, by the rules' sources.
#define RAVINE_DECLARE_UPDATE(name, Hyper)                                                             \
  template <class T>                                                                                   \
  void update_##name(const OptimizerStep& step, const ParameterSegment& segment, const void* gradient, \
                     std::int64_t offset, std::int64_t count);
RAVINE_OPTIMIZER_RULES(RAVINE_DECLARE_UPDATE)
#undef RAVINE_DECLARE_UPDATE

OptimizerUpdate optimizer_update(OptimizerRule rule, DType dtype) {
  switch (rule) {
#define RAVINE_CASE(name, Hyper) \
  case OptimizerRule::name:      \
    return dtype == DType::float64 ? update_##name<double> : update_##name<float>;
    RAVINE_OPTIMIZER_RULES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  return nullptr;
}

}  // namespace ravine::kernels::RAVINE_ISA
