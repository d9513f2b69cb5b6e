// From recordings at several batch sizes to one graph for all sizes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <type_traits>

#include "core/error.h"
#include "model/stored_graph.h"

namespace ravine {
namespace {

// The nodes of a sample that have influence, in order, and their places among these.
struct Line {
  std::vector<const Node*> nodes;
  std::map<const Node*, std::size_t> places;

  explicit Line(const GraphSample& sample) {
    std::vector<bool> needed(sample.graph->nodes().size(), false);
    const auto need = [&](const Value& value) { needed[value.node->id] = true; };
    for (const Value& output : sample.outputs) need(output);
    for (const auto& [state, value] : sample.assigned) need(value);
    for (const Node* input : sample.graph->inputs()) needed[input->id] = true;
    for (std::size_t i = needed.size(); i-- > 0;)
      if (needed[i])
        for (const Value& input : sample.graph->nodes()[i]->inputs) need(input);
    for (std::size_t i = 0; i < needed.size(); ++i)
      if (needed[i]) {
        const Node* node = sample.graph->nodes()[i].get();
        places.emplace(node, nodes.size());
        nodes.push_back(node);
      }
  }

  StoredValue value(const Value& value) const { return {places.at(value.node), value.index}; }
};

class Fit {
 public:
  Fit(std::span<const GraphSample> samples, const std::function<std::size_t(const Array&)>& state_of)
      : samples_(samples), state_of_(state_of) {
    for (const GraphSample& sample : samples) lines_.emplace_back(sample);
  }

  StoredGraph run() {
    stored_.scopes = *samples_[0].graph->scopes();
    stored_.streams = samples_[0].graph->next_stream;
    for (std::size_t i = 0; i < lines_[0].nodes.size(); ++i) {
      at_ = i;
      for (const Line& line : lines_)
        if (i >= line.nodes.size() || line.nodes[i]->op != node(0).op)
          refuse("other operations follow for batches of ", samples_[0].batch, " and ", batch_of(line));
      stored_.nodes.push_back(stored_node());
    }
    for (std::size_t s = 0; s < samples_.size(); ++s)
      check<ValueError>(lines_[s].nodes.size() == lines_[0].nodes.size() &&
                            samples_[s].graph->next_stream == stored_.streams,
                        "export: a batch of ", samples_[s].batch, " takes other operations than one of ",
                        samples_[0].batch, advice());
    for (std::size_t i = 0; i < samples_[0].outputs.size(); ++i) {
      stored_.outputs.push_back(same_value([&](const GraphSample& sample) { return sample.outputs[i]; }));
      at_ = stored_.outputs.back().node;
      stored_.output_types.push_back(fit_type([&](std::size_t s) { return samples_[s].outputs[i].type(); }));
    }
    for (std::size_t i = 0; i < samples_[0].assigned.size(); ++i)
      stored_.assigned.emplace_back(
          state_of_(samples_[0].assigned[i].first),
          same_value([&](const GraphSample& sample) { return sample.assigned[i].second; }));
    return std::move(stored_);
  }

 private:
  const Node& node(std::size_t sample) const { return *lines_[sample].nodes[at_]; }
  std::int64_t batch_of(const Line& line) const {
    return samples_[static_cast<std::size_t>(&line - lines_.data())].batch;
  }

  static const char* advice() {
    return "; write what depends on the batch as x.shape[0] times a whole number, or export for one size "
           "with batch=\"fixed\"";
  }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    const Node& first = *lines_[0].nodes[at_];
    const std::string& scope = stored_.scopes[first.origin.scope];
    fail<ValueError>("export: ", scope.empty() ? "" : scope + ": ", "operation '", first.op->name,
                     "': ", parts..., advice());
  }

  // The number of every sample, as a function of the batch.
  template <class NumberOf>
  std::optional<BatchNumber> fit(NumberOf number_of) const {
    BatchNumber number{.constant = number_of(0), .per_batch = 0};
    if (samples_.size() > 1) {
      std::int64_t rise = 0, constant = 0;
      const std::int64_t run = samples_[1].batch - samples_[0].batch;
      if (__builtin_sub_overflow(number_of(1), number_of(0), &rise) || rise % run != 0) return std::nullopt;
      if (__builtin_mul_overflow(rise / run, samples_[0].batch, &constant) ||
          __builtin_sub_overflow(number.constant, constant, &constant))
        return std::nullopt;
      number = {constant, rise / run};
    }
    for (std::size_t s = 0; s < samples_.size(); ++s)
      if (number.at(samples_[s].batch) != number_of(s)) return std::nullopt;
    return number;
  }

