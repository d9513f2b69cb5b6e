// The effects of an optimizer in a graph: sums of squares of the gradients, and the update.
#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "graph/lowering.h"
#include "optim/matmul_update.h"
#include "optim/optimizer.h"

namespace ravine::optim {

namespace {

// Behind the sums of squares: running them is no step of the optimizer.
struct NormTarget final : EffectTarget {
  std::shared_ptr<Optimizer> optimizer;
  explicit NormTarget(std::shared_ptr<Optimizer> of) : optimizer(std::move(of)) {}
  Mutex& mutex() const override { return optimizer->mutex(); }
};

const Optimizer& optimizer_of(const Node& node) {
  return node.op == &gradient_norm_op ? *static_cast<const NormTarget&>(*node.target).optimizer
                                      : static_cast<const Optimizer&>(*node.target);
}

// Programs hold what they were compiled for: the bounds and the sums of squares of this clipping. Its owner
// may replace it, but then not run them.
struct ClippingTarget final : EffectTarget {
  const std::shared_ptr<const Optimizer> optimizer;
  const std::shared_ptr<const Clipping> clipping;
  const std::int64_t first_square;

  explicit ClippingTarget(std::shared_ptr<const Optimizer> of)
      : optimizer(std::move(of)), clipping(optimizer->clipping()), first_square(optimizer->first_square()) {}
  void before_run() override {
    check<RuntimeError>(optimizer->clipping() == clipping && optimizer->first_square() == first_square,
                        optimizer->rule().name,
                        ": set_clipping was called after the program was compiled; compile it again");
  }
};

void keep_clipping(Lowering& lowering, const Node& node) {
  lowering.target(std::make_shared<ClippingTarget>(
      node.op == &gradient_norm_op ? static_cast<const NormTarget&>(*node.target).optimizer
                                   : std::static_pointer_cast<const Optimizer>(node.target)));
}

// The attribute of a node whose gradient of this parameter is rows.
std::string of_rows(std::size_t parameter) { return str("rows_", parameter); }

bool is_sparse(const Node& node, std::size_t parameter) { return node.attrs.flag(of_rows(parameter), false); }

// The parameters whose gradients are rows; what rows these are comes behind all gradients, in this order.
std::vector<std::size_t> sparse_of(const Node& node) {
  std::vector<std::size_t> sparse;
  if (node.attrs.entries().empty()) return sparse;
  for (std::size_t i = 0; i < optimizer_of(node).parameters().size(); ++i)
    if (is_sparse(node, i)) sparse.push_back(i);
  return sparse;
}

void infer_step(Node& node) {
  const Optimizer& optimizer = optimizer_of(node);
  const std::vector<Array>& parameters = optimizer.parameters();
  const std::size_t n_sparse = sparse_of(node).size();
  check<ValueError>(node.inputs.size() == parameters.size() + n_sparse, "optimizer_step: got ",
                    node.inputs.size() - n_sparse, " gradients for ", parameters.size(), " parameters");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (is_updated(node.inputs[i])) continue;
    TensorType expected{parameters[i].dtype(), parameters[i].shape()};
    const TensorType& got = node.inputs[i].type();
    if (is_sparse(node, i)) expected.shape[0] = got.shape[0];
    check<ValueError>(got == expected, "optimizer_step: gradient ", i, " is ", to_string(got),
                      ", its parameter is ", to_string(expected));
  }
}

// What has to hold for rules that leave rows as they are.
void expect_updates_of_rows(const Optimizer& optimizer) {
  const Rule& rule = optimizer.rule();
  if (rule.rows == nullptr) {
    std::string known;
    for (const Rule* other : all_rules())
      if (other->rows != nullptr) known += (known.empty() ? "" : ", ") + std::string(other->name);
    fail<ValueError>(rule.name,
                     ": has no update of single rows, as the sparse gradient of an embedding asks ",
                     "for; rules that have one: ", known);
  }
  for (const Optimizer::SlotArrays& slot : optimizer.slots())
    check<ValueError>(slot.index < kernels::max_slots, rule.name, ": keeps ", slot.name,
                      " weights, which move in every step, of rows without a gradient too: use embeddings ",
                      "with sparse=False");
}

// Weight decay would move all rows; it may be turned on at any time.
struct RowsTarget final : EffectTarget {
  const std::shared_ptr<const Optimizer> optimizer;
  explicit RowsTarget(std::shared_ptr<const Optimizer> of) : optimizer(std::move(of)) {}
  void before_run() override {
    check<ValueError>(
        !optimizer->decays(), optimizer->rule().name,
        ": weight_decay moves all rows of a table, and sparse gradients those of a batch: give ",
        "the table a Group(weight_decay=0), or use embeddings with sparse=False");
  }
  Mutex& mutex() const override { return optimizer->mutex(); }
};

// Parameters that one kernel updates: those of a dtype, matrices or the others. The kernels' sums of squares
// come in the order of these sets.
struct Chosen {
  std::vector<std::size_t> parameters;
  std::int64_t first_square;

