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
  using optim::Clipping;
  py::class_<Clipping, std::shared_ptr<Clipping>>(module, "Clipping",
                                                  "Bounds of gradients that optimizers share.")
      .def(py::init<std::int64_t>(), py::arg("n_parameters"))
      .def_readwrite("clip_value", &Clipping::clip_value)
      .def_readwrite("clip_norm", &Clipping::clip_norm)
      .def_readwrite("clip_global_norm", &Clipping::clip_global_norm)
      .def_property(
          "skip_nonfinite", [](const Clipping& self) { return self.skip_nonfinite; },
          [](Clipping& self, bool skip) { self.skip_nonfinite = skip; })
      .def_property_readonly("global_norm", &Clipping::global_norm);
  py::class_<Optimizer, std::shared_ptr<Optimizer>>(module, "Optimizer",
                                                    "An update rule bound to parameters.")
      .def(py::init([](const std::string& rule, const std::vector<std::shared_ptr<Array>>& parameters,
                       const std::map<std::string, double>& hyper, const std::vector<std::string>& slots) {
             std::vector<Array> arrays;
             for (const auto& parameter : parameters) arrays.push_back(*parameter);
             return std::make_shared<Optimizer>(rule, std::move(arrays),
                                                Optimizer::Settings(hyper.begin(), hyper.end()), slots);
           }),
           py::arg("rule"), py::arg("parameters"), py::arg("hyper"), py::arg("slots") = py::list())
      .def_property_readonly("hyper",
                             [](const Optimizer& self) {
                               py::dict hyper;
                               for (const auto& [name, value] : self.hyper()) hyper[py::str(name)] = value;
                               return hyper;
                             })
      .def("set", &Optimizer::set, py::arg("name"), py::arg("value"))
      .def(
          "set_all",
          [](Optimizer& self, const std::map<std::string, double>& hyper) {
            self.set_all(Optimizer::Settings(hyper.begin(), hyper.end()));
          },
          py::arg("hyper"))
      .def_property_readonly(
          "slots",
          [](const Optimizer& self) {
            py::dict slots;
            for (const auto& slot : self.slots()) {
              py::list list;
              for (const Array& array : slot.arrays)
                list.append(array ? py::cast(std::make_shared<Array>(array)) : py::object(py::none()));
              slots[py::str(slot.name)] = list;
            }
            return slots;
          })
      .def_property_readonly("scalars",
                             [](const Optimizer& self) {
                               py::dict scalars;
                               for (const auto& [name, value] : self.scalars())
                                 scalars[py::str(name)] = value;
                               return scalars;
                             })
      .def("set_scalar", &Optimizer::set_scalar, py::arg("name"), py::arg("value"))
      .def_readwrite("average_weight", &Optimizer::average_weight)
      .def_readwrite("slow_weight", &Optimizer::slow_weight)
      .def("set_clipping", &Optimizer::set_clipping, py::arg("clipping"), py::arg("first"))
      .def_property("step", &Optimizer::step, &Optimizer::set_step);
}

}  // namespace ravine::bindings
