// Steps of matrices (Adafactor's, Muon's) against their formulas, written here with loops in double.
#include <algorithm>

#include "kernel_test.h"
#include "kernels/api/optimizer.h"
#include "reference.h"

namespace ravine::testing {
namespace {

using kernels::AdafactorHyper;
using kernels::Fault;
using kernels::MatrixShape;
using kernels::MatrixStepArgs;
using kernels::MuonHyper;
using kernels::OptimizerStep;
using kernels::ParameterSegment;

using Numbers = std::vector<double>;

// One parameter as doubles: weights, gradient and what the rule keeps.
struct Exact {
  MatrixShape shape;
  Numbers w, g, first, second;
};

double sum_of_squares(const Numbers& x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return sum;
}

// first: row_var [batch, rows, inner], second: col_var [batch, columns, inner].
void adafactor_reference(const AdafactorHyper& hyper, double machine_eps, double scale, Exact& at) {
  const auto [batch, rows, columns, inner] = at.shape;
  const double least = hyper.machine_eps != 0 ? machine_eps : hyper.eps1;
  Numbers u(at.w.size());
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t i = 0; i < inner; ++i) {
      const auto element = [&](std::int64_t r, std::int64_t c) {
        return static_cast<std::size_t>(((b * rows + r) * columns + c) * inner + i);
      };
      const auto row = [&](std::int64_t r) -> double& {
        return at.first[static_cast<std::size_t>((b * rows + r) * inner + i)];
      };
      const auto column = [&](std::int64_t c) -> double& {
        return at.second[static_cast<std::size_t>((b * columns + c) * inner + i)];
      };
      const auto square = [&](std::int64_t r, std::int64_t c) {
        return std::pow(scale * at.g[element(r, c)], 2);
      };
      double mean_of_rows = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        double mean = 0;
        for (std::int64_t c = 0; c < columns; ++c) mean += square(r, c) / static_cast<double>(columns);
        row(r) += hyper.share * (mean - row(r));
        mean_of_rows += row(r) / static_cast<double>(rows);
      }
      for (std::int64_t c = 0; c < columns; ++c) {
        double mean = 0;
        for (std::int64_t r = 0; r < rows; ++r) mean += square(r, c) / static_cast<double>(rows);
        column(c) += hyper.share * (mean - column(c));
      }
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < columns; ++c) {
          const double variance = row(r) * column(c) / std::max(mean_of_rows, least);
          u[element(r, c)] = scale * at.g[element(r, c)] / std::sqrt(std::max(variance, least * least));
        }
    }
  const double size = static_cast<double>(std::max<std::size_t>(u.size(), 1));
  const double alpha = std::max(std::sqrt(sum_of_squares(at.w) / size), hyper.eps2) * hyper.rate;
  const double bound = std::max(1.0, std::sqrt(sum_of_squares(u) / size) / hyper.d);
  for (std::size_t k = 0; k < u.size(); ++k) at.w[k] = (1 - hyper.decay) * at.w[k] - alpha / bound * u[k];
}

Numbers product(const Numbers& a, const Numbers& b, std::int64_t m, std::int64_t k, std::int64_t n) {
  Numbers c(static_cast<std::size_t>(m * n));
  add_product(m, n, k, MatrixView<double>{a.data(), k, 1}, MatrixView<double>{b.data(), n, 1}, c.data());
  return c;
}
Numbers transposed(const Numbers& a, std::int64_t m, std::int64_t n) {
  Numbers t(a.size());
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      t[static_cast<std::size_t>(j * m + i)] = a[static_cast<std::size_t>(i * n + j)];
  return t;
}

// first: the momentum buffer. Always with x xᵀ, whichever side is longer.
void muon_reference(const MuonHyper& hyper, double, double scale, Exact& at) {
  const std::int64_t m = at.shape.rows, n = at.shape.columns;
  Numbers x(at.w.size());
  for (std::size_t k = 0; k < x.size(); ++k) {
    const double g = scale * at.g[k];
    double& b = at.first[k];
    b = hyper.momentum * b + (1 - hyper.momentum) * g;
    x[k] = hyper.nesterov != 0 ? hyper.momentum * b + (1 - hyper.momentum) * g : b;
  }
  const double norm = std::max(std::sqrt(sum_of_squares(x)), hyper.eps);
  for (double& value : x) value /= norm;
  for (int iteration = 0; iteration < hyper.iterations; ++iteration) {
    const Numbers gram = product(x, transposed(x, m, n), m, n, m), square = product(gram, gram, m, m, m);
    Numbers polynomial(gram.size());
    for (std::size_t k = 0; k < gram.size(); ++k) polynomial[k] = hyper.b * gram[k] + hyper.c * square[k];
    const Numbers moved = product(polynomial, x, m, m, n);
    for (std::size_t k = 0; k < x.size(); ++k) x[k] = hyper.a * x[k] + moved[k];
  }
  const double longer = static_cast<double>(std::max(m, n));
  const double ratio = hyper.match_rms_adamw != 0
                           ? 0.2 * std::sqrt(longer)
                           : std::sqrt(std::max(1.0, static_cast<double>(m) / static_cast<double>(n)));
  for (std::size_t k = 0; k < x.size(); ++k)
    at.w[k] = (1 - hyper.lr * hyper.weight_decay) * at.w[k] - hyper.lr * ratio * x[k];
}

