// From a graph to a program: passes, lowering, memory planning, barriers.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/error.h"
#include "graph/derived.h"
#include "graph/lowering.h"
#include "graph/ordered.h"
#include "graph/passes/pipeline.h"
#include "graph/passes/verify.h"
#include "graph/planner.h"
#include "graph/tile_lowering.h"
#include "graph/touched_memory.h"

namespace ravine {

class ProgramCompiler {
 public:
  ProgramCompiler(const Graph& graph, std::span<const Value> outputs, const CompileOptions& options)
      : program_(std::make_unique<Program>()),
        kernels_(options.kernels != nullptr ? *options.kernels : active_kernels()),
        lowering_(*program_, kernels_) {
    program_->random_ = options.random ? options.random : std::make_shared<RandomState>();
    program_->isa_ = kernels_.isa;
    program_->scratch_bytes_ = kernels_.scratch_bytes;
    for (const Node* input : graph.inputs()) {
      program_->input_types_.push_back(input->outputs[0]);
      program_->input_names_.push_back(input->name);
    }
    for (const Value& output : outputs) program_->output_types_.push_back(output.type());

    PassContext context{kernels_, options.keep_derived && graph.effects().empty(), program_->derived_};
    unit_ = run_passes(graph, outputs, context);
  }

  std::unique_ptr<Program> finish() {
    lower_nodes();
    lower_outputs();
    lower_effects();
    check_reads();
    share_memory_in_place();
    tell_unread_outputs();
    plan();
    resolve();
    place_barriers();
    if (verifies()) expect_ordered(program_->calls_, program_->storages_);
    list_written_states();
    list_shared_locks();
    double cost = 0;
    for (const KernelCall& call : program_->calls_) cost += call.cost;
    program_->single_threaded_ = cost < single_thread_cost;
    return std::move(program_);
  }

 private:
  // Below this a second thread gains less than its barriers cost, and loses much when the other core is
  // taken.
  static constexpr double single_thread_cost = 20000;  // ns on one core

  // ---- lowering
  // ------------------------------------------------------------------------------------------------

  void lower_nodes() {
    int next_input = 0;
    for (const auto& node : unit_.graph->nodes()) {
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
        lowering_.add_storage({.kind = Storage::Kind::input,
                               .bytes = numel(view.shape) * static_cast<std::int64_t>(size_of(view.dtype)),
                               .index = index});
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
      Storage& storage = storage_of(view.storage);
      const std::int64_t bytes = numel(view.shape) * static_cast<std::int64_t>(size_of(view.dtype));
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
      target.storage = lowering_.add_storage(
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
      if (storage_of(value.storage).kind == Storage::Kind::external) {
        const View copied = lowering_.temporary(value.dtype, value.shape, effect->array.layout());
        lowering_.copy(value, copied);
        value = copied;
      }
      assignments.emplace(effect, std::pair{value, state});
    }
    keep_values_of_effects();
    const std::size_t first_effect = program_->calls_.size();
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op == &guard_op) {
        add_guard(*effect, guarded);
        continue;
      }
      if (effect->op == &assign_op) {
        const auto& [value, state] = assignments.at(effect);
        lowering_.copy(value, state);
      } else {
        effect->op->lower(lowering_, *effect);
      }
      if (effect->target) lowering_.target(effect->target);
    }
    for (std::size_t i = first_effect; i < program_->calls_.size(); ++i) {
      program_->calls_[i].effect = true;
      program_->calls_[i].tests_guards = i == first_effect;
    }
    for (const Guard& guard : program_->guards_)
      if (guard.call < program_->calls_.size()) program_->calls_[guard.call].tests_guards = true;
    // What guards read holds until the run ends.
    for (const auto& [node, value] : guarded)
      storage_of(value.storage).last_call = static_cast<int>(program_->calls_.size());
  }

  // Where the scalars lie that guards test: in memory that no effect writes.
  std::map<const Node*, View> values_of_guards() {
    std::map<const Node*, View> values;
    for (const Node* effect : unit_.graph->effects()) {
      if (effect->op != &guard_op || effect->inputs.empty()) continue;
      View value = lowering_.view(effect->inputs[0]);
      if (storage_of(value.storage).kind == Storage::Kind::external) {
        const View copied = lowering_.temporary(value.dtype, value.shape);
        lowering_.copy(value, copied);
        value = copied;
      }
      values.emplace(effect, value);
    }
    return values;
  }

