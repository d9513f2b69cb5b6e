// Optimizer steps against torch.optim's documented formulas, written here element by element in double.
#include "kernels/api/optimizer.h"

#include <algorithm>

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using kernels::AdamHyper;
using kernels::Fault;
using kernels::OptimizerArgs;
using kernels::OptimizerFunctions;
using kernels::OptimizerRule;
using kernels::OptimizerStep;
using kernels::OptimizerUpdate;
using kernels::ParameterSegment;
using kernels::SgdHyper;

// One element's parameter and slots; returns the new parameter.
double sgd_reference(const SgdHyper& hyper, double p, double g, double* slots) {
  if (hyper.weight_decay != 0) g = g + hyper.weight_decay * p;
  if (hyper.momentum != 0) {
    slots[0] = hyper.first_step != 0 ? g : hyper.momentum * slots[0] + (1 - hyper.dampening) * g;
    g = hyper.nesterov != 0 ? g + hyper.momentum * slots[0] : slots[0];
  }
  return p - hyper.lr * g;
}

double adam_reference(const AdamHyper& hyper, double p, double g, double* slots) {
  if (hyper.decoupled != 0) p = p * (1 - hyper.lr * hyper.weight_decay);
  else g = g + hyper.weight_decay * p;
  slots[0] = hyper.beta1 * slots[0] + (1 - hyper.beta1) * g;
  slots[1] = hyper.beta2 * slots[1] + (1 - hyper.beta2) * g * g;
  double second = slots[1];
  if (hyper.amsgrad != 0) second = slots[2] = std::max(slots[2], slots[1]);
  const double denominator = std::sqrt(second) / std::sqrt(hyper.bias_correction2) + hyper.eps;
  return p - hyper.lr / hyper.bias_correction1 * slots[0] / denominator;
}

// Sizes that end inside a vector, are empty, and span several pieces of the kernel.
constexpr std::int64_t segment_sizes[] = {1, 0, 17, 8192, 3, 9001, 64, 5};

// What the step changes: for each segment the parameter and the slots, and beside them the doubles they
// should be.
template <class T>
struct Model {
  struct Tensor {
    Buffer<T> value;
    std::vector<double> expected;
  };
  std::vector<Tensor> tensors;  // per segment: parameter, slot 0, ...
  std::vector<Buffer<T>> gradients;
  std::vector<ParameterSegment> segments;
  int n_slots;

  Model(int n_slots, bool poisoned_slots) : n_slots(n_slots) {
    std::uint64_t seed = 1;
    for (const std::int64_t size : segment_sizes) {
      tensors.push_back({random_buffer<T>(size, ++seed), {}});
      for (int slot = 0; slot < n_slots; ++slot) {
        Buffer<T> zeros(size);
        if (!poisoned_slots) std::fill(zeros.begin(), zeros.end(), T(0));
        tensors.push_back({std::move(zeros), {}});
      }
      gradients.emplace_back(size);
      ParameterSegment segment{tensors[tensors.size() - static_cast<std::size_t>(n_slots) - 1].value.data(),
                               gradients.back().data(),
                               {},
                               size};
      for (int slot = 0; slot < n_slots; ++slot)
        segment.slots[slot] = tensors[tensors.size() - static_cast<std::size_t>(n_slots - slot)].value.data();
      segments.push_back(segment);
    }
    for (Tensor& tensor : tensors) tensor.expected.assign(tensor.value.begin(), tensor.value.end());
  }

  Tensor& tensor(std::size_t segment, int index) {
    return tensors[segment * static_cast<std::size_t>(n_slots + 1) + static_cast<std::size_t>(index)];
  }

  void new_gradients(std::uint64_t seed) {
    for (Buffer<T>& gradient : gradients) gradient = random_buffer<T>(gradient.size(), ++seed * 77);
    for (std::size_t s = 0; s < segments.size(); ++s) segments[s].gradient = gradients[s].data();
  }

  void run(const KernelTable& table, OptimizerRule rule, const OptimizerStep& step, int threads = 1,
           const Fault* fault = nullptr) {
    const OptimizerArgs args{segments.data(), std::ssize(segments),
                             table.optimizer_functions(rule, dtype_of<T>), &step, fault};
    testing::run(table, table.of(dtype_of<T>).optimizer_step, args, threads);
  }

