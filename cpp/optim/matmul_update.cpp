#include "optim/matmul_update.h"

#include "graph/lowering.h"
#include "ops/checks.h"
#include "ops/linalg.h"
#include "optim/optimizer.h"

namespace ravine::optim {
namespace {

const Optimizer& optimizer_of_update(const Node& node) { return static_cast<const Optimizer&>(*node.target); }
std::size_t parameter_of(const Node& node) {
  return static_cast<std::size_t>(node.attrs.integer("parameter"));
}

void infer_matmul_update(Node& node) {
  expect_inputs(node, 2);
  expect_one_dtype(node);
  node.attrs.check_known(node.op->name, {"parameter", "row_sums"});
  const std::vector<Array>& parameters = optimizer_of_update(node).parameters();
  check<ValueError>(parameter_of(node) < parameters.size(), node.op->name, ": there is no parameter ",
                    parameter_of(node), " among ", parameters.size());
  const Array& parameter = parameters[parameter_of(node)];
  const Shape &a = node.input_shape(0), &b = node.input_shape(1);
  check<ValueError>(a.rank() == 2 && b.rank() == 2 && a[1] == b[0] &&
                        Shape{a[0], b[1]} == parameter.shape() && node.input_dtype(0) == parameter.dtype(),
                    node.op->name, ": a product of ", to_string(node.input_type(0)), " and ",
                    to_string(node.input_type(1)), " is no gradient of a parameter ",
                    name_of(parameter.dtype()), " ", parameter.shape());
  node.outputs = {{parameter.dtype(), Shape{0}}};
  if (node.attrs.flag("row_sums", false)) node.outputs.push_back({parameter.dtype(), Shape{a[0]}});
}

void lower_matmul_update(Lowering& lowering, const Node& node) {
  const Optimizer& optimizer = optimizer_of_update(node);
  const Rule& rule = optimizer.rule();
  const std::size_t number = parameter_of(node);
  const Array& parameter = optimizer.parameters()[number];
  const View a = lowering.view(node.inputs[0]), b = lowering.view(node.inputs[1]);
  auto call = lowering.call("gemm_update", lowering.floats(node).gemm_update);
  kernels::GemmArgs& product = call.args.product;
  set_matrices(product, a, b);
  call.read(product.a.data, a);
  call.read(product.b.data, b);
  kernels::ParameterSegment& segment = call.args.segment;
  segment.size = parameter.size();
  call.write(segment.parameter, lowering.external(parameter));
  for (const auto& slot : optimizer.slots())
    if (slot.arrays[number]) call.write(segment.slots[slot.index], lowering.external(slot.arrays[number]));
  call.args.update = lowering.kernels().optimizer_functions(rule.kernel, parameter.dtype()).update;
  call.args.step = &optimizer.kernel_step();
  call.args.fault = lowering.fault();
  const bool sums_rows = node.outputs.size() == 2;
  if (sums_rows) call.write(product.row_sums, lowering.create(node.out(1)));
  call.describe(str(a.shape, " x ", b.shape, sums_rows ? ", row sums" : "", "  + ", rule.name));
  const double elements = static_cast<double>(parameter.size());
  call.cost(2 * elements * static_cast<double>(product.k) + rule.flops_per_element * elements,
            6 * elements * static_cast<double>(size_of(a.dtype)));
}

}  // namespace

const Op matmul_update_op{.name = "matmul_update",
                          .kind = OpKind::effect,
                          .infer = infer_matmul_update,
                          .lower = lower_matmul_update};

bool is_updated(const Value& gradient) {
  return gradient.node->op == &matmul_update_op && gradient.index == 0;
}

bool updates_by_parts(const Optimizer& optimizer, std::size_t parameter) {
  const Array& array = optimizer.parameters()[parameter];
  return kernels::is_elementwise(optimizer.rule().kernel) && optimizer.clipping() == nullptr &&
         !optimizer.rule().as_matrix(array.shape()) && array.layout() == Layout::row_major;
}

}  // namespace ravine::optim
