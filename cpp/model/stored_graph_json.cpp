#include "model/stored_graph_json.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "model/safetensors_header.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

constexpr std::size_t max_nodes = std::size_t{1} << 20;
constexpr std::size_t max_scopes = std::size_t{1} << 14;
constexpr int max_outputs = 64;  // of a node

// Of what an operation means to a file: 1, and from a row here on another number. A new row is due when the
// same inputs and attributes come to mean something else.
constexpr std::array<std::pair<std::string_view, std::int64_t>, 0> later_versions{};

std::int64_t version_of(const Op& op) {
  for (const auto& [name, version] : later_versions)
    if (name == op.name) return version;
  return 1;
}

// ---- numbers, types, values

Json to_json(const BatchNumber& number) {
  if (number.per_batch == 0) return number.constant;
  return Json::array({number.constant, number.per_batch});
}

BatchNumber number_from(const Json& json, const char* what) {
  if (!json.is_array()) return {.constant = json_whole(json, what), .per_batch = 0};
  json_list(json, what, 2);
  return {json_whole(json[0], what), json_whole(json[1], what)};
}

Json to_json(const BatchNumbers& numbers) {
  Json list = Json::array();
  for (const BatchNumber& number : numbers) list.push_back(to_json(number));
  return list;
}

BatchNumbers numbers_from(const Json& json, const char* what) {
  check<ValueError>(json_list(json, what).size() <= max_rank, what, ": ", json.size(), " numbers; at most ",
                    max_rank, " are supported");
  BatchNumbers numbers;
  for (const Json& number : json) numbers.push_back(number_from(number, what));
  return numbers;
}

DType dtype_from(const Json& json) {
  const std::string name = json_text(json, "a dtype");
  for (const DType dtype : all_dtypes)
    if (name == name_of(dtype)) return dtype;
  fail<ValueError>("dtype '", name, "' is unknown");
}

Json to_json(const StoredValue& value) {
  if (value.output == 0) return value.node;
  return Json::array({value.node, value.output});
}

StoredValue value_from(const Json& json, std::size_t n_nodes) {
  constexpr const char* what = "a node that is read";
  if (!json.is_array()) return {json_index(json, n_nodes, what), 0};
  json_list(json, what, 2);
  return {json_index(json[0], n_nodes, what),
          static_cast<int>(json_index(json[1], max_outputs, "an output that is read"))};
}

// ---- attributes

Json to_json(const StoredAttr& attr) {
  return std::visit(
      []<class T>(const T& held) -> Json {
        if constexpr (std::is_same_v<T, BatchNumber>) {
          if (held.per_batch == 0) return held.constant;
          return Json::object({{"batch", to_json(held)}});
        } else if constexpr (std::is_same_v<T, BatchNumbers>) {
          return to_json(held);
        } else if constexpr (std::is_same_v<T, DType>) {
          return Json::object({{"dtype", name_of(held)}});
        } else if constexpr (std::is_same_v<T, double>) {
          const Json number = real_to_json(held);
          return number.is_number() ? number : Json::object({{"real", number}});
        } else {
          return held;
        }
      },
      attr);
}

StoredAttr attr_from(const Json& json, const std::string& name) {
  const std::string what = "attribute '" + name + "'";
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_number()) return number_from(json, what.c_str());
  if (json.is_array()) return numbers_from(json, what.c_str());
  check<ValueError>(json.is_object() && json.size() == 1, what, " is of no known kind");
  const std::string kind = json.begin().key();
  const Json& value = json.begin().value();
  if (kind == "batch") return number_from(value, what.c_str());
  if (kind == "dtype") return dtype_from(value);
  if (kind == "real") return json_real(value, what.c_str());
  fail<ValueError>(what, " is of the unknown kind '", kind, "'");
}

// ---- nodes

template <class List, class Element>
std::size_t place_in(List& list, const Element& element) {
  const auto known = std::find(list.begin(), list.end(), element);
  if (known != list.end()) return static_cast<std::size_t>(known - list.begin());
  list.push_back(element);
  return list.size() - 1;
}

// Graphs of one model have the same constants.
std::size_t place_of_constant(std::vector<Array>& constants, const Array& constant) {
  const auto known = std::ranges::find_if(constants, [&](const Array& own) {
    return own.dtype() == constant.dtype() && own.shape() == constant.shape() &&
           std::memcmp(own.data(), constant.data(), own.bytes()) == 0;
  });
  const auto place = static_cast<std::size_t>(known - constants.begin());
  if (known == constants.end()) constants.push_back(constant);
  return place;
}