  template <class Hyper>
  void step_reference(double (*reference)(const Hyper&, double, double, double*), const Hyper& hyper,
                      double gradient_scale) {
    for (std::size_t s = 0; s < segments.size(); ++s)
      for (std::size_t i = 0; i < static_cast<std::size_t>(segments[s].size); ++i) {
        double slots[kernels::max_slots] = {};
        for (int slot = 0; slot < n_slots; ++slot) slots[slot] = tensor(s, slot + 1).expected[i];
        double& p = tensor(s, 0).expected[i];
        const double g = static_cast<double>(gradients[s][static_cast<std::int64_t>(i)]);
        p = reference(hyper, p, gradient_scale * g, slots);
        for (int slot = 0; slot < n_slots; ++slot) tensor(s, slot + 1).expected[i] = slots[slot];
      }
  }

  std::vector<T> values() const {
    std::vector<T> all;
    for (const Tensor& tensor : tensors) all.insert(all.end(), tensor.value.begin(), tensor.value.end());
    return all;
  }
};

// Runs some steps on every ISA and on teams of these sizes; set_hyper(t) gives the hyperparameters of step
// t = 1, 2, ...
template <class T, class SetHyper, class Hyper>
void check_trajectory(OptimizerRule rule, std::span<const int> teams, int n_slots, bool poisoned_slots,
                      double gradient_scale, SetHyper set_hyper,
                      double (*reference)(const Hyper&, double, double, double*)) {
  constexpr int steps = 4;
  on_every_isa([&](const KernelTable& table) {
    std::vector<T> first;
    for (const int threads : teams) {
      Model<T> model(n_slots, poisoned_slots);
      for (int t = 1; t <= steps; ++t) {
        const Hyper hyper = set_hyper(t);
        model.new_gradients(static_cast<std::uint64_t>(t) * 1000);
        model.run(table, rule, {.hyper = &hyper, .gradient_scale = gradient_scale}, threads);
        model.step_reference(reference, hyper, gradient_scale);
      }
      if (first.empty()) first = model.values();
      else EXPECT_EQ(model.values(), first) << "other bits on " << threads << " threads";
      const double tolerance = sizeof(T) == 4 ? 2e-6 : 2e-14;
      for (std::size_t i = 0; i < model.tensors.size(); ++i)
        expect_close(model.tensors[i].value, model.tensors[i].expected, tolerance, tolerance,
                     "tensor " + std::to_string(i));
    }
  });
}

// The division among threads is the same for all hyperparameters, so one test has all team sizes.
constexpr int one_thread[] = {1};

template <class T>
void check_sgd(const SgdHyper& hyper, std::span<const int> teams, double gradient_scale = 1) {
  check_trajectory<T>(
      OptimizerRule::sgd, teams, hyper.momentum != 0 ? 1 : 0, /*poisoned_slots=*/true, gradient_scale,
      [&](int t) {
        SgdHyper now = hyper;
        now.lr = hyper.lr / t;
        now.first_step = t == 1;
        return now;
      },
      sgd_reference);
}

template <class T>
void check_adam(const AdamHyper& hyper, std::span<const int> teams, double gradient_scale = 1) {
  check_trajectory<T>(
      OptimizerRule::adam, teams, hyper.amsgrad != 0 ? 3 : 2, /*poisoned_slots=*/false, gradient_scale,
      [&](int t) {
        AdamHyper now = hyper;
        now.bias_correction1 = 1 - std::pow(hyper.beta1, t);
        now.bias_correction2 = 1 - std::pow(hyper.beta2, t);
        return now;
      },
      adam_reference);
}

TEST(Optimizer, Sgd) {
  for (const double momentum : {0.0, 0.9})
    for (const double nesterov : {0.0, 1.0})
      for (const double weight_decay : {0.0, 0.1})
        for (const double scale : {1.0, -0.5}) {
          SCOPED_TRACE(::testing::Message() << "momentum " << momentum << " nesterov " << nesterov
                                            << " decay " << weight_decay << " scale " << scale);
          const double dampening = nesterov != 0 ? 0 : 0.25;
          check_sgd<float>({0.1, momentum, dampening, weight_decay, nesterov, 0}, one_thread, scale);
          check_sgd<double>({0.1, momentum, dampening, weight_decay, nesterov, 0}, one_thread, scale);
        }
}