// Parameters with their state, as the kernel has them and as doubles.
template <class T>
struct Model {
  std::vector<MatrixShape> shapes;
  std::vector<Exact> exact;
  std::vector<Buffer<T>> w, g, first, second;
  std::vector<ParameterSegment> segments;
  int first_slot;

  // What the slots have, of a shape: sizes.
  Model(std::span<const MatrixShape> of, int first_slot, std::int64_t (*first_size)(const MatrixShape&),
        std::int64_t (*second_size)(const MatrixShape&))
      : shapes(of.begin(), of.end()), first_slot(first_slot) {
    std::uint64_t seed = 100;
    for (const MatrixShape& shape : shapes) {
      w.push_back(random_buffer<T>(shape.size(), ++seed));
      g.emplace_back(shape.size());
      first.emplace_back(first_size(shape));
      second.emplace_back(second_size(shape));
      std::fill(first.back().begin(), first.back().end(), T(0));
      std::fill(second.back().begin(), second.back().end(), T(0));
      exact.push_back({shape,
                       {w.back().begin(), w.back().end()},
                       {},
                       Numbers(static_cast<std::size_t>(first_size(shape))),
                       Numbers(static_cast<std::size_t>(second_size(shape)))});
    }
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      ParameterSegment segment{.parameter = w[s].data(), .size = shapes[s].size()};
      segment.slots[first_slot] = first[s].data();
      if (second[s].size() > 0) segment.slots[first_slot + 1] = second[s].data();
      segments.push_back(segment);
    }
  }

  void new_gradients(int step) {
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      g[s] = random_buffer<T>(shapes[s].size(), static_cast<std::uint64_t>(step) * 1000 + s);
      segments[s].gradient = g[s].data();
      exact[s].g.assign(g[s].begin(), g[s].end());
    }
  }
  // Whether the workspace is what the kernel asked for is seen by the guards around it.
  void run(const KernelTable& table, kernels::Kernel<MatrixStepArgs> kernel,
           kernels::WorkspaceBytes<MatrixStepArgs> workspace_bytes, const OptimizerStep& step, int threads,
           const Fault* fault = nullptr) {
    MatrixStepArgs args;
    args.step.segments = segments.data();
    args.step.n_segments = std::ssize(segments);
    args.step.step = &step;
    args.shapes = shapes.data();
    args.step.fault = fault;
    Buffer<double> workspace(static_cast<std::int64_t>((workspace_bytes(args) + 7) / sizeof(double)));
    args.step.workspace = workspace.data();
    testing::run(table, kernel, args, threads);
  }
  std::vector<T> values() const {
    std::vector<T> all;
    for (const auto* buffers : {&w, &first, &second})
      for (const Buffer<T>& buffer : *buffers) all.insert(all.end(), buffer.begin(), buffer.end());
    return all;
  }
};

constexpr int steps = 3;

std::int64_t none(const MatrixShape&) { return 0; }
std::int64_t whole(const MatrixShape& shape) { return shape.size(); }
std::int64_t row_means(const MatrixShape& shape) { return shape.batch * shape.rows * shape.inner; }
std::int64_t column_means(const MatrixShape& shape) { return shape.batch * shape.columns * shape.inner; }

// Small ones, batches, cut by rows, by columns, by both, thin ones, inner elements, empty.
constexpr MatrixShape adafactor_shapes[] = {{.rows = 1, .columns = 1},
                                            {.rows = 5, .columns = 17},
                                            {5000, 3, 4, 1},
                                            {.rows = 300, .columns = 130},
                                            {.rows = 5, .columns = 9000},
                                            {2, 40, 1100, 1},
                                            {.rows = 40000, .columns = 1},
                                            {4, 3, 2, 20},
                                            {.rows = 0, .columns = 5},
                                            {3, 1, 33, 1}};
