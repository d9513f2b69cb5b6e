// Tile programs, float32: single operations, and the fused chains of training. Rows say threads and elements,
// or threads, rows and columns. Arithmetic that a loop cannot hide (exp, the random numbers of dropout) shows
// as a share far below one in the caches.
#include "kernel_bench.h"
#include "sizes.h"

namespace ravine::bench {
namespace {

using namespace kernels;

// A program on dense [rows, columns].
class Chain {
 public:
  Chain(std::int64_t rows, std::int64_t columns) {
    program_.rank = 2;
    program_.extents[0] = rows;
    program_.extents[1] = columns;
  }
  std::int16_t input(std::int64_t row_stride, std::int64_t column_stride) {
    const std::int64_t last =
        (program_.extents[0] - 1) * row_stride + (program_.extents[1] - 1) * column_stride;
    fill(program_.inputs[program_.n_inputs], last + 1, row_stride, column_stride);
    return static_cast<std::int16_t>(program_.n_inputs++);
  }
  std::int16_t dense() { return input(program_.extents[1], 1); }
  std::int16_t per_column() { return input(0, 1); }
  std::int16_t scalar() { return input(0, 0); }

  // Inputs come before steps.
  std::int16_t step(TileOp op, std::initializer_list<std::int16_t> operands, double param = 0,
                    DType dtype = DType::float32, DType result = DType::float32) {
    TileStep& step = program_.steps[program_.n_steps++];
    step.op = op;
    step.dtype = dtype;
    step.result_dtype = result;
    step.function = active_kernels().tile_function(op, dtype, result);
    step.params[0] = param;
    step.random = &random_;
    int k = 0;
    for (const std::int16_t operand : operands) step.operands[k++] = operand;
    return static_cast<std::int16_t>(program_.n_inputs + program_.n_steps - 1);
  }
  void output(std::int16_t value) {
    TileOutput& output = program_.outputs[program_.n_outputs++];
    output.value = value;
    fill(output.tensor, program_.extents[0] * program_.extents[1], program_.extents[1], 1);
  }
  void time(benchmark::State& state, int reads, int writes) {
    time_kernel(state, active_kernels().elementwise, program_, static_cast<int>(state.range(0)),
                Streams{.reads = reads,
                        .writes = writes,
                        .in_place = 0,
                        .elements = program_.extents[0] * program_.extents[1]});
  }

