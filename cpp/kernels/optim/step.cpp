// The pass of an optimizer over all its parameters; the rules' formulas stand in optimizer_*.cpp.
#include "kernels/api/optimizer.h"

#include "core/floating.h"
#include "kernels/api/table.h"
#include "kernels/optim/clipping.h"
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// Segments lie in one imagined row, each beginning at a multiple of `granule` elements; the row is cut every
// `piece` elements. So cuts depend on sizes alone, and a cut inside an aligned segment is aligned too.
constexpr std::int64_t granule = 64;
constexpr std::int64_t piece = 1 << 13;

// A segment's place in the row: the parts that it is cut into are numbered through all segments.
struct Place {
  std::int64_t start;       // in the row
  std::int64_t first_part;  // its number
  std::int64_t parts;

  Place next(const ParameterSegment& following) const { return at(end_, first_part + parts, following); }
  static Place first(const ParameterSegment& segment) { return at(0, 0, segment); }

 private:
  Place(std::int64_t start, std::int64_t first_part, std::int64_t parts, std::int64_t end)
      : start(start), first_part(first_part), parts(parts), end_(end) {}
  static Place at(std::int64_t start, std::int64_t first_part, const ParameterSegment& segment) {
    const std::int64_t parts = segment.size == 0 ? 0 : (start + segment.size - 1) / piece - start / piece + 1;
    return {start, first_part, parts, start + ceil_div(segment.size, granule) * granule};
  }
  std::int64_t end_;
};

// visit(s, its place, from, to) for what this thread has of the segments, from and to being places in the
// row; the row is dealt out in units of `unit` elements.
template <class Args, class Visit>
RAVINE_INLINE void for_each_segment(const Args& args, const Team& team, std::int64_t unit, Visit visit) {
  std::int64_t total = 0;
  for (std::int64_t s = 0; s < args.n_segments; ++s)
    total += ceil_div(args.segments[s].size, granule) * granule;
  if (total == 0) return;
  const Pieces mine = pieces_of(ceil_div(total, unit), team);
  Place place = Place::first(args.segments[0]);
  for (std::int64_t s = 0; s < args.n_segments; ++s) {
    const ParameterSegment& segment = args.segments[s];
    if (s > 0) place = place.next(segment);
    const std::int64_t from = larger(place.start, mine.begin * unit);
    const std::int64_t to = smaller(place.start + segment.size, mine.end * unit);
    if (from < to) visit(s, place, from, to);
  }
}

// visit(s, its place, offset, count, number of the part) for the parts of this thread.
template <class Args, class Visit>
RAVINE_INLINE void for_each_part(const Args& args, const Team& team, Visit visit) {
  for_each_segment(args, team, piece,
                   [&](std::int64_t s, const Place& place, std::int64_t from, std::int64_t end) {
                     while (from < end) {
                       const std::int64_t to = smaller(end, (from / piece + 1) * piece);
                       visit(s, place, from - place.start, to - from,
                             place.first_part + from / piece - place.start / piece);
                       from = to;
                     }
                   });
}

template <class T>
const T* gradient_at(const ParameterSegment& segment, std::int64_t offset) {
  return static_cast<const T*>(segment.gradient) + offset;
}

std::int64_t count_parts(const ParameterSegment* segments, std::int64_t n_segments) {
  if (n_segments == 0) return 0;
  Place place = Place::first(segments[0]);
  for (std::int64_t s = 1; s < n_segments; ++s) place = place.next(segments[s]);
  return place.first_part + place.parts;
}

template <class T>
double sum_of_squares(const T* x, std::int64_t count, double clip_value) {
  const bool clips = clip_value < __builtin_inf();
  const Vec<T> highest = splat_of<T>(clip_value);
  SumOfSquares<T> sum;
  for_each_vector<T>(count, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
    Vec<T> g = load(x + i, n);
    if (clips) g = minimum(maximum(g, -highest), highest);
    sum.add(g);
  });
  return sum.total();
}

}  // namespace

template <class T>
std::size_t gradient_norm_workspace(const GradientNormArgs& args) {
  return static_cast<std::size_t>(count_parts(args.segments, args.n_segments)) * sizeof(double);
}
template std::size_t gradient_norm_workspace<float>(const GradientNormArgs&);
template std::size_t gradient_norm_workspace<double>(const GradientNormArgs&);

