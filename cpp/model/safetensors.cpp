#include "model/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "core/error.h"

namespace ravine {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");

using Json = nlohmann::json;
using Limits = SafetensorsLimits;

constexpr std::size_t length_bytes = 8;

// ---- writing

void check_tensors(std::span<const NamedTensor> tensors) {
  check<ValueError>(tensors.size() <= Limits::tensors, "safetensors: ", tensors.size(), " tensors; at most ",
                    Limits::tensors, " are supported");
  std::set<std::string_view> names;
  for (const NamedTensor& tensor : tensors) {
    const auto refuse_if = [&](bool condition, const char* reason) {
      check<ValueError>(!condition, "safetensors: the name '", excerpt(tensor.name), "' ", reason);
    };
    check<ValueError>(!tensor.name.empty(), "safetensors: a tensor's name is empty");
    refuse_if(tensor.name == metadata_key, "is reserved");
    refuse_if(tensor.name.find('\0') != std::string::npos, "has a null character");
    refuse_if(tensor.name.size() > Limits::name_bytes, "is longer than 65536 bytes");
    check<ValueError>(names.insert(tensor.name).second, "safetensors: two tensors are named '",
                      excerpt(tensor.name), "'");
    const std::uint64_t elements = static_cast<std::uint64_t>(numel(tensor.shape));
    check<ValueError>(elements * size_of(tensor.dtype) == tensor.bytes.size(), "safetensors: tensor '",
                      excerpt(tensor.name), "' of shape ", tensor.shape, " and dtype ", name_of(tensor.dtype),
                      " has ", tensor.bytes.size(), " bytes");
  }
}

std::string header_text(std::span<const NamedTensor> tensors,
                        const std::map<std::string_view, std::uint64_t>& begin_of, const Metadata& metadata) {
  std::string text;
  const auto add_entry = [&](const std::string& name, const Json& entry) {
    text += text.empty() ? "{" : ",";
    text += Json(name).dump();
    text += ":";
    text += entry.dump();
  };
  try {
    if (!metadata.empty()) add_entry(metadata_key, metadata);
    for (const NamedTensor& tensor : tensors) {
      const std::uint64_t begin = begin_of.at(tensor.name);
      add_entry(tensor.name, {{"dtype", storage_format(tensor.dtype).name},
                              {"shape", std::vector<std::int64_t>(tensor.shape.begin(), tensor.shape.end())},
                              {"data_offsets", {begin, begin + tensor.bytes.size()}}});
    }
  } catch (const Json::exception& error) {
    fail<ValueError>("safetensors: a name or metadata text is not UTF-8 (", excerpt(error.what()), ")");
  }
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check<ValueError>(text.size() <= Limits::header_bytes, "safetensors: names and metadata take ", text.size(),
                    " bytes, more than the format's ", Limits::header_bytes);
  check<ValueError>(metadata.size() <= Limits::metadata_entries, "safetensors: the metadata has ",
                    metadata.size(), " texts; at most ", Limits::metadata_entries, " are supported");
  check_header_limits(text, "safetensors: the header would have ");
  return text;
}

// ---- reading

float widened_half(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31;
  const std::uint32_t exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormal numbers
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

float widened_bfloat(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

// The 16-bit elements fill the second half of the memory. Going upwards, a float is written where all
// elements have been read, or over the element it is made of.
template <class Widen>
void widen_in_place(std::byte* memory, std::size_t count, Widen widen) {
  const std::byte* narrow = memory + 2 * count;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, narrow + 2 * i, sizeof bits);
    const float wide = widen(bits);
    std::memcpy(memory + 4 * i, &wide, sizeof wide);
  }
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  check_tensors(tensors);
  // Wide elements first, so that every tensor is aligned to its element in the file.
  std::vector<const NamedTensor*> in_file_order;
  for (const NamedTensor& tensor : tensors) in_file_order.push_back(&tensor);
  std::stable_sort(
      in_file_order.begin(), in_file_order.end(),
      [](const NamedTensor* a, const NamedTensor* b) { return size_of(a->dtype) > size_of(b->dtype); });
  std::map<std::string_view, std::uint64_t> begin_of;
  std::uint64_t offset = 0;
  for (const NamedTensor* tensor : in_file_order) {
    begin_of[tensor->name] = offset;
    offset += tensor->bytes.size();
  }
  const std::string text = header_text(tensors, begin_of, metadata);
  const std::uint64_t header_bytes = text.size();

  ReplacementFile file(path);
  file.write(&header_bytes, length_bytes);
  file.write(text.data(), text.size());
  for (const NamedTensor* tensor : in_file_order) file.write(tensor->bytes.data(), tensor->bytes.size());
  file.commit();
}

SafetensorsFile::SafetensorsFile(const std::string& path) : source_(path) {
  check<ValueError>(source_.size() >= length_bytes, "'", path, "' is not a valid safetensors file: it has ",
                    source_.size(), " bytes, its header's length alone takes 8");
  std::uint64_t header_bytes = 0;
  source_.read_at(0, reinterpret_cast<std::byte*>(&header_bytes), length_bytes);
  check<ValueError>(header_bytes <= Limits::header_bytes && header_bytes <= source_.size() - length_bytes,
                    "'", path, "' is not a valid safetensors file, or is truncated: a header of ",
                    header_bytes, " bytes in a file of ", source_.size());
  const auto text = std::make_unique_for_overwrite<char[]>(header_bytes);
  source_.read_at(length_bytes, reinterpret_cast<std::byte*>(text.get()), header_bytes);
  data_begin_ = length_bytes + header_bytes;
  header_ = parse_safetensors_header({text.get(), header_bytes}, source_.size() - data_begin_, path);
}

void SafetensorsFile::read(const TensorEntry& tensor, std::byte* to) const {
  const std::size_t bytes = tensor.end - tensor.begin;
  const std::uint64_t offset = data_begin_ + tensor.begin;
  const std::string_view format = tensor.format->name;
  const bool half = format == "F16", bfloat = format == "BF16";
  source_.read_at(offset, half || bfloat ? to + bytes : to, bytes);
  if (half) widen_in_place(to, bytes / 2, widened_half);
  if (bfloat) widen_in_place(to, bytes / 2, widened_bfloat);
  if (tensor.dtype() != DType::boolean) return;
  for (const std::byte value : std::span(to, bytes))
    check<ValueError>(value <= std::byte{1}, "'", source_.path(),
                      "' is not a valid safetensors file: tensor '", excerpt(tensor.name),
                      "' of dtype BOOL has the byte ", std::to_integer<int>(value), ", neither 0 nor 1");
}

}  // namespace ravine