  void add_guard(const Node& node, const std::map<const Node*, View>& guarded) {
    Guard& guard = program_->guards_.emplace_back();
    guard.call = program_->calls_.size();
    guard.target = node.target.get();
    if (node.target) lowering_.target(node.target);
    if (const auto place = guarded.find(&node); place != guarded.end()) {
      const View& value = place->second;
      guard.dtype = value.dtype;
      lowering_.bindings_.push_back({PointerField(guard.value), value.storage,
                                     value.offset * static_cast<std::int64_t>(size_of(value.dtype))});
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

  Storage& storage_of(int index) { return program_->storages_[static_cast<std::size_t>(index)]; }

  // Memory of the arena holds what an earlier run left: a call may read only what was written before it, or
  // what it writes itself (an epilogue reads its kernel's result).
  void check_reads() {
    std::vector<bool> written(program_->storages_.size(), false);
    for (const KernelCall& call : program_->calls_) {
      for (const int storage : call.writes) written[static_cast<std::size_t>(storage)] = true;
      for (const int index : call.reads) {
        const Storage& storage = storage_of(index);
        const bool known = storage.kind != Storage::Kind::arena || storage.bytes == 0;
        check<RuntimeError>(known || written[static_cast<std::size_t>(index)], "lowering: '", call.kernel,
                            "' (", call.description, ") reads memory that nothing has written");
      }
    }
  }

  // ---- memory
  // --------------------------------------------------------------------------------------------------

  void share_memory_in_place() {
    for (const auto& [output, input] : lowering_.reuse_hints_) {
      const int target = same_as(input), own = same_as(output);
      Storage& from = storage_of(target);
      Storage& into = storage_of(own);
      const bool fits = target != own && from.kind == Storage::Kind::arena &&
                        into.kind == Storage::Kind::arena && from.bytes == into.bytes &&
                        from.last_call == into.first_call;
      if (!fits) continue;
      from.last_call = into.last_call;
      into.first_call = into.last_call = -1;
      replaced_[own] = target;
    }
    for (auto& binding : lowering_.bindings_) binding.storage = same_as(binding.storage);
    for (KernelCall& call : program_->calls_) {
      for (int& storage : call.reads) storage = same_as(storage);
      for (int& storage : call.writes) storage = same_as(storage);
    }
  }

  int same_as(int storage) const {
    for (auto place = replaced_.find(storage); place != replaced_.end(); place = replaced_.find(storage))
      storage = place->second;
    return storage;
  }

  // Elementwise results of which the program reads nothing, or as good as nothing.
  void tell_unread_outputs() {
    for (const auto& [output, index] : lowering_.tile_outputs_) {
      const Storage& storage = storage_of(index);
      const bool own = storage.kind == Storage::Kind::arena || storage.kind == Storage::Kind::output;
      output->unread = own && !replaced_.contains(index) && storage.bytes_read <= storage.bytes / 64;
    }
  }

  void plan() {
    std::vector<Lifetime> lifetimes;
    std::vector<Storage*> planned;
    for (Storage& storage : program_->storages_) {
      if (storage.kind != Storage::Kind::arena || storage.first_call < 0) continue;
      lifetimes.push_back({storage.bytes, storage.first_call, storage.last_call});
      planned.push_back(&storage);
    }
    const Placement placement = plan_memory(lifetimes);
    program_->arena_bytes_ = placement.arena_bytes;
    program_->arena_ = reserve_bytes(static_cast<std::size_t>(placement.arena_bytes));
    for (std::size_t i = 0; i < planned.size(); ++i) {
      planned[i]->offset = placement.offsets[i];
      planned[i]->address = program_->arena_.get() + placement.offsets[i];
    }
  }

  void resolve() {
    for (const auto& binding : lowering_.bindings_) {
      const Storage& storage = storage_of(binding.storage);
      if (storage.kind == Storage::Kind::input || storage.kind == Storage::Kind::output) {
        program_->patches_.push_back(
            {binding.field, storage.kind == Storage::Kind::output, storage.index, binding.byte_offset});
      } else {
        binding.field.set(storage.address + binding.byte_offset);
      }
    }
  }

  // ---- barriers
  // ------------------------------------------------------------------------------------------------

  // A call waits for the team when it touches memory that a call since the last barrier wrote, or writes what
  // one read.
  void place_barriers() {
    TouchedMemory read(program_->storages_), written(program_->storages_);
    for (KernelCall& call : program_->calls_) {
      // Effects wait for every check before them, whatever memory it touches.
      if (call.tests_guards || written.meets(call.reads) || written.meets(call.writes) ||
          read.meets(call.writes)) {
        call.barrier_before = !(read.empty() && written.empty());
        read.clear();
        written.clear();
      }
      read.add(call.reads);
      written.add(call.writes);
    }
  }

  void list_written_states() {
    std::set<const std::byte*> addresses;
    for (const KernelCall& call : program_->calls_)
      for (const int storage : call.writes)
        if (storage_of(storage).kind == Storage::Kind::external)
          addresses.insert(storage_of(storage).address);
    for (const Array& array : program_->kept_)
      if (addresses.erase(array.data()) != 0) program_->written_.push_back(array);
  }

  // Each once and in an order that is the same for all programs, so that no two wait for each other.
  void list_shared_locks() {
    std::set<Mutex*> locks;
    for (const auto& target : program_->targets_) locks.insert(&target->mutex());
    if (program_->draws_) locks.insert(&program_->random_->mutex);
    program_->shared_locks_.assign(locks.begin(), locks.end());
  }

  std::unique_ptr<Program> program_;
  const kernels::KernelTable& kernels_;
  Lowering lowering_;
  Unit unit_;
  std::map<int, int> replaced_;
};

std::unique_ptr<Program> compile(const Graph& graph, std::span<const Value> outputs,
                                 const CompileOptions& options) {
  for (const Value& output : outputs)
    check<ValueError>(output && &output.graph() == &graph, "compile: an output belongs to another recording");
  return ProgramCompiler(graph, outputs, options).finish();
}

}  // namespace ravine
