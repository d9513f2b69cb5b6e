// Tile programs as a whole: strides and broadcasts, registers, in-place outputs, epilogues and random
// numbers, each against a plain interpreter that runs one element at a time.
#include <algorithm>
#include <array>
#include <numeric>

#include "core/caches.h"
#include "kernels/tile_builder.h"

// Not in the table of kernels: other kernels of the same instruction set call it.
#define RAVINE_DECLARE_EPILOGUE(isa)                                                                 \
  namespace ravine::kernels::isa {                                                                   \
  void run_epilogue(const TileProgram& program, const void* block, std::int64_t block_stride,        \
                    std::int64_t row, std::int64_t rows, std::int64_t column, std::int64_t columns); \
  }
RAVINE_ISA_LIST(RAVINE_DECLARE_EPILOGUE)
#undef RAVINE_DECLARE_EPILOGUE

namespace ravine::testing {
namespace {

using kernels::RandomState;
using kernels::TileTensor;

// ---- Philox 4x32-10, as the paper writes it

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0], p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key1, static_cast<std::uint32_t>(p0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return c;
}

// Word w of a node's random words: see cpp/simd/philox.h.
std::uint32_t random_word(const RandomState& random, std::uint32_t stream, std::uint64_t w) {
  const std::uint64_t counter = w / 64 * 16 + w % 16;
  const auto c3 = static_cast<std::uint32_t>(((random.step >> 32) & 0xffff) | (counter >> 32 << 16));
  return philox({static_cast<std::uint32_t>(counter), stream, static_cast<std::uint32_t>(random.step), c3},
                static_cast<std::uint32_t>(random.seed),
                static_cast<std::uint32_t>(random.seed >> 32))[w % 64 / 16];
}
double uniform_of(const RandomState& random, std::uint32_t stream, std::uint64_t element, DType dtype) {
  if (dtype == DType::float32)
    return static_cast<double>(random_word(random, stream, element) >> 8) * 0x1p-24;
  const std::uint64_t word = element / 32 * 64 + element % 16 + element / 16 % 2 * 32;
  const std::uint64_t both =
      (std::uint64_t{random_word(random, stream, word)} << 32) | random_word(random, stream, word + 16);
  return static_cast<double>(both >> 11) * 0x1p-53;
}

// ---- an interpreter of the operations that the programs below use, exact for float32, int32 and bool

double element_of(const TileTensor& tensor, std::int64_t offset) {
  switch (tensor.dtype) {
    case DType::float32:
      return static_cast<const float*>(tensor.data)[offset];
    case DType::float64:
      return static_cast<const double*>(tensor.data)[offset];
    case DType::int32:
      return static_cast<const std::int32_t*>(tensor.data)[offset];
    case DType::int64:
      return static_cast<double>(static_cast<const std::int64_t*>(tensor.data)[offset]);
    case DType::uint8:
      return static_cast<const std::uint8_t*>(tensor.data)[offset];
    case DType::boolean:
      return static_cast<const bool*>(tensor.data)[offset];
  }
  return 0;
}

double compute(const kernels::TileStep& step, const double* v, std::uint64_t element) {
  const auto rounded = [&](double x) {
    return step.result_dtype == DType::float32 ? static_cast<double>(static_cast<float>(x)) : x;
  };
  switch (step.op) {
    case TileOp::add:
      return rounded(v[0] + v[1]);
    case TileOp::sub:
      return rounded(v[0] - v[1]);
    case TileOp::mul:
      return rounded(v[0] * v[1]);
    case TileOp::maximum:
      return std::max(v[0], v[1]);
    case TileOp::relu:
      return v[0] > 0 ? v[0] : 0;
    case TileOp::neg:
      return -v[0];
    case TileOp::less:
      return v[0] < v[1];
    case TileOp::where:
      return v[0] != 0 ? v[1] : v[2];
    case TileOp::cast:
      return step.result_dtype == DType::int32 ? std::trunc(v[0]) : rounded(v[0]);
    case TileOp::uniform:
      return uniform_of(*step.random, step.stream, element, step.result_dtype);
    default:
      ADD_FAILURE() << "the interpreter lacks " << kernels::name_of(step.op);
      return 0;
  }
}

// The values of output `o`, in row-major order of the iteration space.
std::vector<double> interpret(const TileProgram& program, int o) {
  std::int64_t n = 1;
  for (int d = 0; d < program.rank; ++d) n *= program.extents[d];
  std::vector<double> result;
  for (std::int64_t e = 0; e < n; ++e) {
    std::vector<double> values;
    for (int i = 0; i < program.n_inputs; ++i) {
      std::int64_t offset = 0, rest = e;
      for (int d = program.rank - 1; d >= 0; --d) {
        offset += rest % program.extents[d] * program.inputs[i].strides[d];
        rest /= program.extents[d];
      }
      values.push_back(element_of(program.inputs[i], offset));
    }
    for (int s = 0; s < program.n_steps; ++s) {
      double operands[3] = {};
      for (int k = 0; k < 3; ++k)
        if (const int operand = program.steps[s].operands[k]; operand >= 0)
          operands[k] = values[static_cast<std::size_t>(operand)];
      values.push_back(compute(program.steps[s], operands, static_cast<std::uint64_t>(e)));
    }
    result.push_back(values[static_cast<std::size_t>(program.outputs[o].value)]);
  }
  return result;
}

// What output `o` holds, read through its strides in row-major order.
std::vector<double> read(const TileProgram& program, int o) {
  std::int64_t n = 1;
  for (int d = 0; d < program.rank; ++d) n *= program.extents[d];
  std::vector<double> result;
  for (std::int64_t e = 0; e < n; ++e) {
    std::int64_t offset = 0, rest = e;
    for (int d = program.rank - 1; d >= 0; --d) {
      offset += rest % program.extents[d] * program.outputs[o].tensor.strides[d];
      rest /= program.extents[d];
    }
    result.push_back(element_of(program.outputs[o].tensor, offset));
  }
  return result;
}

// ---- random programs

struct Choices {
  std::mt19937_64 engine;
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(n));
  }
  bool one_in(std::int64_t n) { return below(n) == 0; }
};

