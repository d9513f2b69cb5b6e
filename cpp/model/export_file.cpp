#include "model/export_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <utility>

#include "core/copy.h"

namespace ravine {
namespace {

constexpr std::int64_t format_version = 1;

Array whole(std::uint64_t number) {
  const Array scalar(DType::int64, Shape{});
  *scalar.as<std::int64_t>() = std::bit_cast<std::int64_t>(number);
  return scalar;
}

std::uint64_t whole_of(const Array& array, const char* name) {
  check<ValueError>(array.dtype() == DType::int64 && array.shape().empty(), "tensor '", name,
                    "' is no whole number of 64 bits");
  return std::bit_cast<std::uint64_t>(*array.as<std::int64_t>());
}

Json shape_to_json(const Shape& shape) { return std::vector<std::int64_t>(shape.begin(), shape.end()); }

const char* name_of(Layout layout) { return layout == Layout::channels_last ? "channels_last" : "row_major"; }

}  // namespace

Json batches_to_json(const Batches& batches, Json graph) {
  return Json::object({{"graph", std::move(graph)}, {"any", batches.any}, {"least", batches.least}});
}

Batches batches_from_json(const Json& json) {
  const Batches batches{.any = json_flag(json_field(json, "any"), "any"),
                        .least = json_whole(json_field(json, "least"), "least")};
  check<ValueError>(batches.least >= 0, "the least batch is ", batches.least);
  return batches;
}

// ---- writing

ExportWriter::ExportWriter(const char* kind, const ModelStates& states) {
  Json described = Json::array(), keys = Json::array();
  for (const auto& [name, array] : states.arrays) {
    described.push_back(Json::array(
        {name, ravine::name_of(array.dtype()), shape_to_json(array.shape()), name_of(array.layout())}));
    arrays_.emplace_back(name, array);
  }
  for (const auto& [name, number] : states.keys) keys.push_back(Json::array({name, number}));
  document =
      Json::object({{"version", format_version}, {"kind", kind}, {"states", described}, {"keys", keys}});
}

void ExportWriter::add_model(const LoadedModel::Parts& model) {
  document["model"] = batches_to_json(model.batches, graph_to_json(model.graph, shared));
}

void ExportWriter::write(const std::string& path, const std::shared_ptr<RandomState>& random,
                         const std::string& notes, const std::string& step_notes) {
  document["operations"] = operations_to_json(shared.operations);
  document["constants"] = shared.constants.size();
  for (std::size_t i = 0; i < shared.constants.size(); ++i)
    arrays_.emplace_back(str("constant.", i), shared.constants[i]);
  {
    const std::lock_guard lock(random->mutex);
    arrays_.emplace_back("random.seed", whole(random->seed));
    arrays_.emplace_back("random.step", whole(random->step));
  }
  std::vector<NamedTensor> tensors;
  for (auto& [name, array] : arrays_) {
    if (array.layout() != Layout::row_major) {
      const Array dense(array.dtype(), array.shape());
      copy_values(array, dense);
      array = dense;
    }
    tensors.push_back({name, array.dtype(), array.shape(), {array.data(), array.bytes()}});
  }
  Metadata metadata{{std::string(export_key), document.dump()}};
  if (!notes.empty()) metadata.emplace(notes_key, notes);
  if (!step_notes.empty()) metadata.emplace(step_notes_key, step_notes);
  write_safetensors(path, tensors, metadata);
}

// ---- reading

ExportReader::ExportReader(const std::string& path) : file_(path) {
  const auto text = file_.metadata().find(std::string(export_key));
  check<ValueError>(text != file_.metadata().end(), "its metadata has no '", export_key,
                    "': a file of weights alone is read by load()");
  document = parse_json(text->second, str("'", export_key, "' is "));
  const std::int64_t version = json_whole(json_field(document, "version"), "version");
  check<ValueError>(version == format_version, "it has version ", version, " of the format, expected ",
                    format_version);
  const std::string kind = json_text(json_field(document, "kind"), "kind");
  check<ValueError>(kind == "model" || kind == "step", "it is of the unknown kind '", excerpt(kind), "'");
  for (const auto& [key, into] : {std::pair{notes_key, &notes}, std::pair{step_notes_key, &step_notes}})
    if (const auto own = file_.metadata().find(std::string(key)); own != file_.metadata().end())
      *into = own->second;
  shared.operations = operations_from_json(json_field(document, "operations"));
  read_states();
  shared.n_states = states->arrays.size();
  const std::size_t n_constants =
      json_index(json_field(document, "constants"), file_.tensors().size() + 1, "constants");
  for (std::size_t i = 0; i < n_constants; ++i) shared.constants.push_back(read(str("constant.", i)));
  random->seed = whole_of(read("random.seed"), "random.seed");
  random->step = whole_of(read("random.step"), "random.step");
}

void ExportReader::read_states() {
  for (const Json& state : json_list(json_field(document, "states"), "states")) {
    json_list(state, "a state", 4);
    const std::string name = json_text(state[0], "the name of a state");
    check<ValueError>(
        std::ranges::none_of(states->arrays, [&](const auto& own) { return own.first == name; }),
        "two states have the tensor '", excerpt(name), "'");
    const TensorEntry& found = entry(name);
    const std::string dtype = json_text(state[1], "the dtype of a state");
    check<ValueError>(dtype == ravine::name_of(found.dtype()) && state[2] == shape_to_json(found.shape),
                      "tensor '", excerpt(name), "' is ", ravine::name_of(found.dtype()), " ", found.shape,
                      ", expected ", excerpt(dtype), " ", excerpt(state[2].dump()));
    const std::string layout = json_text(state[3], "the layout of a state");
    const bool channels_last = layout == name_of(Layout::channels_last);
    check<ValueError>(layout == name_of(Layout::row_major) || (channels_last && found.shape.rank() == 4),
                      "tensor '", excerpt(name), "' of shape ", found.shape, " has the layout '",
                      excerpt(layout), "'");
    states->arrays.emplace_back(name, read(found, channels_last ? Layout::channels_last : Layout::row_major));
  }
  for (const Json& key : json_list(json_field(document, "keys"), "keys")) {
    json_list(key, "a key", 2);
    states->keys.emplace_back(json_text(key[0], "a key"),
                              json_index(key[1], states->arrays.size(), "the state of a key"));
  }
}

const TensorEntry& ExportReader::entry(const std::string& name) const {
  const auto place =
      std::ranges::find_if(file_.tensors(), [&](const TensorEntry& own) { return own.name == name; });
  check<ValueError>(place != file_.tensors().end(), "tensor '", excerpt(name), "' is missing");
  return *place;
}

Array ExportReader::read(const TensorEntry& entry, Layout layout) const {
  const Array dense(entry.dtype(), entry.shape);
  file_.read(entry, dense.data());
  if (layout == Layout::row_major) return dense;
  const Array array(entry.dtype(), entry.shape, layout);
  copy_values(dense, array);
  return array;
}

Array ExportReader::read(const std::string& name) const { return read(entry(name), Layout::row_major); }

train::NamedArrays ExportReader::read_below(const std::string& prefix) const {
  train::NamedArrays result;
  for (const TensorEntry& entry : file_.tensors())
    if (entry.name.starts_with(prefix))
      result.emplace_back(entry.name.substr(prefix.size()), read(entry, Layout::row_major));
  return result;
}

LoadedModel::Parts ExportReader::model() const {
  check<ValueError>(has_model(), "it is a training step over a function, which has no graph of inference");
  const Json& own = json_field(document, "model");
  return {.graph = graph_from_json(json_field(own, "graph"), shared),
          .batches = batches_from_json(own),
          .states = states,
          .random = random,
          .notes = notes};
}

}  // namespace ravine
