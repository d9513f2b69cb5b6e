// Optimizer steps. The formulas and their order are those of torch.optim, so that trajectories agree to
// rounding.
#include "kernels/optimizer.h"

#include "kernels/table.h"
#include "kernels/vector_loop.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// Segments lie in one imagined row, each beginning at a multiple of `granule` elements; the row is cut every
// `piece` elements. So cuts depend on sizes alone, and a cut inside an aligned segment is aligned too.
constexpr std::int64_t granule = 64;
constexpr std::int64_t piece = 1 << 13;

template <class Update>
RAVINE_INLINE void for_each_part(const OptimizerArgs& args, const Team& team, Update update) {
  if (args.fault != nullptr && args.fault->code != 0) return;
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

template <class T>
RAVINE_INLINE T* at(void* base, std::int64_t offset) {
  return static_cast<T*>(base) + offset;
}

}  // namespace

// g = +-gradient + weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr (b, or g + momentum b for
// nesterov)
template <class T>
void sgd(const OptimizerArgs& args, const Team& team) {
  const SgdHyper hyper = *static_cast<const SgdHyper*>(args.hyper);
  const bool with_decay = hyper.weight_decay != 0, with_momentum = hyper.momentum != 0;
  const bool first_step = hyper.first_step != 0, nesterov = hyper.nesterov != 0;
  const Vec<T> sign = splat(static_cast<T>(hyper.maximize != 0 ? -1 : 1));
  const Vec<T> lr = splat(static_cast<T>(hyper.lr));
  const Vec<T> momentum = splat(static_cast<T>(hyper.momentum));
  const Vec<T> intake = splat(static_cast<T>(1 - hyper.dampening));
  const Vec<T> weight_decay = splat(static_cast<T>(hyper.weight_decay));

  for_each_part(args, team, [&](const ParameterSegment& segment, std::int64_t offset, std::int64_t count) {
    T* parameter = at<T>(segment.parameter, offset);
    const T* gradient = static_cast<const T*>(segment.gradient) + offset;
    T* buffer = with_momentum ? at<T>(segment.slots[0], offset) : nullptr;
    for_each_vector<T>(count, [&](std::int64_t i, auto n) {
      const Vec<T> p = load(parameter + i, n);
      Vec<T> g = sign * load(gradient + i, n);
      if (with_decay) g += weight_decay * p;
      if (with_momentum) {
        const Vec<T> b = first_step ? g : momentum * load(buffer + i, n) + intake * g;
        store(buffer + i, b, n);
        g = nesterov ? g + momentum * b : b;
      }
      store(parameter + i, p - lr * g, n);
    });
  });
}
template void sgd<float>(const OptimizerArgs&, const Team&);
template void sgd<double>(const OptimizerArgs&, const Team&);

// m = lerp(m, g, 1 - beta1);  v = beta2 v + (1 - beta2) g^2;
// p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with the maximum of all v in place of v
// for amsgrad
template <class T>
void adam(const OptimizerArgs& args, const Team& team) {
  const AdamHyper hyper = *static_cast<const AdamHyper*>(args.hyper);
  const bool coupled = hyper.weight_decay != 0 && hyper.decoupled == 0;
  const bool decoupled = hyper.weight_decay != 0 && hyper.decoupled != 0;
  const bool amsgrad = hyper.amsgrad != 0;
  const bool intake_is_small = 1 - hyper.beta1 < 0.5;  // lerp starts from the nearer end
  const Vec<T> sign = splat(static_cast<T>(hyper.maximize != 0 ? -1 : 1));
  const Vec<T> weight_decay = splat(static_cast<T>(hyper.weight_decay));
  const Vec<T> shrink = splat(static_cast<T>(1 - hyper.lr * hyper.weight_decay));
  const Vec<T> beta1 = splat(static_cast<T>(hyper.beta1)), intake1 = splat(static_cast<T>(1 - hyper.beta1));
  const Vec<T> beta2 = splat(static_cast<T>(hyper.beta2)), intake2 = splat(static_cast<T>(1 - hyper.beta2));
  const Vec<T> eps = splat(static_cast<T>(hyper.eps));
  const Vec<T> step_size = splat(static_cast<T>(hyper.lr / hyper.bias_correction1));
  const Vec<T> root_scale = splat(static_cast<T>(1 / __builtin_sqrt(hyper.bias_correction2)));

  for_each_part(args, team, [&](const ParameterSegment& segment, std::int64_t offset, std::int64_t count) {
    T* parameter = at<T>(segment.parameter, offset);
    const T* gradient = static_cast<const T*>(segment.gradient) + offset;
    T* exp_avg = at<T>(segment.slots[0], offset);
    T* exp_avg_sq = at<T>(segment.slots[1], offset);
    T* max_exp_avg_sq = amsgrad ? at<T>(segment.slots[2], offset) : nullptr;
    for_each_vector<T>(count, [&](std::int64_t i, auto n) {
      Vec<T> p = load(parameter + i, n);
      Vec<T> g = sign * load(gradient + i, n);
      if (coupled) g += weight_decay * p;
      if (decoupled) p *= shrink;
      Vec<T> m = load(exp_avg + i, n);
      m = intake_is_small ? m + intake1 * (g - m) : g - beta1 * (g - m);
      store(exp_avg + i, m, n);
      Vec<T> v = beta2 * load(exp_avg_sq + i, n) + intake2 * (g * g);
      store(exp_avg_sq + i, v, n);
      if (amsgrad) {
        v = maximum(load(max_exp_avg_sq + i, n), v);
        store(max_exp_avg_sq + i, v, n);
      }
      const Vec<T> denominator = square_root<T>(v) * root_scale + eps;
      store(parameter + i, p - step_size * m / denominator, n);
    });
  });
}
template void adam<float>(const OptimizerArgs&, const Team&);
template void adam<double>(const OptimizerArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
