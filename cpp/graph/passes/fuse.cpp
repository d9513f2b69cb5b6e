// Elementwise fusion. Tile nodes of one shape that feed each other are gathered into groups, as long as
// nothing outside a group lies between its members; a group whose input is a fresh result of a product or
// convolution becomes that operation's epilogue. Nodes without inputs (random numbers) are cheaper to compute
// again than to store: every group that reads one has its own copy.
#include <algorithm>
#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "graph/passes/rewrite.h"

namespace ravine {
namespace {

using GroupId = std::size_t;

bool is_tile(const Node& node) { return node.op->kind == OpKind::tile; }
bool is_source(const Node& node) { return is_tile(node) && node.inputs.empty(); }

struct Group {
  std::vector<const Node*> members;  // tile nodes by id; or one other node, then its epilogue
  const Node* anchor = nullptr;      // the node that is not a tile node
  bool alive = true;
};

class Fuser {
 public:
  explicit Fuser(const Unit& unit) : unit_(unit), nodes_(live_nodes(*unit.graph, unit.outputs)) {
    group_of_.assign(unit.graph->nodes().size(), 0);
    users_.resize(unit.graph->nodes().size());
    for (const Node* node : nodes_) {
      group_of_[node->id] = groups_.size();
      groups_.push_back({{node}, is_tile(*node) ? nullptr : node, true});
      for (const Value& input : node->inputs) users_[input.node->id].push_back(node);
    }
    wanted_.assign(unit.graph->nodes().size(), false);
    for (const Value& output : unit.outputs) wanted_[output.node->id] = true;
  }

  Unit run() {
    for (const Node* node : nodes_)
      if (is_tile(*node) && !is_source(*node)) join_producers(*node);
    for (const Node* node : nodes_) absorb_epilogue(*node);
    return emit();
  }

 private:
  // ---- the condensed graph
  // -------------------------------------------------------------------------------------

  GroupId group_of(const Node* node) const { return group_of_[node->id]; }

  // Groups that a group reads; sources are no dependences of tile nodes, which have their own copies.
  std::set<GroupId> producers(GroupId id) const {
    std::set<GroupId> found;
    for (const Node* member : groups_[id].members)
      for (const Value& input : member->inputs)
        if (group_of(input.node) != id && !(is_source(*input.node) && is_tile(*member)))
          found.insert(group_of(input.node));
    return found;
  }

  bool depends(GroupId from, GroupId on) const {
    std::vector<GroupId> stack{from};
    std::set<GroupId> seen{from};
    const std::uint32_t first = groups_[on].members.front()->id;
    while (!stack.empty()) {
      const GroupId id = stack.back();
      stack.pop_back();
      if (id == on) return true;
      if (groups_[id].members.back()->id < first) continue;  // recorded before: cannot depend on it
      for (const GroupId producer : producers(id))
        if (seen.insert(producer).second) stack.push_back(producer);
    }
    return false;
  }

  // Merging is safe when no third group lies between the two.
  bool adjacent(GroupId producer, GroupId consumer) const {
    const std::set<GroupId> others = producers(consumer);
    return std::none_of(others.begin(), others.end(),
                        [&](GroupId other) { return other != producer && depends(other, producer); });
  }

  void merge(GroupId into, GroupId from) {
    Group& target = groups_[into];
    Group& source = groups_[from];
    for (const Node* member : source.members) group_of_[member->id] = into;
    std::vector<const Node*> members;
    std::merge(target.members.begin(), target.members.end(), source.members.begin(), source.members.end(),
               std::back_inserter(members), [](const Node* a, const Node* b) { return a->id < b->id; });
    target.members = std::move(members);
    source.members.clear();
    source.alive = false;
  }

  // ---- what a group needs
  // --------------------------------------------------------------------------------------

  // Values that tile members of the groups read from elsewhere, in order of first use.
  Values external_inputs(const std::vector<const Node*>& members, const Node* anchor) const {
    Values found;
    for (const Node* member : members) {
      if (member == anchor) continue;
      for (const Value& input : member->inputs) {
        if (is_source(*input.node)) continue;
        if (input.node == anchor && input.index == 0) continue;
        if (std::find(members.begin(), members.end(), input.node) != members.end() && input.node != anchor)
          continue;
        if (std::find(found.begin(), found.end(), input) == found.end()) found.push_back(input);
      }
    }
    return found;
  }

  bool used_outside(const Node* node, const std::vector<const Node*>& members) const {
    if (wanted_[node->id]) return true;
    return std::any_of(users_[node->id].begin(), users_[node->id].end(), [&](const Node* user) {
      return std::find(members.begin(), members.end(), user) == members.end();
    });
  }