constexpr MatrixShape muon_shapes[] = {
    {.rows = 1, .columns = 1},     {.rows = 5, .columns = 7},    {.rows = 9, .columns = 4},
    {.rows = 130, .columns = 140}, {.rows = 32, .columns = 32},  {.rows = 250, .columns = 101},
    {.rows = 0, .columns = 3},     {.rows = 3, .columns = 6000}, {.rows = 120, .columns = 200}};

// Steps with set_hyper(t) on every ISA and team; the trajectories agree with `reference` and with each other.
template <class T, class Hyper>
void check_steps(std::span<const MatrixShape> shapes, int first_slot,
                 std::int64_t (*first_size)(const MatrixShape&),
                 std::int64_t (*second_size)(const MatrixShape&),
                 kernels::Kernel<MatrixStepArgs> kernels::FloatKernels::*kernel,
                 kernels::WorkspaceBytes<MatrixStepArgs> kernels::FloatKernels::*workspace,
                 Hyper (*set_hyper)(int), double scale,
                 void (*reference)(const Hyper&, double, double, Exact&), double tolerance) {
  const auto new_model = [&] { return Model<T>(shapes, first_slot, first_size, second_size); };
  Model<T> expected = new_model();
  for (int t = 1; t <= steps; ++t) {
    expected.new_gradients(t);
    for (Exact& at : expected.exact)
      reference(set_hyper(t), static_cast<double>(std::numeric_limits<T>::epsilon()), scale, at);
  }
  on_every_isa([&](const KernelTable& table) {
    const kernels::FloatKernels& floats = table.of(dtype_of<T>);
    std::vector<T> first;
    for (const int threads : team_sizes) {
      Model<T> model = new_model();
      for (int t = 1; t <= steps; ++t) {
        const Hyper hyper = set_hyper(t);
        model.new_gradients(t);
        model.run(table, floats.*kernel, floats.*workspace, {.hyper = &hyper, .gradient_scale = scale},
                  threads);
      }
      if (first.empty()) first = model.values();
      EXPECT_TRUE(model.values() == first) << "other bits on " << threads << " threads";
      for (std::size_t s = 0; s < shapes.size(); ++s) {
        const std::string what = "parameter " + std::to_string(s);
        expect_close(model.w[s], expected.exact[s].w, tolerance, tolerance, what);
        expect_close(model.first[s], expected.exact[s].first, tolerance, tolerance, what + "'s first slot");
        expect_close(model.second[s], expected.exact[s].second, tolerance, tolerance,
                     what + "'s second slot");
      }
    }
  });
}

template <class T>
void check_adafactor(AdafactorHyper (*set_hyper)(int), double scale) {
  check_steps<T, AdafactorHyper>(adafactor_shapes, 1, row_means, column_means,
                                 &kernels::FloatKernels::adafactor_matrices,
                                 &kernels::FloatKernels::adafactor_matrices_workspace, set_hyper, scale,
                                 adafactor_reference, sizeof(T) == 4 ? 1e-5 : 1e-13);
}
AdafactorHyper usual_adafactor(int t) {
  return {.rate = 0.3 / t, .share = std::pow(t, -0.8), .d = 1, .decay = 0.05};
}
AdafactorHyper other_adafactor(int t) {
  return {.rate = 0.3, .share = std::pow(t, -0.5), .machine_eps = 0, .eps1 = 0.3, .eps2 = 1, .d = 0.7};
}

TEST(AdafactorOfMatrices, FollowsItsFormulas) {
  check_adafactor<float>(usual_adafactor, 1);
  check_adafactor<double>(usual_adafactor, 1);
  check_adafactor<float>(other_adafactor, -0.5);
  check_adafactor<double>(other_adafactor, -0.5);
}

template <class T>
void check_muon(MuonHyper (*set_hyper)(int), double scale) {
  check_steps<T, MuonHyper>(muon_shapes, 2, whole, none, &kernels::FloatKernels::muon_matrices,
                            &kernels::FloatKernels::muon_matrices_workspace, set_hyper, scale, muon_reference,
                            sizeof(T) == 4 ? 5e-5 : 1e-12);
}
MuonHyper usual_muon(int t) { return {.adam = {}, .lr = 0.1 / t, .weight_decay = 0.5}; }
MuonHyper other_muon(int t) {
  return {.adam = {},
          .lr = 0.02 * t,
          .momentum = 0.3,
          .nesterov = 0,
          .a = 2,
          .b = -1.5,
          .c = 0.5,
          .iterations = 3,
          .match_rms_adamw = 1};
}