TEST(Optimizer, SameBitsOnEveryTeam) {
  const SgdHyper sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1};
  check_sgd<float>(sgd, team_sizes);
  check_sgd<double>(sgd, team_sizes);
  const AdamHyper adam{.lr = 1e-2, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1, .amsgrad = 1};
  check_adam<float>(adam, team_sizes);
  check_adam<double>(adam, team_sizes);
}

// ---- every rule of the list

// Numbers that let every part of the formula act.
template <class Hyper>
Hyper lively() {
  Hyper hyper;
  if constexpr (requires { hyper.lr; }) hyper.lr = 0.1;
  if constexpr (requires { hyper.eta; }) hyper.eta = 0.1, hyper.mu = 0.5;
  if constexpr (requires { hyper.rate; }) hyper.rate = 0.1, hyper.share = 0.5;
  if constexpr (requires { hyper.weight_decay; }) hyper.weight_decay = 0.1;
  if constexpr (requires { hyper.momentum; }) hyper.momentum = 0.9;
  if constexpr (requires { hyper.nesterov; }) hyper.nesterov = 1;
  if constexpr (requires { hyper.amsgrad; }) hyper.amsgrad = 1;
  if constexpr (requires { hyper.centered; }) hyper.centered = 1;
  if constexpr (requires { hyper.gradient_share; }) hyper.gradient_share = hyper.average_share = 0.5;
  if constexpr (requires { hyper.rectification; }) hyper.rectification = 0.7;
  if constexpr (requires { hyper.average_weight; }) hyper.average_weight = 0.3;
  return hyper;
}

// visit(rule, hyper) for every rule whose parts can be cut anywhere.
template <class Visit>
void for_every_rule(Visit visit) {
#define RAVINE_VISIT(name, Hyper)                          \
  {                                                        \
    SCOPED_TRACE(#name);                                   \
    const kernels::Hyper hyper = lively<kernels::Hyper>(); \
    visit(OptimizerRule::name, &hyper);                    \
  }
  RAVINE_ELEMENTWISE_RULES(RAVINE_VISIT)
  RAVINE_LAYERWISE_RULES(RAVINE_VISIT)
#undef RAVINE_VISIT
}

// A parameter of random numbers, with all slots; later slots are smaller, so that a mean of squares is above
// the square of a mean.
template <class T>
struct Parameter {
  std::vector<Buffer<T>> tensors;  // parameter, slots
  Buffer<T> gradient;
  ParameterSegment segment;

  explicit Parameter(std::int64_t size, std::uint64_t seed) : gradient(random_buffer<T>(size, seed + 99)) {
    for (int i = 0; i <= kernels::max_slots; ++i)
      tensors.push_back(
          random_buffer<T>(size, seed + static_cast<std::uint64_t>(i), 0.5 / (i + 1), 1.0 / (i + 1)));
    segment = {.parameter = tensors[0].data(), .gradient = gradient.data(), .size = size};
    for (std::size_t slot = 0; slot < std::size(segment.slots); ++slot)
      segment.slots[slot] = tensors[slot + 1].data();
  }
  void append_to(std::vector<T>& all) const {
    for (const Buffer<T>& tensor : tensors) all.insert(all.end(), tensor.begin(), tensor.end());
  }
};

template <class T>
void check_every_cut() {
  constexpr std::int64_t size = 3007;
  for_every_rule([](OptimizerRule rule, const void* hyper) {
    on_every_isa([&](const KernelTable& table) {
      const OptimizerUpdate update = table.optimizer_functions(rule, dtype_of<T>).update;
      std::vector<T> whole;
      for (const std::int64_t longest : {size, std::int64_t{1}, std::int64_t{50}, std::int64_t{900}}) {
        Parameter<T> parameter(size, 3);
        parameter.segment.sums[0] = 2, parameter.segment.sums[1] = 3;
        std::vector<T> all;
        const OptimizerStep step{.hyper = hyper};
        std::mt19937 engine(7);
        for (std::int64_t offset = 0, count = 0; offset < size; offset += count) {
          count = std::min(size - offset,
                           longest == size ? size : 1 + static_cast<std::int64_t>(engine()) % longest);
          update(step, parameter.segment, parameter.gradient.data() + offset, offset, count);
        }
        parameter.append_to(all);
        if (whole.empty()) whole = all;
        EXPECT_TRUE(all == whole) << "parts of up to " << longest;
      }
      std::vector<T> before;
      Parameter<T>(size, 3).append_to(before);
      EXPECT_FALSE(std::equal(before.begin(), before.begin() + size, whole.begin())) << "nothing was updated";
    });
  });
}

TEST(OptimizerRules, SameBitsForEveryCut) {
  check_every_cut<float>();
  check_every_cut<double>();
}

template <class T>
void check_every_team() {
  for_every_rule([](OptimizerRule rule, const void* hyper) {
    on_every_isa([&](const KernelTable& table) {
      std::vector<T> expected;
      for (const int threads : team_sizes) {
        std::vector<Parameter<T>> parameters;
        std::vector<ParameterSegment> segments;
        for (const std::int64_t size : segment_sizes) {
          parameters.emplace_back(size, static_cast<std::uint64_t>(size));
          segments.push_back(parameters.back().segment);
        }
        const OptimizerStep step{.hyper = hyper};
        OptimizerArgs args{segments.data(),
                           std::ssize(segments),
                           table.optimizer_functions(rule, dtype_of<T>),
                           &step,
                           nullptr,
                           nullptr};
        Buffer<double> workspace(
            static_cast<std::int64_t>(table.of(dtype_of<T>).optimizer_step_workspace(args) / sizeof(double)));
        EXPECT_EQ(workspace.size() > 0, args.functions.measure != nullptr);
        args.workspace = workspace.data();
        run(table, table.of(dtype_of<T>).optimizer_step, args, threads);
        std::vector<T> all;
        for (const Parameter<T>& parameter : parameters) parameter.append_to(all);
        if (expected.empty()) expected = all;
        EXPECT_TRUE(all == expected) << "other bits on " << threads << " threads";
        EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](T x) { return std::isfinite(x); }));
      }
    });
  });
}

