#include "model/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/error.h"

namespace ravine {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");

using Json = nlohmann::json;

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the official reader's limit
constexpr const char* metadata_key = "__metadata__";

struct FormatName {
  DType dtype;
  const char* name;
};
constexpr FormatName format_names[] = {{DType::float32, "F32"}, {DType::float64, "F64"},
                                       {DType::int32, "I32"},   {DType::int64, "I64"},
                                       {DType::uint8, "U8"},    {DType::boolean, "BOOL"}};

const char* format_name(DType dtype) {
  for (const FormatName& row : format_names)
    if (row.dtype == dtype) return row.name;
  fail<ValueError>("safetensors: dtype ", name_of(dtype), " has no name in the format");
}

// An open file; errors carry its path and the system's reason.
class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ >= 0) return;
    const int error = errno;
    const bool writing = (flags & O_WRONLY) != 0;
    if (error == ENOENT || error == ENOTDIR)
      fail<FileNotFoundError>(writing ? "no such folder for the file '" : "no such file: '", path, "'");
    fail<RuntimeError>("cannot open '", path, "': ", std::strerror(error));
  }
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::uint64_t size() const {
    struct stat status;
    if (::fstat(descriptor_, &status) != 0) refuse("examine");
    check<ValueError>(S_ISREG(status.st_mode), "'", path_, "' is not a regular file");
    return static_cast<std::uint64_t>(status.st_size);
  }

  void read(std::byte* to, std::size_t count) const {
    while (count > 0) {
      const ssize_t got = ::read(descriptor_, to, count);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) refuse("read");
      check<ValueError>(got > 0, "'", path_, "' became shorter while it was read");
      to += got;
      count -= static_cast<std::size_t>(got);
    }
  }

  void write(const void* from, std::size_t count) const {
    const char* next = static_cast<const char*>(from);
    while (count > 0) {
      const ssize_t put = ::write(descriptor_, next, count);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) refuse("write");
      next += put;
      count -= static_cast<std::size_t>(put);
    }
  }

  void sync_and_close() {
    if (::fsync(descriptor_) != 0) refuse("flush");
    if (::close(std::exchange(descriptor_, -1)) != 0) refuse("close");
  }

 private:
  [[noreturn]] void refuse(const char* action) const {
    fail<RuntimeError>("cannot ", action, " '", path_, "': ", std::strerror(errno));
  }

  std::string path_;
  int descriptor_;
};

// A file beside its final place, removed unless it gets there.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_(path), temporary_(unused_name(path)), file_(temporary_, O_WRONLY | O_CREAT | O_EXCL) {}
  ~TemporaryFile() {
    if (!done_) ::unlink(temporary_.c_str());
  }

  void write(const void* from, std::size_t count) { file_.write(from, count); }

  void commit() {
    file_.sync_and_close();
    check<RuntimeError>(::rename(temporary_.c_str(), path_.c_str()) == 0, "cannot replace '", path_,
                        "': ", std::strerror(errno));
    done_ = true;
  }

 private:
  static std::string unused_name(const std::string& path) {
    for (int attempt = 0;; ++attempt) {
      std::string name = str(path, ".tmp", ::getpid(), "-", attempt);
      struct stat status;
      if (::lstat(name.c_str(), &status) != 0) return name;
    }
  }

  std::string path_, temporary_;
  File file_;
  bool done_ = false;
};

// Elements of a shape, or no value where an extent is negative or the count does not fit.
bool count_elements(const Shape& shape, std::uint64_t element_bytes, std::uint64_t& bytes) {
  bytes = element_bytes;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return false;
    empty = empty || extent == 0;
    if (extent != 0 && __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
      return false;
  }
  if (empty) bytes = 0;
  return true;
}

// ---- writing
// ---------------------------------------------------------------------------------------------------

