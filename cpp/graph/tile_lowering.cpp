#include "graph/tile_lowering.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/error.h"

namespace ravine {
namespace {

// The tensors of one iteration space: extents, and per tensor a stride for each, outermost first.
struct Iteration {
  std::vector<std::int64_t> extents;
  std::vector<std::vector<std::int64_t>> strides;  // [tensor][dimension]
};

// Axes with more than one element, in the memory order of `order`, slowest first.
std::vector<int> memory_order(const Shape& shape, const Strides& order) {
  std::vector<int> axes;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] != 1) axes.push_back(axis);
  std::stable_sort(axes.begin(), axes.end(), [&](int a, int b) { return order[a] > order[b]; });
  return axes;
}

Iteration iterate(const std::vector<const View*>& tensors, const Shape& shape, const Strides& order) {
  Iteration iteration;
  const std::vector<int> axes = memory_order(shape, order);
  for (const int axis : axes) iteration.extents.push_back(shape[axis]);
  for (const View* view : tensors) {
    const Strides strides = broadcast_strides(view->shape, view->strides, shape);
    auto& own = iteration.strides.emplace_back();
    for (const int axis : axes) own.push_back(strides[axis]);
  }
  return iteration;
}

// Merges neighbouring dimensions that every tensor walks as one.
void collapse(Iteration& iteration) {
  auto& extents = iteration.extents;
  for (std::size_t outer = extents.size(); outer-- > 1;) {
    const std::size_t inner = outer;  // merge inner into inner - 1
    const bool together = std::all_of(
        iteration.strides.begin(), iteration.strides.end(),
        [&](const auto& strides) { return strides[inner - 1] == strides[inner] * extents[inner]; });
    if (!together) continue;
    extents[inner - 1] *= extents[inner];
    extents.erase(extents.begin() + static_cast<std::ptrdiff_t>(inner));
    for (auto& strides : iteration.strides) {
      strides[inner - 1] = strides[inner];
      strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(inner));
    }
  }
}

void set_tensor(kernels::TileTensor& tensor, DType dtype, const std::vector<std::int64_t>& strides) {
  tensor.dtype = dtype;
  std::copy(strides.begin(), strides.end(), tensor.strides);
}

double parameter(const Attrs& attrs, int index) {
  static constexpr std::array<std::array<const char*, 3>, 2> names{
      {{"slope", "alpha", "low"}, {"high", "input_scale", "high"}}};
  for (const char* name : names[static_cast<std::size_t>(index)])
    if (attrs.has(name)) return attrs.real(name);
  return 0;
}

bool same_place(const View& a, const View& b) {
  return a.storage == b.storage && a.offset == b.offset && a.shape == b.shape && a.strides == b.strides;
}

}  // namespace

bool overwrites(const TileExpression& expression, int input, std::size_t output) {
  const int producer = expression.outputs[output] - expression.n_inputs;
  if (producer < 0) return false;
  for (std::size_t step = static_cast<std::size_t>(producer) + 1; step < expression.steps.size(); ++step) {
    const auto& operands = expression.steps[step].operands;
    if (std::find(operands.begin(), operands.end(), input) != operands.end()) return false;
  }
  return std::find(expression.outputs.begin(), expression.outputs.end(), input) == expression.outputs.end();
}

void TileCall::build_steps(kernels::TileProgram& program) const {
  const auto dtype_of_value = [&](int value) {
    return value < expression.n_inputs
               ? inputs[static_cast<std::size_t>(value)].dtype
               : expression.steps[static_cast<std::size_t>(value - expression.n_inputs)].dtype;
  };
  program.n_inputs = expression.n_inputs;
  for (const TileExpression::Step& step : expression.steps) {
    kernels::TileStep& tile = program.steps[program.n_steps++];
    tile.op = step.op->tile;
    tile.result_dtype = step.dtype;
    const std::size_t typed = tile.op == kernels::TileOp::where ? 1 : 0;
    tile.dtype = step.operands.empty() ? step.dtype : dtype_of_value(step.operands[typed]);
    for (std::size_t i = 0; i < step.operands.size(); ++i)
      tile.operands[i] = static_cast<std::int16_t>(step.operands[i]);
    tile.params[0] = parameter(step.attrs, 0);
    tile.params[1] = parameter(step.attrs, 1);
    if (tile.op == kernels::TileOp::uniform) {
      tile.random = lowering.random();
      tile.stream = static_cast<std::uint32_t>(step.attrs.integer("stream"));
    }
    tile.function = lowering.kernels().tile_function(tile.op, tile.dtype, tile.result_dtype);
    check<TypeError>(tile.function != nullptr, step.op->name, ": not available for ", name_of(tile.dtype));
  }
}

