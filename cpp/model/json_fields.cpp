#include "model/json_fields.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "model/safetensors_header.h"

namespace ravine {
namespace {

constexpr int max_depth = 64;

[[noreturn]] void wrong(const Json& value, const char* what, const char* expected) {
  fail<ValueError>(what, ": expected ", expected, ", got ", excerpt(value.dump(-1, ' ', true)));
}

}  // namespace

Json parse_json(std::string_view text, const std::string& what) {
  const auto bounded = [&](int depth, Json::parse_event_t, const Json&) {
    check<ValueError>(depth <= max_depth, what, "lists and objects nested more than ", max_depth, " deep");
    return true;
  };
  try {
    return Json::parse(text, bounded);
  } catch (const Json::exception& error) {
    fail<ValueError>(what, "no JSON (", excerpt(error.what()), ")");
  }
}

const Json& json_field(const Json& object, const char* name) {
  check<ValueError>(object.is_object(), "'", name, "' is looked for in what is no object");
  const auto place = object.find(name);
  check<ValueError>(place != object.end(), "'", name, "' is missing");
  return *place;
}

const Json& json_list(const Json& value, const char* what) {
  if (!value.is_array()) wrong(value, what, "a list");
  return value;
}

const Json& json_list(const Json& value, const char* what, std::size_t size) {
  if (!value.is_array() || value.size() != size)
    wrong(value, what, ("a list of " + std::to_string(size)).c_str());
  return value;
}

std::string json_text(const Json& value, const char* what) {
  if (!value.is_string()) wrong(value, what, "a text");
  return value.get<std::string>();
}

bool json_flag(const Json& value, const char* what) {
  if (!value.is_boolean()) wrong(value, what, "true or false");
  return value.get<bool>();
}

std::int64_t json_whole(const Json& value, const char* what) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > most))
    wrong(value, what, "a whole number of 64 bits");
  return value.get<std::int64_t>();
}

std::size_t json_index(const Json& value, std::size_t below, const char* what) {
  const std::int64_t number = json_whole(value, what);
  check<ValueError>(number >= 0 && static_cast<std::uint64_t>(number) < below, what, ": ", number,
                    " is not in [0, ", below, ")");
  return static_cast<std::size_t>(number);
}

Json real_to_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double json_real(const Json& value, const char* what) {
  if (value.is_number()) return value.get<double>();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  wrong(value, what, "a number");
}

}  // namespace ravine
