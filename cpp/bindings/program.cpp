#include "graph/program.h"

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/error.h"

namespace ravine::bindings {
namespace {

std::shared_ptr<Program> new_program(const std::shared_ptr<Graph>& graph, const std::vector<PyValue>& outputs,
                                     std::shared_ptr<RandomState> random, bool keep_derived) {
  warn_of_ignored_settings();
  Values values;
  for (const PyValue& output : outputs) values.push_back(output.value);
  CompileOptions options;
  options.random = std::move(random);
  options.keep_derived = keep_derived;
  return compile(*graph, values, options);
}

std::string input_name(const Program& program, std::size_t index) {
  const std::string& name = program.input_names()[index];
  return name.empty() ? str("input ", index) : str("input ", index, " ('", name, "')");
}

py::list run(Program& program, const std::vector<py::array>& inputs) {
  const auto& input_types = program.input_types();
  check<ValueError>(inputs.size() == input_types.size(), "program: got ", inputs.size(), " inputs, expected ",
                    input_types.size());
  std::vector<py::array> kept;
  std::vector<const void*> input_pointers;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check<ValueError>(shape_of(inputs[i]) == input_types[i].shape, input_name(program, i), ": got shape ",
                      shape_of(inputs[i]), ", the program was compiled for ", input_types[i].shape);
    kept.push_back(as_contiguous(inputs[i], input_types[i].dtype, input_name(program, i)));
    input_pointers.push_back(kept.back().data());
  }
  py::list results;
  std::vector<void*> output_pointers;
  for (const TensorType& type : program.output_types()) {
    py::array result = new_array(type.dtype, type.shape);
    output_pointers.push_back(result.mutable_data());
    results.append(std::move(result));
  }
  {
    const GilRelease released;
    program.run(input_pointers, output_pointers);
  }
  return results;
}

}  // namespace

void bind_program(py::module_& module) {
  py::class_<Program, std::shared_ptr<Program>>(module, "Program", "A compiled graph.")
      .def(py::init(&new_program), py::arg("graph"), py::arg("outputs"), py::arg("random") = nullptr,
           py::arg("keep_derived") = false)
      .def("run", &run, py::arg("inputs"))
      .def("describe", &Program::describe, "The compiled program as a table.")
      .def_property_readonly("refused", &Program::refused,
                             "Whether a guard left the effects out of the newest run.")
      .def_property_readonly("arena_bytes", &Program::arena_bytes)
      .def_property_readonly("n_calls", [](const Program& self) { return self.calls().size(); })
      .def_property_readonly(
          "kernels",
          [](const Program& self) {
            std::vector<std::string> names;
            for (const KernelCall& call : self.calls())
              names.push_back(call.kernel + (call.fused.empty() ? "" : " + " + call.fused));
            return names;
          })
      .def_property_readonly("isa", &Program::isa);

  module.def("set_poison", &set_arena_poisoning, py::arg("on"),
             "For tests: every run first fills its temporary memory with NaN.");
}

}  // namespace ravine::bindings
