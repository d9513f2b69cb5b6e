// What a model computes: nodes in the order in which they were recorded, each an operation on earlier values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/array.h"
#include "core/fork.h"
#include "graph/attrs.h"
#include "kernels/api/tile.h"

namespace ravine {

class Graph;
class Lowering;
struct Node;
struct Op;
struct ParameterUpdate;
struct Value;
namespace kernels {
struct KernelTable;
}

struct TensorType {
  DType dtype = DType::float32;
  Shape shape;
  bool operator==(const TensorType&) const = default;
};
std::string to_string(const TensorType& type);  // "float32 (64, 10)"

// One output of a node. A default-constructed Value means "none".
struct Value {
  Node* node = nullptr;
  int index = 0;

  explicit operator bool() const { return node != nullptr; }
  bool operator==(const Value&) const = default;
  const TensorType& type() const;
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  int rank() const { return shape().rank(); }
  Graph& graph() const;
};
using Values = std::vector<Value>;

// ---- operations

enum class OpKind : std::uint8_t {
  compute,
  tile,   // elementwise, NumPy broadcasting; Op::tile names the step; fused and lowered by the compiler
  view,   // only renames memory where strides allow: Op::view
  input,  // fed by the caller of a run
  state,  // an Array outside programs
  constant,
  effect,  // runs after everything that can fail; what it gives, only later effects may read
};

// Strides and offset (in elements) of a view of a tensor, or false where it needs a copy in row-major order
// first.
struct StridedView {
  Shape shape;
  Strides strides;
  std::int64_t offset = 0;
};

// An operation: everything that Ravine knows about it, in one place. Functions may be null where they do not
// apply.
struct Op {
  const char* name;
  OpKind kind = OpKind::compute;

  // Checks inputs and attributes, normalises attributes and sets node.outputs. Errors start with the
  // operation's name and hold every shape and what was expected.
  void (*infer)(Node& node);

  // Cotangents of the inputs ("none" where an input has no influence) from those of the outputs ("none" where
  // zero). They may have the broadcast shape of the output; autodiff sums them to the input's shape. Rules
  // emit ordinary nodes.
  Values (*gradient)(const Node& node, std::span<const Value> cotangents) = nullptr;

  // The node's outputs from primitives that have gradient rules; used where `gradient` is null and a
  // derivative is asked for.
  Values (*decompose)(const Node& node) = nullptr;

  // The node's outputs from simpler nodes just before fusion, so that the parts can fuse with their
  // neighbours.
  Values (*expand)(const Node& node) = nullptr;

  // Emits the kernel calls.
  void (*lower)(Lowering& lowering, const Node& node) = nullptr;

  // OpKind::tile: the kernels' step. Its params come from the attributes "slope", "alpha" or "low" (the
  // first) and "high" or "input_scale" (the second); "stream" numbers a random node.
  kernels::TileOp tile = kernels::TileOp::identity;
  // OpKind::view
  bool (*view)(const Node& node, const StridedView& input, StridedView& result) = nullptr;

  // Elementwise consumers of output 0 may be computed inside this operation's kernel (Call::output hands it
  // their program). Returns the axis of output 0 that is contiguous in the kernel's result: its columns; -1:
  // not for this node.
  int (*epilogue_axis)(const Node& node) = nullptr;
  // Draws random numbers: never merged with an equal node.
  bool random = false;
};

// ---- fused expressions

// A chain of tile operations held by one node. Operand numbers: 0 .. n_inputs-1 are inputs, then one number
// per step.
struct TileExpression {
  struct Step {
    const Op* op;
    std::vector<int> operands;
    Attrs attrs;
    DType dtype;  // of the result
    bool operator==(const Step&) const = default;
  };
  int n_inputs = 0;
  std::vector<Step> steps;
  std::vector<int> outputs;  // numbers, one per output of the node
  bool operator==(const TileExpression&) const = default;
  std::string to_string() const;  // "add, relu"
};

// ---- nodes

// What an effect acts on, e.g. an optimizer; told of every run of a program that holds it.
struct EffectTarget {
  virtual ~EffectTarget() = default;
  virtual void before_run() {}
  virtual void after_run() {}      // only when the run succeeded and its effects took place
  virtual void after_refusal() {}  // when a guard left its effects out
  // What Graph::guard asks: whether the effects recorded after the guard are left out.
  virtual bool refuses() const { return false; }
  // The arrays that its effect changes.
  virtual std::vector<Array> written() const { return {}; }
  // Held by every run of a program with this target, from before_run to after_run.
  virtual Mutex& mutex() const { return mutex_; }
  // Who writes what such runs change; null: what others do not look at meanwhile.
  virtual std::shared_ptr<Writer> writer() const { return nullptr; }

 private:
  mutable Mutex mutex_;
};

// What a node belongs to, for people: the module that recorded it, and the part of a step.
enum class Phase : std::uint8_t { forward, backward, update };
const char* name_of(Phase phase);
struct Origin {
  std::uint32_t scope = 0;  // a number of Scopes
  Phase phase = Phase::forward;
};

// The paths of modules, by number; 0 is outside of any. A graph and what passes make of it share them.
using Scopes = std::vector<std::string>;

struct Node {
  const Op* op = nullptr;
  Graph* graph = nullptr;
  std::uint32_t id = 0;  // position in the graph
  Values inputs;
  Attrs attrs;
  std::vector<TensorType> outputs;
  Origin origin;

