#include "graph/program.h"

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/program.h"
#include "core/error.h"
#include "graph/follow_up.h"

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

}  // namespace

py::array program_input(const Program& program, std::size_t index, const py::array& given) {
  const TensorType& type = program.input_types()[index];
  const Shape shape = shape_of(given);
  if (shape == type.shape && is_ready(given, type.dtype)) return given;  // quickly: a name takes a while
  check<ValueError>(shape == type.shape, input_name(program, index), ": got shape ", shape,
                    ", the program was compiled for ", type.shape);
  return as_contiguous(given, type.dtype, input_name(program, index));
}

namespace {

// The memory of a run: inputs as the program reads them, new arrays for its outputs.
struct Memory {
  std::vector<py::array> inputs;
  py::list results;
  std::vector<const void*> input_pointers;
  std::vector<void*> output_pointers;

  Memory(const Program& program, const std::vector<py::array>& given) {
    const auto& types = program.input_types();
    check<ValueError>(given.size() == types.size(), "program: got ", given.size(), " inputs, expected ",
                      types.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
      inputs.push_back(program_input(program, i, given[i]));
      input_pointers.push_back(inputs.back().data());
    }
    for (const TensorType& type : program.output_types()) {
      py::array result = new_array(type.dtype, type.shape);
      output_pointers.push_back(result.mutable_data());
      results.append(std::move(result));
    }
  }
};

py::list run(Program& program, const std::vector<py::array>& inputs) {
  Memory memory(program, inputs);
  {
    const GilRelease released;
    program.run(memory.input_pointers, memory.output_pointers);
  }
  return memory.results;
}

py::dict profile(Program& program, const std::vector<py::array>& inputs, int runs, int threads) {
  Memory memory(program, inputs);
  Program::Profile profile;
  {
    const GilRelease released;
    profile = program.profile(memory.input_pointers, memory.output_pointers, runs, threads);
  }
  py::list calls;
  for (const KernelCall& call : program.calls()) {
    using namespace py::literals;
    calls.append(py::dict("kernel"_a = call.kernel, "description"_a = call.description,
                          "fused"_a = call.fused, "module"_a = program.scope_of(call),
                          "phase"_a = name_of(call.origin.phase), "flops"_a = call.flops,
                          "bytes"_a = call.bytes));
  }
  py::dict result;
  result["calls"] = calls;
  result["seconds"] = profile.seconds;
  result["whole"] = profile.whole;
  result["threads"] = profile.threads;
  return result;
}

}  // namespace

void bind_program(py::module_& module) {
  py::class_<Program, std::shared_ptr<Program>>(module, "Program", "A compiled graph.")
      .def(py::init(&new_program), py::arg("graph"), py::arg("outputs"), py::arg("random") = nullptr,
           py::arg("keep_derived") = false)
      .def("run", &run, py::arg("inputs"))
      .def("profile", &profile, py::arg("inputs"), py::arg("runs"), py::arg("threads") = 0,
           "The seconds of each call, in turns with whole runs; states are as before then.")
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

  module.def(
      "run_afterwards",
      [](Graph& graph, const std::shared_ptr<Program>& program) { run_afterwards(graph, program); },
      py::arg("graph"), py::arg("program"),
      "Runs a program without inputs and outputs after each run of the graph's whose effects took place.");
  module.def("set_poison", &set_arena_poisoning, py::arg("on"),
             "For tests: every run first fills its temporary memory with NaN.");
}

}  // namespace ravine::bindings
