// Exported models and training steps.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "model/loaded_step.h"

namespace ravine::bindings {
namespace {

// Names differ from those of the other files, which are compiled together with this one.

// [(name, array)]
using NamedStates = std::vector<std::pair<std::string, std::shared_ptr<Array>>>;
// (batch, graph, outputs, [(array, what it becomes)], {constant's id: (scale, numerator, denominator)})
using Sample = std::tuple<std::int64_t, std::shared_ptr<Graph>, std::vector<PyValue>,
                          std::vector<std::pair<std::shared_ptr<Array>, PyValue>>,
                          std::map<std::uint32_t, std::tuple<double, std::int64_t, std::int64_t>>>;

py::dict dict_of(const train::NamedArrays& arrays) {
  py::dict result;
  for (const auto& [name, array] : arrays) result[py::str(name)] = view_of(array);
  return result;
}

train::NamedArrays arrays_of(const std::map<std::string, py::array>& given) {
  train::NamedArrays arrays;
  for (const auto& [key, array] : given) arrays.emplace_back(key, copy_of(array, Layout::row_major));
  return arrays;
}

template <class Function>
auto without_gil(Function function) {
  const GilRelease release;
  return function();
}

std::shared_ptr<ModelStates> new_states(const NamedStates& named,
                                        std::vector<std::pair<std::string, std::size_t>> keys) {
  auto states = std::make_shared<ModelStates>();
  for (const auto& [name, array] : named) states->arrays.emplace_back(name, *array);
  states->keys = std::move(keys);
  return states;
}

StoredGraph fitted(const std::vector<Sample>& given, ModelStates& states) {
  std::vector<GraphSample> samples;
  for (const auto& [batch, graph, outputs, assigned, quotients] : given) {
    GraphSample& sample = samples.emplace_back();
    sample.batch = batch;
    sample.graph = graph.get();
    for (const PyValue& output : outputs) sample.outputs.push_back(output.value);
    for (const auto& [array, value] : assigned) sample.assigned.emplace_back(*array, value.value);
    for (const auto& [id, parts] : quotients)
      sample.quotients[id] = {std::get<0>(parts), std::get<1>(parts), std::get<2>(parts)};
  }
  return fit_graph(samples, [&](const Array& array) { return states.number_of(array); });
}

std::shared_ptr<LoadedModel> new_model(const std::vector<Sample>& samples,
                                       const std::shared_ptr<ModelStates>& states,
                                       std::optional<std::int64_t> least, std::shared_ptr<RandomState> random,
                                       std::string notes) {
  return std::make_shared<LoadedModel>(
      LoadedModel::Parts{.graph = fitted(samples, *states),
                         .batches = {.any = least.has_value(), .least = least.value_or(0)},
                         .states = states,
                         .random = std::move(random),
                         .notes = std::move(notes)});
}

// (name, state, [(group, numbers of its own)], [(parameter, array, group, whether it moves)], the sample of
// constraints, [(key, plateau)], {number: changed value})
using TrainedTuple =
    std::tuple<std::string, std::shared_ptr<train::TrainState>,
               std::vector<std::pair<std::string, std::vector<std::string>>>,
               std::vector<std::tuple<std::string, std::shared_ptr<Array>, std::size_t, bool>>,
               std::optional<Sample>, std::vector<std::pair<std::string, std::shared_ptr<train::Plateau>>>,
               std::map<std::string, py::array>>;

TrainedModel trained_model(const TrainedTuple& given, ModelStates& states) {
  const auto& [name, state, groups, parameters, constraints, followers, hyper] = given;
  TrainedModel trained;
  trained.name = name;
  trained.state = state;
  trained.description = state->description();
  for (const auto& [group, own] : groups) trained.groups.push_back({group, own});
  for (const auto& [parameter, array, group, moves] : parameters)
    trained.parameters.push_back({parameter, states.number_of(*array), group, moves});
  if (constraints) trained.constraints = fitted({*constraints}, states);
  for (const auto& [key, plateau] : followers) trained.followers.push_back({key, plateau});
  trained.hyper = arrays_of(hyper);
  return trained;
}

std::shared_ptr<LoadedStep> new_step(const std::vector<Sample>& samples,
                                     const std::shared_ptr<ModelStates>& states,
                                     std::optional<std::int64_t> least, std::shared_ptr<RandomState> random,
                                     std::vector<std::string> part_names, bool counted,
                                     const std::vector<TrainedTuple>& trained,
                                     std::shared_ptr<LoadedModel> model, std::string notes) {
  LoadedStep::Parts parts{.graph = fitted(samples, *states),
                          .batches = {.any = least.has_value(), .least = least.value_or(0)},
                          .part_names = std::move(part_names),
                          .counted = counted,
                          .trained = {},
                          .states = states,
                          .random = std::move(random),
                          .model = std::move(model),
                          .notes = std::move(notes)};
  for (const TrainedTuple& own : trained) parts.trained.push_back(trained_model(own, *states));
  return std::make_shared<LoadedStep>(std::move(parts));
}

// Arrays as the graph takes them; they keep the converted ones alive.
struct Inputs {
  std::vector<py::array> kept;
  std::vector<InputTensor> tensors;

