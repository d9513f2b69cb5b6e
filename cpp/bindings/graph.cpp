#include "graph/graph.h"

#include <optional>

#include "bindings/bindings.h"
#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/eager.h"
#include "ops/list.h"
#include "rules/op_table.h"

namespace ravine::bindings {
namespace {

Attr to_attr(const std::string& name, py::handle value) {
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::int_>(value) || PyIndex_Check(value.ptr())) return value.cast<std::int64_t>();
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (py::isinstance<py::sequence>(value)) {
    Dims dims;
    for (const py::handle item : value.cast<py::sequence>()) {
      check<TypeError>(PyIndex_Check(item.ptr()) != 0, "attribute '", name, "': expected integers, got ",
                       std::string(py::str(value)));
      dims.push_back(item.cast<std::int64_t>());
    }
    return dims;
  }
  if (PyNumber_Check(value.ptr()) != 0)
    return py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>();
  fail<TypeError>("attribute '", name, "': a ", Py_TYPE(value.ptr())->tp_name, " is not supported");
}

Attrs to_attrs(const py::dict& dict) {
  Attrs attrs;
  for (const auto& [key, value] : dict) {
    const auto name = key.cast<std::string>();
    if (!value.is_none()) attrs.set(name, to_attr(name, value));
  }
  return attrs;
}

// Keeps the graph alive.
struct PyDependence {
  std::shared_ptr<Graph> graph;
  Dependence dependence;
};

Values to_values(const std::vector<PyValue>& values) {
  Values result;
  for (const PyValue& value : values) result.push_back(value.value);
  return result;
}

std::vector<PyValue> wrap(const std::shared_ptr<Graph>& graph, const Values& values) {
  std::vector<PyValue> result;
  for (const Value& value : values) result.push_back({graph, value});
  return result;
}

Shape to_shape(const std::vector<std::int64_t>& extents) {
  for (const std::int64_t extent : extents)
    check<ValueError>(extent >= 0, "input: negative extent in shape ", Dims(std::span(extents)));
  return Shape(std::span(extents));
}

std::shared_ptr<Graph> new_graph(bool eager, bool check_nan, std::shared_ptr<RandomState> random) {
  auto graph = std::make_shared<Graph>(op_table());
  if (eager) make_eager(*graph, check_nan, random ? std::move(random) : std::make_shared<RandomState>());
  return graph;
}

PyValue input(const std::shared_ptr<Graph>& graph, const std::vector<std::int64_t>& shape,
              const std::string& dtype, const std::string& name, const std::optional<py::array>& value) {
  const TensorType type{parse_dtype(dtype), to_shape(shape)};
  check<ValueError>(!graph->on_record || value.has_value(), "input: an eager graph needs the value of '",
                    name, "'");
  std::optional<Array> held;
  if (value) {
    held = copy_of(as_contiguous(*value, type.dtype, "input"), Layout::row_major);
    check<ValueError>(held->shape() == type.shape, "input '", name, "': the value has shape ", held->shape(),
                      ", expected ", type.shape);
  }
  const Value recorded = graph->input(type, name);
  if (held) recorded.node->eager_values = {*held};
  return {graph, recorded};
}

py::array numpy_of(const PyValue& self) {
  const Value& value = self.value;
  if (static_cast<std::size_t>(value.index) < value.node->eager_values.size())
    return view_of(value.node->eager_values[static_cast<std::size_t>(value.index)]).attr("copy")();
  if (const std::optional<Array> constant = constant_array(value)) return view_of(*constant).attr("copy")();
  fail<RuntimeError>(
      "the result of '", value.node->op->name,
      "' has no value while a graph is recorded; it exists when the program runs, or within ravine.eager()");
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<PyValue>(module, "Value", "A symbolic tensor of a graph.")
      .def_property_readonly("shape", [](const PyValue& self) { return to_tuple(self.value.shape()); })
      .def_property_readonly("dtype", [](const PyValue& self) { return name_of(self.value.dtype()); })
      .def_property_readonly("op", [](const PyValue& self) { return self.value.node->op->name; })
      .def_property_readonly("id", [](const PyValue& self) { return self.value.node->id; })
      .def_property_readonly("graph", [](const PyValue& self) { return self.graph; })
      .def("numpy", &numpy_of, "The value, where it is known: constants, and everything in an eager graph.");

  py::class_<Origin>(module, "Origin", "A module and a part of a step.");
  py::class_<Graph, std::shared_ptr<Graph>>(module, "Graph", "A recording of operations.")
      .def(py::init(&new_graph), py::arg("eager") = false, py::arg("check_nan") = false,
           py::arg("random") = nullptr)
      .def("input", &input, py::arg("shape"), py::arg("dtype"), py::arg("name") = "",
           py::arg("value") = py::none())
      .def(
          "state",
          [](const std::shared_ptr<Graph>& self, const Array& array, const std::string& name) {
            return PyValue{self, self->state(array, name)};
          },
          py::arg("array"), py::arg("name") = "")
      .def(
          "constant",
          [](const std::shared_ptr<Graph>& self, const py::array& array) {
            return PyValue{self, self->constant(copy_of(array, Layout::row_major))};
          },
          py::arg("array"))
      .def(
          "apply",
          [](const std::shared_ptr<Graph>& self, const std::string& op, const std::vector<PyValue>& inputs,
             const py::dict& attrs) {
            return wrap(self, apply_promoted(*self, op, to_values(inputs), to_attrs(attrs)));
          },
          py::arg("op"), py::arg("inputs"), py::arg("attrs") = py::dict())
      .def(
          "assign",
          [](Graph& self, const Array& array, const PyValue& value) { self.assign(array, value.value); },
          py::arg("array"), py::arg("value"))
      .def(
          "guard", [](Graph& self, const PyValue& loss) { self.guard(loss.value); }, py::arg("loss"),
          "Leaves the effects recorded from here on out of runs in which the loss is NaN or infinite.")
      .def_readwrite("origin", &Graph::origin,
                     "The module and the part of a step that recorded nodes belong to.")
      .def(
          "enter", [](Graph& self, const std::string& path) { self.enter(path); }, py::arg("path"),
          "Nodes recorded from now on belong to the module of this path.")
      .def(
          "begin_update",
          [](Graph& self) {
            self.origin = {0, Phase::update};
          },
          "Nodes recorded from now on belong to the update of parameters.")
      .def_readonly("effects_refused", &Graph::effects_refused)
      .def_property_readonly(
          "differentiating",
          [](const Graph& self) {
            return self.differentiating == nullptr ? -1 : static_cast<std::int64_t>(self.differentiating->id);
          },
          "The node whose gradient was computed last; -1: none.")
      .def_property_readonly(
          "first_infinite",
          [](const Graph& self) -> std::optional<std::pair<std::uint32_t, std::string>> {
            if (self.first_infinite == nullptr) return std::nullopt;
            return std::pair{self.first_infinite->id, std::string(self.first_infinite->op->name)};
          },
          "Of an eager graph that looks for NaN: the first node, and its operation, that made an infinity.")
      .def(
          "gradients",
          [](const std::shared_ptr<Graph>& self, const PyValue& output, const std::vector<PyValue>& wrt) {
            return wrap(self, gradients(output.value, to_values(wrt)));
          },
          py::arg("output"), py::arg("wrt"))
      .def_property_readonly("n_nodes", [](const Graph& self) { return self.nodes().size(); });

  py::class_<PyDependence>(module, "Dependence", "Which values of a graph depend on some of them.")
      .def(py::init([](const std::shared_ptr<Graph>& graph, const std::vector<PyValue>& on) {
             return PyDependence{graph, Dependence(to_values(on))};
           }),
           py::arg("graph"), py::arg("on"))
      .def(
          "of", [](PyDependence& self, const PyValue& value) { return self.dependence.of(value.value); },
          py::arg("value"));

  module.def("op_names", [] {
    std::vector<std::string> names;
    for (const Op* op : op_table().all()) names.emplace_back(op->name);
    return names;
  });
}

}  // namespace ravine::bindings
