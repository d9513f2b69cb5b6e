#include <optional>
#include <utility>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/error.h"
#include "graph/random_state.h"
#include "train/schedule.h"
#include "train/stages.h"
#include "train/state.h"

namespace ravine::bindings {
namespace {

using train::Description;
using train::NamedParameter;
using train::Schedule;
using train::SchedulePtr;
using train::Stage;
using train::TrainState;

// pybind11 wants pointers to what it may change; schedules never change through them, except a plateau's
// own.
std::shared_ptr<Schedule> as_mutable(const SchedulePtr& schedule) {
  return std::const_pointer_cast<Schedule>(schedule);
}

// A function of Python, which is called and let go with the GIL held.
SchedulePtr callback(py::function function, std::optional<std::int64_t> steps, std::string text) {
  const std::shared_ptr<py::function> held(new py::function(std::move(function)), [](py::function* pointer) {
    const py::gil_scoped_acquire acquired;
    delete pointer;
  });
  const auto call = [held](std::int64_t step) {
    const py::gil_scoped_acquire acquired;
    return (*held)(step).cast<double>();
  };
  return std::make_shared<train::Callback>(call, steps, std::move(text));
}

train::Number to_number(const py::handle& x) {
  if (py::isinstance<Schedule>(x)) return SchedulePtr(x.cast<std::shared_ptr<Schedule>>());
  return x.cast<double>();
}

SchedulePtr to_schedule(const std::optional<std::shared_ptr<Schedule>>& schedule) {
  return schedule.value_or(nullptr);
}

// [(name, label, number)]
std::vector<train::HyperNumber> to_hyper(const py::iterable& given) {
  std::vector<train::HyperNumber> hyper;
  for (const py::handle item : given) {
    const auto [name, label, number] = item.cast<std::tuple<std::string, std::string, py::object>>();
    hyper.push_back({name, label, to_number(number)});
  }
  return hyper;
}

Description to_description(const std::string& owner, const std::string& rule, const py::iterable& groups,
                           const std::vector<Stage>& stages,
                           const std::optional<std::shared_ptr<Schedule>>& average,
                           const std::optional<std::shared_ptr<Schedule>>& slow) {
  Description description{owner, rule, {}, stages, to_schedule(average), to_schedule(slow)};
  for (const py::handle group : groups) {
    const auto [hyper, decays] = group.cast<std::pair<py::iterable, bool>>();
    description.groups.push_back({to_hyper(hyper), decays});
  }
  return description;
}

Stage to_stage(const std::string& name, const py::dict& numbers, const std::string& label) {
  std::vector<std::pair<std::string, train::Number>> given;
  for (const auto& [key, value] : numbers) given.emplace_back(key.cast<std::string>(), to_number(value));
  Stage stage = train::make_stage(name, given);
  stage.label = label;
  return stage;
}

using Parameters = std::vector<std::tuple<std::string, std::shared_ptr<Array>, std::size_t>>;

std::vector<NamedParameter> to_parameters(const Parameters& given) {
  std::vector<NamedParameter> parameters;
  for (const auto& [name, array, group] : given) parameters.push_back({name, *array, group});
  return parameters;
}

py::dict to_dict(const train::NamedArrays& arrays) {
  py::dict result;
  for (const auto& [name, array] : arrays) result[py::str(name)] = view_of(array);
  return result;
}

// Calls without the GIL what may wait for a run, which may wait for the GIL.
template <class Function>
auto released(Function function) {
  const GilRelease release;
  return function();
}

TrainState::Prepared prepare(TrainState& self, const std::shared_ptr<Graph>& graph,
                             const std::vector<PyValue>& gradients,
                             const std::optional<py::function>& gradients_at,
                             const std::optional<PyValue>& weight) {
  const auto unwrapped = [](const std::vector<PyValue>& values) {
    Values result;
    for (const PyValue& value : values) result.push_back(value.value);
    return result;
  };
  train::GradientsAt at;
  if (gradients_at)
    at = [&](const Values& parameters) {
      std::vector<PyValue> wrapped;
      for (const Value& value : parameters) wrapped.push_back({graph, value});
      return unwrapped((*gradients_at)(wrapped).cast<std::vector<PyValue>>());
    };
  return self.prepare(*graph, unwrapped(gradients), at, weight ? weight->value : Value{});
}

void load(TrainState& self, const std::map<std::string, py::array>& given, const Parameters& parameters) {
  train::NamedArrays arrays;
  for (const auto& [key, array] : given) arrays.emplace_back(key, copy_of(array, Layout::row_major));
  const std::vector<NamedParameter> known = to_parameters(parameters);
  released([&] { self.load_state_dict(arrays, known); });
}

void bind_schedules(py::module_& module) {
  py::class_<Schedule, std::shared_ptr<Schedule>>(module, "Schedule", "A number as a function of the step.")
      .def(py::init([](const std::string& formula, std::vector<double> numbers,
                       const std::vector<std::shared_ptr<Schedule>>& children, const std::string& text) {
             return as_mutable(
                 train::make_schedule(formula, std::move(numbers),
                                      std::vector<SchedulePtr>(children.begin(), children.end()), text));
           }),
           py::arg("formula"), py::arg("numbers"), py::arg("children") = py::list(), py::arg("text") = "")
      .def_static(
          "of_function",
          [](const py::function& function, std::optional<std::int64_t> steps, const std::string& text) {
            return as_mutable(callback(function, steps, text));
          },
          py::arg("function"), py::arg("steps") = py::none(), py::arg("text") = "a function of the step",
          "A function of Python, which is asked once a step.")
      .def("at", &Schedule::at, py::arg("step"))
      .def("value", &Schedule::value, py::arg("step"), "Without the check of the end.")
      .def_property_readonly("steps", &Schedule::steps)
      .def_property_readonly("foreign", &Schedule::foreign, "Whether a function of Python takes part.");
  using train::Plateau;
  py::class_<Plateau, Schedule, std::shared_ptr<Plateau>>(
      module, "Plateau", "A schedule that falls as a metric stops improving.")
      .def(py::init([](const std::shared_ptr<Schedule>& schedule, bool maximize, double factor,
                       std::int64_t patience, double threshold, bool relative, std::int64_t cooldown,
                       double min_value) {
             return std::make_shared<Plateau>(
                 schedule,
                 Plateau::Settings{maximize, factor, patience, threshold, relative, cooldown, min_value});
           }),
           py::arg("schedule"), py::arg("maximize"), py::arg("factor"), py::arg("patience"),
           py::arg("threshold"), py::arg("relative"), py::arg("cooldown"), py::arg("min_value"))
      .def("update", &Plateau::update, py::arg("metric"))
      .def_property(
          "state",
          [](const Plateau& self) {
            const Plateau::State& state = self.state();
            return std::tuple{state.best, state.bad, state.cooling, state.reductions};
          },
          [](Plateau& self, const std::tuple<double, std::int64_t, std::int64_t, std::int64_t>& state) {
            const auto& [best, bad, cooling, reductions] = state;
            self.set_state({best, bad, cooling, reductions});
          },
          "(best, bad, cooling, reductions)");
}

}  // namespace

void bind_train(py::module_& module) {
  bind_schedules(module);
  py::class_<Stage>(module, "Stage", "What happens to gradients before the rule.")
      .def(py::init(&to_stage), py::arg("name"), py::arg("numbers"), py::arg("label"));
  module.def("stage_names", [] {
    std::vector<std::string> names;
    for (const train::StageKind& kind : train::all_stages()) names.emplace_back(kind.name);
    return names;
  });
  py::class_<Description>(module, "Description", "An optimizer: stages and a rule, with all their numbers.")
      .def(py::init(&to_description), py::arg("owner"), py::arg("rule"), py::arg("groups"), py::arg("stages"),
           py::arg("average") = py::none(), py::arg("slow") = py::none(),
           "groups: [([(name, label, number or Schedule)], whether all its parameters decay)].");
  py::class_<TrainState::Prepared>(module, "PreparedUpdate", "The gradients behind the stages.")
      .def_property_readonly(
          "updates", [](const TrainState::Prepared& self) { return self.phase.updates; },
          "Whether the call makes an update.");
  py::class_<TrainState, std::shared_ptr<TrainState>>(module, "TrainState", "The state of a training run.")
      .def(py::init<Description, std::shared_ptr<RandomState>>(), py::arg("description"), py::arg("random"))
      .def(
          "describe",
          [](TrainState& self, const Description& description) {
            released([&] { self.describe(description); });
          },
          py::arg("description"))
      .def_property_readonly("generation", &TrainState::generation,
                             "Changes whenever programs recorded before refuse to run.")
      .def(
          "bind",
          [](TrainState& self, const Parameters& given) {
            const std::vector<NamedParameter> parameters = to_parameters(given);
            released([&] { self.bind(parameters); });
          },
          py::arg("parameters"), "[(name, array, group)]: makes these the trained ones.")
      .def("prepare", &prepare, py::arg("graph"), py::arg("gradients"), py::arg("gradients_at") = py::none(),
           py::arg("weight") = py::none(), "Records the stages, and all that may refuse the step.")
      .def(
          "prepare_gathered",
          [](TrainState& self, const std::shared_ptr<Graph>& graph) { return self.prepare_gathered(*graph); },
          py::arg("graph"), "The same of an update that ends an accumulation early.")
      .def(
          "update",
          [](TrainState& self, const std::shared_ptr<Graph>& graph, const TrainState::Prepared& prepared) {
            self.update(*graph, prepared);
          },
          py::arg("graph"), py::arg("prepared"), "Records the rule.")
      .def_property_readonly("phase",
                             [](const TrainState& self) {
                               const TrainState::Phase phase = self.phase();
                               return std::pair{phase.begins, phase.updates};
                             })
      .def_property_readonly("draws", &TrainState::draws)
      .def_property_readonly("looks_elsewhere", &TrainState::looks_elsewhere)
      .def_property_readonly("foreign", &TrainState::foreign)
      .def("ask", &TrainState::ask, "Asks functions of Python for the numbers of the next run.")
      .def_property_readonly("steps", &TrainState::steps)
      .def_property_readonly("gathered", &TrainState::gathered)
      .def_property_readonly("skipped", &TrainState::skipped)
      .def_property_readonly("lr", &TrainState::lr)
      .def_property_readonly(
          "gradient_norm",
          [](const TrainState& self) { return released([&] { return self.gradient_norm(); }); })
      .def(
          "refuse_runs",
          [](TrainState& self, bool on) { return released([&] { return self.refuse_runs(on); }); },
          py::arg("on"), "Whether runs raise from now on, after the one under way; returns whether they did.")
      .def_property_readonly(
          "keeps_average",
          [](const TrainState& self) { return released([&] { return self.keeps_average(); }); })
      .def(
          "averages",
          [](const TrainState& self, const Parameters& given) {
            const std::vector<NamedParameter> parameters = to_parameters(given);
            return to_dict(released([&] { return self.averages(parameters); }));
          },
          py::arg("parameters"))
      .def("state_dict",
           [](const TrainState& self) { return to_dict(released([&] { return self.state_dict(); })); })
      .def("load_state_dict", &load, py::arg("state"), py::arg("parameters"));
}

}  // namespace ravine::bindings
