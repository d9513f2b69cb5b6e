#include "graph/passes/pipeline.h"

#include "core/error.h"
#include "ops/list.h"
#include "rules/op_table.h"
#include "rules/rules.h"

namespace ravine {
namespace {

Unit run_canonicalize(Unit unit, PassContext& context) {
  static const RuleSet set{rules::transposed_products(), rules::pool_relu_gradients(), rules::algebra()};
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
    {"join_slices", run_rules<rules::joined_slices>},
    {"mask_norm_gradients", run_rules<rules::norm_relu_gradients>},
    {"expand", run_expand},
    {"canonicalize_parts", run_canonicalize},
    {"prepack_filters", run_prepack},
    {"keep_derived", run_keep_derived},
    {"pool_in_convolutions", run_rules<rules::pools_in_convolutions>},
    {"normalize_in_pools", run_rules<rules::norms_in_pools>},
    {"compress_argmax", run_rules<rules::compressed_argmax>},
    {"drop_histories", run_rules<rules::unread_histories>},
    {"append_in_place", run_rules<rules::appended_rows>},
    {"fuse_updates", run_rules<rules::fused_updates>},
    {"fuse_bias_gradients", run_rules<rules::fused_bias_gradients>},
    {"fuse", [](Unit unit, PassContext&) { return fuse(unit); }},
    {"gather_fused_batch_statistics", run_rules<rules::fused_batch_statistics>},
    {"sweep", [](Unit unit, PassContext&) { return copy_live(*unit.graph, unit.outputs); }},
};

}  // namespace

const OpTable& op_table() {
  static const OpTable table(all_ops(), pipeline);
  return table;
}

}  // namespace ravine
