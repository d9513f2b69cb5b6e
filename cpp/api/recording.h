// One recording of a model's function: its graph, and how names become values of it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/access.h"

namespace ravine::v1 {

// The named set: parameters and buffers in the order in which they were created.
struct ParameterStore {
  struct Entry {
    std::string name;
    ravine::Array array;
    bool trained;  // else a buffer
  };

  explicit ParameterStore(const ModelOptions& options)
      : seed(options.seed), dtype(options.dtype), random(options.seed) {}

  const Entry* find(const std::string& name) const;
  std::size_t position(const Entry& entry) const { return static_cast<std::size_t>(&entry - entries.data()); }

  std::uint64_t seed;
  DType dtype;
  Generator random;
  std::vector<Entry> entries;
  std::map<std::string, std::size_t, std::less<>> places;
};

struct Recording {
  Recording(Graph& into, ParameterStore& set, bool trains) : graph(into), store(set), training(trains) {}

  Graph& graph;
  ParameterStore& store;
  bool training;
  bool creating = false;                                // whether names that are not in the set are created
  std::span<const ravine::Array> served;                // in the place of the set's arrays; none: these
  std::vector<std::pair<std::size_t, Value>> assigned;  // of entries, each once
  std::vector<bool> used;                               // entries that were read, if any

  Value value_of(const ParameterStore::Entry& entry);
  void assign(const ParameterStore::Entry& entry, Value value);
  // Makes the assignments effects of the graph.
  void finish();

  // A parameter or buffer: of this shape and dtype, created by `begin` if it may be.
  Value named(const std::string& name, const Shape& shape, DType dtype, bool trained,
              const Initializer& begin);
};

}  // namespace ravine::v1
