// An optimizer bound to parameters: its numbers, its state, and the effect that updates the parameters at the
// end of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/array.h"
#include "graph/graph.h"
#include "optim/clipping.h"
#include "optim/rules.h"

namespace ravine::optim {

class Optimizer final : public EffectTarget {
 public:
  using Settings = std::vector<std::pair<std::string, double>>;

  // KeyError on an unknown rule or hyperparameter, ValueError on values that are not allowed, TypeError on
  // parameters that are not floating. Hyperparameters not named take the rule's defaults.
  // Slots that depend on a hyperparameter are kept where that is nonzero or where `slots` names them, so that
  // it can be turned on later.
  // Optimizers that move together share a mutex; null: one of its own.
  Optimizer(std::string_view rule, std::vector<Array> parameters, const Settings& hyper,
            std::span<const std::string> slots = {}, std::shared_ptr<Writer> writer = nullptr);

  Optimizer(const Optimizer&) = delete;  // programs hold addresses in it
  Optimizer& operator=(const Optimizer&) = delete;

  const Rule& rule() const { return rule_; }
  const std::vector<Array>& parameters() const { return parameters_; }

  Settings hyper() const;
  // Waits for a run. Holds from the next one on, for programs that are compiled already too. Nothing changes
  // on an error.
  void set(std::string_view name, double value) { set_all({{std::string(name), value}}); }
  void set_all(const Settings& hyper);   // which may be allowed together only
  void set_held(const Settings& hyper);  // the same for who holds the mutex

  // The state that is kept: one array per parameter, each in its parameter's layout.
  struct SlotArrays {
    std::string name;
    int index;  // in the rule's list, and in the kernel's segments
    std::vector<Array> arrays;
  };
  const std::vector<SlotArrays>& slots() const { return slots_; }

  std::int64_t step() const;         // steps done
  void set_step(std::int64_t step);  // ValueError where negative
  // The numbers that the rule keeps from step to step. KeyError on an unknown name, ValueError on a number
  // that is not finite.
  Settings scalars() const;
  void set_scalar(std::string_view name, double value);
  // Steps and scalars at once, for who holds the mutex.
  const Progress& progress() const { return progress_; }
  void set_progress(std::int64_t step, std::span<const double> scalars);

  bool decays() const {
    return hyper_.has("weight_decay") && hyper_.on("weight_decay");
  }  // who holds the mutex

  // What follows the rule in the next runs: average += average_weight (parameter - average), and before that
  // slow += slow_weight (parameter - slow), which becomes the parameter. 0: nothing.
  double average_weight = 0, slow_weight = 0;

  // The gradients' sums of squares are entries [first, first + parameters) of the clipping's. Programs that
  // were compiled before refuse to run: they hold another clipping, or none.
  void set_clipping(std::shared_ptr<Clipping> clipping, std::int64_t first);
  const std::shared_ptr<Clipping>& clipping() const { return clipping_; }
  std::int64_t first_square() const { return first_square_; }

  // For the kernel: filled before every run.
  const kernels::OptimizerStep& kernel_step() const { return kernel_step_; }
  const kernels::OptimizerStep& row_step() const { return row_step_; }  // of rules with an update of rows
  void before_run() override;
  void after_run() override;
  std::vector<Array> written() const override;
  Mutex& mutex() const override { return writer_ != nullptr ? writer_->mutex : EffectTarget::mutex(); }
  std::shared_ptr<Writer> writer() const override { return writer_; }

 private:
  void check_slots(const HyperValues& hyper) const;

  std::shared_ptr<Writer> writer_;  // null: it has a lock of its own
  const Rule& rule_;
  HyperValues hyper_;
  std::vector<Array> parameters_;
  std::vector<SlotArrays> slots_;
  Progress progress_, next_progress_;
  std::shared_ptr<Clipping> clipping_;
  std::int64_t first_square_ = 0;
  KernelHyper kernel_hyper_, row_hyper_;
  kernels::OptimizerStep kernel_step_, row_step_;
};

// Records the update: gradients in the order of the optimizer's parameters, of their types; of sparse ones
// the rows, and in `which` what rows these are (see take_rows). ValueError where the rule has no update of
// rows.
void optimizer_step(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients,
                    const Values& which = {});

// Records the sums of squares that clipping by norm and skipping need: for each optimizer that has a
// Clipping, and before the updates of all that share it.
void gradient_norm(Graph& graph, std::shared_ptr<Optimizer> optimizer, Values gradients,
                   const Values& which = {});

extern const Op optimizer_step_op, gradient_norm_op;

}  // namespace ravine::optim
