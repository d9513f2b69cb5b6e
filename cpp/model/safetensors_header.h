// The JSON header of a safetensors file, read as a stream of events: what a damaged or hostile header takes
// of memory and time is bounded by its size and by the limits here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace ravine {

using Metadata = std::map<std::string, std::string>;

// How an element is stored: one of our types, or a type of 16 bits that is read as float32.
struct StorageFormat {
  const char* name;  // in the header
  DType dtype;       // in memory
  std::size_t bytes;
};
// TypeError for a dtype without a name in the format.
const StorageFormat& storage_format(DType dtype);

struct TensorEntry {
  std::string name;
  const StorageFormat* format = nullptr;
  Shape shape;
  std::uint64_t begin = 0, end = 0;  // of its bytes in the data

  DType dtype() const { return format->dtype; }
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the header's order
  Metadata metadata;
};

struct SafetensorsLimits {
  static constexpr std::uint64_t header_bytes = 100'000'000;  // the official reader's limit
  static constexpr std::size_t tensors = 1 << 16;
  static constexpr std::size_t metadata_entries = 1 << 16;
  static constexpr std::size_t name_bytes = 1 << 16;
  static constexpr std::size_t text_bytes = 1 << 23;   // a name or a metadata text as it stands in the header
  static constexpr int depth = 8;                      // of objects and lists in each other; the format has 3
  static constexpr std::size_t other_bytes = 1 << 10;  // a number, a word, or space between them
};

inline constexpr const char* metadata_key = "__metadata__";

// ValueError that names the file at `path`, and the tensor if it is one's fault, for a header that is not
// JSON, not of the format, beyond the limits, or does not cover `data_bytes` bytes of data without gaps and
// overlaps.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           const std::string& path);

// ValueError where a text of JSON is beyond the limits of depth and length; the message begins with `what`.
void check_header_limits(std::string_view text, const std::string& what);

// For messages: no more than the beginning of a long text, without control characters.
std::string excerpt(std::string_view text);

}  // namespace ravine