  template <class DimsOf>
  BatchNumbers fit_dims(const std::string& what, DimsOf dims_of) const {
    BatchNumbers numbers;
    for (std::size_t s = 0; s < samples_.size(); ++s)
      if (dims_of(s).rank() != dims_of(0).rank())
        refuse(what, " is ", dims_of(0), " for a batch of ", samples_[0].batch, " and ", dims_of(s),
               " for one of ", samples_[s].batch);
    for (int axis = 0; axis < dims_of(0).rank(); ++axis) {
      const auto number = fit([&](std::size_t s) { return dims_of(s)[axis]; });
      if (!number)
        refuse(what, " is ", dims_of(0), " for a batch of ", samples_[0].batch, " and ",
               dims_of(samples_.size() - 1), " for one of ", samples_.back().batch,
               ", which is no multiple of the batch plus a constant");
      numbers.push_back(*number);
    }
    return numbers;
  }

  template <class TypeOf>
  StoredType fit_type(TypeOf type_of) const {
    for (std::size_t s = 0; s < samples_.size(); ++s)
      if (type_of(s).dtype != type_of(0).dtype)
        refuse("the dtype is ", name_of(type_of(0).dtype), " or ", name_of(type_of(s).dtype),
               " by the size of the batch");
    return {type_of(0).dtype, fit_dims("the shape", [&](std::size_t s) { return type_of(s).shape; })};
  }

  StoredAttr fit_attr(const std::string& name, std::size_t place) const {
    const auto attr = [&](std::size_t s) -> const Attr& { return node(s).attrs.entries()[place].second; };
    for (std::size_t s = 0; s < samples_.size(); ++s)
      if (attr(s).index() != attr(0).index()) refuse("'", name, "' is of another kind for another batch");
    return std::visit(
        [&]<class T>(const T& held) -> StoredAttr {
          if constexpr (std::is_same_v<T, std::int64_t>) {
            const auto number = fit([&](std::size_t s) { return std::get<std::int64_t>(attr(s)); });
            if (!number)
              refuse("'", name, "' is ", held, " for a batch of ", samples_[0].batch, " and ",
                     std::get<std::int64_t>(attr(samples_.size() - 1)), " for one of ", samples_.back().batch,
                     ", which is no multiple of the batch plus a constant");
            return *number;
          } else if constexpr (std::is_same_v<T, Dims>) {
            return fit_dims("'" + name + "'", [&](std::size_t s) { return std::get<Dims>(attr(s)); });
          } else {
            for (std::size_t s = 0; s < samples_.size(); ++s)
              if (std::get<T>(attr(s)) != held) refuse("'", name, "' depends on the size of the batch");
            return held;
          }
        },
        attr(0));
  }

  // A constant that is the same in all samples, or a scalar whole number that follows the batch.
  void fit_constant(StoredNode& stored) const {
    const Array& first = node(0).array;
    const auto same = [&](std::size_t s) {
      const Array& own = node(s).array;
      return own.dtype() == first.dtype() && own.shape() == first.shape() &&
             std::memcmp(own.data(), first.data(), first.bytes()) == 0;
    };
    bool all_same = true;
    for (std::size_t s = 0; s < samples_.size(); ++s) all_same = all_same && same(s);
    if (all_same) {
      stored.array = first;
      return;
    }
    stored.type = fit_type([&](std::size_t s) {
      return TensorType{node(s).array.dtype(), node(s).array.shape()};
    });
    const std::optional<Quotient> number = fit_scalar();
    if (!number)
      refuse(
          "an array or number that was made in Python depends on the size of the batch, and is no whole "
          "number that grows with it");
    stored.number = *number;
  }