  bool within_limits(const std::vector<const Node*>& members, const Node* anchor) const {
    std::set<const Node*> sources;
    int outputs = 0;
    for (const Node* member : members) {
      if (used_outside(member, members)) ++outputs;
      if (member == anchor) continue;
      for (const Value& input : member->inputs)
        if (is_source(*input.node)) sources.insert(input.node);
    }
    return static_cast<int>(members.size() + sources.size()) <= kernels::max_tile_steps &&
           static_cast<int>(external_inputs(members, anchor).size()) + 1 <= kernels::max_tile_inputs &&
           outputs <= kernels::max_tile_outputs;
  }

  std::vector<const Node*> together(GroupId a, GroupId b) const {
    std::vector<const Node*> members;
    std::merge(groups_[a].members.begin(), groups_[a].members.end(), groups_[b].members.begin(),
               groups_[b].members.end(), std::back_inserter(members),
               [](const Node* x, const Node* y) { return x->id < y->id; });
    return members;
  }

  // ---- forming groups
  // ------------------------------------------------------------------------------------------

  void join_producers(const Node& node) {
    for (const Value& input : node.inputs) {
      const GroupId producer = group_of(input.node), own = group_of(&node);
      if (producer == own || groups_[producer].anchor != nullptr || is_source(*input.node)) continue;
      if (input.shape() != node.outputs[0].shape) continue;
      if (!within_limits(together(producer, own), nullptr) || !adjacent(producer, own)) continue;
      merge(producer, own);
    }
  }

  // A column vector or a scalar can be read by rows and columns, and so can what has the result's own shape.
  static bool readable_by_columns(const Value& operand, const Shape& shape, int column_axis) {
    if (operand.shape() == shape || numel(operand.shape()) == 1) return true;
    const int offset = shape.rank() - operand.rank();
    for (int axis = 0; axis < operand.rank(); ++axis)
      if (operand.shape()[axis] != 1 && axis + offset != column_axis) return false;
    return true;
  }

  void absorb_epilogue(const Node& anchor) {
    if (is_tile(anchor) || anchor.op->epilogue_axis == nullptr) return;
    const int column_axis = anchor.op->epilogue_axis(anchor);
    if (column_axis < 0) return;
    const GroupId own = group_of(&anchor);
    std::set<GroupId> candidates;
    for (const Node* user : users_[anchor.id])
      if (is_tile(*user)) candidates.insert(group_of(user));
    for (const GroupId candidate : candidates) {
      const Group& group = groups_[candidate];
      if (group.anchor != nullptr || group.members[0]->outputs[0].shape != anchor.outputs[0].shape) continue;
      const std::vector<const Node*> members = together(own, candidate);
      const Values operands = external_inputs(members, &anchor);
      const bool readable = std::all_of(operands.begin(), operands.end(), [&](const Value& operand) {
        return readable_by_columns(operand, anchor.outputs[0].shape, column_axis);
      });
      if (!readable || !within_limits(members, &anchor) || !adjacent(own, candidate)) continue;
      merge(own, candidate);
      return;
    }
  }

  // ---- writing the fused graph
  // ---------------------------------------------------------------------------------

  Unit emit() {
    Unit result{std::make_unique<Graph>(unit_.graph->ops()), {}};
    to_ = result.graph.get();
    for (const Node* input : unit_.graph->inputs()) map_[input->out()] = to_->copy(*input, {}).out();
    for (const GroupId id : order()) emit_group(groups_[id]);
    for (const Value& output : unit_.outputs) result.outputs.push_back(map_.at(output));
    return result;
  }

  // A topological order of the groups that stays close to the recording's: a group runs where its last member
  // stood.
  std::vector<GroupId> order() const {
    std::vector<std::size_t> waiting(groups_.size(), 0);
    std::vector<std::vector<GroupId>> consumers(groups_.size());
    using Entry = std::pair<std::uint32_t, GroupId>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
    const auto enqueue = [&](GroupId id) { ready.emplace(groups_[id].members.back()->id, id); };
    for (GroupId id = 0; id < groups_.size(); ++id) {
      if (!groups_[id].alive) continue;
      const std::set<GroupId> needed = producers(id);
      waiting[id] = needed.size();
      for (const GroupId producer : needed) consumers[producer].push_back(id);
      if (needed.empty()) enqueue(id);
    }
    std::vector<GroupId> sequence;
    while (!ready.empty()) {
      const GroupId id = ready.top().second;
      ready.pop();
      sequence.push_back(id);
      for (const GroupId consumer : consumers[id])
        if (--waiting[consumer] == 0) enqueue(consumer);
    }
    return sequence;
  }

