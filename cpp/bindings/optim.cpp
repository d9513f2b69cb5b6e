#include "bindings/bindings.h"
#include "optim/optimizer.h"

namespace ravine::bindings {

void bind_optim(py::module_& module) {
  using optim::Optimizer;
  module.def("optimizer_rules", [] {
    std::vector<std::string> names;
    for (const optim::Rule* rule : optim::all_rules()) names.emplace_back(rule->name);
    return names;
  });
  module.def(
      "optimizer_rule",
      [](const std::string& name) {
        const optim::Rule& rule = optim::rule_named(name);
        py::dict hyper, slots;
        for (const optim::Hyperparameter& h : rule.hyper)
          hyper[py::str(std::string(h.name))] = py::make_tuple(h.otherwise, h.low, h.high, h.flag);
        for (const optim::Slot& slot : rule.slots)
          slots[slot.name] = slot.needed_by == nullptr ? py::object(py::none()) : py::str(slot.needed_by);
        return py::make_tuple(hyper, slots);
      },
      py::arg("name"),
      "({hyperparameter: (default, least, below, is a flag)}, {slot: the hyperparameter it needs or None}).");
  module.def(
      "optimizer_slots",
      [](const std::string& name, const std::vector<std::int64_t>& shape) {
        py::dict shapes;
        for (const optim::Slot& slot : optim::rule_named(name).slots)
          if (const auto of_slot = slot.shape_for(Shape(shape)))
            shapes[slot.name] = py::tuple(py::cast(std::vector(of_slot->begin(), of_slot->end())));
        return shapes;
      },
      py::arg("name"), py::arg("shape"), "{slot: its shape for a parameter of this shape}, of those it has.");
  module.def(
      "check_hyper",
      [](const std::string& rule, const std::map<std::string, double>& hyper) {
        Optimizer(rule, {}, Optimizer::Settings(hyper.begin(), hyper.end()));
      },
      py::arg("rule"), py::arg("hyper"), "Raises ValueError where numbers do not go together.");
}

}  // namespace ravine::bindings
