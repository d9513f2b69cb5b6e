#include "graph/lowering.h"

#include <algorithm>

#include "core/error.h"
#include "graph/tile_lowering.h"

namespace ravine {

const kernels::FloatKernels& Lowering::floats(const Node& node) const {
  for (const Value& input : node.inputs)
    if (is_floating(input.dtype())) return kernels_.of(input.dtype());
  return kernels_.of(node.outputs[0].dtype);
}

// ---- memory

const View& Lowering::view(Value value) const {
  const auto place = views_.find(value);
  check<RuntimeError>(place != views_.end(), "lowering: a value of '", value.node->op->name,
                      "' is used before it is computed");
  return place->second;
}

View Lowering::dense(Value value, Layout layout) {
  const View& original = view(value);
  const bool fits = layout == Layout::row_major ? is_row_major(original.shape, original.strides)
                                                : is_channels_last(original.shape, original.strides);
  if (fits) return original;
  auto& copies = dense_copies_[static_cast<int>(layout)];
  if (const auto place = copies.find(value); place != copies.end()) return place->second;
  const View target = temporary(original.dtype, original.shape, layout);
  copy(view(value), target);
  copies.emplace(value, target);
  return target;
}

View Lowering::create(Value output, Layout layout) {
  const View created = temporary(output.dtype(), output.shape(), layout);
  views_[output] = created;
  return created;
}

void Lowering::alias(Value output, const View& view) { views_[output] = view; }

View Lowering::temporary(DType dtype, const Shape& shape, Layout layout) {
  View view;
  view.dtype = dtype;
  view.shape = shape;
  view.strides = layout == Layout::channels_last ? channels_last_strides(shape) : row_major_strides(shape);
  view.storage = schedule_.add_storage({.bytes = numel(shape) * static_cast<std::int64_t>(size_of(dtype))});
  return view;
}

View Lowering::external(const Array& array) {
  keep(array);
  View view;
  view.dtype = array.dtype();
  view.shape = array.shape();
  view.strides = array.strides();
  const auto [known, is_new] = externals_.try_emplace(array.data(), -1);
  if (is_new)
    known->second = schedule_.add_storage({.kind = Storage::Kind::external,
                                           .bytes = static_cast<std::int64_t>(array.bytes()),
                                           .address = array.data()});
  view.storage = known->second;
  return view;
}

// ---- calls

std::int32_t Lowering::fault_code(std::string before, std::string after) {
  schedule_.fault_messages.push_back({std::move(before), std::move(after)});
  return static_cast<std::int32_t>(schedule_.fault_messages.size());
}

View Lowering::epilogue_operand(const Node& node, const Value& operand, Layout layout) {
  const bool whole = operand.shape() == node.outputs[0].shape;
  return dense(operand, whole ? layout : Layout::row_major);
}

void Lowering::prepare_epilogue(const Node& node) {
  if (!node.expression) return;
  const Layout layout = node.op->epilogue_axis(node) == node.outputs[0].shape.rank() - 1
                            ? Layout::row_major
                            : Layout::channels_last;
  for (const Value& operand : node.operands) epilogue_operand(node, operand, layout);
}

View Lowering::output(int call, const kernels::TileProgram*& epilogue, const Node& node, std::int64_t rows,
                      std::int64_t columns, Layout layout) {
  if (!node.expression) return create(node.out(), layout);
  const TileExpression& expression = *node.expression;
  const Shape& shape = node.outputs[0].shape;
  const DType raw_dtype = node.input_dtype(0);
  TileCall tile{*this, expression};
  tile.inputs.emplace_back();  // operand 0: the kernel's own result
  for (const Value& operand : node.operands) tile.inputs.push_back(epilogue_operand(node, operand, layout));
  // The raw result lies where it is wanted, else where an output overwrites it in place.
  View block;
  for (std::size_t i = 0; i < expression.outputs.size(); ++i) {
    const View created = create(node.out(static_cast<int>(i)), layout);
    tile.outputs.push_back(created);
    if (expression.outputs[i] == 0 ||
        (created.dtype == raw_dtype && overwrites(expression, 0, i) && block.storage < 0))
      block = created;
  }
  if (block.storage < 0) block = temporary(raw_dtype, shape, layout);
  tile.inputs[0] = block;
  auto& program = own<kernels::TileProgram>();
  tile.build_matrix(program, rows, columns);
  tile.bind(program, call);
  schedule_.add_fused(call, expression.to_string());
  epilogue = &program;
  return block;
}

void Lowering::copy(const View& from, const View& to) {
  TileExpression expression;
  expression.n_inputs = 1;
  expression.outputs = {0};
  TileCall tile{*this, expression};
  tile.inputs = {from};
  tile.outputs = {to};
  tile.emit("copy");
}

void Lowering::fill(const View& to, double value) { copy(external(Array::scalar(value, to.dtype)), to); }

}  // namespace ravine
