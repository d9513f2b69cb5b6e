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

#include "core/error.h"
#include "graph/schedule/schedule.h"

namespace ravine {

template <class Args>
class Call;

class Lowering {
 public:
  Lowering(Schedule& schedule, const kernels::KernelTable& kernels)
      : schedule_(schedule), kernels_(kernels) {}

  Schedule& schedule() { return schedule_; }
  // What the calls from now on belong to.
  void set_origin(const Origin& origin) { origin_ = origin; }

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
    schedule_.in_place.emplace_back(output.storage, input.storage);
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
  kernels::Fault* fault() const { return schedule_.fault.get(); }
  const kernels::RandomState* random() {
    schedule_.draws = true;
    return schedule_.random.get();
  }
  void keep(const Array& array) { schedule_.kept.push_back(array); }
  void target(std::shared_ptr<EffectTarget> target) { schedule_.targets.push_back(std::move(target)); }

  // An object of a call's arguments, which lives as long as the program.
  template <class T>
  T& own() {
    auto object = std::make_shared<T>();
    schedule_.owned.push_back(object);
    return *object;
  }

  // An array outside the program.
  View external(const Array& array);

  // Memory for a node's output 0, to be bound to the result of a call's kernel (see Call::output).
  View output(int call, const kernels::TileProgram*& epilogue, const Node& node, std::int64_t rows,
              std::int64_t columns, Layout layout);

 private:
  struct ValueOrder {
    bool operator()(const Value& a, const Value& b) const {
      return a.node->id != b.node->id ? a.node->id < b.node->id : a.index < b.index;
    }
  };

  // An operand of a node's epilogue as its kernel addresses it.
  View epilogue_operand(const Node& node, const Value& operand, Layout layout);

  Schedule& schedule_;
  const kernels::KernelTable& kernels_;
  Origin origin_;
  bool backwards_ = false;
  std::unordered_map<const std::byte*, int> externals_;  // storages of arrays outside the program
  std::map<Value, View, ValueOrder> views_;
  std::map<Value, View, ValueOrder> dense_copies_[2];  // by Layout
};

// A kernel call under construction. Pointers are set through read() and write(), which record who uses what
// memory.
template <class Args>
class Call {
 public:
  Call(Lowering& lowering, int index, Args& args) : args(args), lowering_(lowering), index_(index) {}

  Args& args;

  template <class Pointee>
  void read(Pointee*& field, const View& view) {
    schedule().bind(index_, PointerField(field), view, /*write=*/false);
  }
  template <class Pointee>
  void write(Pointee*& field, const View& view) {
    schedule().bind(index_, PointerField(field), view, /*write=*/true);
  }
  // Memory for the node's output 0, to be bound to the kernel's result. Where elementwise consumers were
  // fused into the node, `field` is set to their program over [rows, columns], the memory order of output 0,
  // which the kernel runs on complete blocks of the result; the node's outputs are then the program's.
  View output(const kernels::TileProgram*& field, const Node& node, std::int64_t rows, std::int64_t columns,
              Layout layout = Layout::row_major) {
    return lowering_.output(index_, field, node, rows, columns, layout);
  }
  // For describe(): "(64, 784) x (784, 128)". What is fused is added by itself.
  void describe(std::string text) { schedule().call(index_).description = std::move(text); }
  // For describe(): what else the kernel does with its result.
  void fuse(const std::string& what) { schedule().add_fused(index_, what); }
  // Floating-point operations and bytes moved.
  void cost(double flops, double bytes) {
    schedule().call(index_).flops = flops;
    schedule().call(index_).bytes = bytes;
  }
  // A workspace shared by the team.
  void workspace(void*& field, std::size_t bytes) {
    if (bytes != 0) write(field, lowering_.temporary(DType::uint8, Shape{static_cast<std::int64_t>(bytes)}));
  }

 private:
  Schedule& schedule() { return lowering_.schedule(); }

  Lowering& lowering_;
  int index_;
};

template <class Args>
Call<Args> Lowering::call(const char* kernel, kernels::Kernel<Args> function) {
  check<RuntimeError>(function != nullptr, "lowering: there is no kernel '", kernel, "' for these types");
  auto args = std::make_shared<Args>();
  KernelCall& call = schedule_.calls.emplace_back();
  call.kernel = kernel;
  call.args = args;
  call.origin = origin_;
  call.function = reinterpret_cast<const void*>(function);
  call.invoke = [](const void* called, const void* arguments, const Team& team) {
    reinterpret_cast<kernels::Kernel<Args>>(const_cast<void*>(called))(*static_cast<const Args*>(arguments),
                                                                       team);
  };
  return Call<Args>(*this, static_cast<int>(schedule_.calls.size()) - 1, *args);
}

}  // namespace ravine
