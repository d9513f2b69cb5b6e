#include "train/lbfgs.h"

#include <cstddef>
#include <limits>

#include "core/error.h"
#include "ops/builders.h"
#include "optim/two_loops.h"

namespace ravine::train {
namespace {

// As in the table of stages.
enum NumberIndex { history_size, damping, sign };
enum MemoryIndex { previous, steps, changes, rhos, scale };

struct Pair {
  Value s, y, rho;
};

Value flat(const Values& pieces) {
  Values rows;
  for (const Value& piece : pieces) rows.push_back(ops::reshape(piece, Shape{numel(piece.shape())}));
  return ops::concat(rows, 0);
}

Values pieces_of(Value row, std::span<const Array> parameters) {
  Values pieces;
  std::int64_t begin = 0;
  for (const Array& parameter : parameters) {
    const std::int64_t end = begin + parameter.size();
    pieces.push_back(ops::reshape(ops::slice_axis(row, 0, begin, end), parameter.shape()));
    begin = end;
  }
  return pieces;
}

double epsilon_of(DType dtype) {
  return dtype == DType::float32 ? std::numeric_limits<float>::epsilon()
                                 : std::numeric_limits<double>::epsilon();
}

Value dot(Value a, Value b) { return ops::sum(a * b); }

}  // namespace

Values lbfgs(StageScope& scope, Values gradients) {
  const auto remembered = [&](MemoryIndex entry, std::size_t age) {
    return scope.graph.state(scope.memory[entry][age]);
  };
  const std::size_t n_pairs = scope.memory[steps].size();
  const Value before = remembered(previous, 0);
  Values weights;
  for (std::size_t i = 0; i < scope.parameters.size(); ++i) weights.push_back(scope.weight(i));
  const Value now = flat(weights), g = flat(gradients);
  const Value uphill = ops::cast(scope.number(sign), g.dtype());

  const std::uint32_t drawn = scope.graph.next_stream;
  const Value g_before = flat(scope.gradients_at(pieces_of(before, scope.parameters)));
  check<ValueError>(scope.graph.next_stream == drawn, scope.owner,
                    ": compares two gradients of a mini-batch; a loss that draws random numbers has no two "
                    "that agree: turn dropout off");

  const Value s = now - before;
  const Value y = (g - g_before) * uphill + ops::cast(scope.number(damping), g.dtype()) * s;
  const Value sy = dot(s, y), yy = dot(y, y), one = ops::scalar_like(sy, 1);
  const Value holds = ops::greater(sy, yy * epsilon_of(g.dtype()));
  const auto newer = [&](MemoryIndex entry, std::size_t age, Value newest) {
    const Value shifted =
        ops::where(holds, age == 0 ? newest : remembered(entry, age - 1), remembered(entry, age));
    scope.assign(scope.memory[entry][age], shifted);
    return shifted;
  };
  std::vector<Pair> pairs;
  for (std::size_t age = 0; age < n_pairs; ++age)
    pairs.push_back(
        {newer(steps, age, s), newer(changes, age, y), newer(rhos, age, one / ops::where(holds, sy, one))});
  const Value first = newer(scale, 0, sy / ops::where(holds, yy, one));
  scope.assign(scope.memory[previous][0], now);

  // Without a pair the step is the gradient, no longer than 1.
  const Value none = ops::equal(pairs[0].rho, ops::scalar_like(one, 0));
  const Value factor = ops::where(none, one / ops::maximum(ops::sqrt(dot(g, g)), one), first);
  Value direction = g;
  optim::two_loops(
      direction, n_pairs, [&](std::size_t i) -> const Pair& { return pairs[i]; }, dot,
      [](Value& q, Value weight, Value x) { q = q + weight * x; },
      [](Value& q, Value weight, Value x) { q = q - weight * x; }, [&](Value& q) { q = q * factor; });
  return pieces_of(direction * uphill, scope.parameters);
}

}  // namespace ravine::train
