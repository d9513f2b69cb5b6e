#include "graph/passes/pipeline.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "core/error.h"
#include "graph/passes/verify.h"

namespace ravine {
namespace {

// An operation may expand into others that expand: each round must bring an end nearer.
constexpr int max_expansions = 32;

Unit run_expand(Unit unit, PassContext&) {
  for (int round = 0; has_compounds(unit); ++round) {
    check<RuntimeError>(round < max_expansions, "compile: operations still expand after ", max_expansions,
                        " rounds");
    unit = expand(unit);
  }
  return unit;
}

Unit run_fix_filters(Unit unit, PassContext& context) {
  return context.keep_derived ? canonicalize(fix_filters(unit, context.kernels)) : std::move(unit);
}

Unit run_keep_derived(Unit unit, PassContext& context) {
  return context.keep_derived ? keep_derived(unit, context.kernels, context.derived) : std::move(unit);
}

constexpr Pass pipeline[] = {
    {"canonicalize", [](Unit unit, PassContext&) { return canonicalize(unit); }},
    {"expand", run_expand},
    {"canonicalize_parts", [](Unit unit, PassContext&) { return canonicalize(unit); }},
    {"fix_filters", run_fix_filters},
    {"keep_derived", run_keep_derived},
    {"pool_in_products",
     [](Unit unit, PassContext& context) { return pool_in_products(std::move(unit), context.kernels); }},
    {"normalize_in_pools", [](Unit unit, PassContext&) { return normalize_in_pools(std::move(unit)); }},
    {"tell_maxima_by_offsets",
     [](Unit unit, PassContext&) { return tell_maxima_by_offsets(std::move(unit)); }},
    {"fuse", [](Unit unit, PassContext&) { return fuse(unit); }},
};

void dump(const Unit& unit, const char* pass) {
  const char* wanted = std::getenv("RAVINE_DUMP");
  if (wanted == nullptr || (std::string_view(wanted) != pass && std::string_view(wanted) != "all")) return;
  std::cerr << "---- after " << pass << "\n" << to_string(unit);
}

}  // namespace

std::span<const Pass> passes() { return pipeline; }

Unit run_passes(const Graph& graph, std::span<const Value> outputs, PassContext& context) {
  const bool verifying = verifies();
  Unit unit = copy_live(graph, outputs);
  dump(unit, "recording");
  for (const Pass& pass : pipeline) {
    unit = pass.run(std::move(unit), context);
    if (verifying) verify(unit, pass.name);
    dump(unit, pass.name);
  }
  return unit;
}

}  // namespace ravine
