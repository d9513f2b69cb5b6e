#include "graph/lower_unit.h"

#include <map>
#include <set>
#include <utility>

#include "core/error.h"
#include "graph/lowering.h"
#include "graph/tile_lowering.h"

namespace ravine {
namespace {

class UnitLowering {
 public:
  UnitLowering(const Unit& unit, const kernels::KernelTable& kernels, std::shared_ptr<RandomState> random)
      : unit_(unit), lowering_(schedule_, kernels) {
    schedule_.random = std::move(random);
    schedule_.scopes = unit.graph->scopes();
  }

  Schedule run() {
    lower_nodes();
    lower_outputs();
    lower_effects();
    return std::move(schedule_);
  }

 private:
  void lower_nodes() {
    int next_input = 0;
    for (const auto& node : unit_.graph->nodes()) {
      lowering_.set_origin(node->origin);
      switch (node->op->kind) {
        case OpKind::input:
          lower_input(*node, next_input++);
          break;
        case OpKind::state:
        case OpKind::constant:
          lowering_.alias(node->out(), lowering_.external(node->array));
          break;
        case OpKind::view:
          lower_view(*node);
          break;
        case OpKind::effect:
          break;
        default:
          if (node->op == &fused_op) {
            lower_fused(lowering_, *node);
          } else {
            check<RuntimeError>(node->op->lower != nullptr, "lowering: operation '", node->op->name,
                                "' has no kernel");
            lowering_.prepare_epilogue(*node);
            node->op->lower(lowering_, *node);
          }
      }
    }
  }

  void lower_input(const Node& node, int index) {
    View view;
    view.dtype = node.outputs[0].dtype;
    view.shape = node.outputs[0].shape;
    view.strides = row_major_strides(view.shape);
    view.storage =
        schedule_.add_storage({.kind = Storage::Kind::input, .bytes = view.bytes(), .index = index});
    lowering_.alias(node.out(), view);
  }

  void lower_view(const Node& node) {
    View source = lowering_.view(node.inputs[0]);
    StridedView result;
    if (!node.op->view(node, {source.shape, source.strides, source.offset}, result)) {
      source = lowering_.dense(node.inputs[0]);
      check<RuntimeError>(node.op->view(node, {source.shape, source.strides, source.offset}, result),
                          "lowering: '", node.op->name, "' is no view of a dense tensor");
    }
    lowering_.alias(node.out(),
                    View{source.storage, result.offset, source.dtype, result.shape, result.strides});
  }

  // A result that has its memory to itself is computed right in the caller's; anything else is copied there.
  void lower_outputs() {
    for (std::size_t i = 0; i < unit_.outputs.size(); ++i) {
      const View view = lowering_.view(unit_.outputs[i]);
      Storage& storage = schedule_.storage(view.storage);
      const std::int64_t bytes = view.bytes();
      const bool alone = storage.kind == Storage::Kind::arena && storage.bytes == bytes && view.offset == 0 &&
                         is_row_major(view.shape, view.strides) && storage.first_call >= 0;
      if (alone) {
        storage.kind = Storage::Kind::output;
        storage.index = static_cast<int>(i);
        continue;
      }
      View target = view;
      target.offset = 0;
      target.strides = row_major_strides(view.shape);
      target.storage = schedule_.add_storage(
          {.kind = Storage::Kind::output, .bytes = bytes, .index = static_cast<int>(i)});
      lowering_.copy(view, target);
    }
  }

  void lower_effects() {
    const std::map<const Node*, View> guarded = values_of_guards();
    // All states change at once: a new value that is itself (a view of) a state is read before any is
    // written.
    std::map<const Node*, std::pair<View, View>> assignments;
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op != &assign_op) continue;
      View value = lowering_.view(effect->inputs[0]);
      const View state = lowering_.external(effect->array);
      if (is_same(value, state)) continue;  // computed in place
      if (schedule_.storage(value.storage).kind == Storage::Kind::external) {
        const View copied = lowering_.temporary(value.dtype, value.shape, effect->array.layout());
        lowering_.copy(value, copied);
        value = copied;
      }
      assignments.emplace(effect, std::pair{value, state});
    }
    keep_values_of_effects();
    const std::size_t first_effect = schedule_.calls.size();
    for (const Node* effect : unit_.graph->effects()) {
      lowering_.set_origin(effect->origin);
      if (effect->op == &guard_op) {
        add_guard(*effect, guarded);
        continue;
      }
      if (effect->op == &assign_op) {
        const auto assignment = assignments.find(effect);
        if (assignment == assignments.end()) continue;
        lowering_.copy(assignment->second.first, assignment->second.second);
      } else {
        effect->op->lower(lowering_, *effect);
      }
      if (effect->target) lowering_.target(effect->target);
    }
    for (std::size_t i = first_effect; i < schedule_.calls.size(); ++i) {
      schedule_.calls[i].effect = true;
      schedule_.calls[i].tests_guards = i == first_effect;
    }
    for (const Guard& guard : schedule_.guards)
      if (guard.call < schedule_.calls.size()) schedule_.calls[guard.call].tests_guards = true;
    // What guards read holds until the run ends.
    for (const auto& [node, value] : guarded)
      schedule_.storage(value.storage).last_call = static_cast<int>(schedule_.calls.size());
  }

  static bool is_same(const View& a, const View& b) {
    return a.storage == b.storage && a.offset == b.offset && a.strides == b.strides;
  }

  // Where the scalars lie that guards test: in memory that no effect writes.
  std::map<const Node*, View> values_of_guards() {
    std::map<const Node*, View> values;
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op != &guard_op || effect->inputs.empty()) continue;
      View value = lowering_.view(effect->inputs[0]);
      if (schedule_.storage(value.storage).kind == Storage::Kind::external) {
        const View copied = lowering_.temporary(value.dtype, value.shape);
        lowering_.copy(value, copied);
        value = copied;
      }
      values.emplace(effect, value);
    }
    return values;
  }

  void add_guard(const Node& node, const std::map<const Node*, View>& guarded) {
    Guard& guard = schedule_.guards.emplace_back();
    guard.call = schedule_.calls.size();
    guard.target = node.target.get();
    if (node.target) lowering_.target(node.target);
    if (const auto place = guarded.find(&node); place != guarded.end()) {
      const View& value = place->second;
      guard.dtype = value.dtype;
      schedule_.bindings.push_back({PointerField(guard.value), value.storage, value.byte_offset()});
    }
  }

  // A value that an effect reads can lie in an array that another, or the effect itself, changes before: the
  // gradient of sum(p q) with respect to p is q.
  void keep_values_of_effects() {
    std::set<int> written;
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op == &assign_op) written.insert(lowering_.external(effect->array).storage);
      else if (effect->target)
        for (const Array& array : effect->target->written())
          written.insert(lowering_.external(array).storage);
    }
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op == &assign_op) continue;
      for (const Value input : effect->inputs) {
        const bool of_effect = input.node->op->kind == OpKind::effect;
        if (of_effect || !written.contains(lowering_.view(input).storage)) continue;
        const View value = lowering_.view(input);
        const View copied = lowering_.temporary(value.dtype, value.shape);
        lowering_.copy(value, copied);
        lowering_.alias(input, copied);
      }
    }
  }

  const Unit& unit_;
  Schedule schedule_;
  Lowering lowering_;
};

}  // namespace

Schedule lower_unit(const Unit& unit, const kernels::KernelTable& kernels,
                    std::shared_ptr<RandomState> random) {
  return UnitLowering(unit, kernels, std::move(random)).run();
}

}  // namespace ravine
