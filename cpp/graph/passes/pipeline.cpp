#include "graph/passes/pipeline.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "graph/passes/verify.h"

namespace ravine {
namespace {

void dump(const Unit& unit, const char* pass) {
  const char* wanted = std::getenv("RAVINE_DUMP");
  if (wanted == nullptr || (std::string_view(wanted) != pass && std::string_view(wanted) != "all")) return;
  std::cerr << "---- after " << pass << "\n" << to_string(unit);
}

}  // namespace

Unit run_passes(const Graph& graph, std::span<const Value> outputs, PassContext& context) {
  const bool verifying = verifies();
  Unit unit = copy_live(graph, outputs);
  dump(unit, "recording");
  for (const Pass& pass : graph.ops().passes()) {
    unit = pass.run(std::move(unit), context);
    if (verifying) verify(unit, pass.name);
    dump(unit, pass.name);
  }
  return unit;
}

}  // namespace ravine