// A tensor over the extents: dense in some order of the axes, perhaps with gaps, broadcast along some axes if
// it may be.
struct RandomTensor {
  std::vector<std::int64_t> strides;
  std::int64_t elements = 1;
  RandomTensor(const std::vector<std::int64_t>& extents, Choices& choices, bool may_broadcast) {
    std::vector<std::size_t> order(extents.size());
    std::iota(order.begin(), order.end(), 0u);
    if (choices.one_in(3)) std::shuffle(order.begin(), order.end(), choices.engine);
    strides.resize(extents.size());
    for (std::size_t k = order.size(); k-- > 0;) {
      if (may_broadcast && choices.one_in(4)) continue;  // stride 0
      strides[order[k]] = elements;
      elements *= std::max<std::int64_t>(extents[order[k]], 1) + (choices.one_in(5) ? 3 : 0);
    }
  }
};

void check_random_program(const KernelTable& table, std::uint64_t seed, bool unread = false) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Choices choices{std::mt19937_64(seed)};
  static constexpr std::int64_t extents_to_try[] = {1, 2, 3, 5, 10, 16, 31, 33, 64, 70, 130};
  std::vector<std::int64_t> extents;
  std::int64_t n = 1;
  for (std::int64_t rank = choices.below(5); rank > 0; --rank) {
    const std::int64_t extent = extents_to_try[choices.below(11)];
    if (n * extent > 40000) continue;
    extents.push_back(extent);
    n *= extent;
  }
  if (choices.one_in(30)) extents.push_back(0);

  TileBuilder build(table, extents);
  std::vector<Buffer<float>> floats;
  std::vector<Buffer<bool>> booleans;
  std::vector<std::int16_t> numbers, conditions;
  const std::int64_t n_inputs = 1 + choices.below(5);
  for (std::int64_t i = 0; i < n_inputs; ++i) {
    const RandomTensor shape(extents, choices, true);
    if (i > 0 && choices.one_in(4)) {
      booleans.push_back(random_buffer<bool>(shape.elements, seed + static_cast<std::uint64_t>(i)));
      conditions.push_back(build.input(booleans.back().data(), shape.strides));
    } else {
      floats.push_back(random_buffer<float>(shape.elements, seed + static_cast<std::uint64_t>(i), -9, 9));
      numbers.push_back(build.input(floats.back().data(), shape.strides));
    }
  }
  const RandomState random{.seed = seed * 0x123456789, .step = seed << 31};
  const auto any_number = [&] {
    return numbers[static_cast<std::size_t>(choices.below(static_cast<std::int64_t>(numbers.size())))];
  };
  for (std::int64_t steps = choices.below(12); steps > 0; --steps) {
    const DType real = DType::float32;
    switch (choices.below(7)) {
      case 0:
        numbers.push_back(build.apply(TileOp::add, real, {any_number(), any_number()}));
        break;
      case 1:
        numbers.push_back(build.apply(TileOp::relu, real, {any_number()}));
        break;
      case 2:
        numbers.push_back(build.apply(TileOp::maximum, real, {any_number(), any_number()}));
        break;
      case 3:
        build.step(TileOp::less, real, DType::boolean, {any_number(), any_number()});
        conditions.push_back(build.last());
        break;
      case 4: {
        kernels::TileStep& step = build.step(TileOp::uniform, real, real, {});
        step.random = &random;
        step.stream = static_cast<std::uint32_t>(steps);
        numbers.push_back(build.last());
        break;
      }
      case 5: {  // by way of int32, as large as float32, and float64
        const auto value = any_number();
        build.step(TileOp::cast, real, DType::int32, {value});
        build.step(TileOp::cast, DType::int32, DType::float64, {build.last()});
        build.step(TileOp::cast, DType::float64, real, {build.last()});
        numbers.push_back(build.last());
        break;
      }
      default:
        if (!conditions.empty())
          numbers.push_back(
              build.apply(TileOp::where, real, {conditions.back(), any_number(), any_number()}));
    }
  }

  // Outputs: the last number, others at random (an input's value is a copy), a condition.
  std::vector<Buffer<float>> results;
  std::vector<Buffer<bool>> masks;
  results.reserve(4);
  const auto add_output = [&](std::int16_t value) {
    const RandomTensor shape(extents, choices, false);
    results.emplace_back(shape.elements);
    build.output(value, results.back().data(), shape.strides);
  };
  add_output(numbers.back());
  while (choices.one_in(2) && results.size() < 4) add_output(any_number());
  if (!conditions.empty()) {
    const RandomTensor shape(extents, choices, false);
    masks.emplace_back(shape.elements);
    build.output(conditions.back(), masks.back().data(), shape.strides);
  }

  if (unread) build.set_unread();

  std::vector<std::vector<double>> expected;
  for (int o = 0; o < build.program().n_outputs; ++o) expected.push_back(interpret(build.program(), o));
  for (const int threads : team_sizes) {
    for (Buffer<float>& result : results) poison(result.memory());
    run(table, table.elementwise, build.program(), threads);
    for (int o = 0; o < build.program().n_outputs; ++o)
      ASSERT_EQ(read(build.program(), o), expected[static_cast<std::size_t>(o)])
          << "output " << o << ", threads " << threads;
  }
}