TEST(MuonOfMatrices, FollowsItsFormulas) {
  check_muon<float>(usual_muon, 1);
  check_muon<double>(usual_muon, 1);
  check_muon<float>(other_muon, -0.5);
  check_muon<double>(other_muon, -0.5);
}

// One step of both rules on one matrix [2, 3], with all that may come around it.
struct Small {
  Model<double> adafactor, muon;
  AdafactorHyper adafactor_hyper{.rate = 0.5};
  MuonHyper muon_hyper{.adam = {}, .lr = 0.5};
  static constexpr MatrixShape shape[] = {{.rows = 2, .columns = 3}};

  Small() : adafactor(shape, 1, row_means, column_means), muon(shape, 2, whole, none) {
    adafactor.new_gradients(1), muon.new_gradients(1);
  }
  void run(const KernelTable& table, OptimizerStep step, const Fault* fault = nullptr) {
    step.hyper = &adafactor_hyper;
    adafactor.run(table, table.float64.adafactor_matrices, table.float64.adafactor_matrices_workspace, step,
                  2, fault);
    step.hyper = &muon_hyper;
    muon.run(table, table.float64.muon_matrices, table.float64.muon_matrices_workspace, step, 2, fault);
  }
};

TEST(MatrixSteps, NothingChangesAfterAFault) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int32_t code : {7, 0}) {
      Fault fault;
      fault.code = code;
      Small small;
      const auto adafactor = small.adafactor.values(), muon = small.muon.values();
      small.run(table, {}, &fault);
      EXPECT_EQ(small.adafactor.values() == adafactor, code != 0);
      EXPECT_EQ(small.muon.values() == muon, code != 0);
    }
  });
}

TEST(MatrixSteps, BoundGradientsByValue) {
  on_every_isa([](const KernelTable& table) {
    Small bounded, clipped;
    bounded.run(table, {.clip_value = 0.25});
    for (Model<double>* model : {&clipped.adafactor, &clipped.muon})
      for (double& g : model->g[0]) g = std::clamp(g, -0.25, 0.25);
    clipped.run(table, {});
    EXPECT_EQ(bounded.adafactor.values(), clipped.adafactor.values());
    EXPECT_EQ(bounded.muon.values(), clipped.muon.values());
  });
}

TEST(MatrixSteps, AverageAndSlowWeightsFollow) {
  on_every_isa([](const KernelTable& table) {
    Small plain, followed;
    plain.run(table, {});
    std::vector<Buffer<double>> extra;
    for (Model<double>* model : {&followed.adafactor, &followed.muon})
      for (const int slot : {kernels::average_slot, kernels::slow_slot}) {
        extra.push_back(random_buffer<double>(6, 40 + extra.size()));
        model->segments[0].slots[slot] = extra.back().data();
      }
    std::vector<std::vector<double>> before;
    for (const Buffer<double>& buffer : extra) before.emplace_back(buffer.begin(), buffer.end());
    followed.run(table, {.slow_weight = 0.5, .average_weight = 0.25});
    for (std::size_t rule = 0; rule < 2; ++rule) {
      const Buffer<double>& moved = (rule == 0 ? plain.adafactor : plain.muon).w[0];
      const Buffer<double>& end = (rule == 0 ? followed.adafactor : followed.muon).w[0];
      for (std::int64_t i = 0; i < 6; ++i) {
        const auto k = static_cast<std::size_t>(i);
        const double slow = before[2 * rule + 1][k], average = before[2 * rule][k];
        EXPECT_NEAR(end[i], slow + 0.5 * (moved[i] - slow), 1e-15);
        EXPECT_EQ(extra[2 * rule + 1][i], end[i]);
        EXPECT_NEAR(extra[2 * rule][i], average + 0.25 * (end[i] - average), 1e-15);
      }
    }
  });
}

TEST(AdafactorOfMatrices, ZeroGradientsMoveNothing) {
  on_every_isa([](const KernelTable& table) {
    for (const double eps1 : {0.0, 1e-30}) {
      Small small;
      small.adafactor_hyper.machine_eps = 0, small.adafactor_hyper.eps1 = eps1;
      std::fill(small.adafactor.g[0].begin(), small.adafactor.g[0].end(), 0);
      const auto before = small.adafactor.values();
      small.run(table, {});
      EXPECT_EQ(small.adafactor.values(), before);
    }
  });
}

}  // namespace
}  // namespace ravine::testing