TEST(OptimizerRules, SameBitsOnEveryTeam) {
  check_every_team<float>();
  check_every_team<double>();
}

// ---- around the rules

TEST(GradientNorm, SumsOfSquaresOfWholeParameters) {
  const auto check = [&]<class T>(T) {
    on_every_isa([](const KernelTable& table) {
      std::vector<Buffer<T>> gradients;
      std::vector<ParameterSegment> segments;
      for (const std::int64_t size : segment_sizes) {
        gradients.push_back(random_buffer<T>(size, static_cast<std::uint64_t>(size) + 5, -3, 3));
        segments.push_back({.gradient = gradients.back().data(), .size = size});
      }
      for (const double clip_value : {std::numeric_limits<double>::infinity(), 0.75}) {
        std::vector<double> expected;
        for (const Buffer<T>& gradient : gradients) {
          double square = 0;
          for (const T g : gradient) {
            const double clipped = std::clamp(static_cast<double>(g), -clip_value, clip_value);
            square += clipped * clipped;
          }
          expected.push_back(square);
        }
        Buffer<double> squares(std::ssize(segments));
        kernels::GradientNormArgs args{
            segments.data(), std::ssize(segments), &clip_value, squares.data(), nullptr, nullptr};
        const auto& floats = table.of(dtype_of<T>);
        Buffer<double> workspace(
            static_cast<std::int64_t>(floats.gradient_norm_workspace(args) / sizeof(double)));
        args.workspace = workspace.data();
        run_same_bits(table, floats.gradient_norm, args, {squares.memory()}, {workspace.memory()});
        expect_close(squares, expected, 1e-13, 0);
      }
    });
  };
  check(float{});
  check(double{});
}

TEST(GradientNorm, NoSegments) {
  on_every_isa([](const KernelTable& table) {
    const double clip_value = 1;
    kernels::GradientNormArgs args{nullptr, 0, &clip_value, nullptr, nullptr, nullptr};
    EXPECT_EQ(table.float32.gradient_norm_workspace(args), 0u);
    run(table, table.float32.gradient_norm, args, 3);
  });
}

// One step of plain descent with lr 1 on gradients of one number each, with sums of squares given.
struct Descent {
  Buffer<double> p{10, 20}, g{3, 4}, q{30}, h{12};
  Buffer<double> squares{9 + 16, 144};
  std::vector<ParameterSegment> segments{{.parameter = p.data(), .gradient = g.data(), .size = 2},
                                         {.parameter = q.data(), .gradient = h.data(), .size = 1}};
  kernels::SgdHyper hyper{.lr = 1};
  OptimizerStep step{.hyper = &hyper};

