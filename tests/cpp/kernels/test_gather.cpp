// Gathering and scattering against plain loops.
#include "kernels/api/gather.h"

#include <algorithm>

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;

struct Extents {
  std::int64_t outer, axis, inner, count;
};
constexpr Extents extents[] = {{1, 10, 1, 37}, {1, 50, 33, 200}, {1, 5, 64, 3},    {3, 7, 5, 11},
                               {4, 1, 17, 9},  {130, 10, 1, 1},  {2, 300, 16, 70}, {1, 4, 1000, 2},
                               {0, 4, 3, 2},   {2, 4, 0, 3},     {2, 4, 3, 0},     {1, 0, 3, 0}};

std::int64_t index_count(const Extents& e, bool per_element) {
  return per_element ? e.outer * e.count * e.inner : e.count;
}

// The number of the index that serves element i of row j of outer o.
std::int64_t index_at(const Extents& e, bool per_element, std::int64_t o, std::int64_t j, std::int64_t i) {
  return per_element ? (o * e.count + j) * e.inner + i : j;
}

template <class Index>
Buffer<Index> random_indices(const Extents& e, bool per_element) {
  return random_buffer<Index>(index_count(e, per_element), 11, 0, static_cast<double>(e.axis));
}

template <class T, class Index>
void check_gather(const Extents& e, bool per_element) {
  SCOPED_TRACE(::testing::Message() << e.outer << ", " << e.axis << ", " << e.inner << ", count " << e.count
                                    << " per element " << per_element << " of " << name_of(dtype_of<T>));
  const Buffer<T> input = random_buffer<T>(e.outer * e.axis * e.inner, 1, 0, 100);
  const Buffer<Index> indices = random_indices<Index>(e, per_element);
  std::vector<double> expected;
  for (std::int64_t o = 0; o < e.outer; ++o)
    for (std::int64_t j = 0; j < e.count; ++j)
      for (std::int64_t i = 0; i < e.inner; ++i) {
        const std::int64_t index = indices[index_at(e, per_element, o, j, i)];
        expected.push_back(static_cast<double>(input[(o * e.axis + index) * e.inner + i]));
      }
  on_every_isa([&](const KernelTable& table) {
    Buffer<T> output(e.outer * e.count * e.inner);
    Fault fault;
    GatherArgs args{
        e.outer,         e.axis,        e.inner, e.count, per_element, input.data(), indices.data(),
        dtype_of<Index>, output.data(), &fault,  3};
    run_same_bits(table, table.gather(dtype_of<T>), args, {output.memory()});
    expect_close(output, expected, 0, 0);
    EXPECT_EQ(fault.code, 0);
  });
}

TEST(Gather, EveryDtypeAndForm) {
  for (const Extents& e : extents)
    for (const bool per_element : {false, true}) {
      check_gather<float, std::int64_t>(e, per_element);
      check_gather<float, std::int32_t>(e, per_element);
      check_gather<double, std::int32_t>(e, per_element);
      check_gather<std::int32_t, std::int64_t>(e, per_element);
      check_gather<std::int64_t, std::int64_t>(e, per_element);
      check_gather<std::uint8_t, std::int32_t>(e, per_element);
      check_gather<bool, std::int64_t>(e, per_element);
    }
}

TEST(Gather, OutsideTheAxisIsAFaultAndZero) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t bad :
         {std::int64_t{-1}, std::int64_t{4}, std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max()})
      for (const bool per_element : {false, true})
        for (const std::int64_t inner : {1, 3}) {
          const Buffer<float> input = random_buffer<float>(4 * inner, 1, 1, 2);
          Buffer<std::int64_t> indices(per_element ? 3 * inner : 3);
          std::fill(indices.begin(), indices.end(), 2);
          if (per_element) std::fill_n(indices.data() + inner, inner, bad);
          else indices[1] = bad;
          Buffer<float> output(3 * inner);
          Fault fault;
          run(table, table.gather(DType::float32),
              GatherArgs{1, 4, inner, 3, per_element, input.data(), indices.data(), DType::int64,
                         output.data(), &fault, 42},
              2);
          EXPECT_EQ(fault.code, 42);
          EXPECT_EQ(fault.value, bad);
          for (std::int64_t i = 0; i < inner; ++i) {
            EXPECT_EQ(output[i], input[2 * inner + i]);
            EXPECT_EQ(output[inner + i], 0.0f);
            EXPECT_EQ(output[2 * inner + i], input[2 * inner + i]);
          }
        }
  });
}