  std::optional<Quotient> fit_scalar() const {
    std::vector<const GraphSample::KnownQuotient*> known;
    bool all_whole = true;
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      all_whole = all_whole && node(s).array.shape().empty() && whole(node(s).array);
      const auto own = samples_[s].quotients.find(node(s).id);
      if (own != samples_[s].quotients.end()) known.push_back(&own->second);
    }
    if (known.size() == samples_.size()) {
      const auto numerator = fit([&](std::size_t s) { return known[s]->numerator; });
      const auto denominator = fit([&](std::size_t s) { return known[s]->denominator; });
      for (const auto* own : known)
        if (own->scale != known[0]->scale) return std::nullopt;
      if (!numerator || !denominator) return std::nullopt;
      return Quotient{known[0]->scale, *numerator, *denominator};
    }
    if (!all_whole) return std::nullopt;
    const auto number = fit([&](std::size_t s) { return *whole(node(s).array); });
    return number ? std::optional(Quotient{.numerator = *number}) : std::nullopt;
  }

  static std::optional<std::int64_t> whole(const Array& scalar) {
    constexpr double exact = 9007199254740992.0;  // 2^53: beyond, a double may stand for several numbers
    const auto of_real = [&](double value) -> std::optional<std::int64_t> {
      if (std::abs(value) > exact || value != std::floor(value)) return std::nullopt;
      return static_cast<std::int64_t>(value);
    };
    switch (scalar.dtype()) {
      case DType::float32:
        return of_real(*scalar.as<float>());
      case DType::float64:
        return of_real(*scalar.as<double>());
      case DType::int32:
        return *scalar.as<std::int32_t>();
      case DType::int64:
        return of_real(static_cast<double>(*scalar.as<std::int64_t>()));
      default:
        return std::nullopt;
    }
  }

  template <class ValueOf>
  StoredValue same_value(ValueOf value_of) const {
    const StoredValue first = lines_[0].value(value_of(samples_[0]));
    for (std::size_t s = 0; s < samples_.size(); ++s)
      check<ValueError>(lines_[s].value(value_of(samples_[s])) == first, "export: a batch of ",
                        samples_[s].batch, " gives another output than one of ", samples_[0].batch, advice());
    return first;
  }

  StoredNode stored_node() const {
    const Node& first = node(0);
    StoredNode stored;
    stored.op = first.op;
    stored.scope = first.origin.scope;
    for (std::size_t s = 0; s < samples_.size(); ++s)
      if (node(s).inputs.size() != first.inputs.size() ||
          node(s).attrs.entries().size() != first.attrs.entries().size())
        refuse("other inputs or attributes for another batch");
    for (std::size_t i = 0; i < first.inputs.size(); ++i) {
      const StoredValue value = lines_[0].value(first.inputs[i]);
      for (std::size_t s = 0; s < samples_.size(); ++s)
        if (lines_[s].value(node(s).inputs[i]) != value) refuse("other inputs for another batch");
      stored.inputs.push_back(value);
    }
    for (std::size_t i = 0; i < first.attrs.entries().size(); ++i) {
      const std::string& name = first.attrs.entries()[i].first;
      for (std::size_t s = 0; s < samples_.size(); ++s)
        if (node(s).attrs.entries()[i].first != name) refuse("other attributes for another batch");
      stored.attrs.emplace_back(name, fit_attr(name, i));
    }
    switch (first.op->kind) {
      case OpKind::input:
        stored.name = first.name;
        stored.type = fit_type([&](std::size_t s) { return node(s).outputs[0]; });
        break;
      case OpKind::state:
        stored.state = state_of_(first.array);
        for (std::size_t s = 0; s < samples_.size(); ++s)
          if (node(s).array.data() != first.array.data()) refuse("another parameter for another batch");
        break;
      case OpKind::constant:
        fit_constant(stored);
        break;
      case OpKind::effect:
        refuse("an effect cannot be exported");
      default:
        break;
    }
    return stored;
  }

  std::span<const GraphSample> samples_;
  const std::function<std::size_t(const Array&)>& state_of_;
  std::vector<Line> lines_;
  std::size_t at_ = 0;  // the node that is fitted
  StoredGraph stored_;
};

}  // namespace

StoredGraph fit_graph(std::span<const GraphSample> samples,
                      const std::function<std::size_t(const Array&)>& state_of) {
  return Fit(samples, state_of).run();
}

}  // namespace ravine
