// The state of a training run, in one place: which rule updates which parameters by which numbers, what the
// rule and the stages before it keep from step to step, and how far the run has come. A run of a program that
// was recorded with it counts in the same critical section in which the weights change.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/array.h"
#include "core/fork.h"
#include "graph/graph.h"
#include "graph/random_state.h"
#include "optim/clipping.h"
#include "optim/optimizer.h"
#include "train/memory.h"
#include "train/named.h"
#include "train/schedule.h"
#include "train/stages.h"

namespace ravine::train {

// A hyperparameter of a rule.
struct HyperNumber {
  std::string name;   // the rule's
  std::string label;  // the user's, for messages
  Number number;
};

// What an optimizer is: stages, then a rule, with its numbers for each group of parameters.
struct Description {
  struct Group {
    std::vector<HyperNumber> hyper;  // those not named have the rule's defaults
    bool decays = true;              // its parameters with fewer than two axes too
  };

  std::string owner;  // for messages
  std::string rule;
  std::vector<Group> groups;  // the first is of parameters in no group
  std::vector<Stage> stages;  // in the order in which they see the gradients
  SchedulePtr average;        // the share of the newest weights in their average; null: none is kept
  SchedulePtr slow;           // how far slow weights move after a step (Lookahead); null: there are none
};

class TrainState final : public std::enable_shared_from_this<TrainState> {
 public:
  // ValueError for stages that do not go together. Programs that train and draw random numbers draw from
  // `random`, which several states may share, if all of them move in one program; null: one of its own, of
  // seed 0.
  explicit TrainState(Description description, std::shared_ptr<RandomState> random = nullptr);
  ~TrainState();

  TrainState(const TrainState&) = delete;  // programs refer to it
  TrainState& operator=(const TrainState&) = delete;

  // Takes effect in the next run, of programs that are compiled already too, unless slots or stages have come
  // or gone.
  void describe(Description description);
  const Description& description() const { return description_; }
  // Makes these the trained parameters; others keep their state until they come back.
  void bind(std::vector<NamedParameter> parameters);
  // Changes whenever programs recorded before refuse to run: record them again.
  std::uint64_t generation() const { return generation_; }

  // Whether a call begins a sum of gradients (accumulation), and whether it makes an update.
  struct Phase {
    bool begins = true, updates = true;
    bool ends = false;  // by what was gathered alone, however many calls that were
    bool operator==(const Phase&) const = default;
  };
  Phase phase() const;

  // Records the update by the gradients of the bound parameters, in their order, for a call in the present
  // phase. In two parts: first the stages, with all that may refuse the step; then the rule. What else the
  // step changes (running statistics) is recorded between them; of steps with several states, all first parts
  // come before it.
  struct Prepared {
    Phase phase;
    Values gradients;  // none: this call makes no update
    Values which;      // of sparse gradients what rows they are, see optim::take_rows
    std::vector<std::pair<Array, Value>> assigned;
  };
  // `weight` is that of the call in an accumulation, the denominator of a loss that is a mean; none: 1.
  Prepared prepare(Graph& graph, Values gradients, const GradientsAt& gradients_at = {}, Value weight = {});
  // The same of an update that ends an accumulation early, by what was gathered: stages that see the
  // gradients of each call are left out. RuntimeError without an accumulation.
  Prepared prepare_gathered(Graph& graph);
  void update(Graph& graph, const Prepared& prepared);
  void record(Graph& graph, Values gradients, const GradientsAt& gradients_at = {}) {
    update(graph, prepare(graph, std::move(gradients), gradients_at));
  }
  const std::shared_ptr<RandomState>& random() const { return random_; }
  bool draws() const;            // random numbers
  bool looks_elsewhere() const;  // whether `prepare` needs gradients_at

  // Asks the host's functions of the step for the next run, which then asks nothing. Raises what they raise.
  bool foreign() const { return foreign_; }
  void ask() const;

  // How far the run has come. Any thread may ask at any time.
  std::int64_t steps() const { return steps_; }        // updates done
  std::int64_t gathered() const { return gathered_; }  // calls since, whose gradients wait
  std::int64_t skipped() const { return skipped_; }    // calls that changed nothing
  std::optional<double> lr() const;                    // of the newest update, of parameters in no group
  // The norm of all gradients in the newest update, before clipping by norm; none: nothing measures it.
  std::optional<double> gradient_norm() const;

