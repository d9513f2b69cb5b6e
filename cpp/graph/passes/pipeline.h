// The passes between a recording and the kernel calls; rules/pipeline.cpp puts them in order.
//
// RAVINE_VERIFY=1 checks the graph after each pass; RAVINE_DUMP=name prints it to stderr after the pass of
// that name ("all": after each).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "graph/passes/rewrite.h"

namespace ravine {

// What passes may ask besides the graph, and what they leave for the program.
struct PassContext {
  const kernels::KernelTable& kernels;
  bool keep_derived;                               // values that depend on states alone are kept between runs
  std::vector<std::shared_ptr<Derived>>& derived;  // those values
};

struct Pass {
  const char* name;
  // A pass that finds nothing to do returns the unit that it was given.
  Unit (*run)(Unit unit, PassContext& context);
};

// The unit that is lowered: what the outputs and the effects of the graph need, after all passes of its
// table.
Unit run_passes(const Graph& graph, std::span<const Value> outputs, PassContext& context);

}  // namespace ravine
