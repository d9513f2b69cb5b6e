#include "graph/attrs.h"

#include <algorithm>
#include <functional>

#include "core/error.h"

namespace ravine {
namespace {

bool precedes(const std::pair<std::string, Attr>& entry, std::string_view name) { return entry.first < name; }

[[noreturn]] void wrong_type(std::string_view name, const char* expected) {
  fail<TypeError>("attribute '", name, "': expected ", expected);
}

}  // namespace

Attrs::Attrs(std::initializer_list<std::pair<std::string, Attr>> entries) {
  for (const auto& [name, value] : entries) set(name, value);
}

void Attrs::set(std::string_view name, Attr value) {
  auto place = std::lower_bound(entries_.begin(), entries_.end(), name, precedes);
  if (place != entries_.end() && place->first == name) {
    place->second = std::move(value);
  } else {
    entries_.emplace(place, std::string(name), std::move(value));
  }
}

void Attrs::check_known(const char* operation, std::initializer_list<std::string_view> known) const {
  for (const auto& [name, value] : entries_)
    check<TypeError>(std::find(known.begin(), known.end(), name) != known.end(), operation,
                     ": unknown attribute '", name, "'");
}

const Attr* Attrs::find(std::string_view name) const {
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), name, precedes);
  return place != entries_.end() && place->first == name ? &place->second : nullptr;
}

const Attr& Attrs::at(std::string_view name) const {
  const Attr* value = find(name);
  check<KeyError>(value != nullptr, "attribute '", name, "' is missing");
  return *value;
}

bool Attrs::flag(std::string_view name, bool otherwise) const {
  const Attr* value = find(name);
  if (value == nullptr) return otherwise;
  if (const auto* held = std::get_if<bool>(value)) return *held;
  if (const auto* held = std::get_if<std::int64_t>(value); held && (*held == 0 || *held == 1))
    return *held == 1;
  wrong_type(name, "a bool");
}

std::int64_t Attrs::integer(std::string_view name) const {
  if (const auto* held = std::get_if<std::int64_t>(&at(name))) return *held;
  wrong_type(name, "an integer");
}

std::int64_t Attrs::integer(std::string_view name, std::int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}

double Attrs::real(std::string_view name) const {
  const Attr& value = at(name);
  if (const auto* held = std::get_if<double>(&value)) return *held;
  if (const auto* held = std::get_if<std::int64_t>(&value)) return static_cast<double>(*held);
  wrong_type(name, "a number");
}

double Attrs::real(std::string_view name, double otherwise) const {
  return has(name) ? real(name) : otherwise;
}

Dims Attrs::dims(std::string_view name) const {
  const Attr& value = at(name);
  if (const auto* held = std::get_if<Dims>(&value)) return *held;
  if (const auto* held = std::get_if<std::int64_t>(&value)) return Dims{*held};
  wrong_type(name, "a tuple of integers");
}

Dims Attrs::dims(std::string_view name, const Dims& otherwise) const {
  return has(name) ? dims(name) : otherwise;
}

DType Attrs::dtype(std::string_view name) const {
  const Attr& value = at(name);
  if (const auto* held = std::get_if<DType>(&value)) return *held;
  if (const auto* held = std::get_if<std::string>(&value)) return parse_dtype(*held);
  wrong_type(name, "a dtype");
}

std::size_t Attrs::hash() const {
  std::size_t result = entries_.size();
  const auto mix = [&](std::size_t value) { result = result * 1000003 + value; };
  for (const auto& [name, value] : entries_) {
    mix(std::hash<std::string>()(name));
    std::visit(
        [&]<class T>(const T& held) {
          if constexpr (std::is_same_v<T, Dims>) {
            for (const std::int64_t extent : held) mix(static_cast<std::size_t>(extent));
          } else if constexpr (std::is_same_v<T, DType>) {
            mix(static_cast<std::size_t>(held));
          } else {
            mix(std::hash<T>()(held));
          }
        },
        value);
  }
  return result;
}

std::string Attrs::to_string() const {
  std::string text;
  for (const auto& [name, value] : entries_) {
    if (!text.empty()) text += ", ";
    text += name + "=";
    std::visit(
        [&]<class T>(const T& held) {
          if constexpr (std::is_same_v<T, bool>) {
            text += held ? "true" : "false";
          } else if constexpr (std::is_same_v<T, Dims>) {
            text += ravine::to_string(held);
          } else if constexpr (std::is_same_v<T, DType>) {
            text += name_of(held);
          } else {
            text += str(held);
          }
        },
        value);
  }
  return text;
}

DType parse_dtype(std::string_view name) {
  for (const DType dtype : all_dtypes)
    if (name == name_of(dtype)) return dtype;
  fail<TypeError>("dtype '", name,
                  "' is not supported; expected float32, float64, int32, int64, uint8 or bool");
}

}  // namespace ravine
