#include "model/safetensors_header.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace ravine {
namespace {

using Json = nlohmann::json;
using Limits = SafetensorsLimits;

constexpr StorageFormat formats[] = {{"F32", DType::float32, 4}, {"F64", DType::float64, 8},
                                     {"I32", DType::int32, 4},   {"I64", DType::int64, 8},
                                     {"U8", DType::uint8, 1},    {"BOOL", DType::boolean, 1},
                                     {"F16", DType::float32, 2}, {"BF16", DType::float32, 2}};

// Bytes of a tensor, or false where their number does not fit.
bool count_bytes(const Shape& shape, std::uint64_t element_bytes, std::uint64_t& bytes) {
  bytes = element_bytes;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    empty = empty || extent == 0;
    if (extent != 0 && __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
      return false;
  }
  if (empty) bytes = 0;
  return true;
}

// Receives the events of the JSON parser. The header is an object of entries; an entry is an object of fields
// (dtype, shape, data_offsets, and others, which are passed over), or the metadata, an object of texts.
class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(const std::string& path, std::uint64_t data_bytes) : path_(path), data_bytes_(data_bytes) {}

  SafetensorsHeader finish() && {
    check_names();
    check_coverage();
    return std::move(header_);
  }

  bool key(string_t& text) override {
    if (skipped_ > 0) return true;
    switch (place_) {
      case Place::header:
        start_entry(text);
        break;
      case Place::metadata:
        metadata_name_ = std::move(text);
        break;
      default:
        start_field(text);
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (skipped_ > 0) return ++skipped_, true;
    switch (place_) {
      case Place::outside:
        place_ = Place::header;
        break;
      case Place::header:
        place_ = in_metadata_ ? Place::metadata : Place::entry;
        break;
      case Place::entry:
        if (field_ == other) skipped_ = 1;
        else reject_field();
        break;
      default:
        reject_value();
    }
    return true;
  }

  bool end_object() override {
    if (skipped_ > 0) return --skipped_, true;
    if (place_ == Place::entry) finish_entry();
    place_ = place_ == Place::header ? Place::outside : Place::header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (skipped_ > 0) return ++skipped_, true;
    if (place_ == Place::entry && field_ == other) skipped_ = 1;
    else if (place_ == Place::entry && field_ != dtype) place_ = Place::list;
    else reject_value();
    return true;
  }

  bool end_array() override {
    if (skipped_ > 0) return --skipped_, true;
    place_ = Place::entry;
    return true;
  }

  bool string(string_t& text) override {
    if (skipped_ > 0) return true;
    if (place_ == Place::metadata) {
      add_metadata(std::move(text));
      return true;
    }
    if (place_ != Place::entry || field_ != dtype) return reject_value(), true;
    const auto* format =
        std::ranges::find_if(formats, [&](const StorageFormat& row) { return row.name == text; });
    if (format == std::end(formats))
      reject_tensor("has dtype \"", excerpt(text),
                    "\"; F32, F64, F16, BF16, I32, I64, U8 and BOOL are supported");
    tensor().format = format;
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (skipped_ > 0) return true;
    if (place_ != Place::list) return reject_value(), true;
    if (field_ == offsets) {
      if (offset_count_ == 2) reject_field();
      (offset_count_ == 0 ? tensor().begin : tensor().end) = number;
      ++offset_count_;
      return true;
    }
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) reject_field();
    if (tensor().shape.rank() == max_rank)
      reject_tensor("has more than the ", max_rank, " dimensions that are supported");
    tensor().shape.push_back(static_cast<std::int64_t>(number));
    return true;
  }

