#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "graph/lowering.h"
#include "optim/matmul_update.h"

namespace ravine::optim {

// ---- the optimizer

Optimizer::Optimizer(std::string_view rule, std::vector<Array> parameters, const Settings& hyper,
                     std::span<const std::string> slots, std::shared_ptr<Writer> writer)
    : writer_(std::move(writer)),
      rule_(rule_named(rule)),
      hyper_(rule_.name, rule_.hyper),
      parameters_(std::move(parameters)) {
  for (const auto& [name, value] : hyper) hyper_.set(name, value);
  if (rule_.check != nullptr) rule_.check(hyper_);
  for (const Array& parameter : parameters_)
    check<TypeError>(is_floating(parameter.dtype()), rule_.name, ": a parameter of shape ", parameter.shape(),
                     " is ", name_of(parameter.dtype()), ", expected float32 or float64");
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      check<ValueError>(parameters_[i].data() != parameters_[j].data(), rule_.name, ": parameters ", j,
                        " and ", i, " are the same array");
  for (std::size_t index = 0; index < rule_.slots.size(); ++index) {
    const Slot& slot = rule_.slots[index];
    const bool asked_for = std::find(slots.begin(), slots.end(), slot.name) != slots.end();
    if (slot.needed_by != nullptr && !hyper_.on(slot.needed_by) && !asked_for) continue;
    std::vector<Array> arrays;
    for (const Array& parameter : parameters_) {
      const std::optional<Shape> shape = slot.shape_for(parameter.shape());
      arrays.push_back(shape ? Array(parameter.dtype(), *shape, parameter.layout()) : Array());
    }
    slots_.push_back({slot.name, static_cast<int>(index), std::move(arrays)});
  }
  for (const auto& [name, index] :
       {std::pair{"average", kernels::average_slot}, std::pair{"slow", kernels::slow_slot}}) {
    if (std::find(slots.begin(), slots.end(), name) == slots.end()) continue;
    std::vector<Array> arrays;
    for (const Array& parameter : parameters_) {
      arrays.emplace_back(parameter.dtype(), parameter.shape(), parameter.layout());
      std::memcpy(arrays.back().data(), parameter.data(), parameter.bytes());
    }
    slots_.push_back({name, index, std::move(arrays)});
  }
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) progress_.scalars[i] = rule_.scalars[i].initial;
}

Optimizer::Settings Optimizer::hyper() const {
  const std::lock_guard lock(mutex());
  Settings all;
  for (const Hyperparameter& parameter : rule_.hyper)
    all.emplace_back(parameter.name, hyper_.at(parameter.name));
  return all;
}

void Optimizer::check_slots(const HyperValues& hyper) const {
  for (const Slot& slot : rule_.slots) {
    const bool kept = std::any_of(slots_.begin(), slots_.end(),
                                  [&](const SlotArrays& arrays) { return arrays.name == slot.name; });
    check<ValueError>(kept || slot.needed_by == nullptr || !hyper.on(slot.needed_by), rule_.name, ": ",
                      slot.needed_by,
                      " cannot be set on an optimizer that was made without it, as it keeps no ", slot.name);
  }
}

void Optimizer::set_all(const Settings& hyper) {
  const std::lock_guard lock(mutex());
  set_held(hyper);
}

void Optimizer::set_held(const Settings& hyper) {
  HyperValues changed = hyper_;
  for (const auto& [name, value] : hyper) changed.set(name, value);
  if (rule_.check != nullptr) rule_.check(changed);
  check_slots(changed);
  hyper_ = changed;
}

std::int64_t Optimizer::step() const {
  const std::lock_guard lock(mutex());
  return progress_.step;
}

void Optimizer::set_step(std::int64_t step) {
  check<ValueError>(step >= 0, rule_.name, ": the step must not be negative, got ", step);
  const std::lock_guard lock(mutex());
  progress_.step = step;
}

Optimizer::Settings Optimizer::scalars() const {
  const std::lock_guard lock(mutex());
  Settings all;
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i)
    all.emplace_back(rule_.scalars[i].name, progress_.scalars[i]);
  return all;
}

void Optimizer::set_scalar(std::string_view name, double value) {
  check<ValueError>(std::isfinite(value), rule_.name, ": ", name, " must be a finite number, got ", value);
  const std::lock_guard lock(mutex());
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) {
    if (rule_.scalars[i].name != name) continue;
    progress_.scalars[i] = value;
    return;
  }
  fail<KeyError>(rule_.name, ": keeps no number '", name, "'");
}