TEST(TilePrograms, RandomProgramsOverRandomStrides) {
  on_every_isa([](const KernelTable& table) {
    for (std::uint64_t seed = 1; seed <= 250; ++seed) {
      check_random_program(table, seed);
      if (::testing::Test::HasFailure()) return;
    }
  });
}

// As though the tensors were larger than the caches.
TEST(TilePrograms, WhatNothingReadsGoesPastTheCaches) {
  const Caches here = caches();
  set_caches({here.l2_bytes, 0});
  on_every_isa([](const KernelTable& table) {
    for (std::uint64_t seed = 1000; seed <= 1250; ++seed) {
      check_random_program(table, seed, /*unread=*/true);
      if (::testing::Test::HasFailure()) return;
    }
    constexpr std::int64_t n = 5003;  // a second output over an input, from memory that begins inside a line
    const Buffer<double> a = random_buffer<double>(n + 5, 1);
    Buffer<double> x(n), y(n + 5);
    TileBuilder build(table, {n});
    const std::int64_t strides[] = {1};
    const auto from_a = build.input(a.data() + 3, strides), from_x = build.input(x);
    build.output(build.apply(TileOp::add, DType::float64, {from_a, from_x}), y.data() + 3, strides);
    build.output(build.apply(TileOp::neg, DType::float64, {from_x}), x);
    build.set_unread();
    run_same_bits(table, table.elementwise, build.program(), {x.memory(), y.memory()}, {}, [&] {
      std::memcpy(x.data(), a.data(), x.memory().size());
      for (double& value : y) value = 7;
    });
    for (std::int64_t i = 0; i < n + 5; ++i) ASSERT_EQ(y[i], i < 3 || i >= n + 3 ? 7 : a[i] + a[i - 3]) << i;
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(x[i], -a[i]) << i;
  });
  set_caches(here);
}