  std::string name;                      // inputs and states: the user's name
  Array array;                           // states and assignments: the memory; constants: the value
  std::shared_ptr<EffectTarget> target;  // effects of the optimizer
  // Of a fused elementwise node, on its inputs. Of another node: its epilogue, on the operation's own result
  // 0 and the operands. Outputs are then first the epilogue's, then the operation's own without result 0.
  std::shared_ptr<const TileExpression> expression;
  Values operands;
  std::vector<Array> eager_values;  // eager graphs and constants: one per output

  Value out(int index = 0) const { return Value{const_cast<Node*>(this), index}; }
  // Output `index`, at least 1, of the operation itself, whatever its epilogue makes of result 0.
  Value own_out(int index) const {
    return out(expression ? static_cast<int>(expression->outputs.size()) + index - 1 : index);
  }
  const TensorType& input_type(int i) const { return inputs[static_cast<std::size_t>(i)].type(); }
  const Shape& input_shape(int i) const { return input_type(i).shape; }
  DType input_dtype(int i) const { return input_type(i).dtype; }
  int n_inputs() const { return static_cast<int>(inputs.size()); }
};

struct Pass;

// Finds operations by name, and holds the passes that graphs of them go through; cpp/rules fills it.
class OpTable {
 public:
  OpTable(std::span<const Op* const> ops, std::span<const Pass> passes);
  const Op& at(std::string_view name) const;  // KeyError with the nearest names
  std::span<const Op* const> all() const { return ops_; }
  std::span<const Pass> passes() const { return passes_; }  // in the order in which they run

 private:
  std::vector<const Op*> ops_;  // sorted by name
  std::span<const Pass> passes_;
};

// The operations that the graph itself is made of.
extern const Op input_op, state_op, constant_op, assign_op, guard_op, fused_op;

// Owns its nodes; values are handles into it. Not thread-safe: one thread records a graph.
class Graph {
 public:
  explicit Graph(const OpTable& ops) : ops_(&ops) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Value input(const TensorType& type, std::string name = "");
  Value state(const Array& array, std::string name = "");  // the same memory gives the same value
  Value constant(const Array& array);
  Value scalar(double value, DType dtype);
  Value filled(double value, const TensorType& type);  // a broadcast scalar

  // Records an operation; returns its outputs.
  Values apply(const Op& op, Values inputs, Attrs attrs = {});
  Values apply(std::string_view name, Values inputs, Attrs attrs = {});
  Value apply1(std::string_view name, Values inputs, Attrs attrs = {}) {
    return apply(name, std::move(inputs), std::move(attrs))[0];
  }

  // Effects. The state becomes `value` at the end of the run; it must have the state's type.
  void assign(const Array& array, Value value);
  Values effect(const Op& op, Values inputs, std::shared_ptr<EffectTarget> target, Attrs attrs = {});
  // The effects recorded after a guard are left out of a run in which this scalar is NaN or infinite, or in
  // which the target refuses.
  void guard(Value loss) { effect(guard_op, {loss}, nullptr); }
  void guard(std::shared_ptr<EffectTarget> target) { effect(guard_op, {}, std::move(target)); }

  // A copy of a node of any graph with other inputs, for rewriting passes.
  Node& copy(const Node& node, Values inputs);

  const OpTable& ops() const { return *ops_; }
  std::span<const std::unique_ptr<Node>> nodes() const { return nodes_; }
  std::span<Node* const> effects() const { return effects_; }
  std::span<Node* const> inputs() const { return inputs_; }

  // The nodes that are recorded from now on belong to the module of this path.
  void enter(const std::string& path);
  Origin origin;  // of the nodes that are recorded from now on
  const std::shared_ptr<Scopes>& scopes() const { return scopes_; }
  void share_scopes(const Graph& other) { scopes_ = other.scopes_; }

  // Called for every recorded node but inputs; an eager graph computes its values here.
  std::function<void(Node&)> on_record;
  std::uint32_t next_stream = 0;          // random numbers: one stream per random node
  const Node* differentiating = nullptr;  // by gradients(): where an error arose
  const Node* first_infinite = nullptr;   // eager graphs that look for NaN: made an infinity of finite inputs
  bool effects_refused = false;           // eager graphs: whether a guard left effects out

 private:
  Node& add(const Op& op);
  // Tells on_record of the newest node. Where that throws, the graph is as it was without the node, when
  // `stream` was the next.
  void record(Node& node, std::uint32_t stream);
  void remove_newest();

  const OpTable* ops_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Node*> effects_;
  std::vector<Node*> inputs_;
  std::unordered_map<const std::byte*, Node*> states_;  // by the memory of their arrays
  std::shared_ptr<Scopes> scopes_ = std::make_shared<Scopes>(1);
};

Values outputs_of(const Node& node);

inline const TensorType& Value::type() const { return node->outputs[static_cast<std::size_t>(index)]; }
inline Graph& Value::graph() const { return *node->graph; }

}  // namespace ravine
