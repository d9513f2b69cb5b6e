#include "model/safetensors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "core/error.h"

namespace ravine {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

class Safetensors : public ::testing::Test {
 protected:
  Safetensors() {
    folder_ =
        fs::temp_directory_path() / str("ravine-safetensors-", ::getpid(), "-",
                                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~Safetensors() override { fs::remove_all(folder_); }

  std::string path(const char* name = "weights.safetensors") const { return folder_ / name; }

  void write(const std::vector<NamedTensor>& tensors) const { write_safetensors(path(), tensors); }
  void put(const std::string& content) const { std::ofstream(path(), std::ios::binary) << content; }
  std::string get() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files_in_folder() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

// A file read whole.
struct Content {
  explicit Content(const std::string& path) {
    const SafetensorsFile file(path);
    tensors = file.tensors();
    metadata = file.metadata();
    for (const TensorEntry& tensor : tensors) {
      bytes.emplace_back(static_cast<std::size_t>(numel(tensor.shape)) * size_of(tensor.dtype()));
      file.read(tensor, bytes.back().data());
    }
  }
  std::vector<TensorEntry> tensors;
  std::vector<std::vector<std::byte>> bytes;
  Metadata metadata;
};

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// A file with this header and as much data.
std::string file_with(const std::string& header, const std::string& data = "") {
  std::uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof length);
  return content + header + data;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

TEST_F(Safetensors, WhatIsWrittenIsReadBack) {
  const std::vector<float> weight{1, -2, 0.5f, 4, 5, 6};
  const std::vector<double> wide{1e300, -0.0};
  const std::vector<std::int32_t> labels{-1, 7, 1 << 30};
  const std::vector<std::int64_t> step{std::int64_t{1} << 40};
  const std::vector<std::uint8_t> image{0, 128, 255}, mask{1, 0};
  const std::vector<NamedTensor> tensors{
      {"mask", DType::boolean, {2}, bytes_of(mask)},
      {"layer.0.weight", DType::float32, {2, 3}, bytes_of(weight)},
      {"empty", DType::float32, {0, 5}, {}},
      {"image", DType::uint8, {1, 3, 1}, bytes_of(image)},
      {"step", DType::int64, {}, bytes_of(step)},
      {"labels", DType::int32, {3}, bytes_of(labels)},
      {"a \"quoted\" näme", DType::float64, {2}, bytes_of(wide)},
  };
  const Metadata metadata{{"format", "ravine"}, {"note", "größer\n"}};
  write_safetensors(path(), tensors, metadata);
  const Content file(path());
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].dtype(), tensors[i].dtype);
    EXPECT_EQ(file.tensors[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(file.bytes[i], tensors[i].bytes)) << tensors[i].name;
    EXPECT_EQ(file.tensors[i].begin % size_of(tensors[i].dtype), 0u);
  }
  EXPECT_EQ(files_in_folder(), 1u);
  std::uint64_t header_bytes;
  std::memcpy(&header_bytes, get().data(), 8);
  EXPECT_EQ(header_bytes % 8, 0u);  // so the data begins aligned
}

TEST_F(Safetensors, NothingIsAFileToo) {
  write_safetensors(path(), {});
  EXPECT_TRUE(Content(path()).tensors.empty());
  EXPECT_EQ(get(), file_with("{}      "));
}

// Bytes that version 0.8.0 of the Python package saved.
TEST_F(Safetensors, ReadsAFileOfTheOfficialPackage) {
  put(
      file_with("{\"__metadata__\":{\"made by\":\"\xc3\xbcmlaut\"},"
                "\"step\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                "\"weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
                "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[32,35]}}   ",
                "\x07\0\0\0\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0\0\xc0@\x01\0\x01"s));
  const Content file(path());
  EXPECT_EQ(file.metadata, (Metadata{{"made by", "ümlaut"}}));
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(file.tensors[0].name, "step");
  EXPECT_EQ(file.tensors[0].shape, Shape{});
  EXPECT_EQ(file.tensors[1].name, "weight");
  EXPECT_EQ(file.tensors[1].shape, (Shape{2, 3}));
  EXPECT_TRUE(std::ranges::equal(file.bytes[1], bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(file.tensors[2].dtype(), DType::boolean);
  EXPECT_TRUE(std::ranges::equal(file.bytes[2], bytes_of(std::vector<std::uint8_t>{1, 0, 1})));
}

TEST_F(Safetensors, EveryTruncationIsAnError) {
  const std::vector<float> weight{1, 2, 3};
  write({{"w", DType::float32, {3}, bytes_of(weight)}});
  const std::string whole = get();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    EXPECT_THROW(Content{path()}, ValueError) << length << " bytes";
  }
  put(whole + "x");
  EXPECT_THROW(Content{path()}, ValueError);
}

TEST_F(Safetensors, WrongHeadersAreNamedErrors) {
  struct Case {
    std::string header, expected;
    std::string data = std::string(8, '\0');
  };
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const Case cases[] = {
      {"", "not JSON"},
      {"{", "not JSON"},
      {"{\"\xff\":1}", "not JSON"},
      {"[]", "not a JSON object"},
      {R"({"w":3})", "'w' is not described by an object"},
      {R"({"w":{"shape":[2],"data_offsets":[0,8]}})", "'w' has no dtype"},
      {R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", "'w' has no shape"},
      {R"({"w":{"dtype":"F32","shape":[2]}})", "'w' has no data_offsets"},
      {R"({"w":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}})", "'w' has dtype \"F8\""},
      {R"({"w":{"dtype":4,"shape":[4],"data_offsets":[0,8]}})", "'w' has a dtype that is not a text"},
      {R"({"w":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "shape that is not a list"},
      {R"({"w":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}})", "a dtype that is not a text"},
      {R"({"w":{"dtype":"F32","shape":{},"data_offsets":[0,8]}})", "shape that is not a list"},
      {R"({"w":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})", "shape that is not a list"},
      {R"({"w":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", "shape that is not a list"},
      {R"({"w":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})", "'w' has shape twice"},
      {R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
       "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})",
       "more than the 8 dimensions"},
      {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "'w' of shape (3,) and dtype F32 has 8 bytes"},
      {R"({"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", "'w' of shape"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}})", "data_offsets"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "data_offsets"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "lies at bytes 8 to 0 of 8"},
      {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", "lies at bytes 4 to 12 of 8"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "bytes 0 to 4 belong to no tensor"},
      {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "bytes 4 to 8 belong to no tensor"},
      {"{\"w\":{" + good + "},\"v\":{" + good + "}}", "'v' overlaps another"},
      {"{\"w\":{" + good + "},\"w\":{" + good + "}}", "two tensors are named 'w'"},
      {"{\"__metadata__\":[],\"w\":{" + good + "}}", "__metadata__ is not an object"},
      {"{\"__metadata__\":{\"a\":1},\"w\":{" + good + "}}", "'a' in __metadata__ is not a text"},
      {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"},\"w\":{" + good + "}}", "__metadata__ has 'a' twice"},
      {"{\"__metadata__\":{},\"__metadata__\":{},\"w\":{" + good + "}}", "has __metadata__ twice"},
      {R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "has the byte 2", "\1\2"},
      {std::string(100000, '['), "nested more than 8 deep"},
  };
  put(file_with("{\"w\":{" + good + "}}", std::string(8, '\0')));
  EXPECT_EQ(Content(path()).tensors.size(), 1u);
  for (const Case& c : cases) {
    put(file_with(c.header, c.data));
    const std::string message = error_of([&] { Content{path()}; });
    EXPECT_NE(message.find(c.expected), std::string::npos)
        << c.header.substr(0, 200) << "\ngave: " << message;
    EXPECT_NE(message.find(path()), std::string::npos) << message;
  }
}

TEST_F(Safetensors, ATremendousHeaderLengthAllocatesNothing) {
  put("\xff\xff\xff\xff\xff\xff\xff\x7f{}"s);
  EXPECT_NE(error_of([&] { Content{path()}; }).find("header of 9223372036854775807 bytes"),
            std::string::npos);
}

TEST_F(Safetensors, WhatTheSystemRefusesKeepsItsNumberAndPath) {
  const auto code_of = [](const std::function<void()>& f, const std::string& path) {
    try {
      f();
    } catch (const OSError& error) {
      EXPECT_EQ(error.path, path);
      return error.code;
    }
    return 0;
  };
  const std::string missing = path("missing/weights"), folder = folder_;
  EXPECT_EQ(code_of([&] { SafetensorsFile{path()}; }, path()), ENOENT);
  EXPECT_EQ(code_of([&] { SafetensorsFile{folder}; }, folder), EISDIR);
  EXPECT_EQ(code_of([&] { write_safetensors(missing, {}); }, missing), ENOENT);
  EXPECT_EQ(code_of([&] { write_safetensors(folder, {}); }, folder), EISDIR);
  const std::string circle = path("circle");
  fs::create_symlink(circle, circle);
  EXPECT_EQ(code_of([&] { write_safetensors(circle, {}); }, circle), ELOOP);
  EXPECT_EQ(code_of([&] { SafetensorsFile{circle}; }, circle), ELOOP);
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(Safetensors, OnlyRegularFilesAreReadAndReplaced) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_NE(error_of([&] { Content{path()}; }).find("named pipe"), std::string::npos);
  EXPECT_NE(error_of([&] { write({}); }).find("named pipe"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(path()));
  EXPECT_EQ(files_in_folder(), 1u);
  EXPECT_NE(error_of([&] { Content{"/dev/zero"}; }).find("character device"), std::string::npos);
  EXPECT_NE(error_of([&] { Content{"a\0b"s}; }).find("null character"), std::string::npos);
}

// Every float16, against the definition: (-1)^s 2^(e-15) (1 + f/1024), and 2^-14 f/1024 for e = 0.
TEST_F(Safetensors, HalfPrecisionIsWidenedExactly) {
  std::string data;
  for (unsigned bits = 0; bits < 65536; ++bits)
    data += {static_cast<char>(bits & 0xFF), static_cast<char>(bits >> 8)};
  put(file_with(R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]},)"
                R"("b":{"dtype":"BF16","shape":[256,256],"data_offsets":[131072,262144]}})",
                data + data));
  const Content file(path());
  for (const std::size_t tensor : {0u, 1u}) {
    EXPECT_EQ(file.tensors[tensor].dtype(), DType::float32);
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      std::uint32_t wide;
      std::memcpy(&wide, &file.bytes[tensor][4 * bits], 4);
      if (tensor == 1) {
        ASSERT_EQ(wide, bits << 16);
        continue;
      }
      const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
      const float value = std::bit_cast<float>(wide);
      ASSERT_EQ(std::signbit(value), bits >> 15 == 1);
      if (exponent == 31 && fraction != 0) {
        ASSERT_TRUE(std::isnan(value)) << bits;
        continue;
      }
      const double magnitude = exponent == 31  ? std::numeric_limits<double>::infinity()
                               : exponent == 0 ? std::ldexp(fraction, -24)
                                               : std::ldexp(1024 + fraction, exponent - 25);
      ASSERT_EQ(std::fabs(value), magnitude) << bits;
    }
  }
}

TEST_F(Safetensors, LimitsOfAHeaderAreNamedErrors) {
  const auto refuses = [&](const std::string& header, const char* expected) {
    put(file_with(header));
    const std::string message = error_of([&] { Content{path()}; });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_LT(message.size(), 1000u);
  };
  const std::string entry = R"(:{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  std::string many = "{";
  for (int i = 0; i <= 65536; ++i) many += str("\"", i, "\"", entry, ",");
  many.back() = '}';
  refuses(many, "more than 65536 tensors");
  refuses("{\"" + std::string(65537, 'n') + "\"" + entry + "}", "65537 bytes; at most 65536");
  refuses("{\"" + std::string((1 << 23) + 2, 'n') + "\"" + entry + "}", "more than 8388608 bytes");
  refuses("{" + std::string(5000, ' ') + "}", "more than 1024 bytes of space");
  refuses("{\"w\":" + std::string(5000, '1') + "}", "more than 1024 bytes of space or of one number");
  refuses("{\"w\":{\"other\":" + std::string(100'000, '[') + "}}", "nested more than 8 deep");
  refuses("{\"w\":{\"shape\":[" + std::string("0,0,0,0,0,0,0,0,0") + "]}}", "more than the 8 dimensions");
  std::string texts = "{\"__metadata__\":{";
  for (int i = 0; i <= 65536; ++i) texts += str("\"", i, "\":\"\",");
  texts.back() = '}';
  refuses(texts + "}", "more than the 65536 texts");
}

TEST_F(Safetensors, FieldsOfOtherWritersArePassedOver) {
  put(file_with(
      R"({"w":{"dtype":"U8","note":{"a":[1,{"b":null}]},"shape":[1],"more":2.5,"data_offsets":[0,1]}})",
      "\x05"));
  const Content file(path());
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(file.bytes[0][0], std::byte{5});
}

TEST_F(Safetensors, AFailedWriteLeavesWhatWasThere) {
  put("what was there");
  const std::vector<float> two{1, 2};
  const NamedTensor w{"w", DType::float32, {2}, bytes_of(two)};
  const auto error_of_write = [&](std::vector<NamedTensor> tensors, Metadata metadata = {}) {
    return error_of([&] { write_safetensors(path(), tensors, metadata); });
  };
  EXPECT_NE(error_of_write({w, w}).find("two tensors are named 'w'"), std::string::npos);
  EXPECT_NE(error_of_write({{"", DType::float32, {2}, w.bytes}}).find("name is empty"), std::string::npos);
  EXPECT_NE(error_of_write({{"__metadata__", DType::float32, {2}, w.bytes}}).find("reserved"),
            std::string::npos);
  EXPECT_NE(error_of_write({{"v", DType::float32, {3}, w.bytes}})
                .find("'v' of shape (3,) and dtype float32 has 8 bytes"),
            std::string::npos);
  EXPECT_NE(error_of_write({{"a\0b"s, DType::float32, {2}, w.bytes}}).find("null character"),
            std::string::npos);
  EXPECT_NE(error_of_write({{std::string(65537, 'n'), DType::float32, {2}, w.bytes}}).find("longer than"),
            std::string::npos);
  EXPECT_NE(error_of_write({w}, {{"note", std::string((1 << 23) + 1, 'x')}}).find("8388608 bytes"),
            std::string::npos);
  EXPECT_NE(error_of_write({{"\xff", DType::float32, {2}, w.bytes}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(error_of_write({w}, {{"note", "\xff"}}).find("UTF-8"), std::string::npos);
  EXPECT_EQ(get(), "what was there");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(Safetensors, ReplacesAFile) {
  const std::vector<float> one{1}, two{2, 3};
  write({{"w", DType::float32, {1}, bytes_of(one)}});
  write({{"w", DType::float32, {2}, bytes_of(two)}});
  EXPECT_EQ(Content(path()).tensors[0].shape, Shape{2});
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(Safetensors, AReplacedFileKeepsItsModeAndALinkStays) {
  const auto mode = [&] {
    struct stat status;
    EXPECT_EQ(::stat(path().c_str(), &status), 0);
    return status.st_mode & 07777;
  };
  write({});
  for (const mode_t wanted : {0600u, 0640u, 0444u}) {
    ASSERT_EQ(::chmod(path().c_str(), wanted), 0);
    write({});
    EXPECT_EQ(mode(), wanted);
  }
  fs::create_directory(path("folder"));
  fs::create_symlink("../weights.safetensors", path("folder/relative"));
  fs::create_symlink(path("folder/relative"), path("folder/chain"));
  fs::create_symlink("new", path("folder/dangling"));
  const std::vector<float> two{2, 3};
  const NamedTensor w{"w", DType::float32, {2}, bytes_of(two)};
  write_safetensors(path("folder/chain"), std::span(&w, 1));
  EXPECT_EQ(Content(path()).tensors[0].shape, Shape{2});
  write_safetensors(path("folder/dangling"), std::span(&w, 1));
  EXPECT_TRUE(fs::is_regular_file(path("folder/new")));
  for (const char* link : {"folder/relative", "folder/chain", "folder/dangling"})
    EXPECT_TRUE(fs::is_symlink(path(link)));
}

TEST_F(Safetensors, TemporaryFilesOfDeadWritersAreRemoved) {
  const std::string dead = path(".ravine-0123456789abcdef.tmp"), alive = path(".ravine-fedcba9876543210.tmp");
  const std::string others[] = {path(".ravine-0123456789abcdef.tmp2"), path(".ravine-0123456789abcdeg.tmp"),
                                path("weights.safetensors.tmp1-0")};
  for (const std::string& name : {dead, alive, others[0], others[1], others[2]}) std::ofstream(name) << "x";
  const int lock = ::open(alive.c_str(), O_RDWR);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  write({});
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(alive));
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(name));
  ::close(lock);
  write({});
  EXPECT_FALSE(fs::exists(alive));
  EXPECT_EQ(files_in_folder(), 4u);
}

}  // namespace
}  // namespace ravine