  bool null() override { return reject_value(), true; }
  bool boolean(bool) override { return reject_value(), true; }
  bool number_integer(number_integer_t) override { return reject_value(), true; }
  bool number_float(number_float_t, const string_t&) override { return reject_value(), true; }
  bool binary(binary_t&) override { return reject_value(), true; }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    reject("its header is not JSON (", excerpt(error.what()), ")");
  }

 private:
  enum class Place { outside, header, metadata, entry, list };
  enum Field : unsigned { dtype = 1, shape = 2, offsets = 4, other = 8 };

  template <class... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    fail<ValueError>("'", path_, "' is not a valid safetensors file: ", parts...);
  }
  template <class... Parts>
  [[noreturn]] void reject_tensor(const Parts&... parts) const {
    reject("tensor '", excerpt(header_.tensors.back().name), "' ", parts...);
  }
  [[noreturn]] void reject_field() const {
    if (field_ == dtype) reject_tensor("has a dtype that is not a text");
    if (field_ == shape) reject_tensor("has a shape that is not a list of non-negative integers");
    reject_tensor("has data_offsets that are not two non-negative integers");
  }

  // For a value of a kind that has no business where it stands; it passes in a field of other readers.
  void reject_value() const {
    if (skipped_ > 0) return;
    switch (place_) {
      case Place::outside:
        reject("its header is not a JSON object");
      case Place::header:
        if (in_metadata_) reject(metadata_key, " is not an object");
        reject_tensor("is not described by an object");
      case Place::metadata:
        reject("the value of '", excerpt(metadata_name_), "' in ", metadata_key, " is not a text");
      default:
        if (field_ != other) reject_field();
    }
  }

  TensorEntry& tensor() { return header_.tensors.back(); }

  void start_entry(string_t& name) {
    in_metadata_ = name == metadata_key;
    if (in_metadata_) {
      if (metadata_seen_) reject("it has ", metadata_key, " twice");
      metadata_seen_ = true;
      return;
    }
    if (header_.tensors.size() == Limits::tensors)
      reject("it has more than ", Limits::tensors, " tensors, the most that are supported");
    if (name.size() > Limits::name_bytes)
      reject("the name '", excerpt(name), "' has ", name.size(), " bytes; at most ", Limits::name_bytes,
             " are supported");
    header_.tensors.emplace_back().name = std::move(name);
    fields_seen_ = 0;
    offset_count_ = 0;
  }

  void start_field(const string_t& name) {
    field_ = name == "dtype" ? dtype : name == "shape" ? shape : name == "data_offsets" ? offsets : other;
    if (field_ != other && (fields_seen_ & field_) != 0) reject_tensor("has ", name, " twice");
    fields_seen_ |= field_;
  }

  void finish_entry() {
    for (const auto& [field, name] : {std::pair(dtype, "dtype"), {shape, "shape"}, {offsets, "data_offsets"}})
      if ((fields_seen_ & field) == 0) reject_tensor("has no ", name);
    field_ = offsets;
    if (offset_count_ != 2) reject_field();
    const TensorEntry& entry = tensor();
    if (entry.begin > entry.end || entry.end > data_bytes_)
      reject_tensor("lies at bytes ", entry.begin, " to ", entry.end, " of ", data_bytes_);
    std::uint64_t bytes = 0;
    if (!count_bytes(entry.shape, entry.format->bytes, bytes) || bytes != entry.end - entry.begin)
      reject_tensor("of shape ", entry.shape, " and dtype ", entry.format->name, " has ",
                    entry.end - entry.begin, " bytes");
  }

  void add_metadata(string_t&& text) {
    Metadata& metadata = header_.metadata;
    if (metadata.size() == Limits::metadata_entries)
      reject(metadata_key, " has more than the ", Limits::metadata_entries, " texts that are supported");
    const auto [place, is_new] = metadata.try_emplace(std::move(metadata_name_), std::move(text));
    if (!is_new) reject(metadata_key, " has '", excerpt(place->first), "' twice");
  }

  void check_names() const {
    std::vector<const std::string*> names;
    for (const TensorEntry& entry : header_.tensors) names.push_back(&entry.name);
    const auto less = [](const std::string* a, const std::string* b) { return *a < *b; };
    std::ranges::sort(names, less);
    const auto twice = std::ranges::adjacent_find(
        names, [](const std::string* a, const std::string* b) { return *a == *b; });
    if (twice != names.end()) reject("two tensors are named '", excerpt(**twice), "'");
  }

  // The format wants the tensors to cover the data without gaps and overlaps.
  void check_coverage() const {
    std::vector<const TensorEntry*> sorted;
    for (const TensorEntry& entry : header_.tensors) sorted.push_back(&entry);
    std::ranges::stable_sort(sorted, [](const TensorEntry* a, const TensorEntry* b) {
      return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    std::uint64_t covered = 0;
    for (const TensorEntry* entry : sorted) {
      if (entry->begin < covered) reject("tensor '", excerpt(entry->name), "' overlaps another");
      if (entry->begin > covered) reject("bytes ", covered, " to ", entry->begin, " belong to no tensor");
      covered = entry->end;
    }
    if (covered != data_bytes_) reject("bytes ", covered, " to ", data_bytes_, " belong to no tensor");
  }

  const std::string& path_;
  const std::uint64_t data_bytes_;
  SafetensorsHeader header_;
  Place place_ = Place::outside;
  Field field_ = other;
  unsigned fields_seen_ = 0;
  int offset_count_ = 0;
  int skipped_ = 0;  // depth inside a value that is passed over
  bool in_metadata_ = false, metadata_seen_ = false;
  std::string metadata_name_;
};

}  // namespace

const StorageFormat& storage_format(DType dtype) {
  for (const StorageFormat& format : formats)
    if (format.dtype == dtype) return format;  // the types of 16 bits come last
  fail<TypeError>("safetensors: dtype ", name_of(dtype), " has no name in the format");
}

// The parser keeps the token it is at, and its events come after the token: so lengths are bounded before.
void check_header_limits(std::string_view text, const std::string& what) {
  int depth = 0;
  std::size_t start = 0;  // of the text, or of what lies between two of the characters {}[],:"
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (i - start > Limits::text_bytes)
        fail<ValueError>(what, "a name or text of more than ", Limits::text_bytes, " bytes");
      if (c == '"') in_text = false, start = i + 1;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    else if (c == '}' || c == ']') --depth;
    else if (c == '"') in_text = true;
    else if (c != ',' && c != ':') {
      if (i - start >= Limits::other_bytes)
        fail<ValueError>(what, "more than ", Limits::other_bytes, " bytes of space or of one number");
      continue;
    }
    if (depth > Limits::depth)
      fail<ValueError>(what, "objects and lists nested more than ", Limits::depth, " deep");
    start = i + 1;
  }
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t longest = 200;
  std::string result;
  for (const char c : text) {
    if (result.size() >= longest && (static_cast<unsigned char>(c) & 0xC0) != 0x80) return result + "...";
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    result += control ? '?' : c;
  }
  return result;
}

SafetensorsHeader parse_safetensors_header(std::string_view text, std::uint64_t data_bytes,
                                           const std::string& path) {
  check_header_limits(text, "'" + path + "' is not a valid safetensors file: its header has ");
  HeaderEvents events(path, data_bytes);
  Json::sax_parse(text.begin(), text.end(), &events);
  return std::move(events).finish();
}

}  // namespace ravine