// A scalar that JSON holds exactly.
Json scalar_to_json(const Array& scalar) {
  switch (scalar.dtype()) {
    case DType::float32:
      return real_to_json(*scalar.as<float>());
    case DType::float64:
      return real_to_json(*scalar.as<double>());
    case DType::int32:
      return *scalar.as<std::int32_t>();
    case DType::int64:
      return *scalar.as<std::int64_t>();
    case DType::uint8:
      return *scalar.as<std::uint8_t>();
    case DType::boolean:
      return *scalar.as<bool>() ? 1 : 0;
  }
  unsupported_dtype("export", scalar.dtype());
}

Array scalar_from(const Json& json, DType dtype) {
  if (dtype != DType::int64) return Array::scalar(json_real(json, "a number"), dtype);
  const Array scalar(dtype, Shape{});  // a double does not hold every number of 64 bits
  *scalar.as<std::int64_t>() = json_whole(json, "a number");
  return scalar;
}

Json node_to_json(const StoredNode& node, SharedByGraphs& shared) {
  if (node.op == &input_op)
    return Json::array({"input", name_of(node.type.dtype), to_json(node.type.shape), node.name});
  if (node.op == &state_op) return Json::array({"state", node.state});
  if (node.op == &constant_op) {
    if (!node.array && node.number.is_whole())
      return Json::array({"number", name_of(node.type.dtype), to_json(node.number.numerator)});
    if (!node.array)
      return Json::array({"quotient", name_of(node.type.dtype), real_to_json(node.number.scale),
                          to_json(node.number.numerator), to_json(node.number.denominator)});
    if (node.array.shape().empty())
      return Json::array({"number", name_of(node.array.dtype()), scalar_to_json(node.array)});
    return Json::array({"constant", place_of_constant(shared.constants, node.array)});
  }
  Json inputs = Json::array(), attrs = Json::object();
  for (const StoredValue& input : node.inputs) inputs.push_back(to_json(input));
  for (const auto& [name, value] : node.attrs) attrs[name] = to_json(value);
  return Json::array({place_in(shared.operations, node.op), node.scope, inputs, attrs});
}

StoredNode constant_from(const Json& json, const SharedByGraphs& shared) {
  StoredNode node;
  node.op = &constant_op;
  if (json[0] == "constant") {
    json_list(json, "a constant", 2);
    node.array = shared.constants[json_index(json[1], shared.constants.size(), "a constant")];
    return node;
  }
  if (json[0] == "quotient") {
    json_list(json, "a quotient", 5);
    node.type.dtype = dtype_from(json[1]);
    check<ValueError>(is_floating(node.type.dtype), "a quotient is ", name_of(node.type.dtype));
    node.number = {json_real(json[2], "the scale of a quotient"), number_from(json[3], "a numerator"),
                   number_from(json[4], "a denominator")};
    return node;
  }
  check<ValueError>(json[0] == "number", "it is of the unknown kind ", excerpt(json[0].dump()));
  json_list(json, "a number", 3);
  node.type.dtype = dtype_from(json[1]);
  if (json[2].is_array()) node.number.numerator = number_from(json[2], "a number");
  else node.array = scalar_from(json[2], node.type.dtype);
  return node;
}

StoredNode node_from(const Json& json, std::size_t index, std::size_t n_scopes,
                     const SharedByGraphs& shared) {
  check<ValueError>(!json_list(json, "a node").empty(), "it is an empty list");
  StoredNode node;
  if (json[0] == "input") {
    json_list(json, "an input", 4);
    node.op = &input_op;
    node.type = {dtype_from(json[1]), numbers_from(json[2], "the shape of an input")};
    node.name = json_text(json[3], "the name of an input");
    for (const BatchNumber& extent : node.type.shape)
      check<ValueError>(extent.per_batch == 0 ? extent.constant >= 0 : extent == BatchNumber{0, 1},
                        "an input of shape ", to_string(node.type.shape));
    return node;
  }
  if (json[0] == "state") {
    json_list(json, "a state", 2);
    node.op = &state_op;
    node.state = json_index(json[1], shared.n_states, "a state");
    return node;
  }
  if (json[0].is_string()) return constant_from(json, shared);
  json_list(json, "a node", 4);
  node.op = shared.operations[json_index(json[0], shared.operations.size(), "an operation")];
  node.scope = json_index(json[1], n_scopes, "a scope");
  // Of earlier nodes: so a graph has no circle.
  for (const Json& input : json_list(json[2], "the inputs")) node.inputs.push_back(value_from(input, index));
  check<ValueError>(json[3].is_object(), "its attributes are no object");
  for (const auto& [name, value] : json[3].items()) node.attrs.emplace_back(name, attr_from(value, name));
  return node;
}

}  // namespace