void TileCall::emit(const char* kernel) {
  auto call = lowering.call("elementwise", lowering.kernels().elementwise);
  kernels::TileProgram& program = call.args;
  build_steps(program);
  std::vector<const View*> tensors;
  for (const View& view : inputs) tensors.push_back(&view);
  for (const View& view : outputs) tensors.push_back(&view);
  Iteration iteration = iterate(tensors, outputs[0].shape, outputs[0].strides);
  collapse(iteration);
  program.rank = static_cast<int>(iteration.extents.size());
  std::copy(iteration.extents.begin(), iteration.extents.end(), program.extents);
  double bytes = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    set_tensor(program.inputs[i], inputs[i].dtype, iteration.strides[i]);
    call.read(program.inputs[i].data, inputs[i]);
    bytes += static_cast<double>(numel(inputs[i].shape)) * static_cast<double>(size_of(inputs[i].dtype));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    kernels::TileOutput& output = program.outputs[program.n_outputs++];
    output.value = static_cast<std::int16_t>(expression.outputs[i]);
    set_tensor(output.tensor, outputs[i].dtype, iteration.strides[inputs.size() + i]);
    call.write(output.tensor.data, outputs[i]);
    lowering.schedule().tile_outputs.emplace_back(&output, outputs[i].storage);
    bytes += static_cast<double>(numel(outputs[i].shape)) * static_cast<double>(size_of(outputs[i].dtype));
  }
  const double elements = static_cast<double>(numel(outputs[0].shape));
  call.cost(elements * static_cast<double>(program.n_steps) * 4, bytes);
  call.describe(str(kernel, " ", outputs[0].shape));
  call.fuse(expression.to_string());
}

void TileCall::build_matrix(kernels::TileProgram& program, std::int64_t rows, std::int64_t columns) const {
  build_steps(program);
  const Shape& shape = inputs[0].shape;
  std::vector<const View*> tensors;
  for (const View& view : inputs) tensors.push_back(&view);
  for (const View& view : outputs) tensors.push_back(&view);
  const Iteration iteration = iterate(tensors, shape, inputs[0].strides);
  // The innermost dimensions are the columns, the others the rows.
  std::size_t cut = iteration.extents.size();
  for (std::int64_t product = 1; cut > 0 && product < columns;) product *= iteration.extents[--cut];
  const auto single_stride = [&](const std::vector<std::int64_t>& strides, std::size_t begin,
                                 std::size_t end) {
    if (begin == end || numel(shape) == 0) return std::int64_t{0};
    for (std::size_t i = begin; i + 1 < end; ++i)
      check<RuntimeError>(strides[i] == strides[i + 1] * iteration.extents[i + 1],
                          "epilogue: an operand of shape ", shape,
                          " cannot be addressed by rows and columns");
    return strides[end - 1];
  };
  program.rank = 2;
  program.extents[0] = rows;
  program.extents[1] = columns;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const auto& strides = iteration.strides[t];
    const std::vector<std::int64_t> matrix = {single_stride(strides, 0, cut),
                                              single_stride(strides, cut, strides.size())};
    if (t < inputs.size()) {
      set_tensor(program.inputs[t], inputs[t].dtype, matrix);
    } else if (const int value = expression.outputs[t - inputs.size()];
               value != 0) {  // the raw result is in place
      kernels::TileOutput& output = program.outputs[program.n_outputs++];
      output.value = static_cast<std::int16_t>(value);
      set_tensor(output.tensor, outputs[t - inputs.size()].dtype, matrix);
    }
  }
}

void TileCall::bind(kernels::TileProgram& program, int call) const {
  for (std::size_t i = 1; i < inputs.size(); ++i)
    lowering.schedule().bind(call, PointerField(program.inputs[i].data), inputs[i], /*write=*/false);
  int slot = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (expression.outputs[i] == 0) continue;
    lowering.schedule().bind(call, PointerField(program.outputs[slot++].tensor.data), outputs[i],
                             /*write=*/true);
  }
}

namespace {

// Images keep their channels last once an operation has put them so. Random numbers belong to an element's
// place in row-major order, which forward and backward pass must agree on.
Layout preferred_layout(const Lowering& lowering, const Node& node, const Shape& shape) {
  for (const TileExpression::Step& step : node.expression->steps)
    if (step.op->random) return Layout::row_major;
  for (const Value& input : node.inputs) {
    const View& view = lowering.view(input);
    if (view.shape == shape && shape.rank() >= 3 && is_channels_last(shape, view.strides) &&
        !is_row_major(shape, view.strides))
      return Layout::channels_last;
  }
  return Layout::row_major;
}

}  // namespace

void lower_fused(Lowering& lowering, const Node& node) {
  const Layout layout = preferred_layout(lowering, node, node.outputs[0].shape);
  TileCall tile{lowering, *node.expression};
  for (const Value& input : node.inputs) tile.inputs.push_back(lowering.view(input));
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    tile.outputs.push_back(lowering.create(node.out(static_cast<int>(i)), layout));
    for (std::size_t j = 0; j < tile.inputs.size(); ++j) {
      const View& input = tile.inputs[j];
      View as_output = tile.outputs[i];
      as_output.storage = input.storage;
      const bool only_use = std::count_if(tile.inputs.begin(), tile.inputs.end(), [&](const View& other) {
                              return other.storage == input.storage;
                            }) == 1;
      if (only_use && same_place(input, as_output) && size_of(input.dtype) == size_of(as_output.dtype) &&
          overwrites(*node.expression, static_cast<int>(j), i))
        lowering.reuse(tile.outputs[i], input);
    }
  }
  tile.emit("fused");
}

}  // namespace ravine