template <class T>
void gradient_norm(const GradientNormArgs& args, const Team& team) {
  if (args.fault != nullptr && args.fault->code != 0) return;
  auto* const sums = static_cast<double*>(args.workspace);  // by part
  for_each_part(
      args, team,
      [&](std::int64_t s, const Place&, std::int64_t offset, std::int64_t count, std::int64_t part) {
        sums[part] = sum_of_squares(gradient_at<T>(args.segments[s], offset), count, *args.clip_value);
      });
  team.barrier();
  if (team.rank != 0 || args.n_segments == 0) return;
  Place place = Place::first(args.segments[0]);
  for (std::int64_t s = 0; s < args.n_segments; ++s) {
    if (s > 0) place = place.next(args.segments[s]);
    double square = 0;
    for (std::int64_t part = 0; part < place.parts; ++part) square += sums[place.first_part + part];
    args.squares[s] = square;
  }
}
template void gradient_norm<float>(const GradientNormArgs&, const Team&);
template void gradient_norm<double>(const GradientNormArgs&, const Team&);

template <class T>
std::size_t optimizer_step_workspace(const OptimizerArgs& args) {
  if (args.functions.measure == nullptr) return 0;
  return static_cast<std::size_t>(count_parts(args.segments, args.n_segments)) *
         sizeof(ParameterSegment::sums);
}
template std::size_t optimizer_step_workspace<float>(const OptimizerArgs&);
template std::size_t optimizer_step_workspace<double>(const OptimizerArgs&);

template <class T>
void optimizer_step(const OptimizerArgs& args, const Team& team) {
  if (args.fault != nullptr && args.fault->code != 0) return;
  const Clipping clipping(args);
  if (clipping.skips()) return;
  const auto [update, measure] = args.functions;
  if (measure == nullptr) {
    // Without sums the row can be cut anywhere: as evenly as whole vectors allow.
    for_each_segment(
        args, team, granule, [&](std::int64_t s, const Place& place, std::int64_t from, std::int64_t to) {
          const ParameterSegment& segment = args.segments[s];
          const std::int64_t offset = from - place.start;
          update(clipping.step_of(s), segment, gradient_at<T>(segment, offset), offset, to - from);
        });
    return;
  }

  auto* const sums = static_cast<double(*)[2]>(args.workspace);  // by part
  for_each_part(
      args, team,
      [&](std::int64_t s, const Place&, std::int64_t offset, std::int64_t count, std::int64_t part) {
        const ParameterSegment& segment = args.segments[s];
        measure(clipping.step_of(s), segment, gradient_at<T>(segment, offset), offset, count, sums[part]);
      });
  team.barrier();
  ParameterSegment measured;  // the segment of the newest part, with its sums
  for_each_part(
      args, team,
      [&](std::int64_t s, const Place& place, std::int64_t offset, std::int64_t count, std::int64_t) {
        const ParameterSegment& segment = args.segments[s];
        if (measured.parameter != segment.parameter) {
          measured = segment;
          for (std::int64_t part = place.first_part; part < place.first_part + place.parts; ++part)
            for (int i = 0; i < 2; ++i) measured.sums[i] += sums[part][i];
        }
        update(clipping.step_of(s), measured, gradient_at<T>(segment, offset), offset, count);
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
#define RAVINE_DECLARE_MEASURE(name, Hyper)                                                             \
  template <class T>                                                                                    \
  void measure_##name(const OptimizerStep& step, const ParameterSegment& segment, const void* gradient, \
                      std::int64_t offset, std::int64_t count, double* sums);
RAVINE_LAYERWISE_RULES(RAVINE_DECLARE_MEASURE)
#undef RAVINE_DECLARE_MEASURE

namespace {

template <class T>
OptimizerFunctions functions_of(OptimizerRule rule) {
  switch (rule) {
#define RAVINE_CASE(name, Hyper) \
  case OptimizerRule::name:      \
    return {update_##name<T>, nullptr};
    RAVINE_ELEMENTWISE_RULES(RAVINE_CASE)
    RAVINE_ROWWISE_RULES(RAVINE_CASE)
#undef RAVINE_CASE
#define RAVINE_CASE(name, Hyper) \
  case OptimizerRule::name:      \
    return {update_##name<T>, measure_##name<T>};
    RAVINE_LAYERWISE_RULES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  return {};
}

}  // namespace

OptimizerFunctions optimizer_functions(OptimizerRule rule, DType dtype) {
  return with_floating(dtype, "optimizer_functions", [&]<class T>() { return functions_of<T>(rule); });
}

}  // namespace ravine::kernels::RAVINE_ISA
