#include "bindings/bindings.h"
#include "optim/optimizer.h"

namespace ravine::bindings {

void bind_optim(py::module_& module) {
  using optim::Optimizer;
  py::class_<Optimizer, std::shared_ptr<Optimizer>>(module, "Optimizer",
                                                    "An update rule bound to parameters.")
      .def(py::init([](const std::string& rule, const std::vector<std::shared_ptr<Array>>& parameters,
                       const std::map<std::string, double>& hyper) {
             std::vector<Array> arrays;
             for (const auto& parameter : parameters) arrays.push_back(*parameter);
             return std::make_shared<Optimizer>(rule, std::move(arrays),
                                                Optimizer::Settings(hyper.begin(), hyper.end()));
           }),
           py::arg("rule"), py::arg("parameters"), py::arg("hyper"))
      .def_property_readonly("hyper",
                             [](const Optimizer& self) {
                               py::dict hyper;
                               for (const auto& [name, value] : self.hyper()) hyper[py::str(name)] = value;
                               return hyper;
                             })
      .def("set", &Optimizer::set, py::arg("name"), py::arg("value"))
      .def_property_readonly("slots",
                             [](const Optimizer& self) {
                               py::dict slots;
                               for (const auto& slot : self.slots()) {
                                 py::list list;
                                 for (const Array& array : slot.arrays)
                                   list.append(std::make_shared<Array>(array));
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
      .def_property("step", &Optimizer::step, &Optimizer::set_step);
}

}  // namespace ravine::bindings