  Inputs(const std::vector<py::array>& given, const std::vector<const StoredNode*>& wanted) {
    for (std::size_t i = 0; i < given.size(); ++i) {
      const bool known = i < wanted.size();
      kept.push_back(as_contiguous(given[i],
                                   known ? wanted[i]->type.dtype : dtype_of_array(given[i], "an array"),
                                   known ? wanted[i]->name : "an array"));
      tensors.push_back(
          {{dtype_of_array(kept.back(), "an array"), shape_of(kept.back())}, kept.back().data()});
    }
  }
};

py::list predict_arrays(const LoadedModel& self, const std::vector<py::array>& arrays) {
  const Inputs inputs(arrays, self.inputs());
  std::vector<TensorType> types;
  for (const InputTensor& tensor : inputs.tensors) types.push_back(tensor.type);
  py::list results;
  std::vector<void*> pointers;
  for (const TensorType& type : self.output_types(types)) {
    py::array result = new_array(type.dtype, type.shape);
    pointers.push_back(result.mutable_data());
    results.append(std::move(result));
  }
  const GilRelease released;
  self.predict(inputs.tensors, pointers);
  return results;
}

// Whether the examples stand along the first axis of all inputs and outputs.
bool by_examples(const LoadedModel& model) {
  const auto leads = [](const StoredType& type) {
    return !type.shape.empty() && type.shape[0] == BatchNumber{.constant = 0, .per_batch = 1};
  };
  for (const StoredNode* input : model.inputs())
    if (!leads(input->type)) return false;
  return std::ranges::all_of(model.parts().graph.output_types, leads);
}

// "images: float32 (B, 1, 28, 28)"
std::vector<std::pair<std::string, std::string>> described(const std::vector<const StoredNode*>& inputs) {
  std::vector<std::pair<std::string, std::string>> result;
  for (const StoredNode* node : inputs) result.emplace_back(node->name, to_string(node->type));
  return result;
}

template <class Loaded>
std::shared_ptr<Loaded> load_export(const py::bytes& path) {
  const std::string where = path;
  return without_gil([&] { return Loaded::load(where); });
}

template <class Loaded>
void save_export(Loaded& self, const py::bytes& path) {
  const std::string where = path;
  without_gil([&] { self.save(where); });
}

}  // namespace

void bind_exported(py::module_& module) {
  py::class_<ModelStates, std::shared_ptr<ModelStates>>(module, "ModelStates",
                                                        "The arrays that exported graphs read and write.")
      .def(py::init(&new_states), py::arg("arrays"), py::arg("keys"),
           "[(tensor, Array)], and [(name, number of the array)] of the model's state_dict.");
  py::class_<LoadedModel, std::shared_ptr<LoadedModel>>(module, "LoadedModel", "A model of a file.")
      .def(
          py::init(&new_model), py::arg("samples"), py::arg("states"), py::arg("least"), py::arg("random"),
          py::arg("notes"),
          "Of recordings at several sizes of the batch, for all from `least` on; None: of one, for its size.")
      .def_static("load", &load_export<LoadedModel>, py::arg("path"))
      .def("save", &save_export<LoadedModel>, py::arg("path"))
      .def("predict", &predict_arrays, py::arg("arrays"))
      .def_property_readonly("inputs", [](const LoadedModel& self) { return described(self.inputs()); })
      .def_property_readonly("n_outputs",
                             [](const LoadedModel& self) { return self.parts().graph.outputs.size(); })
      .def_property_readonly("by_examples", &by_examples,
                             "Whether the examples stand along the first axis of all inputs and outputs.")
      .def_property_readonly("notes", [](const LoadedModel& self) { return self.parts().notes; })
      .def("state_dict",
           [](const LoadedModel& self) { return dict_of(without_gil([&] { return self.state_dict(); })); })
      .def(
          "load_state_dict",
          [](LoadedModel& self, const std::map<std::string, py::array>& state) {
            const train::NamedArrays arrays = arrays_of(state);
            without_gil([&] { self.load_state_dict(arrays); });
          },
          py::arg("state"));
  py::class_<LoadedStep, std::shared_ptr<LoadedStep>>(module, "LoadedStep", "A training step of a file.")
      .def(py::init(&new_step), py::arg("samples"), py::arg("states"), py::arg("least"), py::arg("random"),
           py::arg("part_names"), py::arg("counted"), py::arg("trained"), py::arg("model"), py::arg("notes"))
      .def_static("load", &load_export<LoadedStep>, py::arg("path"))
      .def("save", &save_export<LoadedStep>, py::arg("path"))
      .def(
          "step",
          [](LoadedStep& self, const std::vector<py::array>& arrays) {
            const Inputs inputs(arrays, self.inputs());
            return without_gil([&] { return self.step(inputs.tensors); });
          },
          py::arg("arrays"))
      .def("finish_accumulation",
           [](LoadedStep& self) { return without_gil([&] { return self.finish_accumulation(); }); })
      .def(
          "report", [](LoadedStep& self, double metric) { without_gil([&] { self.report(metric); }); },
          py::arg("metric"))
      .def_property_readonly(
          "loss_parts", [](const LoadedStep& self) { return without_gil([&] { return self.loss_parts(); }); })
      .def_property_readonly("inputs", [](const LoadedStep& self) { return described(self.inputs()); })
      .def_property_readonly("notes", [](const LoadedStep& self) { return self.parts().notes; })
      .def_property_readonly("model", &LoadedStep::model)
      .def_property_readonly("has_model",
                             [](const LoadedStep& self) { return self.parts().model != nullptr; })
      .def_property_readonly("steps", &LoadedStep::steps)
      .def_property_readonly("skipped", &LoadedStep::skipped)
      .def_property_readonly("trained",
                             [](const LoadedStep& self) {
                               std::vector<std::string> names;
                               for (const TrainedModel& own : self.parts().trained) names.push_back(own.name);
                               return names;
                             })
      .def(
          "hyper",
          [](const LoadedStep& self, std::size_t trained) {
            std::vector<std::pair<std::string, std::optional<double>>> numbers;
            for (LoadedStep::Hyper& own : without_gil([&] { return self.hyper(trained); }))
              numbers.emplace_back(own.name, own.number);
            return numbers;
          },
          py::arg("trained"))
      .def(
          "set_hyper",
          [](LoadedStep& self, const std::string& name, double number, std::size_t trained) {
            without_gil([&] { self.set_hyper(name, number, trained); });
          },
          py::arg("name"), py::arg("number"), py::arg("trained"))
      .def("state_dict",
           [](LoadedStep& self) { return dict_of(without_gil([&] { return self.state_dict(); })); })
      .def(
          "load_state_dict",
          [](LoadedStep& self, const std::map<std::string, py::array>& state) {
            const train::NamedArrays arrays = arrays_of(state);
            without_gil([&] { self.load_state_dict(arrays); });
          },
          py::arg("state"));
}

}  // namespace ravine::bindings