 private:
  void fill(TileTensor& tensor, std::int64_t elements, std::int64_t row_stride, std::int64_t column_stride) {
    arrays_.push_back(numbers(elements));
    tensor.data = arrays_.back().get();
    tensor.strides[0] = row_stride;
    tensor.strides[1] = column_stride;
  }
  TileProgram program_;
  RandomState random_{1, 2};
  std::vector<Memory> arrays_;
};

template <TileOp op>
void unary(benchmark::State& state) {
  Chain chain(1, state.range(1));
  const std::int16_t x = chain.dense();
  chain.output(chain.step(op, {x}));
  chain.time(state, 1, 1);
}
template <TileOp op>
void binary(benchmark::State& state) {
  Chain chain(1, state.range(1));
  const std::int16_t x = chain.dense(), y = chain.dense();
  chain.output(chain.step(op, {x, y}));
  chain.time(state, 2, 1);
}
// As rv.ops.dropout: the scaled input where a uniform number exceeds p, or zero.
void dropout(benchmark::State& state) {
  Chain chain(1, state.range(1));
  const std::int16_t x = chain.dense(), p = chain.scalar(), scale = chain.scalar();
  const std::int16_t drawn = chain.step(TileOp::uniform, {});
  const std::int16_t kept = chain.step(TileOp::sub, {drawn, p}), scaled = chain.step(TileOp::mul, {x, scale});
  chain.output(chain.step(TileOp::scale_by_positive, {kept, scaled}));
  chain.time(state, 1, 1);
}
void uniform(benchmark::State& state) {
  Chain chain(1, state.range(1));
  chain.output(chain.step(TileOp::uniform, {}));
  chain.time(state, 0, 1);
}

void vectors(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "elements"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (std::int64_t elements : all_levels) bench->Args({threads, elements});
}

void bias_relu(benchmark::State& state) {
  Chain chain(state.range(1), state.range(2));
  const std::int16_t x = chain.dense(), bias = chain.per_column();
  chain.output(chain.step(TileOp::relu, {chain.step(TileOp::add, {x, bias})}));
  chain.time(state, 1, 1);
}
// (x - mean) scale + beta, relu: the forward pass of BatchNorm once its statistics are known.
void batch_norm_apply(benchmark::State& state) {
  Chain chain(state.range(1), state.range(2));
  const std::int16_t x = chain.dense(), mean = chain.per_column(), scale = chain.per_column(),
                     beta = chain.per_column();
  const std::int16_t centred = chain.step(TileOp::sub, {x, mean});
  const std::int16_t y = chain.step(TileOp::add, {chain.step(TileOp::mul, {centred, scale}), beta});
  chain.output(chain.step(TileOp::relu, {y}));
  chain.time(state, 1, 1);
}
// scale (dy - a - (x - mean) b): its gradient to the input.
void batch_norm_grad_apply(benchmark::State& state) {
  Chain chain(state.range(1), state.range(2));
  const std::int16_t x = chain.dense(), dy = chain.dense(), mean = chain.per_column(), a = chain.per_column(),
                     b = chain.per_column(), scale = chain.per_column();
  const std::int16_t second = chain.step(TileOp::mul, {chain.step(TileOp::sub, {x, mean}), b});
  const std::int16_t rest = chain.step(TileOp::sub, {chain.step(TileOp::sub, {dy, a}), second});
  chain.output(chain.step(TileOp::mul, {rest, scale}));
  chain.time(state, 2, 1);
}
void transposed_copy(benchmark::State& state) {
  Chain chain(state.range(1), state.range(2));
  chain.output(chain.input(1, state.range(1)));
  chain.time(state, 1, 1);
}

void matrices(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "rows", "columns"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [rows, columns] :
         {std::array<std::int64_t, 2>{32, 64}, {128, 10}, {128, 128}, {128, 256}, {128, 2048}, {65536, 64}})
      bench->Args({threads, rows, columns});
}

#define RAVINE_TIME_UNARY(op) BENCHMARK(unary<TileOp::op>)->Name(#op)->Apply(vectors);
RAVINE_TIME_UNARY(relu)
RAVINE_TIME_UNARY(square)
RAVINE_TIME_UNARY(sqrt)
RAVINE_TIME_UNARY(exp)
RAVINE_TIME_UNARY(log)
RAVINE_TIME_UNARY(tanh)
RAVINE_TIME_UNARY(sigmoid)
RAVINE_TIME_UNARY(erf)
RAVINE_TIME_UNARY(softplus)
RAVINE_TIME_UNARY(expm1)
RAVINE_TIME_UNARY(log1p)
RAVINE_TIME_UNARY(sin)
RAVINE_TIME_UNARY(gelu)
RAVINE_TIME_UNARY(gelu_tanh)
RAVINE_TIME_UNARY(silu)
#define RAVINE_TIME_BINARY(op) BENCHMARK(binary<TileOp::op>)->Name(#op)->Apply(vectors);
RAVINE_TIME_BINARY(add)
RAVINE_TIME_BINARY(scale_by_positive)
RAVINE_TIME_BINARY(div)
RAVINE_TIME_BINARY(pow)
RAVINE_TIME_BINARY(gelu_grad)
RAVINE_TIME_BINARY(silu_grad)
RAVINE_TIME_BINARY(tanh_grad)
BENCHMARK(uniform)->Apply(vectors);
BENCHMARK(dropout)->Apply(vectors);
BENCHMARK(bias_relu)->Apply(matrices);
BENCHMARK(batch_norm_apply)->Apply(matrices);
BENCHMARK(batch_norm_grad_apply)->Apply(matrices);
BENCHMARK(transposed_copy)->Apply(matrices);

}  // namespace
}  // namespace ravine::bench