void check_tensors(std::span<const NamedTensor> tensors) {
  std::set<std::string> names;
  for (const NamedTensor& tensor : tensors) {
    check<ValueError>(!tensor.name.empty(), "safetensors: a tensor's name is empty");
    check<ValueError>(tensor.name != metadata_key, "safetensors: the name ", metadata_key, " is reserved");
    check<ValueError>(names.insert(tensor.name).second, "safetensors: two tensors are named '", tensor.name,
                      "'");
    std::uint64_t bytes = 0;
    check<ValueError>(
        count_elements(tensor.shape, size_of(tensor.dtype), bytes) && bytes == tensor.bytes.size(),
        "safetensors: tensor '", tensor.name, "' of shape ", tensor.shape, " and dtype ",
        name_of(tensor.dtype), " has ", tensor.bytes.size(), " bytes");
  }
}

// ---- reading
// ---------------------------------------------------------------------------------------------------

// The keys of a JSON object in their order, repeated ones too: a parsed object has neither. (The parser's
// callback could tell, but with it the time is quadratic in the number of keys.)
struct TopLevelKeys : nlohmann::json_sax<Json> {
  std::vector<std::string> names;
  int depth = 0;

  bool key(string_t& name) override {
    if (depth == 1) names.push_back(name);
    return true;
  }
  bool start_object(std::size_t) override { return ++depth, true; }
  bool end_object() override { return --depth, true; }
  bool start_array(std::size_t) override { return ++depth, true; }
  bool end_array() override { return --depth, true; }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }
};

class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::uint64_t data_bytes) : path_(path), data_bytes_(data_bytes) {}

  TensorFile read(const char* begin, const char* end) {
    TensorFile file;
    std::vector<std::string> names;
    const Json header = parse(begin, end, names);
    for (const std::string& name : names) {
      const Json& entry = header[name];
      if (name == metadata_key) file.metadata = metadata(entry);
      else file.tensors.push_back(tensor(name, entry));
    }
    check_coverage();
    return file;
  }

  // Where the tensor's bytes lie, in the order of TensorFile::tensors.
  struct Range {
    std::uint64_t begin, end;
    std::string name;
  };
  const std::vector<Range>& ranges() const { return ranges_; }

 private:
  template <class... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    fail<ValueError>("'", path_, "' is not a valid safetensors file: ", parts...);
  }

  // `names` receives the header's keys in their order.
  Json parse(const char* begin, const char* end, std::vector<std::string>& names) const {
    try {
      Json header = Json::parse(begin, end);
      if (!header.is_object()) reject("its header is not a JSON object");
      TopLevelKeys keys;
      Json::sax_parse(begin, end, &keys);
      std::set<std::string> seen;
      for (const std::string& name : keys.names)
        if (!seen.insert(name).second) reject("two tensors are named '", name, "'");
      names = std::move(keys.names);
      return header;
    } catch (const Json::exception& error) {
      reject("its header is not JSON (", error.what(), ")");
    }
  }

  Metadata metadata(const Json& entry) const {
    Metadata result;
    if (!entry.is_object()) reject(metadata_key, " is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) reject("the value of '", key, "' in ", metadata_key, " is not a string");
      result[key] = value.get<std::string>();
    }
    return result;
  }

  NamedTensor tensor(const std::string& name, const Json& entry) {
    const auto reject_tensor = [&](const auto&... parts) { reject("tensor '", name, "' ", parts...); };
    if (!entry.is_object()) reject_tensor("is not described by an object");
    for (const char* key : {"dtype", "shape", "data_offsets"})
      if (!entry.contains(key)) reject_tensor("has no ", key);

    NamedTensor result{name, DType::float32, {}, {}};
    const Json& dtype = entry["dtype"];
    const auto* row = std::find_if(std::begin(format_names), std::end(format_names),
                                   [&](const FormatName& candidate) { return dtype == candidate.name; });
    if (row == std::end(format_names))
      reject_tensor("has dtype ", dtype.dump(-1, ' ', true, Json::error_handler_t::replace),
                    "; F32, F64, I32, I64, U8 and BOOL are supported");
    result.dtype = row->dtype;

    const Json& shape = entry["shape"];
    if (!shape.is_array()) reject_tensor("has a shape that is not a list");
    if (shape.size() > max_rank)
      reject_tensor("has ", shape.size(), " dimensions; at most ", max_rank, " are supported");
    for (const Json& extent : shape) {
      if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > INT64_MAX)
        reject_tensor("has a shape that is not a list of non-negative integers");
      result.shape.push_back(extent.get<std::int64_t>());
    }

    const Json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      reject_tensor("has data_offsets that are not two non-negative integers");
    const Range range{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>(), name};
    if (range.begin > range.end || range.end > data_bytes_)
      reject_tensor("lies at bytes ", range.begin, " to ", range.end, " of ", data_bytes_);
    std::uint64_t bytes = 0;
    if (!count_elements(result.shape, size_of(result.dtype), bytes) || bytes != range.end - range.begin)
      reject_tensor("of shape ", result.shape, " and dtype ", row->name, " has ", range.end - range.begin,
                    " bytes");
    ranges_.push_back(range);
    return result;
  }

  // The format wants the tensors to cover the data without gaps and overlaps.
  void check_coverage() const {
    std::vector<Range> sorted = ranges_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Range& a, const Range& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t covered = 0;
    for (const Range& range : sorted) {
      if (range.begin < covered) reject("tensor '", range.name, "' overlaps another");
      if (range.begin > covered) reject("bytes ", covered, " to ", range.begin, " belong to no tensor");
      covered = range.end;
    }
    if (covered != data_bytes_) reject("bytes ", covered, " to ", data_bytes_, " belong to no tensor");
  }

  const std::string& path_;
  std::uint64_t data_bytes_;
  std::vector<Range> ranges_;
};

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
  std::map<std::string, std::uint64_t> begin_of;
  std::uint64_t offset = 0;
  for (const NamedTensor* tensor : in_file_order) {
    begin_of[tensor->name] = offset;
    offset += tensor->bytes.size();
  }

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
      const std::uint64_t begin = begin_of[tensor.name];
      add_entry(tensor.name, {{"dtype", format_name(tensor.dtype)},
                              {"shape", std::vector<std::int64_t>(tensor.shape.begin(), tensor.shape.end())},
                              {"data_offsets", {begin, begin + tensor.bytes.size()}}});
    }
  } catch (const Json::exception& error) {
    fail<ValueError>("safetensors: a name or metadata text is not UTF-8 (", error.what(), ")");
  }
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t header_bytes = text.size();
  check<ValueError>(header_bytes <= max_header_bytes, "safetensors: names and metadata take ", header_bytes,
                    " bytes, more than the format's ", max_header_bytes);

  TemporaryFile file(path);
  file.write(&header_bytes, length_bytes);
  file.write(text.data(), text.size());
  for (const NamedTensor* tensor : in_file_order) file.write(tensor->bytes.data(), tensor->bytes.size());
  file.commit();
}

