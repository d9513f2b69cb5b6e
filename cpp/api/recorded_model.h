// A model that a function of the host records: its parameters, and the weights and programs that predictions
// use.
//
// Training changes parameters in place, while predictions go on. So predictions read copies: two of all
// arrays, each of one step boundary, of which one is current. A step that somebody waits for, or a prediction
// that finds no step under way, copies the parameters into the other one and makes that the current. Without
// a training step there are no copies, and predictions read the parameters themselves.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "api/batch.h"
#include "api/recording.h"
#include "api/states.h"
#include "api/weights_file.h"

namespace ravine::v1 {

struct RecordedModel final : Access::ModelState {
  RecordedModel(ModelFunction of, const ModelOptions& options) : function(std::move(of)), store(options) {}

  ModelFunction function;
  ParameterStore store;  // complete once `initialized`, and then only its arrays change
  std::atomic<bool> initialized{false};

  // Creates the parameters that a recording of `function` for such arrays asks for, if there are none yet.
  using Record = std::function<void(Recording&, std::span<const Tensor>)>;
  void initialize(std::span<const View> arrays, const Record& function);
  void initialize(std::span<const View> inputs) override {
    initialize(inputs,
               [this](Recording& recording, std::span<const Tensor> values) { record(recording, values); });
  }
  void expect_initialized(const char* what) const;
  // Calls the model's function; Error if it gives nothing.
  std::vector<Tensor> record(Recording& recording, std::span<const Tensor> inputs);

  // Lives while parameters change; nobody else changes them then.
  class Change {
   public:
    explicit Change(RecordedModel& of);
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    void succeeded() { succeeded_ = true; }

   private:
    RecordedModel& model_;
    const std::lock_guard<Mutex> lock_;
    bool succeeded_ = false;
  };
  // From now on predictions read copies.
  void attach_training();
  // Puts arrays in the place of all parameters; `values` are in the set's order and fit.
  void replace(std::span<const ravine::Array> values);

  void predict(std::span<const View> inputs, const OutputsFor& outputs_for) override;
  NamedArrays state() const override;
  void save(const std::string& path) const override;
  void load(const NamedArrays& state, const std::string& what) override {
    expect_initialized(what.c_str());
    replace(fitting(store, state, what));
  }

 private:
  // The weights of one step boundary, and programs that read them.
  struct Snapshot {
    std::vector<ravine::Array> arrays;  // none: the parameters themselves
    std::atomic<std::uint64_t> version{0};
    Mutex in_use;  // shared by predictions
    struct Programs {
      std::vector<TensorType> inputs;
      std::vector<std::unique_ptr<Program>> idle;
    };
    Mutex programs_mutex;
    std::vector<Programs> programs;  // the newest kinds of inputs, at most max_kinds
  };
  static constexpr std::size_t max_kinds = 16;

  static constexpr std::uint64_t unpublished = ~std::uint64_t{0};

  Snapshot& take();  // shares its `in_use`
  void refresh();    // lets predictions see the newest parameters that they can
  void publish();    // with the change mutex held
  std::unique_ptr<Program> program_for(Snapshot& snapshot, std::span<const View> inputs);
  void give_back(Snapshot& snapshot, std::unique_ptr<Program> program);
  std::unique_ptr<Program> compile_for(const Snapshot& snapshot, std::span<const TensorType> types);

  mutable Mutex change_mutex_;  // held while parameters change
  Mutex recording_mutex_;       // the model's function is called by one thread at a time
  Mutex take_mutex_;            // held while a snapshot is taken, and to keep others from taking one
  std::atomic<bool> changing_{false};
  std::atomic<bool> wanted_{false};        // whether a prediction would like newer weights
  std::atomic<std::uint64_t> version_{0};  // of the parameters
  std::atomic<bool> copies_{false};
  std::atomic<int> current_{0};
  Snapshot snapshots_[2];
};

}  // namespace ravine::v1