  Chosen(const Optimizer& optimizer, DType dtype, bool matrices) : first_square(optimizer.first_square()) {
    const auto place = [](DType type, bool matrix) { return 2 * static_cast<int>(type) + matrix; };
    for (std::size_t i = 0; i < optimizer.parameters().size(); ++i) {
      const Array& parameter = optimizer.parameters()[i];
      const int other = place(parameter.dtype(), optimizer.rule().as_matrix(parameter.shape()));
      if (other == place(dtype, matrices)) parameters.push_back(i);
      else if (other < place(dtype, matrices)) ++first_square;
    }
  }
};

// visit(dtype, matrices) for every such set.
template <class Visit>
void for_each_set(Visit visit) {
  for (const DType dtype : all_dtypes) {
    if (!is_floating(dtype)) continue;
    for (const bool matrices : {false, true}) visit(dtype, matrices);
  }
}

// Segments that live as long as the program.
kernels::ParameterSegment* new_segments(Lowering& lowering, std::size_t count) {
  const auto bytes = static_cast<std::int64_t>(count * sizeof(kernels::ParameterSegment));
  const Array memory(DType::uint8, Shape{bytes});
  lowering.keep(memory);
  auto* segments = memory.as<kernels::ParameterSegment>();
  std::uninitialized_value_construct_n(segments, count);
  return segments;
}

void lower_norm_of(Lowering& lowering, const Node& node, DType dtype, bool matrices) {
  const Optimizer& optimizer = optimizer_of(node);
  const Chosen chosen(optimizer, dtype, matrices);
  const std::size_t count = chosen.parameters.size();
  if (count == 0) return;
  kernels::ParameterSegment* segments = new_segments(lowering, count);
  std::vector<View> gradients;
  for (const std::size_t i : chosen.parameters)
    gradients.push_back(lowering.dense(node.inputs[i], optimizer.parameters()[i].layout()));
  auto call = lowering.call("gradient_norm", lowering.kernels().of(dtype).gradient_norm);
  double elements = 0;
  for (std::size_t s = 0; s < count; ++s) {
    segments[s].size = numel(gradients[s].shape);
    elements += static_cast<double>(segments[s].size);
    call.read(segments[s].gradient, gradients[s]);
  }
  View squares = lowering.external(optimizer.clipping()->squares());
  squares.offset = chosen.first_square;
  call.write(call.args.squares, squares);
  call.args.segments = segments;
  call.args.n_segments = static_cast<std::int64_t>(count);
  call.args.clip_value = &optimizer.clipping()->clip_value;
  call.args.fault = lowering.fault();
  call.workspace(call.args.workspace, lowering.kernels().of(dtype).gradient_norm_workspace(call.args));
  call.describe(str(count, " gradients"));
  call.cost(2 * elements, elements * static_cast<double>(size_of(dtype)));
}

void lower_norm(Lowering& lowering, const Node& node) {
  keep_clipping(lowering, node);
  for_each_set([&](DType dtype, bool matrices) { lower_norm_of(lowering, node, dtype, matrices); });
}

// What a step's kernel reads and writes.
template <class Args>
void bind_step(Lowering& lowering, Call<Args>& call, kernels::OptimizerArgs& args, const Optimizer& optimizer,
               const Chosen& chosen, const std::vector<View>& gradients) {
  const std::size_t count = chosen.parameters.size();
  kernels::ParameterSegment* segments = new_segments(lowering, count);
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t i = chosen.parameters[s];
    const Array& parameter = optimizer.parameters()[i];
    segments[s].size = parameter.size();
    call.read(segments[s].gradient, gradients[s]);
    call.write(segments[s].parameter, lowering.external(parameter));
    for (const auto& slot : optimizer.slots())
      if (slot.arrays[i]) call.write(segments[s].slots[slot.index], lowering.external(slot.arrays[i]));
  }
  args.segments = segments;
  args.n_segments = static_cast<std::int64_t>(count);
  args.step = &optimizer.kernel_step();
  args.fault = lowering.fault();
  if (optimizer.clipping() != nullptr) {
    const Array& squares = optimizer.clipping()->squares();
    call.read(args.squares, lowering.external(squares));
    args.n_squares = squares.size();
    args.first_square = chosen.first_square;
  }
}