  // While the model has its averaged weights, runs are refused; waits for the run under way. Returns whether
  // they were refused before.
  bool refuse_runs(bool on);
  bool keeps_average() const;
  // Averages in the parameters' dtypes, row-major; of weights that no step moved none.
  NamedArrays averages(const std::vector<NamedParameter>& parameters) const;

  // Copies, row-major: "optimizer.steps", of parameters "optimizer.<name>.step", ".<slot>" and ".<scalar>";
  // during an accumulation "optimizer.gathered" and the stages' slots; "preconditioner.<...>" of the memory
  // of a stage; "random.seed" and "random.step". All of one step, beside a thread that trains too.
  NamedArrays state_dict() const;
  // Takes what `state_dict` returned, checked as a whole before anything changes: ValueError with all that
  // does not fit. `parameters` are all that there are, and need not be bound.
  void load_state_dict(const NamedArrays& state, const std::vector<NamedParameter>& parameters);

 private:
  friend struct UpdateBegin;
  friend struct UpdateEnd;

  // Parameters of one group that have done the same number of steps: one optimizer.
  struct Part {
    std::shared_ptr<optim::Optimizer> optimizer;
    std::size_t group;
    bool decays;
    std::vector<std::size_t> members;  // in parameters_
  };
  // What one parameter has of the optimizer's state.
  struct ParameterState {
    std::int64_t step = 0;
    NamedArrays slots;
    std::vector<double> scalars;  // in the rule's order
  };
  using ParameterStates = std::vector<std::pair<std::string, ParameterState>>;
  // What programs depend on.
  struct Structure {
    std::vector<std::vector<std::string>> slots;  // of each group
    std::vector<bool> decays;
    std::vector<const StageKind*> stages;
    std::vector<double> histories;  // lengths, of stages with memory
    bool operator==(const Structure&) const = default;
  };

  void set_description(Description description);
  Structure structure() const;
  std::vector<std::string> slots_of(const Description::Group& group) const;
  ParameterStates states() const;
  std::vector<Part> divide(const std::vector<NamedParameter>& parameters,
                           const ParameterStates& states) const;
  void bind_stages(const ParameterStates& states);
  const Stage* remembering() const;  // the stage with memory, if any
  NamedArrays memory_state() const;
  std::array<Mutex*, 2> locks() const;  // of the state and of its random numbers, in their order
  optim::Optimizer::Settings settings(const Description::Group& group, bool decays) const;
  std::vector<std::string> stage_slots() const;
  Prepared prepare(Graph& graph, Phase phase, std::size_t first_stage, Values gradients,
                   const GradientsAt& gradients_at, Value weight);
  void measure(Graph& graph, const Values& gradients, const Values& which) const;
  void begin(std::uint64_t generation, Phase phase);
  void end(Phase phase);

  std::shared_ptr<Writer> writer_ = std::make_shared<Writer>();  // its lock is held while a program runs
  std::shared_ptr<RandomState> random_;
  Description description_;
  bool foreign_ = false;       // whether a function of the host is among the numbers
  bool varies_ = false;        // whether a number depends on the step
  bool described_ = false;     // whether the parts have the description's numbers
  std::size_t n_general_ = 0;  // stages that are recorded; the kernel does those behind them
  bool measures_ = false;      // whether the kernel needs the norms of gradients

  std::optional<Structure> structure_;  // of the parts; none before the first bind
  std::atomic<std::uint64_t> generation_{0};
  std::vector<NamedParameter> parameters_;
  std::vector<Part> parts_;
  ParameterStates kept_;  // of parameters that no part has at present
  std::shared_ptr<optim::Clipping> clipping_;
  std::vector<std::vector<Array>> stage_numbers_;                   // [stage][number]
  std::vector<std::vector<std::vector<Array>>> stage_slot_arrays_;  // [stage][slot][parameter]
  std::optional<StageMemory> memory_;                               // of the stage that has some
  NamedArrays kept_memory_;                                         // loaded, and not yet in place
  const Array gathered_weight_ = Array::scalar(0, DType::float64);  // sum of the gathered calls' weights

  bool refuses_runs_ = false;
  std::atomic<std::int64_t> steps_{0}, gathered_{0}, skipped_{0};
  std::atomic<double> lr_;  // NaN before the first update
  double next_lr_ = 0;
};

}  // namespace ravine::train