// More tiles than are computed on end, for every size of team.
TEST(TilePrograms, EveryTileOfALongTensorIsComputedOnce) {
  on_every_isa([](const KernelTable& table) {
    constexpr std::int64_t rows = 701, columns = 1311;
    const Buffer<float> x = random_buffer<float>(rows * columns, 7);
    const Buffer<float> y = random_buffer<float>(columns, 8);
    Buffer<float> out(rows * columns);
    std::memcpy(out.data(), x.data(), out.memory().size());
    TileBuilder build(table, {rows, columns});
    const auto a = build.input(out), b = build.input(y.data(), {0, 1});
    build.output(build.apply(TileOp::add, DType::float32, {a, b}), out);  // in place: twice would show
    run_same_bits(table, table.elementwise, build.program(), {out.memory()}, {},
                  [&] { std::memcpy(out.data(), x.data(), out.memory().size()); });
    for (std::int64_t i = 0; i < rows * columns; ++i) ASSERT_EQ(out[i], x[i] + y[i % columns]) << i;
  });
}

// Many live values at once: all inputs strided (a register each) and every step's value needed to the end.
TEST(TilePrograms, AsManyValuesAsAllowed) {
  on_every_isa([](const KernelTable& table) {
    constexpr std::int64_t rows = 40, columns = 70;
    const Buffer<double> x = random_buffer<double>(2 * rows * columns + 16, 5);
    Buffer<double> out(rows * columns);
    TileBuilder build(table, {rows, columns});
    for (int i = 0; i < kernels::max_tile_inputs; ++i) build.input(x.data() + i, {2 * columns, 2});
    for (std::int16_t s = 0; s < 16; ++s) build.apply(TileOp::neg, DType::float64, {s});
    for (std::int16_t s = 0; s < 16; ++s)
      build.apply(TileOp::add, DType::float64,
                  {static_cast<std::int16_t>(31 - s), s == 0 ? std::int16_t{0} : build.last()});
    build.output(build.last(), out);
    run_same_bits(table, table.elementwise, build.program(), {out.memory()});
    EXPECT_EQ(read(build.program(), 0), interpret(build.program(), 0));
  });
}

TEST(TilePrograms, InPlaceOutputsKeepOperandsThatAreStillNeeded) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t n : {1, 17, 5000}) {
      // a := relu(a + b); b := a_old - b: the first output overwrites what the second step still reads.
      const Buffer<float> a = random_buffer<float>(n, 1), b = random_buffer<float>(n, 2);
      Buffer<float> x(n), y(n);
      TileBuilder build(table, {n});
      const auto va = build.input(x), vb = build.input(y);
      const auto sum = build.apply(TileOp::add, DType::float32, {va, vb});
      const auto relu = build.apply(TileOp::relu, DType::float32, {sum});
      const auto difference = build.apply(TileOp::sub, DType::float32, {va, vb});
      build.output(relu, x);
      build.output(difference, y);
      run_same_bits(table, table.elementwise, build.program(), {x.memory(), y.memory()}, {}, [&] {
        std::memcpy(x.data(), a.data(), x.memory().size());
        std::memcpy(y.data(), b.data(), y.memory().size());
      });
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(x[i], std::max(a[i] + b[i], 0.0f)) << i;
        ASSERT_EQ(y[i], a[i] - b[i]) << i;
      }
    }
  });
}

TEST(TilePrograms, OutputMayCopyAnInputThatAnotherOutputOverwrites) {
  on_every_isa([](const KernelTable& table) {
    constexpr std::int64_t n = 3000;
    const Buffer<float> original = random_buffer<float>(n, 1);
    Buffer<float> x(n), kept(n);
    TileBuilder build(table, {n});
    const auto v = build.input(x);
    build.output(build.apply(TileOp::neg, DType::float32, {v}), x);
    build.output(v, kept);
    run_same_bits(table, table.elementwise, build.program(), {x.memory(), kept.memory()}, {},
                  [&] { std::memcpy(x.data(), original.data(), x.memory().size()); });
    for (std::int64_t i = 0; i < n; ++i) ASSERT_TRUE(x[i] == -original[i] && kept[i] == original[i]) << i;
  });
}

// ---- epilogues

