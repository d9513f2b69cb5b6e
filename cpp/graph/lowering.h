// What an operation's lower() works with: where its inputs lie, memory for its outputs, kernel calls.
//
//   void lower_softmax(Lowering& lowering, const Node& node) {
//     const View x = lowering.dense(node.inputs[0]);
//     const View y = lowering.create(node.out());
//     auto call = lowering.call("softmax", lowering.floats(node).softmax);
//     call.args.rows = ...;
//     call.read(call.args.input, x);
//     call.write(call.args.output, y);
//     call.cost(flops, bytes);
//   }
//
// matmul, whose kernel can run an epilogue: call.write(call.args.c.data, call.output(call.args.epilogue,
// node, rows, columns));
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "graph/program.h"

namespace ravine {

template <class Args>
class Call;

class Lowering {
 public:
  Lowering(Program& program, const kernels::KernelTable& kernels);

  const kernels::KernelTable& kernels() const { return kernels_; }
  // The kernels of the dtype of the node's first floating input, else of its first output.
  const kernels::FloatKernels& floats(const Node& node) const;

  // Where a value lies, with whatever strides it has.
  const View& view(Value value) const;
  // The value without gaps in the given order; copied there once if it lies otherwise.
  View dense(Value value, Layout layout = Layout::row_major);
  // Makes the dense copies that a node's epilogue reads: they must be made before the call that runs it.
  void prepare_epilogue(const Node& node);
  // True every other time: for calls that go over images from the first to the last, or back.
  bool backwards() { return backwards_ = !backwards_; }
  // Memory for an output, dense in the given order.
  View create(Value output, Layout layout = Layout::row_major);
  // The output is another name for (part of) existing memory.
  void alias(Value output, const View& view);
  // The output may take over the input's memory if nothing reads the input later; both are walked in the same
  // order.
  void reuse(const View& output, const View& input) {
    reuse_hints_.emplace_back(output.storage, input.storage);
  }
  // Memory that lives for the calls which read or write it.
  View temporary(DType dtype, const Shape& shape, Layout layout = Layout::row_major);

  template <class Args>
  Call<Args> call(const char* kernel, kernels::Kernel<Args> function);

  // An elementwise program on given views, as a call of its own: out = steps(inputs).
  void copy(const View& from, const View& to);
  void fill(const View& to, double value);

  // Faults: a code whose error reads `before`, the offending index, `after`.
  std::int32_t fault_code(std::string before, std::string after);
  kernels::Fault* fault() const { return &program_.fault_; }
  const kernels::RandomState* random() {
    program_.draws_ = true;
    return program_.random_.get();
  }
  void keep(const Array& array) { program_.kept_.push_back(array); }
  void target(std::shared_ptr<EffectTarget> target) { program_.targets_.push_back(std::move(target)); }

  // An object of a call's arguments, which lives as long as the program.
  template <class T>
  T& own() {
    auto object = std::make_shared<T>();
    program_.owned_.push_back(object);
    return *object;
  }

  // An array outside the program.
  View external(const Array& array);

 private:
  template <class Args>
  friend class Call;
  friend class ProgramCompiler;

  friend struct TileCall;

  using Invoke = void (*)(const void* function, const void* args, const Team& team);
  // A pointer in some call's arguments that gets its value once memory is planned.
  struct Binding {
    PointerField field;
    int storage;
    std::int64_t byte_offset;
  };
  struct ValueOrder {
    bool operator()(const Value& a, const Value& b) const {
      return a.node->id != b.node->id ? a.node->id < b.node->id : a.index < b.index;
    }
  };

  // Operand i of a node's epilogue, from node.inputs, as its kernel addresses it.
  View epilogue_operand(const Node& node, std::size_t i, Layout layout);
  int add_storage(const Storage& storage);
  int add_call(const char* kernel, std::shared_ptr<void> args, const void* function, Invoke invoke);
  void bind(int call, PointerField field, const View& view, bool write);
  View bind_output(int call, const kernels::TileProgram*& field, const Node& node, std::int64_t rows,
                   std::int64_t columns, Layout layout);
  void bind_workspace(int call, void*& field, std::size_t bytes);
  void describe(int call, std::string text);
  void set_cost(int call, double flops, double bytes);
  void add_fused(int call, const std::string& steps) {
    std::string& fused = program_.calls_[static_cast<std::size_t>(call)].fused;
    fused += (fused.empty() ? "" : ", ") + steps;
  }

  Program& program_;
  const kernels::KernelTable& kernels_;
  std::vector<Binding> bindings_;
  bool backwards_ = false;
  std::unordered_map<const std::byte*, int> externals_;  // storages of arrays outside the program
  std::map<Value, View, ValueOrder> views_;
  std::map<Value, View, ValueOrder> dense_copies_[2];               // by Layout
  std::vector<std::pair<kernels::TileOutput*, int>> tile_outputs_;  // of calls of their own; their storages
  std::vector<std::pair<int, int>>
      reuse_hints_;  // (output, input) storages that may be one if the input's life ends there
};

// A kernel call under construction. Pointers are set through read() and write(), which record who uses what
// memory.
template <class Args>
class Call {
 public:
  Args& args;

  template <class Pointee>
  void read(Pointee*& field, const View& view) {
    lowering_.bind(index_, PointerField(field), view, false);
  }
  template <class Pointee>
  void write(Pointee*& field, const View& view) {
    lowering_.bind(index_, PointerField(field), view, true);
  }
  // Memory for the node's output 0, to be bound to the kernel's result. Where elementwise consumers were
  // fused into the node, `field` is set to their program over [rows, columns], the memory order of output 0,
  // which the kernel runs on complete blocks of the result; the node's outputs are then the program's.
  View output(const kernels::TileProgram*& field, const Node& node, std::int64_t rows, std::int64_t columns,
              Layout layout = Layout::row_major) {
    return lowering_.bind_output(index_, field, node, rows, columns, layout);
  }
  // For describe(): "(64, 784) x (784, 128)". What is fused is added by itself.
  void describe(std::string text) { lowering_.describe(index_, std::move(text)); }
  // Floating-point operations and bytes moved: what the choice of one or all threads rests on.
  void cost(double flops, double bytes) { lowering_.set_cost(index_, flops, bytes); }
  // For describe(): what else the kernel does with its result.
  void fuse(const std::string& what) { lowering_.add_fused(index_, what); }
  // A workspace shared by the team.
  void workspace(void*& field, std::size_t bytes) { lowering_.bind_workspace(index_, field, bytes); }
  int index() const { return index_; }

 private:
  friend class Lowering;
  Call(Lowering& lowering, int index, Args& args) : args(args), lowering_(lowering), index_(index) {}
  Lowering& lowering_;
  int index_;
};

template <class Args>
Call<Args> Lowering::call(const char* kernel, kernels::Kernel<Args> function) {
  check<RuntimeError>(function != nullptr, "lowering: there is no kernel '", kernel, "' for these types");
  auto args = std::make_shared<Args>();
  const int index = add_call(kernel, args, reinterpret_cast<const void*>(function),
                             [](const void* called, const void* arguments, const Team& team) {
                               reinterpret_cast<kernels::Kernel<Args>>(const_cast<void*>(called))(
                                   *static_cast<const Args*>(arguments), team);
                             });
  return Call<Args>(*this, index, *args);
}

}  // namespace ravine
