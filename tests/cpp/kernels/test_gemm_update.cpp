// The update inside a product against the product and then the update: to the bit, but where the product
// alone would have grouped its sums otherwise.
#include <cmath>
#include <limits>
#include <sstream>

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using kernels::AdamHyper;
using kernels::GemmArgs;
using kernels::GemmUpdateArgs;
using kernels::OptimizerRule;
using kernels::OptimizerStep;
using kernels::ParameterSegment;

struct Extents {
  std::int64_t m, n, k;
};

template <class T>
void check(const KernelTable& table, Extents extents, bool a_transposed, bool b_transposed) {
  const auto [m, n, k] = extents;
  std::ostringstream text;
  text << m << "x" << n << "x" << k << (a_transposed ? " a transposed" : "")
       << (b_transposed ? " b transposed" : "");
  SCOPED_TRACE(text.str());
  const Buffer<T> a = random_buffer<T>(m * k, 1), b = random_buffer<T>(k * n, 2);
  const Buffer<T> parameter = random_buffer<T>(m * n, 3), mean = random_buffer<T>(m * n, 4);
  Buffer<T> square = random_buffer<T>(m * n, 5);
  for (std::int64_t i = 0; i < m * n; ++i) square[i] *= square[i];

  GemmArgs product;
  product.m = m;
  product.n = n;
  product.k = k;
  product.a = {const_cast<T*>(a.data()), a_transposed ? 1 : k, a_transposed ? m : 1};
  product.b = {const_cast<T*>(b.data()), b_transposed ? 1 : n, b_transposed ? k : 1};
  AdamHyper hyper;
  hyper.lr = 0.01;
  hyper.weight_decay = 0.1;
  OptimizerStep step;
  step.hyper = &hyper;
  step.gradient_scale = -0.5;
  const auto update = table.optimizer_functions(OptimizerRule::adam, dtype_of<T>).update;

  // The product in memory, then one update of all.
  Buffer<T> gradient(m * n), expected[3] = {copy_of(parameter), copy_of(mean), copy_of(square)};
  GemmArgs whole = product;
  whole.c = {gradient.data(), n, 1};
  Buffer<T> expected_sums(m), sums(m);
  whole.row_sums = expected_sums.data();
  const auto& kernels = table.of(dtype_of<T>);
  Buffer<std::uint8_t> workspace(static_cast<std::int64_t>(kernels.gemm_workspace(whole)));
  whole.workspace = workspace.data();
  run(table, kernels.gemm, whole);
  ParameterSegment segment;
  segment.parameter = expected[0].data();
  segment.slots[0] = expected[1].data();
  segment.slots[1] = expected[2].data();
  segment.size = m * n;
  update(step, segment, gradient.data(), 0, m * n);

  Buffer<T> results[3] = {Buffer<T>(m * n), Buffer<T>(m * n), Buffer<T>(m * n)};
  GemmUpdateArgs args;
  args.product = product;
  args.product.row_sums = sums.data();
  args.segment.parameter = results[0].data();
  args.segment.slots[0] = results[1].data();
  args.segment.slots[1] = results[2].data();
  args.segment.size = m * n;
  args.update = update;
  args.step = &step;
  run_same_bits(table, kernels.gemm_update, args,
                {results[0].memory(), results[1].memory(), results[2].memory(), sums.memory()}, {}, [&] {
                  std::copy(parameter.begin(), parameter.end(), results[0].begin());
                  std::copy(mean.begin(), mean.end(), results[1].begin());
                  std::copy(square.begin(), square.end(), results[2].begin());
                });
  const double tolerance = b_transposed ? 256 * std::numeric_limits<T>::epsilon() : 0;
  for (int i = 0; i < 3; ++i)
    for (std::int64_t at = 0; at < m * n; ++at)
      ASSERT_NEAR(results[i][at], expected[i][at], tolerance * (1 + std::abs(expected[i][at])))
          << "tensor " << i << ", element " << at;
  expect_close(sums, expected_sums, 0, static_cast<double>(k) * std::numeric_limits<T>::epsilon(), "sums");
}

TEST(GemmUpdate, AsTheProductAndThenTheUpdate) {
  on_every_isa([&](const KernelTable& table) {
    for (const Extents extents : {Extents{1, 1, 1},
                                  {50, 7, 3},
                                  {49, 769, 33},
                                  {130, 1000, 32},
                                  {97, 2000, 5},
                                  {60, 800, 700},
                                  {64, 128, 0}})
      for (const bool a_transposed : {false, true})
        for (const bool b_transposed : {false, true}) {
          check<float>(table, extents, a_transposed, b_transposed);
          check<double>(table, extents, a_transposed, b_transposed);
          if (::testing::Test::HasFailure()) return;
        }
  });
}

TEST(GemmUpdate, NothingChangesAfterAFault) {
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> a = random_buffer<float>(6, 1), b = random_buffer<float>(10, 2);
    Buffer<float> parameter = random_buffer<float>(15, 3);
    const Buffer<float> before = copy_of(parameter);
    kernels::Fault fault;
    fault.code = 1;
    kernels::SgdHyper hyper;
    hyper.lr = 1;
    OptimizerStep step;
    step.hyper = &hyper;
    GemmUpdateArgs args;
    args.product.m = 3;
    args.product.n = 5;
    args.product.k = 2;
    args.product.a = {a.data(), 2, 1};
    args.product.b = {b.data(), 5, 1};
    args.segment.parameter = parameter.data();
    args.segment.size = 15;
    args.update = table.optimizer_functions(OptimizerRule::sgd, DType::float32).update;
    args.step = &step;
    args.fault = &fault;
    run(table, table.float32.gemm_update, args, 2);
    for (std::int64_t i = 0; i < 15; ++i) EXPECT_EQ(parameter[i], before[i]);
    fault.code = 0;
    run(table, table.float32.gemm_update, args, 2);
    EXPECT_NE(parameter[0], before[0]);
  });
}

}  // namespace
}  // namespace ravine::testing