Json operations_to_json(const std::vector<const Op*>& operations) {
  Json list = Json::array();
  for (const Op* op : operations) list.push_back(Json::array({op->name, version_of(*op)}));
  return list;
}

std::vector<const Op*> operations_from_json(const Json& list) {
  std::vector<const Op*> operations;
  for (const Json& entry : json_list(list, "operations")) {
    json_list(entry, "an operation", 2);
    const std::string name = json_text(entry[0], "the name of an operation");
    const auto known = op_table().all();
    const auto place = std::ranges::find_if(known, [&](const Op* op) { return op->name == name; });
    check<ValueError>(place != known.end(), "it has the operation '", name,
                      "', which this version of Ravine does not know");
    const Op& op = **place;
    const std::int64_t version = json_whole(entry[1], "the version of an operation");
    check<ValueError>(version == version_of(op), "it has version ", version, " of the operation '", name,
                      "', this version of Ravine has ", version_of(op));
    check<ValueError>(op.kind == OpKind::compute || op.kind == OpKind::tile || op.kind == OpKind::view,
                      "the operation '", name, "' has no place in an exported graph");
    operations.push_back(&op);
  }
  return operations;
}

Json graph_to_json(const StoredGraph& graph, SharedByGraphs& shared) {
  Json nodes = Json::array(), outputs = Json::array(), assigned = Json::array();
  for (const StoredNode& node : graph.nodes) nodes.push_back(node_to_json(node, shared));
  for (std::size_t i = 0; i < graph.outputs.size(); ++i)
    outputs.push_back(Json::array({to_json(graph.outputs[i]), name_of(graph.output_types[i].dtype),
                                   to_json(graph.output_types[i].shape)}));
  for (const auto& [state, value] : graph.assigned) assigned.push_back(Json::array({state, to_json(value)}));
  return Json::object({{"scopes", graph.scopes},
                       {"nodes", nodes},
                       {"outputs", outputs},
                       {"assigned", assigned},
                       {"streams", graph.streams}});
}

StoredGraph graph_from_json(const Json& json, const SharedByGraphs& shared) {
  StoredGraph graph;
  graph.scopes.clear();
  for (const Json& scope : json_list(json_field(json, "scopes"), "scopes"))
    graph.scopes.push_back(json_text(scope, "a scope"));
  check<ValueError>(!graph.scopes.empty() && graph.scopes.size() <= max_scopes, "scopes: there are ",
                    graph.scopes.size(), ", expected 1 to ", max_scopes);
  const Json& nodes = json_list(json_field(json, "nodes"), "nodes");
  check<ValueError>(nodes.size() <= max_nodes, "it has ", nodes.size(), " nodes; at most ", max_nodes,
                    " are supported");
  for (const Json& node : nodes) {
    try {
      graph.nodes.push_back(node_from(node, graph.nodes.size(), graph.scopes.size(), shared));
    } catch (const ValueError& error) {
      fail<ValueError>("node ", graph.nodes.size(), ": ", error.what());
    }
  }
  for (const Json& output : json_list(json_field(json, "outputs"), "outputs")) {
    json_list(output, "an output", 3);
    graph.outputs.push_back(value_from(output[0], graph.nodes.size()));
    graph.output_types.push_back({dtype_from(output[1]), numbers_from(output[2], "the shape of an output")});
  }
  for (const Json& pair : json_list(json_field(json, "assigned"), "assigned")) {
    json_list(pair, "an assignment", 2);
    graph.assigned.emplace_back(json_index(pair[0], shared.n_states, "a state"),
                                value_from(pair[1], graph.nodes.size()));
  }
  graph.streams =
      static_cast<std::uint32_t>(json_index(json_field(json, "streams"), std::size_t{1} << 31, "streams"));
  return graph;
}

}  // namespace ravine
