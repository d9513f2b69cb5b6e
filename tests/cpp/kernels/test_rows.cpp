// Sums of rows by index, and updates of single rows, against plain loops.
#include <algorithm>
#include <cmath>
#include <map>

#include "kernel_test.h"
#include "kernels/api/gather.h"
#include "kernels/api/optimizer.h"

namespace ravine::testing {
namespace {

using namespace kernels;

struct Extents {
  std::int64_t count, inner, extent;
};
constexpr Extents extents[] = {{1, 1, 1},    {7, 3, 1},       {37, 1, 10},      {200, 33, 50},
                               {300, 16, 7}, {500, 5, 70000}, {40, 8, 1 << 24}, {64, 0, 9}};

template <class T>
void check_coalesce(const Extents& e) {
  SCOPED_TRACE(::testing::Message() << e.count << " rows of " << e.inner << " to " << e.extent);
  const Buffer<T> source = random_buffer<T>(e.count * e.inner, 1);
  Buffer<std::int64_t> indices = random_buffer<std::int64_t>(e.count, 2, 0, static_cast<double>(e.extent));
  for (std::int64_t j = 5; j < e.count; j += 11) indices[j] = -1;
  std::map<std::int64_t, std::vector<T>> sums;
  for (std::int64_t j = 0; j < e.count; ++j) {
    if (indices[j] < 0) continue;
    auto& sum = sums.try_emplace(indices[j], static_cast<std::size_t>(e.inner)).first->second;
    for (std::int64_t i = 0; i < e.inner; ++i) sum[static_cast<std::size_t>(i)] += source[j * e.inner + i];
  }
  std::vector<T> expected_rows;
  std::vector<std::int64_t> expected;
  for (const auto& [index, sum] : sums) {
    expected.push_back(index);
    expected_rows.insert(expected_rows.end(), sum.begin(), sum.end());
  }
  expected.resize(static_cast<std::size_t>(e.count), -1);
  expected_rows.resize(static_cast<std::size_t>(e.count * e.inner));
  on_every_isa([&](const KernelTable& table) {
    Buffer<T> rows(e.count * e.inner);
    Buffer<std::int64_t> unique(e.count);
    Fault fault;
    CoalesceRowsArgs args{.count = e.count,
                          .inner = e.inner,
                          .extent = e.extent,
                          .source = source.data(),
                          .indices = indices.data(),
                          .rows = rows.data(),
                          .unique = unique.data(),
                          .fault = &fault};
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<std::uint64_t> workspace(
        static_cast<std::int64_t>((kernels.coalesce_rows_workspace(args) + 7) / 8));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.coalesce_rows, args, {rows.memory(), unique.memory()}, {workspace.memory()});
    expect_close(unique, expected, 0, 0);
    expect_close(rows, expected_rows, 0, 0);  // in the order of the indices
    EXPECT_EQ(fault.code, 0);
  });
}

TEST(CoalesceRows, SumsTheRowsOfEachIndexInOrder) {
  for (const Extents& e : extents) {
    check_coalesce<float>(e);
    check_coalesce<double>(e);
  }
}

TEST(CoalesceRows, ReportsTheFirstIndexBeyondTheExtent) {
  on_every_isa([](const KernelTable& table) {
    const std::int64_t indices[] = {2, 9, 7};
    const float source[] = {1, 2, 3};
    float rows[3];
    std::int64_t unique[3];
    std::uint64_t workspace[32];
    Fault fault;
    const CoalesceRowsArgs args{.count = 3,
                                .extent = 7,
                                .source = source,
                                .indices = indices,
                                .rows = rows,
                                .unique = unique,
                                .fault = &fault,
                                .fault_code = 4,
                                .workspace = workspace};
    ASSERT_LE(table.float32.coalesce_rows_workspace(args), sizeof workspace);
    run(table, table.float32.coalesce_rows, args);
    EXPECT_EQ(fault.code, 4);
    EXPECT_EQ(fault.value, 9);
  });
}

// ---- updates

constexpr std::int64_t table_rows = 90, features = 21, batch = 50;

// A table with its slots, of which slot 1 has a number a row for row-wise rules.
template <class T>
struct Table {
  Buffer<T> values = random_buffer<T>(table_rows * features, 3);
  Buffer<T> first = random_buffer<T>(table_rows * features, 4, 0.1, 1);
  Buffer<T> second = random_buffer<T>(table_rows * features, 5, 0.1, 1);
  Buffer<T> gradient = random_buffer<T>(batch * features, 6);
  ParameterSegment segment{.parameter = values.data(),
                           .gradient = gradient.data(),
                           .slots = {first.data(), second.data()},
                           .size = table_rows * features};
};

template <class T>
void check_rows(OptimizerRule rule, const void* hyper) {
  Buffer<std::int64_t> indices(batch);
  constexpr std::int64_t used = 37;
  for (std::int64_t r = 0; r < batch; ++r) indices[r] = r < used ? 2 * r + 1 : -1;
  on_every_isa([&](const KernelTable& table) {
    const OptimizerFunctions functions = table.optimizer_functions(rule, dtype_of<T>);
    const OptimizerStep step{.hyper = hyper, .gradient_scale = -1, .clip_norm = 2};
    const double square = 9;  // of all gradients: they are scaled by 2 / 3
    const OptimizerStep scaled{.hyper = hyper, .gradient_scale = -2.0 / (3 + 1e-6)};
    Table<T> expected;
    for (std::int64_t r = 0; r < used; ++r)
      functions.update(scaled, expected.segment, expected.gradient.data() + r * features,
                       indices[r] * features, features);
    Table<T> own;
    OptimizerRowsArgs args{.step = {.segments = &own.segment,
                                    .n_segments = 1,
                                    .functions = functions,
                                    .step = &step,
                                    .squares = &square,
                                    .n_squares = 1},
                           .indices = indices.data(),
                           .count = batch,
                           .inner = features};
    run_same_bits(table, table.of(dtype_of<T>).optimizer_rows, args,
                  {own.values.memory(), own.first.memory(), own.second.memory()}, {}, [&] {
                    const Table<T> fresh;
                    std::copy(fresh.values.begin(), fresh.values.end(), own.values.begin());
                    std::copy(fresh.first.begin(), fresh.first.end(), own.first.begin());
                    std::copy(fresh.second.begin(), fresh.second.end(), own.second.begin());
                  });
    expect_close(own.values, expected.values, 0, 0);
    expect_close(own.first, expected.first, 0, 0);
    expect_close(own.second, expected.second, 0, 0);

    Table<T> untouched;
    const Fault fault{.code = 1};
    args.step.segments = &untouched.segment;
    args.step.fault = &fault;
    run(table, table.of(dtype_of<T>).optimizer_rows, args);
    expect_close(untouched.values, Table<T>().values, 0, 0);
  });
}

TEST(OptimizerRows, UpdatesTheRowsThatAreNamed) {
  const AdamHyper adam{.lr = 0.1, .bias_correction1 = 0.5, .bias_correction2 = 0.25};
  const AdagradHyper adagrad{.lr = 0.1};
  check_rows<float>(OptimizerRule::adam, &adam);
  check_rows<double>(OptimizerRule::adam, &adam);
  check_rows<float>(OptimizerRule::rowwise_adagrad, &adagrad);
  check_rows<double>(OptimizerRule::rowwise_adagrad, &adagrad);
}

TEST(OptimizerRows, RowwiseAdagradKeepsANumberARow) {
  constexpr std::int64_t rows = 33;
  const AdagradHyper hyper{.lr = 0.1, .eps = 0.01, .weight_decay = 0.3};
  on_every_isa([&](const KernelTable& table) {
    const OptimizerStep step{.hyper = &hyper};
    Table<double> own;
    own.segment.size = rows * features;
    Buffer<double> gradient = random_buffer<double>(rows * features, 8);
    own.segment.gradient = gradient.data();
    const MatrixShape shape{.rows = rows, .columns = features};
    MatrixStepArgs args;
    args.step.segments = &own.segment;
    args.step.n_segments = 1;
    args.step.step = &step;
    args.shapes = &shape;
    run(table, table.float64.rowwise_adagrad_matrices, args, 3);
    const Table<double> before;
    for (std::int64_t r = 0; r < rows; ++r) {
      double mean = 0;
      const auto slope = [&](std::int64_t i) { return gradient[i] + 0.3 * before.values[i]; };
      for (std::int64_t i = r * features; i < (r + 1) * features; ++i) mean += slope(i) * slope(i) / features;
      const double sum = before.second[r] + mean;
      EXPECT_NEAR(own.second[r], sum, 1e-14);
      for (std::int64_t i = r * features; i < (r + 1) * features; ++i)
        EXPECT_NEAR(own.values[i], before.values[i] - 0.1 * slope(i) / (std::sqrt(sum) + 0.01), 1e-14);
    }
    EXPECT_EQ(own.values[rows * features], before.values[rows * features]);
  });
}

}  // namespace
}  // namespace ravine::testing
