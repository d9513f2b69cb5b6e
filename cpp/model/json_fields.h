// Reading JSON that somebody else may have written: every access checks, and says what it expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace ravine {

using Json = nlohmann::json;

// The text as JSON. ValueError, beginning with `what`, for what is none and for nestings more than 64 deep.
Json parse_json(std::string_view text, const std::string& what);

// ValueError naming `what` where a value is of another kind.
const Json& json_field(const Json& object, const char* name);  // of an object
const Json& json_list(const Json& value, const char* what);
const Json& json_list(const Json& value, const char* what, std::size_t size);
std::string json_text(const Json& value, const char* what);
bool json_flag(const Json& value, const char* what);
std::int64_t json_whole(const Json& value, const char* what);
std::size_t json_index(const Json& value, std::size_t below, const char* what);

// Real numbers: JSON has no infinities and no NaN, which are the texts "inf", "-inf" and "nan".
Json real_to_json(double value);
double json_real(const Json& value, const char* what);

}  // namespace ravine