  void run(const KernelTable& table) {
    const OptimizerArgs args{
        segments.data(), 2,       table.optimizer_functions(OptimizerRule::sgd, DType::float64),
        &step,           nullptr, nullptr,
        squares.data(),  2,       0};
    testing::run(table, table.float64.optimizer_step, args, 2);
  }
};

TEST(OptimizerStep, ClipsByValueAndNorms) {
  on_every_isa([](const KernelTable& table) {
    Descent by_value;
    by_value.step.clip_value = 3.5;
    by_value.run(table);
    expect_close(by_value.p, std::vector<double>{7, 16.5}, 1e-15, 0);
    expect_close(by_value.q, std::vector<double>{26.5}, 1e-15, 0);
    Descent by_norm;  // 5 and 12 become 5 and 6
    by_norm.step.clip_norm = 6;
    by_norm.run(table);
    expect_close(by_norm.p, std::vector<double>{7, 16}, 1e-15, 0);
    expect_close(by_norm.q, std::vector<double>{30 - 12 * 6 / (12 + 1e-6)}, 1e-15, 0);
    Descent together;  // 13 becomes 6.5
    together.step.clip_global_norm = 6.5;
    together.step.gradient_scale = -1;
    together.run(table);
    const double factor = 6.5 / (13 + 1e-6);
    expect_close(together.p, std::vector<double>{10 + 3 * factor, 20 + 4 * factor}, 1e-15, 0);
    expect_close(together.q, std::vector<double>{30 + 12 * factor}, 1e-15, 0);
  });
}

