#include "graph/passes/pipeline.h"

#include "core/error.h"
#include "ops/list.h"
#include "rules/op_table.h"
#include "rules/rules.h"

namespace ravine {
namespace {

Unit run_canonicalize(Unit unit, PassContext& context) {
  static const RuleSet set{rules::transposed_products(), rules::gradients_of_rectified_pools(),
                           rules::algebra()};
  return canonicalize(unit, set, context.kernels);
}

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

Unit run_prepack(Unit unit, PassContext& context) {
  static const RuleSet set{rules::prepacked_filters()};
  if (!context.keep_derived) return unit;
  return run_canonicalize(apply_rules(std::move(unit), set, context.kernels), context);
}

Unit run_keep_derived(Unit unit, PassContext& context) {
  return context.keep_derived ? keep_derived(unit, context.kernels, context.derived) : std::move(unit);
}

template <std::span<const Rule> (*rules)()>
Unit run_rules(Unit unit, PassContext& context) {
  static const RuleSet set{rules()};
  return apply_rules(std::move(unit), set, context.kernels);
}

constexpr Pass pipeline[] = {
    {"canonicalize", run_canonicalize},
    {"rectify_norm_gradients", run_rules<rules::rectified_norms>},
    {"expand", run_expand},
    {"canonicalize_parts", run_canonicalize},
    {"prepack_filters", run_prepack},
    {"keep_derived", run_keep_derived},
    {"pool_in_convolutions", run_rules<rules::pools_in_convolutions>},
    {"normalize_in_pools", run_rules<rules::norms_in_pools>},
    {"tell_maxima_by_offsets", run_rules<rules::maxima_by_offsets>},
    {"update_in_products", run_rules<rules::updates_in_products>},
    {"sum_rows_in_products", run_rules<rules::row_sums_in_products>},
    {"fuse", [](Unit unit, PassContext&) { return fuse(unit); }},
    {"gather_moments_in_convolutions", run_rules<rules::moments_in_convolutions>},
    {"sweep", [](Unit unit, PassContext&) { return copy_live(*unit.graph, unit.outputs); }},
};

}  // namespace

const OpTable& op_table() {
  static const OpTable table(all_ops(), pipeline);
  return table;
}

}  // namespace ravine