// A block of the epilogue's space, as a producing kernel hands it over.
void call_epilogue(const KernelTable& table, const TileProgram& program, const float* block,
                   std::int64_t stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                   std::int64_t columns) {
#ifdef RAVINE_X86_64
  if (table.vector_bytes == 64)
    return kernels::x86_64_v4::run_epilogue(program, block, stride, row, rows, column, columns);
  if (table.vector_bytes == 32)
    return kernels::x86_64_v3::run_epilogue(program, block, stride, row, rows, column, columns);
#endif
  EXPECT_EQ(table.vector_bytes, 16);
  kernels::generic::run_epilogue(program, block, stride, row, rows, column, columns);
}

struct Extent {
  std::int64_t rows, columns;
};

// relu((block + bias + residual) per_row), a part of it replaced by the bias at random; the block lies in the
// output.
void check_epilogue(const KernelTable& table, Extent space, Extent block) {
  const auto [rows, columns] = space;
  SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(columns) + " by " + std::to_string(block.rows));
  const RandomState random{.seed = 3, .step = 4};
  const Buffer<float> product = random_buffer<float>(rows * columns, 1),
                      bias = random_buffer<float>(columns, 2),
                      residual = random_buffer<float>(rows * columns, 3), probability{0.3f},
                      per_row = random_buffer<float>(rows, 5);
  Buffer<float> c(rows * columns), transposed(rows * columns);
  Buffer<bool> mask(rows * columns);
  TileBuilder build(table, {rows, columns});
  const DType real = DType::float32;
  const auto x = build.input(product.data(), {columns, 1}), b = build.input(bias.data(), {0, 1}),
             r = build.input(residual), p = build.input(probability.data(), {0, 0}),
             w = build.input(per_row.data(), {1, 0});
  auto value = build.apply(TileOp::add, real, {x, b});
  value = build.apply(TileOp::add, real, {value, r});
  value = build.apply(TileOp::mul, real, {value, w});
  const auto relu = build.apply(TileOp::relu, real, {value});
  build.step(TileOp::uniform, real, real, {}).random = &random;
  const auto drawn = build.last();
  build.step(TileOp::less, real, DType::boolean, {drawn, p});
  const auto replaced = build.last();
  build.output(build.apply(TileOp::where, real, {replaced, b, relu}), c);
  build.output(replaced, mask);
  build.output(x, transposed.data(), {1, rows});
  std::memcpy(c.data(), product.data(), c.memory().size());
  for (std::int64_t i = 0; i < rows; i += block.rows)
    for (std::int64_t j = 0; j < columns; j += block.columns)
      call_epilogue(table, build.program(), c.data() + i * columns + j, columns, i,
                    std::min(block.rows, rows - i), j, std::min(block.columns, columns - j));
  for (int o = 0; o < 3; ++o)
    ASSERT_EQ(read(build.program(), o), interpret(build.program(), o)) << "output " << o;
}

TEST(TilePrograms, EpilogueOfBlocks) {
  on_every_isa([](const KernelTable& table) {
    for (const Extent space : {Extent{1, 1}, {13, 10}, {70, 64}, {64, 300}, {9, 2100}})
      for (const Extent block : {Extent{6, 64}, {128, 256}, {7, 5}, {200, 4000}})
        check_epilogue(table, space, block);
  });
}

// ---- random numbers

TEST(TilePrograms, UniformIsPhilox) {
  EXPECT_EQ(random_word({0, 0}, 0, 0), 0x6627e8d5u);  // the paper's known answer for a zero counter and key
  EXPECT_EQ(random_word({0, 0}, 0, 16), 0xe169c58du);
  on_every_isa([](const KernelTable& table) {
    const RandomState random{.seed = 0xfedcba9876543210, .step = 0x123456789ab};
    for (const DType dtype : {DType::float32, DType::float64}) {
      constexpr std::int64_t n = 5003;
      Buffer<double> out(n);
      TileBuilder build(table, {n});
      kernels::TileStep& step = build.step(TileOp::uniform, dtype, dtype, {});
      step.random = &random;
      step.stream = 7;
      if (dtype == DType::float32) build.step(TileOp::cast, DType::float32, DType::float64, {build.last()});
      build.output(build.last(), out);
      run_same_bits(table, table.elementwise, build.program(), {out.memory()});
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(out[i], uniform_of(random, 7, static_cast<std::uint64_t>(i), dtype)) << i;
        ASSERT_TRUE(out[i] >= 0 && out[i] < 1);
        sum += out[i];
      }
      EXPECT_NEAR(sum / n, 0.5, 0.02);
    }
  });
}

}  // namespace
}  // namespace ravine::testing