TEST(Gather, AnEarlierFaultIsKept) {
  on_every_isa([](const KernelTable& table) {
    const Buffer<float> input{1, 2};
    const Buffer<std::int32_t> indices{7, 9};
    Buffer<float> output(2);
    Fault fault;
    fault.code = 5;
    fault.value = 1234;
    run(table, table.gather(DType::float32),
        GatherArgs{1, 2, 1, 2, false, input.data(), indices.data(), DType::int32, output.data(), &fault, 6});
    EXPECT_EQ(fault.code, 5);
    EXPECT_EQ(fault.value, 1234);
  });
}

template <class T, class Index>
void check_scatter_add(const Extents& e, bool per_element, std::int64_t skip_index) {
  SCOPED_TRACE(::testing::Message() << e.outer << ", " << e.axis << ", " << e.inner << ", count " << e.count
                                    << " per element " << per_element << " skip " << skip_index);
  const Buffer<T> source = random_buffer<T>(e.outer * e.count * e.inner, 1);
  const Buffer<Index> indices = random_indices<Index>(e, per_element);
  std::vector<T> expected(
      static_cast<std::size_t>(e.outer * e.axis * e.inner));  // T: the order is part of the result
  for (std::int64_t o = 0; o < e.outer; ++o)
    for (std::int64_t j = 0; j < e.count; ++j)
      for (std::int64_t i = 0; i < e.inner; ++i) {
        const std::int64_t index = indices[index_at(e, per_element, o, j, i)];
        if (index != skip_index)
          expected[static_cast<std::size_t>((o * e.axis + index) * e.inner + i)] +=
              source[(o * e.count + j) * e.inner + i];
      }
  on_every_isa([&](const KernelTable& table) {
    Buffer<T> output(e.outer * e.axis * e.inner);
    Fault fault;
    ScatterAddArgs args{e.outer,     e.axis,        e.inner,        e.count,
                        per_element, source.data(), indices.data(), dtype_of<Index>,
                        skip_index,  output.data(), &fault,         3};
    run_same_bits(table, table.of(dtype_of<T>).scatter_add, args, {output.memory()});
    expect_close(output, expected, 0, 0);
    EXPECT_EQ(fault.code, 0);
  });
}

TEST(ScatterAdd, AddsInOrder) {
  for (const Extents& e : extents)
    for (const bool per_element : {false, true})
      for (const std::int64_t skip_index : {-1, 2}) {
        check_scatter_add<float, std::int64_t>(e, per_element, skip_index);
        check_scatter_add<double, std::int32_t>(e, per_element, skip_index);
      }
}

TEST(ScatterAdd, OutsideTheAxisIsAFaultAndAddsNothing) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t axis : {0, 3})
      for (const std::int64_t bad : {-1, 3})
        for (const bool per_element : {false, true}) {
          const Buffer<float> source{1, 2, 3, 4};
          const Buffer<std::int64_t> indices{bad, bad, bad, bad};
          Buffer<float> output(axis * 2);
          Fault fault;
          run(table, table.float32.scatter_add,
              ScatterAddArgs{1, axis, 2, 2, per_element, source.data(), indices.data(), DType::int64, -1,
                             output.data(), &fault, 8},
              3);
          EXPECT_EQ(fault.code, 8);
          EXPECT_EQ(fault.value, bad);
          for (const float value : output) EXPECT_EQ(value, 0.0f);
        }
  });
}

}  // namespace
}  // namespace ravine::testing
