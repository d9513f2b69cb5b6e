#include "graph/follow_up.h"

#include <utility>

#include "core/error.h"

namespace ravine {
namespace {

struct FollowUp final : EffectTarget {
  std::shared_ptr<Program> program;

  explicit FollowUp(std::shared_ptr<Program> next) : program(std::move(next)) {}
  void after_run() override { program->run_inside({}, {}); }
};

const Op follow_up_op{.name = "follow_up",
                      .kind = OpKind::effect,
                      .infer = [](Node&) {},
                      .lower = [](Lowering&, const Node&) {}};

}  // namespace

void run_afterwards(Graph& graph, std::shared_ptr<Program> next) {
  check<ValueError>(next->input_types().empty() && next->output_types().empty(),
                    "a program that runs after another takes no inputs and has no outputs, got ",
                    next->input_types().size(), " and ", next->output_types().size());
  graph.effect(follow_up_op, {}, std::make_shared<FollowUp>(std::move(next)));
}

}  // namespace ravine