void Optimizer::set_progress(std::int64_t step, std::span<const double> scalars) {
  progress_.step = step;
  std::copy(scalars.begin(), scalars.end(), progress_.scalars);
}

void Optimizer::before_run() {
  next_progress_ = progress_;
  ++next_progress_.step;
  kernel_hyper_ = rule_.prepare(hyper_, next_progress_);
  kernel_step_ = {.hyper = kernel_hyper_.data(),
                  .gradient_scale = hyper_.on("maximize") ? -1.0 : 1.0,
                  .slow_weight = slow_weight,
                  .average_weight = average_weight};
  if (clipping_ == nullptr) return;
  kernel_step_.clip_value = clipping_->clip_value;
  kernel_step_.clip_norm = clipping_->clip_norm;
  kernel_step_.clip_global_norm = clipping_->clip_global_norm;
  kernel_step_.skip_nonfinite = clipping_->skip_nonfinite ? 1 : 0;
}

void Optimizer::after_run() {
  if (clipping_ == nullptr || !clipping_->refuses()) progress_ = next_progress_;
}

std::vector<Array> Optimizer::written() const {
  std::vector<Array> arrays = parameters_;
  for (const SlotArrays& slot : slots_)
    std::copy_if(slot.arrays.begin(), slot.arrays.end(), std::back_inserter(arrays),
                 [](const Array& array) { return static_cast<bool>(array); });
  return arrays;
}

void Optimizer::set_clipping(std::shared_ptr<Clipping> clipping, std::int64_t first) {
  const auto count = static_cast<std::int64_t>(parameters_.size());
  check<ValueError>(first >= 0 && first + count <= clipping->squares().size(), rule_.name, ": parameters ",
                    first, " to ", first + count, " of a clipping of ", clipping->squares().size());
  clipping_ = std::move(clipping);
  first_square_ = first;
}

// ---- the effect

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

void infer_step(Node& node) {
  const Optimizer& optimizer = optimizer_of(node);
  const std::vector<Array>& parameters = optimizer.parameters();
  check<ValueError>(node.inputs.size() == parameters.size(), "optimizer_step: got ", node.inputs.size(),
                    " gradients for ", parameters.size(), " parameters");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (is_updated(node.inputs[i])) continue;
    const TensorType expected{parameters[i].dtype(), parameters[i].shape()};
    const TensorType& got = node.inputs[i].type();
    check<ValueError>(got == expected, "optimizer_step: gradient ", i, " is ", to_string(got),
                      ", its parameter is ", to_string(expected));
  }
}

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
  call.workspace(call.args.step.workspace, (kernels.*rule.matrices->workspace)(call.args));
  call.describe(str(count, " matrices"));
  call.cost(flops, 6 * elements * static_cast<double>(size_of(dtype)));
}

// A set of parameters that a kernel call of its own updates.
struct LoweredSet {
  Chosen chosen;
  std::vector<View> gradients;
};

// Makes the gradients' memory ready; parameters that products have updated are left out.
LoweredSet lower_gradients(Lowering& lowering, const Node& node, DType dtype, bool matrices) {
  const Optimizer& optimizer = optimizer_of(node);
  LoweredSet set{Chosen(optimizer, dtype, matrices), {}};
  std::erase_if(set.chosen.parameters, [&](std::size_t i) { return is_updated(node.inputs[i]); });
  for (const std::size_t i : set.chosen.parameters)
    set.gradients.push_back(lowering.dense(node.inputs[i], optimizer.parameters()[i].layout()));
  return set;
}

void lower_step(Lowering& lowering, const Node& node) {
  keep_clipping(lowering, node);
  const Optimizer& optimizer = optimizer_of(node);
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
}

}  // namespace

const Op optimizer_step_op{
    .name = "optimizer_step", .kind = OpKind::effect, .infer = infer_step, .lower = lower_step};

const Op gradient_norm_op{
    .name = "gradient_norm", .kind = OpKind::effect, .infer = infer_step, .lower = lower_norm};

void gradient_norm(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients) {
  check<ValueError>(optimizer->clipping() != nullptr, "gradient_norm: the optimizer has no clipping");
  graph.effect(gradient_norm_op, std::move(gradients), std::make_shared<NormTarget>(std::move(optimizer)));
}

void optimizer_step(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients) {
  graph.effect(optimizer_step_op, std::move(gradients), std::move(optimizer));
}

}  // namespace ravine::optim