TensorFile read_safetensors(const std::string& path) {
  const File source(path, O_RDONLY);
  const std::uint64_t file_bytes = source.size();
  check<ValueError>(file_bytes >= length_bytes, "'", path, "' is not a valid safetensors file: it has ",
                    file_bytes, " bytes, its header's length alone takes 8");
  std::uint64_t header_bytes = 0;
  source.read(reinterpret_cast<std::byte*>(&header_bytes), length_bytes);
  check<ValueError>(header_bytes <= max_header_bytes && header_bytes <= file_bytes - length_bytes, "'", path,
                    "' is not a valid safetensors file, or is truncated: a header of ", header_bytes,
                    " bytes in a file of ", file_bytes);
  std::vector<char> text(header_bytes);
  source.read(reinterpret_cast<std::byte*>(text.data()), text.size());

  const std::uint64_t data_bytes = file_bytes - length_bytes - header_bytes;
  HeaderReader reader(path, data_bytes);
  TensorFile file = reader.read(text.data(), text.data() + text.size());
  file.data = std::make_unique_for_overwrite<std::byte[]>(data_bytes);
  source.read(file.data.get(), data_bytes);
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    NamedTensor& tensor = file.tensors[i];
    const HeaderReader::Range& range = reader.ranges()[i];
    tensor.bytes = {file.data.get() + range.begin, file.data.get() + range.end};
    if (tensor.dtype == DType::boolean)
      for (const std::byte value : tensor.bytes)
        check<ValueError>(value <= std::byte{1}, "'", path, "' is not a valid safetensors file: tensor '",
                          tensor.name, "' of dtype BOOL has the byte ", std::to_integer<int>(value),
                          ", neither 0 nor 1");
  }
  return file;
}

}  // namespace ravine
