#include "core/error.h"
#include "graph/derived.h"
#include "graph/lower_unit.h"
#include "graph/passes/pipeline.h"
#include "graph/program.h"

namespace ravine {

std::unique_ptr<Program> compile(const Graph& graph, std::span<const Value> outputs,
                                 const CompileOptions& options) {
  for (const Value& output : outputs)
    check<ValueError>(output && &output.graph() == &graph, "compile: an output belongs to another recording");
  Interface interface;
  for (const Node* input : graph.inputs()) {
    interface.inputs.push_back(input->outputs[0]);
    interface.input_names.push_back(input->name);
  }
  for (const Value& output : outputs) interface.outputs.push_back(output.type());

  const kernels::KernelTable& kernels = options.kernels != nullptr ? *options.kernels : active_kernels();
  std::vector<std::shared_ptr<Derived>> derived;
  PassContext context{kernels, options.keep_derived && graph.effects().empty(), derived};
  const Unit unit = run_passes(graph, outputs, context);
  Schedule schedule =
      lower_unit(unit, kernels, options.random ? options.random : std::make_shared<RandomState>());
  return std::make_unique<Program>(std::move(interface), std::move(schedule), std::move(derived), kernels);
}

}  // namespace ravine
