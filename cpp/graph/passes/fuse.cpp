// Elementwise fusion. Tile nodes of one shape that feed each other are gathered into groups, as long as
// nothing outside a group lies between its members; a group whose input is a fresh result of a product or
// convolution becomes that operation's epilogue. Nodes without inputs (random numbers) are cheaper to compute
// again than to store: every group that reads one has its own copy.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
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

// One vector instruction or two.
bool is_cheap(const Node& node) {
  using kernels::TileOp;
  switch (node.op->tile) {
    case TileOp::identity:
    case TileOp::neg:
    case TileOp::abs:
    case TileOp::square:
    case TileOp::relu:
    case TileOp::add:
    case TileOp::sub:
    case TileOp::mul:
    case TileOp::maximum:
    case TileOp::minimum:
    case TileOp::multiply_add:
    case TileOp::scale_by_positive:
    case TileOp::cast:
      return is_tile(node);
    default:
      return false;
  }
}

constexpr std::size_t max_groups_between = 256;
constexpr int max_recomputed_steps = 3;                 // for one value
constexpr std::int64_t min_recomputed_elements = 1024;  // below this memory does not matter

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
      position_.push_back(groups_.size());
      sequence_.push_back(groups_.size());
      groups_.push_back({{node}, is_tile(*node) ? nullptr : node, true});
      for (const Value& input : node->inputs) users_[input.node->id].push_back(node);
    }
    found_in_.assign(groups_.size(), 0);
    wanted_.assign(unit.graph->nodes().size(), false);
    for (const Value& output : unit.outputs) wanted_[output.node->id] = true;
  }

  Unit run() {
    for (const Node* node : nodes_)
      if (is_tile(*node) && !is_source(*node)) join_producers(*node);
    for (const Node* node : nodes_) absorb_epilogue(*node);
    for (const Node* node : nodes_)
      if (is_tile(*node) && !is_source(*node)) recompute_if_cheap(*node);
    return emit();
  }

 private:
  // ---- the condensed graph

  GroupId group_of(const Node* node) const { return group_of_[node->id]; }

  // Whether the user's group computes the node for itself.
  bool recomputes(const Node* user, const Node* node) const {
    return is_tile(*user) && (is_source(*node) || recomputed_.contains({group_of(user), node}));
  }

  // Calls `visit` with every group that a group reads, with some more than once.
  template <class Visit>
  void for_producers(GroupId id, const Visit& visit) const {
    for (const Node* member : groups_[id].members) for_producers_of(id, member, member, visit);
  }
  template <class Visit>
  void for_producers_of(GroupId id, const Node* user, const Node* node, const Visit& visit) const {
    for (const Value& input : node->inputs) {
      if (recomputes(user, input.node)) {
        for_producers_of(id, user, input.node, visit);
      } else if (group_of(input.node) != id) {
        visit(group_of(input.node));
      }
    }
  }

  // Groups that the consumer depends on and that come after the producer; nothing where one of them depends
  // on the producer: then the two cannot be one. Nor are they where too many lie between: their values would
  // be kept for long, and the search would take time that grows with the square of the graph.
  std::optional<std::vector<GroupId>> groups_between(GroupId producer, GroupId consumer) {
    ++search_;
    std::vector<GroupId> between;
    bool cannot = false;
    const auto look_at_producers_of = [&](GroupId id) {
      for_producers(id, [&](GroupId other) {
        if (other == producer) {
          cannot = cannot || id != consumer;
        } else if (position_[other] > position_[producer] && found_in_[other] != search_) {
          found_in_[other] = search_;
          between.push_back(other);
        }
      });
      cannot = cannot || between.size() > max_groups_between;
    };
    look_at_producers_of(consumer);
    for (std::size_t i = 0; i < between.size() && !cannot; ++i) look_at_producers_of(between[i]);
    if (cannot) return std::nullopt;
    return between;
  }

  // The consumer's members join the producer's group, unless a third group lies between the two.
  bool merge(GroupId producer, GroupId consumer) {
    std::optional<std::vector<GroupId>> before = groups_between(producer, consumer);
    if (!before) return false;
    // The sequence stays topological: what the consumer needs, the group, and then what stood between.
    std::vector<GroupId>& rearranged = *before;
    std::sort(rearranged.begin(), rearranged.end(),
              [&](GroupId a, GroupId b) { return position_[a] < position_[b]; });
    rearranged.push_back(producer);
    const std::size_t first = position_[producer], last = position_[consumer];
    for (std::size_t place = first + 1; place < last; ++place)
      if (found_in_[sequence_[place]] != search_) rearranged.push_back(sequence_[place]);
    rearranged.push_back(consumer);  // empty from now on
    for (std::size_t i = 0; i < rearranged.size(); ++i) {
      sequence_[first + i] = rearranged[i];
      position_[rearranged[i]] = first + i;
    }
    for (const Node* member : groups_[consumer].members) group_of_[member->id] = producer;
    groups_[producer].members = together(producer, consumer);
    groups_[consumer].members.clear();
    groups_[consumer].alive = false;
    return true;
  }

  // ---- what a group needs

  // Values that tile members of a group read from elsewhere, in order of first use. What the group computes
  // again counts as its member; `again` receives those nodes, each after its own operands.
  Values external_inputs(const std::vector<const Node*>& members, const Node* anchor,
                         std::vector<const Node*>* again = nullptr) const {
    Values found;
    std::set<const Node*> seen;
    const std::function<void(const Node*, const Node*)> visit = [&](const Node* user, const Node* node) {
      for (const Value& input : node->inputs) {
        if (recomputes(user, input.node)) {
          if (!seen.insert(input.node).second) continue;
          visit(user, input.node);
          if (again != nullptr) again->push_back(input.node);
          continue;
        }
        if (std::find(members.begin(), members.end(), input.node) != members.end() &&
            (input.node != anchor || input.index == 0))
          continue;
        if (std::find(found.begin(), found.end(), input) == found.end()) found.push_back(input);
      }
    };
    for (const Node* member : members)
      if (member != anchor) visit(member, member);
    return found;
  }

  bool used_outside(const Node* node, const std::vector<const Node*>& members) const {
    if (wanted_[node->id]) return true;
    return std::any_of(users_[node->id].begin(), users_[node->id].end(), [&](const Node* user) {
      const bool outside = std::find(members.begin(), members.end(), user) == members.end();
      return (outside && !recomputes(user, node)) || read_where_recomputed(user, node);
    });
  }

  // A group that computes the user for itself reads the node, unless it computes that one too.
  bool read_where_recomputed(const Node* user, const Node* node) const {
    const auto place = recomputed_in_.find(user);
    return place != recomputed_in_.end() && !is_source(*node) &&
           std::any_of(place->second.begin(), place->second.end(), [&](GroupId id) {
             return id != group_of(node) && !recomputed_.contains({id, node});
           });
  }

  bool within_limits(const std::vector<const Node*>& members, const Node* anchor) const {
    std::vector<const Node*> again;
    const std::size_t inputs = external_inputs(members, anchor, &again).size() + 1;
    const auto outputs = std::count_if(members.begin(), members.end(),
                                       [&](const Node* member) { return used_outside(member, members); });
    return members.size() + again.size() <= std::size_t{kernels::max_tile_steps} &&
           inputs <= std::size_t{kernels::max_tile_inputs} && outputs <= kernels::max_tile_outputs;
  }

  std::vector<const Node*> together(GroupId a, GroupId b) const {
    std::vector<const Node*> members;
    std::merge(groups_[a].members.begin(), groups_[a].members.end(), groups_[b].members.begin(),
               groups_[b].members.end(), std::back_inserter(members),
               [](const Node* x, const Node* y) { return x->id < y->id; });
    return members;
  }

  // ---- forming groups

  void join_producers(const Node& node) {
    for (const Value& input : node.inputs) {
      const GroupId producer = group_of(input.node), own = group_of(&node);
      if (producer == own || groups_[producer].anchor != nullptr || is_source(*input.node)) continue;
      if (input.shape() != node.outputs[0].shape) continue;
      if (within_limits(together(producer, own), nullptr)) merge(producer, own);
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
      std::vector<const Node*> sources;
      const Values operands = external_inputs(members, &anchor, &sources);
      // Random numbers count elements in row-major order; the kernel's columns must then be the last axis.
      if (!sources.empty() && column_axis != anchor.outputs[0].shape.rank() - 1) continue;
      const bool readable = std::all_of(operands.begin(), operands.end(), [&](const Value& operand) {
        return readable_by_columns(operand, anchor.outputs[0].shape, column_axis);
      });
      if (readable && within_limits(members, &anchor) && merge(own, candidate)) return;
    }
  }

  // ---- computing again

  // Worth while only if every reader can do it, so that the value is not stored at all.
  void recompute_if_cheap(const Node& node) {
    if (wanted_[node.id] || numel(node.outputs[0].shape) < min_recomputed_elements) return;
    std::set<GroupId> readers;
    for (const Node* user : users_[node.id]) {
      if (group_of(user) == group_of(&node)) continue;
      if (!is_tile(*user) || groups_[group_of(user)].anchor != nullptr) return;
      readers.insert(group_of(user));
    }
    std::vector<const Node*> chain;
    std::set<const Node*> leaves;
    if (readers.empty() || !collect_chain(node, chain, leaves) || leaves.size() > 1) return;
    std::vector<std::pair<GroupId, const Node*>> added;
    for (const GroupId reader : readers)
      for (const Node* step : chain)
        if (recomputed_.insert({reader, step}).second) added.emplace_back(reader, step);
    for (const auto& [reader, step] : added) recomputed_in_[step].insert(reader);
    const bool fits = std::all_of(readers.begin(), readers.end(), [&](GroupId reader) {
      return within_limits(groups_[reader].members, nullptr);
    });
    if (fits) return;
    for (const auto& [reader, step] : added) {
      recomputed_.erase({reader, step});
      recomputed_in_[step].erase(reader);
    }
  }

  // The steps from one stored tensor of the same size (and smaller ones) to the node. Reading that tensor
  // instead of the node's result costs nothing: it lives that long anyway, or then does so in the result's
  // place.
  bool collect_chain(const Node& node, std::vector<const Node*>& chain, std::set<const Node*>& leaves) const {
    if (!is_cheap(node) || chain.size() == max_recomputed_steps) return false;
    chain.push_back(&node);
    for (const Value& input : node.inputs) {
      if (numel(input.shape()) < numel(node.outputs[0].shape)) continue;
      const bool stored =
          !is_tile(*input.node) || used_outside(input.node, groups_[group_of(input.node)].members);
      if (size_of(input.dtype()) > size_of(node.outputs[0].dtype)) return false;
      if (stored) {
        leaves.insert(input.node);
      } else if (is_source(*input.node) || !collect_chain(*input.node, chain, leaves)) {
        return false;
      }
    }
    return true;
  }

  // ---- writing the fused graph

  Unit emit() {
    Unit result{std::make_unique<Graph>(unit_.graph->ops()), {}};
    to_ = result.graph.get();
    to_->share_scopes(*unit_.graph);
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
    std::optional<GroupId> effect;  // effects keep their order
    for (GroupId id = 0; id < groups_.size(); ++id) {
      if (!groups_[id].alive) continue;
      if (groups_[id].members[0]->op->kind == OpKind::effect) {
        if (effect) {
          ++waiting[id];
          consumers[*effect].push_back(id);
        }
        effect = id;
      }
      for_producers(id, [&](GroupId producer) {
        ++waiting[id];
        consumers[producer].push_back(id);
      });
      if (waiting[id] == 0) enqueue(id);
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
    if (const std::vector<const Node*> members = needed_members(group); !members.empty())
      emit_fused(group, members);
  }

  // Members that something outside reads, and what they are computed from: others compute the rest for
  // themselves.
  std::vector<const Node*> needed_members(const Group& group) const {
    std::set<const Node*> needed;
    std::vector<const Node*> members;
    for (auto place = group.members.rbegin(); place != group.members.rend(); ++place) {
      const Node* member = *place;
      if (member != group.anchor && !needed.contains(member) && !used_outside(member, group.members))
        continue;
      for (const Value& input : member->inputs) needed.insert(input.node);
      members.push_back(member);
    }
    std::reverse(members.begin(), members.end());
    return members;
  }

  Value new_value(const Value& value) const { return map_.at(value); }

  void emit_fused(const Group& group, const std::vector<const Node*>& members) {
    const Node* anchor = group.anchor;
    auto expression = std::make_shared<TileExpression>();
    std::vector<const Node*> again;
    const Values operands = external_inputs(members, anchor, &again);
    const int own_result = anchor != nullptr ? 1 : 0;  // operand 0 of an epilogue
    expression->n_inputs = static_cast<int>(operands.size()) + own_result;
    std::unordered_map<const Node*, int> numbers;
    if (anchor != nullptr) numbers[anchor] = 0;
    const auto number_of = [&](const Value& value) {
      const auto place = std::find(operands.begin(), operands.end(), value);
      return place == operands.end() ? numbers.at(value.node)
                                     : static_cast<int>(place - operands.begin()) + own_result;
    };
    const auto add_step = [&](const Node* node) {
      std::vector<int> of_operands;
      for (const Value& input : node->inputs) of_operands.push_back(number_of(input));
      numbers[node] = expression->n_inputs + static_cast<int>(expression->steps.size());
      expression->steps.push_back({node->op, std::move(of_operands), node->attrs, node->outputs[0].dtype});
    };
    for (const Node* node : again) add_step(node);
    for (const Node* member : members)
      if (member != anchor) add_step(member);

    Values inputs, new_operands;
    if (anchor != nullptr)
      for (const Value& input : anchor->inputs) inputs.push_back(new_value(input));
    for (const Value& operand : operands)
      (anchor != nullptr ? new_operands : inputs).push_back(new_value(operand));
    Node& fused = to_->copy(anchor != nullptr ? *anchor : empty_fused_node(), std::move(inputs));
    fused.operands = std::move(new_operands);
    fused.origin = members.front()->origin;
    fused.outputs.clear();
    for (const Node* member : members) {
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
  std::vector<GroupId> sequence_;      // all groups, each after those that it reads
  std::vector<std::size_t> position_;  // of a group in it
  std::vector<std::size_t> found_in_;  // the newest search that met a group
  std::size_t search_ = 0;
  std::vector<GroupId> group_of_;                         // by node id
  std::vector<std::vector<const Node*>> users_;           // by node id
  std::vector<bool> wanted_;                              // by node id: an output of the unit
  std::set<std::pair<GroupId, const Node*>> recomputed_;  // nodes that a group computes for itself
  std::unordered_map<const Node*, std::set<GroupId>> recomputed_in_;  // the same, by node
  Graph* to_ = nullptr;
  std::unordered_map<Value, Value, ValueHash> map_;  // values of the old graph in the new one
};

}  // namespace

Unit fuse(const Unit& unit) { return Fuser(unit).run(); }

}  // namespace ravine