TEST(OptimizerStep, SkipsWhatIsNotFinite) {
  on_every_isa([](const KernelTable& table) {
    for (const double bad :
         {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
      for (const double skip : {1.0, 0.0}) {
        Descent descent;
        descent.squares[1] = bad;
        descent.step.skip_nonfinite = skip;
        descent.run(table);
        EXPECT_EQ(descent.p[0], skip != 0 ? 10 : 7);
      }
  });
}

TEST(OptimizerStep, AveragesAndSlowWeights) {
  on_every_isa([](const KernelTable& table) {
    Descent descent;
    Buffer<double> average{0, 100}, slow{4, 8};
    descent.segments[0].slots[kernels::average_slot] = average.data();
    descent.segments[0].slots[kernels::slow_slot] = slow.data();
    descent.step.average_weight = 0.25;
    descent.run(table);  // p = 7, 16
    expect_close(average, std::vector<double>{1.75, 79}, 1e-15, 0);
    expect_close(slow, std::vector<double>{4, 8}, 0, 0);
    descent.step.average_weight = 1;
    descent.step.slow_weight = 0.5;
    descent.run(table);  // p = 4, 12, and half way back
    expect_close(slow, std::vector<double>{4, 10}, 1e-15, 0);
    expect_close(descent.p, std::vector<double>{4, 10}, 1e-15, 0);
    expect_close(average, std::vector<double>{4, 10}, 1e-15, 0);
    expect_close(descent.q, std::vector<double>{6}, 1e-15, 0);
  });
}

TEST(OptimizerRules, LarsTakesTheNormsOfWholeParameters) {
  on_every_isa([](const KernelTable& table) {
    // |p|^2 = 9 20000, |g|^2 = 16 20000; and a parameter that is zero, whose ratio is 1.
    constexpr std::int64_t size = 20000;
    Buffer<double> p(size), g(size), b(size), zero(3), g3(3), b3(3);
    std::fill(p.begin(), p.end(), 3), std::fill(g.begin(), g.end(), -4), std::fill(b.begin(), b.end(), 0);
    std::fill(zero.begin(), zero.end(), 0), std::fill(g3.begin(), g3.end(), 1),
        std::fill(b3.begin(), b3.end(), 0);
    const kernels::LarsHyper hyper{.lr = 0.5, .momentum = 0, .trust_coefficient = 0.1};
    const OptimizerStep step{.hyper = &hyper};
    const ParameterSegment segments[] = {{zero.data(), g3.data(), {b3.data()}, 3},
                                         {p.data(), g.data(), {b.data()}, size}};
    OptimizerArgs args{segments, 2, table.optimizer_functions(OptimizerRule::lars, DType::float64), &step};
    Buffer<double> workspace(
        static_cast<std::int64_t>(table.float64.optimizer_step_workspace(args) / sizeof(double)));
    args.workspace = workspace.data();
    run(table, table.float64.optimizer_step, args, 2);
    expect_close(p, std::vector<double>(size, 3 + 0.5 * 0.1 * 3 / 4 * 4), 1e-14, 0);
    expect_close(zero, std::vector<double>(3, -0.5), 1e-14, 0);
  });
}

TEST(Optimizer, SgdWithoutMomentumTouchesNoSlot) {
  on_every_isa([](const KernelTable& table) {
    Buffer<float> parameter{1, 2, 3}, gradient{1, 1, 1};
    const SgdHyper hyper{0.5};
    const OptimizerStep step{.hyper = &hyper};
    const ParameterSegment segment{parameter.data(), gradient.data(), {}, 3};
    const OptimizerFunctions functions = table.optimizer_functions(OptimizerRule::sgd, DType::float32);
    run(table, table.float32.optimizer_step, OptimizerArgs{&segment, 1, functions, &step, nullptr});
    expect_close(parameter, std::vector<double>{0.5, 1.5, 2.5}, 0, 0);
  });
}

TEST(Optimizer, Adam) {
  const auto check = [](const AdamHyper& hyper, double scale) {
    SCOPED_TRACE(::testing::Message()
                 << "decoupled " << hyper.decoupled << " decay " << hyper.weight_decay << " scale " << scale
                 << " amsgrad " << hyper.amsgrad << " beta1 " << hyper.beta1);
    check_adam<float>(hyper, one_thread, scale);
    check_adam<double>(hyper, one_thread, scale);
  };
  const AdamHyper usual{.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3};
  for (const double decoupled : {0.0, 1.0})
    for (const double weight_decay : {0.0, 0.1})
      for (const double scale : {1.0, -0.5})
        for (const double amsgrad : {0.0, 1.0}) {
          AdamHyper hyper = usual;
          hyper.decoupled = decoupled, hyper.weight_decay = weight_decay;
          hyper.amsgrad = amsgrad;
          check(hyper, scale);
        }
  for (const double beta1 : {0.0, 0.3}) {  // the gradient weighs more than the average
    AdamHyper hyper = usual;
    hyper.beta1 = beta1;
    check(hyper, 1);
  }
}

TEST(Optimizer, AmsgradKeepsNaN) {
  on_every_isa([](const KernelTable& table) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    Buffer<float> parameter{1, 1}, gradient{nan, 1}, m{0, 0}, v{0, 0}, highest{5, nan};
    const AdamHyper hyper{.lr = 0.1, .amsgrad = 1, .bias_correction1 = 0.1, .bias_correction2 = 0.001};
    const ParameterSegment segment{
        parameter.data(), gradient.data(), {m.data(), v.data(), highest.data()}, 2};
    table.optimizer_functions(OptimizerRule::adam, DType::float32)
        .update({.hyper = &hyper}, segment, gradient.data(), 0, 2);
    EXPECT_TRUE(std::isnan(highest[0]) && std::isnan(highest[1]));
    EXPECT_TRUE(std::isnan(parameter[0]) && std::isnan(parameter[1]));
  });
}

TEST(Optimizer, NothingChangesAfterAFault) {
  on_every_isa([](const KernelTable& table) {
    Fault fault;
    for (const std::int32_t code : {7, 0}) {
      fault.code = code;
      Model<float> model(2, /*poisoned_slots=*/false);
      model.new_gradients(5);
      const std::vector<float> before = model.values();
      const AdamHyper adam{.lr = 0.1, .bias_correction1 = 0.1, .bias_correction2 = 0.001};
      model.run(table, OptimizerRule::adam, {.hyper = &adam}, 2, &fault);
      EXPECT_EQ(model.values() == before, code != 0);
    }
  });
}

TEST(Optimizer, NoSegments) {
  on_every_isa([](const KernelTable& table) {
    const SgdHyper hyper{0.1};
    const OptimizerStep step{.hyper = &hyper};
    for (const DType dtype : {DType::float32, DType::float64})
      run(table, table.of(dtype).optimizer_step,
          OptimizerArgs{nullptr, 0, table.optimizer_functions(OptimizerRule::sgd, dtype), &step, nullptr}, 3);
  });
}

}  // namespace
}  // namespace ravine::testing