void lower_elementwise_step(Lowering& lowering, const Optimizer& optimizer, DType dtype, const Chosen& chosen,
                            const std::vector<View>& gradients) {
  const Rule& rule = optimizer.rule();
  auto call = lowering.call(rule.name, lowering.kernels().of(dtype).optimizer_step);
  bind_step(lowering, call, call.args, optimizer, chosen, gradients);
  call.args.functions = lowering.kernels().optimizer_functions(rule.kernel, dtype);
  call.workspace(call.args.workspace, lowering.kernels().of(dtype).optimizer_step_workspace(call.args));
  std::int64_t elements = 0;
  for (const std::size_t i : chosen.parameters) elements += optimizer.parameters()[i].size();
  call.describe(str(chosen.parameters.size(), " parameters, ", elements, " numbers"));
  const double streams = 3 + 2 * static_cast<double>(optimizer.slots().size());
  call.cost(rule.flops_per_element * static_cast<double>(elements),
            streams * static_cast<double>(elements) * static_cast<double>(size_of(dtype)));
}

void lower_matrix_step(Lowering& lowering, const Optimizer& optimizer, DType dtype, const Chosen& chosen,
                       const std::vector<View>& gradients) {
  const Rule& rule = optimizer.rule();
  const std::size_t count = chosen.parameters.size();
  const Array memory(DType::uint8, Shape{static_cast<std::int64_t>(count * sizeof(kernels::MatrixShape))});
  lowering.keep(memory);
  auto* shapes = memory.as<kernels::MatrixShape>();
  double elements = 0, flops = 0;
  for (std::size_t s = 0; s < count; ++s) {
    const Array& parameter = optimizer.parameters()[chosen.parameters[s]];
    std::construct_at(shapes + s, rule.matrices->shape_of(parameter.shape(), parameter.layout()));
    elements += static_cast<double>(parameter.size());
    flops += rule.matrices->flops(shapes[s]);
  }
  const kernels::FloatKernels& kernels = lowering.kernels().of(dtype);
  auto call = lowering.call(rule.name, kernels.*rule.matrices->kernel);
  bind_step(lowering, call, call.args.step, optimizer, chosen, gradients);
  call.args.shapes = shapes;
  if (rule.matrices->workspace != nullptr)
    call.workspace(call.args.step.workspace, (kernels.*rule.matrices->workspace)(call.args));
  call.describe(str(count, " matrices"));
  call.cost(flops, 6 * elements * static_cast<double>(size_of(dtype)));
}

// A set of parameters that a kernel call of its own updates.
struct LoweredSet {
  Chosen chosen;
  std::vector<View> gradients;
};

// Makes the gradients' memory ready; parameters that products have updated, and those updated by rows, are
// left out.
LoweredSet lower_gradients(Lowering& lowering, const Node& node, DType dtype, bool matrices) {
  const Optimizer& optimizer = optimizer_of(node);
  LoweredSet set{Chosen(optimizer, dtype, matrices), {}};
  std::erase_if(set.chosen.parameters,
                [&](std::size_t i) { return is_updated(node.inputs[i]) || is_sparse(node, i); });
  for (const std::size_t i : set.chosen.parameters)
    set.gradients.push_back(lowering.dense(node.inputs[i], optimizer.parameters()[i].layout()));
  return set;
}

// One parameter as a set of its own, with the place of its sum of squares.
Chosen only(const Optimizer& optimizer, std::size_t parameter) {
  const Array& array = optimizer.parameters()[parameter];
  Chosen chosen(optimizer, array.dtype(), optimizer.rule().as_matrix(array.shape()));
  const auto place = std::find(chosen.parameters.begin(), chosen.parameters.end(), parameter);
  chosen.first_square += place - chosen.parameters.begin();
  chosen.parameters = {parameter};
  return chosen;
}

