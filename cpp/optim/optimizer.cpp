#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/error.h"
#include "graph/lowering.h"

namespace ravine::optim {

// ---- the optimizer
// ---------------------------------------------------------------------------------------------

Optimizer::Optimizer(std::string_view rule, std::vector<Array> parameters, const Settings& hyper,
                     std::span<const std::string> slots)
    : rule_(rule_named(rule)), hyper_(rule_.name, rule_.hyper), parameters_(std::move(parameters)) {
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
    for (const Array& parameter : parameters_)
      arrays.emplace_back(parameter.dtype(), parameter.shape(), parameter.layout());
    slots_.push_back({slot.name, static_cast<int>(index), std::move(arrays)});
  }
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) progress_.scalars[i] = rule_.scalars[i].initial;
}

Optimizer::Settings Optimizer::hyper() const {
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
  HyperValues changed = hyper_;
  for (const auto& [name, value] : hyper) changed.set(name, value);
  if (rule_.check != nullptr) rule_.check(changed);
  check_slots(changed);
  hyper_ = changed;
}

void Optimizer::set_step(std::int64_t step) {
  check<ValueError>(step >= 0, rule_.name, ": the step must not be negative, got ", step);
  progress_.step = step;
}

Optimizer::Settings Optimizer::scalars() const {
  Settings all;
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i)
    all.emplace_back(rule_.scalars[i].name, progress_.scalars[i]);
  return all;
}

void Optimizer::set_scalar(std::string_view name, double value) {
  check<ValueError>(std::isfinite(value), rule_.name, ": ", name, " must be a finite number, got ", value);
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) {
    if (rule_.scalars[i].name != name) continue;
    progress_.scalars[i] = value;
    return;
  }
  fail<KeyError>(rule_.name, ": keeps no number '", name, "'");
}

void Optimizer::before_run() {
  next_progress_ = progress_;
  kernel_hyper_ = rule_.prepare(hyper_, next_progress_);
  kernel_step_ = {.hyper = kernel_hyper_.data(), .gradient_scale = hyper_.on("maximize") ? -1.0 : 1.0};
}

void Optimizer::after_run() { progress_ = next_progress_; }

// ---- the effect
// ------------------------------------------------------------------------------------------------

namespace {

const Optimizer& optimizer_of(const Node& node) { return static_cast<const Optimizer&>(*node.target); }

void infer_step(Node& node) {
  const Optimizer& optimizer = optimizer_of(node);
  const std::vector<Array>& parameters = optimizer.parameters();
  check<ValueError>(node.inputs.size() == parameters.size(), "optimizer_step: got ", node.inputs.size(),
                    " gradients for ", parameters.size(), " parameters");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const TensorType expected{parameters[i].dtype(), parameters[i].shape()};
    const TensorType& got = node.inputs[i].type();
    check<ValueError>(got == expected, "optimizer_step: gradient ", i, " is ", to_string(got),
                      ", its parameter is ", to_string(expected));
  }
}

// One kernel call for all parameters of a dtype.
void lower_step_of(Lowering& lowering, const Node& node, DType dtype) {
  const Optimizer& optimizer = optimizer_of(node);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < optimizer.parameters().size(); ++i)
    if (optimizer.parameters()[i].dtype() == dtype) chosen.push_back(i);
  if (chosen.empty()) return;

  // Storages that the kernel writes. A gradient can lie in one of them (that of sum(p q) with respect to p is
  // q), and would then be read after it has changed.
  std::vector<int> written;
  for (const std::size_t i : chosen) {
    written.push_back(lowering.external(optimizer.parameters()[i]).storage);
    for (const auto& slot : optimizer.slots()) written.push_back(lowering.external(slot.arrays[i]).storage);
  }
  std::vector<View> gradients;
  for (const std::size_t i : chosen) {
    const Layout layout = optimizer.parameters()[i].layout();
    View gradient = lowering.dense(node.inputs[i], layout);
    if (std::find(written.begin(), written.end(), gradient.storage) != written.end()) {
      const View copied = lowering.temporary(dtype, gradient.shape, layout);
      lowering.copy(gradient, copied);
      gradient = copied;
    }
    gradients.push_back(gradient);
  }

  // The segments live as long as the program.
  const auto bytes = static_cast<std::int64_t>(chosen.size() * sizeof(kernels::ParameterSegment));
  const Array memory(DType::uint8, Shape{bytes});
  lowering.keep(memory);
  auto* segments = memory.as<kernels::ParameterSegment>();
  std::uninitialized_value_construct_n(segments, chosen.size());

  auto call = lowering.call(optimizer.rule().name, lowering.kernels().of(dtype).optimizer_step);
  std::int64_t elements = 0;
  for (std::size_t s = 0; s < chosen.size(); ++s) {
    const Array& parameter = optimizer.parameters()[chosen[s]];
    segments[s].size = parameter.size();
    elements += parameter.size();
    call.read(segments[s].gradient, gradients[s]);
    call.write(segments[s].parameter, lowering.external(parameter));
    for (const auto& slot : optimizer.slots())
      call.write(segments[s].slots[slot.index], lowering.external(slot.arrays[chosen[s]]));
  }
  call.args.segments = segments;
  call.args.n_segments = static_cast<std::int64_t>(chosen.size());
  call.args.functions = lowering.kernels().optimizer_functions(optimizer.rule().kernel, dtype);
  call.args.step = &optimizer.kernel_step();
  call.args.fault = lowering.fault();
  call.workspace(call.args.workspace, lowering.kernels().of(dtype).optimizer_step_workspace(call.args));
  call.describe(str(chosen.size(), " parameters, ", elements, " numbers"));
  const double streams = 3 + 2 * static_cast<double>(optimizer.slots().size());
  call.cost(optimizer.rule().flops_per_element * static_cast<double>(elements),
            streams * static_cast<double>(elements) * static_cast<double>(size_of(dtype)));
}

void lower_step(Lowering& lowering, const Node& node) {
  for (const DType dtype : {DType::float32, DType::float64}) lower_step_of(lowering, node, dtype);
}

}  // namespace

const Op optimizer_step_op{
    .name = "optimizer_step", .kind = OpKind::effect, .infer = infer_step, .lower = lower_step};

void optimizer_step(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients) {
  graph.effect(optimizer_step_op, std::move(gradients), std::move(optimizer));
}

}  // namespace ravine::optim
