#include "graph/derived.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <variant>

#include "core/error.h"

namespace ravine {
namespace {

// The value's node and what it is computed from, in a graph of its own; and a text that is the same for two
// values exactly if they are computed alike from the same memory.
class Extract {
 public:
  explicit Extract(const Value& value) : graph_(value.graph().ops()) {
    value_ = copy(value);
    key_ += str(":", value.index);
  }

  Graph& graph() { return graph_; }
  Value value() const { return value_; }
  const std::string& key() const { return key_; }
  std::vector<Array> states() const { return states_; }

 private:
  Value copy(const Value& value) {
    const Node& node = *value.node;
    if (const auto place = copies_.find(&node); place != copies_.end())
      return place->second->out(value.index);
    Values inputs;
    std::string from;
    for (const Value& input : node.inputs) {
      const Value copied = copy(input);
      from += str(" ", copied.node->id, ":", copied.index);
      inputs.push_back(copied);
    }
    key_ += str(node.op->name, "(", from, ")");
    for (const auto& [name, attr] : node.attrs.entries()) key_ += str(name, "=", text(attr), ",");
    if (node.op == &state_op || node.op == &constant_op) describe_array(node);
    if (node.op == &state_op) states_.push_back(node.array);
    Node& copied = graph_.copy(node, std::move(inputs));
    copies_.emplace(&node, &copied);
    return copied.out(value.index);
  }

  // Small constants are told by their bytes, anything else by its memory, which the program keeps.
  void describe_array(const Node& node) {
    constexpr std::size_t small = 64;
    const Array& array = node.array;
    key_ += str(name_of(array.dtype()), array.shape(), array.layout() == Layout::row_major ? "r" : "l");
    if (node.op == &constant_op && array.bytes() <= small) {
      key_.append(reinterpret_cast<const char*>(array.data()), array.bytes());
    } else {
      key_ += str(static_cast<const void*>(array.data()));
    }
  }

  static std::string text(const Attr& attr) {
    return std::visit(
        [](const auto& held) -> std::string {
          using Held = std::decay_t<decltype(held)>;
          if constexpr (std::is_same_v<Held, double>) {
            char exactly[40];
            std::snprintf(exactly, sizeof exactly, "%a", held);
            return exactly;
          } else if constexpr (std::is_same_v<Held, DType>) {
            return name_of(held);
          } else {
            return str(held);
          }
        },
        attr);
  }

  Graph graph_;
  Value value_;
  std::string key_;
  std::vector<Array> states_;
  std::unordered_map<const Node*, Node*> copies_;
};

// Filters are read channels last.
bool is_filter(const Shape& shape) { return shape.rank() == 4 && shape[2] * shape[3] > 1; }

struct KnownValues {
  Mutex mutex;
  std::map<std::string, std::weak_ptr<Derived>> values;
};

}  // namespace

std::shared_ptr<Derived> Derived::of(const Value& value, const kernels::KernelTable& kernels) {
  static PerProcess<KnownValues> all;
  Extract extract(value);
  const std::string key = str(kernels.isa, " ", extract.key());
  KnownValues& known = all.get();
  const std::lock_guard lock(known.mutex);
  std::erase_if(known.values, [](const auto& entry) { return entry.second.expired(); });
  if (const auto place = known.values.find(key); place != known.values.end())
    if (std::shared_ptr<Derived> found = place->second.lock()) return found;

  std::shared_ptr<Derived> made(new Derived);
  const bool channels_last = is_filter(value.shape());
  made->value_ =
      Array(value.dtype(), value.shape(), channels_last ? Layout::channels_last : Layout::row_major);
  made->states_ = extract.states();
  made->description_ = str(value.node->op->name, " ", to_string(value.type()));
  Value output = extract.value();
  if (channels_last) output = extract.graph().apply1("transpose", {output}, {{"axes", Dims{0, 2, 3, 1}}});
  CompileOptions options;
  options.kernels = &kernels;
  made->program_ = compile(extract.graph(), std::span(&output, 1), options);
  known.values[key] = made;
  return made;
}

bool Derived::in_doubt() const {
  return std::any_of(states_.begin(), states_.end(),
                     [](const Array& state) { return state.writes().in_doubt(); });
}

// Versions only grow, and so does their sum.
std::uint64_t Derived::version() const {
  std::uint64_t sum = 0;
  for (const Array& state : states_) sum += state.writes().version();
  return sum;
}

void Derived::refresh() {
  if (!in_doubt() && version() == computed_of_.load(std::memory_order_acquire)) return;
  const std::unique_lock lock(lock_);
  const bool doubt = in_doubt();
  const std::uint64_t now = version();
  if (!doubt && now == computed_of_.load(std::memory_order_relaxed)) return;
  void* const target = value_.data();
  program_->run_inside({}, std::span(&target, 1));
  computed_of_.store(now, std::memory_order_release);
}

void Derived::compute_from(const Snapshot& copies, void* target) const {
  program_->run_on(copies, {}, std::span(&target, 1));
}

DerivedReaders::DerivedReaders(std::span<const std::shared_ptr<Derived>> values) {
  std::vector<Mutex*> mutexes;
  for (const auto& value : values) {
    value->refresh();
    mutexes.push_back(&value->lock());
  }
  // One order for all programs, each mutex once: a thread that waits for a writer holds nothing that this
  // writer's predecessors wait for.
  std::sort(mutexes.begin(), mutexes.end(), std::less<>());
  mutexes.erase(std::unique(mutexes.begin(), mutexes.end()), mutexes.end());
  locks_.reserve(mutexes.size());
  for (Mutex* const mutex : mutexes) locks_.emplace_back(*mutex);
}

}  // namespace ravine