void lower_row_step(Lowering& lowering, const Optimizer& optimizer, std::size_t parameter, const View& rows,
                    const View& which) {
  if (numel(rows.shape) == 0) return;
  const Rule& rule = optimizer.rule();
  const Array& table = optimizer.parameters()[parameter];
  auto call = lowering.call(rule.name, lowering.kernels().of(table.dtype()).optimizer_rows);
  bind_step(lowering, call, call.args.step, optimizer, only(optimizer, parameter), {rows});
  call.args.step.step = &optimizer.row_step();
  call.args.step.functions = lowering.kernels().optimizer_functions(
      rule.as_matrix(table.shape()) ? rule.rows->kernel : rule.kernel, table.dtype());
  call.args.count = rows.shape[0];
  call.args.inner = numel(rows.shape) / rows.shape[0];
  call.read(call.args.indices, which);
  call.describe(str("rows ", rows.shape, " of ", table.shape()));
  const auto elements = static_cast<double>(numel(rows.shape));
  const double streams = 3 + 2 * static_cast<double>(optimizer.slots().size());
  call.cost(rule.flops_per_element * elements,
            streams * elements * static_cast<double>(size_of(table.dtype())));
}

void lower_step(Lowering& lowering, const Node& node) {
  keep_clipping(lowering, node);
  const Optimizer& optimizer = optimizer_of(node);
  const std::vector<std::size_t> sparse = sparse_of(node);
  struct Rows {
    std::size_t parameter;
    View rows, which;
  };
  std::vector<Rows> sparse_rows;
  for (std::size_t s = 0; s < sparse.size(); ++s)
    sparse_rows.push_back({sparse[s], lowering.dense(node.inputs[sparse[s]]),
                           lowering.dense(node.inputs[optimizer.parameters().size() + s])});
  if (!sparse_rows.empty())
    lowering.target(std::make_shared<RowsTarget>(std::static_pointer_cast<const Optimizer>(node.target)));
  std::vector<LoweredSet> sets;
  for_each_set(
      [&](DType dtype, bool matrices) { sets.push_back(lower_gradients(lowering, node, dtype, matrices)); });
  auto set = sets.begin();
  for_each_set([&](DType dtype, bool matrices) {
    const LoweredSet& own = *set++;
    if (own.chosen.parameters.empty()) return;
    if (matrices) lower_matrix_step(lowering, optimizer, dtype, own.chosen, own.gradients);
    else lower_elementwise_step(lowering, optimizer, dtype, own.chosen, own.gradients);
  });
  for (const Rows& own : sparse_rows) lower_row_step(lowering, optimizer, own.parameter, own.rows, own.which);
}

// Gradients, then what rows the sparse ones are; and which those are.
std::pair<Values, Attrs> with_rows(Values gradients, const Values& which) {
  Attrs attrs;
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (!which[i]) continue;
    attrs.set(of_rows(i), true);
    gradients.push_back(which[i]);
  }
  return {std::move(gradients), std::move(attrs)};
}

}  // namespace

const Op optimizer_step_op{
    .name = "optimizer_step", .kind = OpKind::effect, .infer = infer_step, .lower = lower_step};

const Op gradient_norm_op{
    .name = "gradient_norm", .kind = OpKind::effect, .infer = infer_step, .lower = lower_norm};

void gradient_norm(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients,
                   const Values& which) {
  check<ValueError>(optimizer->clipping() != nullptr, "gradient_norm: the optimizer has no clipping");
  auto [inputs, attrs] = with_rows(std::move(gradients), which);
  graph.effect(gradient_norm_op, std::move(inputs), std::make_shared<NormTarget>(std::move(optimizer)),
               std::move(attrs));
}

void optimizer_step(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients,
                    const Values& which) {
  auto [inputs, attrs] = with_rows(std::move(gradients), which);
  if (!attrs.entries().empty()) expect_updates_of_rows(*optimizer);
  graph.effect(optimizer_step_op, std::move(inputs), std::move(optimizer), std::move(attrs));
}

}  // namespace ravine::optim