  void emit_group(const Group& group) {
    const Node* anchor = group.anchor;
    if (anchor != nullptr && anchor->op->kind == OpKind::input) return;
    if (anchor != nullptr && group.members.size() == 1) {
      Values inputs;
      for (const Value& input : anchor->inputs) inputs.push_back(new_value(input));
      const Node& copy = to_->copy(*anchor, std::move(inputs));
      for (int i = 0; i < static_cast<int>(anchor->outputs.size()); ++i) map_[anchor->out(i)] = copy.out(i);
      return;
    }
    if (anchor == nullptr && is_source(*group.members[0]) && !used_outside_sources(group.members[0])) return;
    emit_fused(group);
  }

  // A source is materialised only for users that cannot compute it themselves.
  bool used_outside_sources(const Node* source) const {
    return wanted_[source->id] || std::any_of(users_[source->id].begin(), users_[source->id].end(),
                                              [](const Node* user) { return !is_tile(*user); });
  }

  Value new_value(const Value& value) const { return map_.at(value); }

  void emit_fused(const Group& group) {
    const Node* anchor = group.anchor;
    auto expression = std::make_shared<TileExpression>();
    std::unordered_map<const Node*, int> numbers;
    const Values operands = external_inputs(group.members, anchor);
    expression->n_inputs = static_cast<int>(operands.size()) + (anchor != nullptr ? 1 : 0);
    if (anchor != nullptr) numbers[anchor] = 0;
    const auto add_step = [&](const Node* node, std::vector<int> numbers_of_operands) {
      numbers[node] = expression->n_inputs + static_cast<int>(expression->steps.size());
      expression->steps.push_back(
          {node->op, std::move(numbers_of_operands), node->attrs, node->outputs[0].dtype});
    };
    const auto number_of = [&](const Value& value) {
      const auto place = std::find(operands.begin(), operands.end(), value);
      if (place != operands.end())
        return static_cast<int>(place - operands.begin()) + (anchor != nullptr ? 1 : 0);
      if (is_source(*value.node) && !numbers.contains(value.node)) add_step(value.node, {});
      return numbers.at(value.node);
    };
    for (const Node* member : group.members) {
      if (member == anchor) continue;
      std::vector<int> of_operands;
      for (const Value& input : member->inputs) of_operands.push_back(number_of(input));
      add_step(member, std::move(of_operands));
    }

    Values inputs;
    if (anchor != nullptr)
      for (const Value& input : anchor->inputs) inputs.push_back(new_value(input));
    for (const Value& operand : operands) inputs.push_back(new_value(operand));
    Node& fused = to_->copy(anchor != nullptr ? *anchor : empty_fused_node(), std::move(inputs));
    fused.outputs.clear();
    for (const Node* member : group.members) {
      if (!used_outside(member, group.members)) continue;
      map_[member->out()] = fused.out(static_cast<int>(fused.outputs.size()));
      expression->outputs.push_back(numbers.at(member));
      fused.outputs.push_back(member->outputs[0]);
    }
    if (anchor != nullptr)
      for (int i = 1; i < static_cast<int>(anchor->outputs.size()); ++i) {
        map_[anchor->out(i)] = fused.out(static_cast<int>(fused.outputs.size()));
        fused.outputs.push_back(anchor->outputs[static_cast<std::size_t>(i)]);
      }
    fused.expression = std::move(expression);
  }

  static const Node& empty_fused_node() {
    static const Node node = [] {
      Node empty;
      empty.op = &fused_op;
      return empty;
    }();
    return node;
  }

  struct ValueHash {
    std::size_t operator()(const Value& value) const {
      return std::hash<const void*>()(value.node) * 31 + static_cast<std::size_t>(value.index);
    }
  };

  const Unit& unit_;
  std::vector<const Node*> nodes_;
  std::vector<Group> groups_;
  std::vector<GroupId> group_of_;                // by node id
  std::vector<std::vector<const Node*>> users_;  // by node id
  std::vector<bool> wanted_;                     // by node id: an output of the unit
  Graph* to_ = nullptr;
  std::unordered_map<Value, Value, ValueHash> map_;  // values of the old graph in the new one
};

}  // namespace

Unit fuse(const Unit& unit) { return Fuser(unit).run(); }

}  // namespace ravine
