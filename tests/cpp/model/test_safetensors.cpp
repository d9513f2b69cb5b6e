#include "model/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

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
  const TensorFile file = read_safetensors(path());
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(file.tensors[i].bytes, tensors[i].bytes)) << tensors[i].name;
    EXPECT_EQ((file.tensors[i].bytes.data() - file.data.get()) %
                  static_cast<std::ptrdiff_t>(size_of(tensors[i].dtype)),
              0);
  }
  EXPECT_EQ(files_in_folder(), 1u);
  std::uint64_t header_bytes;
  std::memcpy(&header_bytes, get().data(), 8);
  EXPECT_EQ(header_bytes % 8, 0u);  // so the data begins aligned
}

TEST_F(Safetensors, NothingIsAFileToo) {
  write_safetensors(path(), {});
  EXPECT_TRUE(read_safetensors(path()).tensors.empty());
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
  const TensorFile file = read_safetensors(path());
  EXPECT_EQ(file.metadata, (Metadata{{"made by", "ümlaut"}}));
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(file.tensors[0].name, "step");
  EXPECT_EQ(file.tensors[0].shape, Shape{});
  EXPECT_EQ(file.tensors[1].name, "weight");
  EXPECT_EQ(file.tensors[1].shape, (Shape{2, 3}));
  EXPECT_TRUE(std::ranges::equal(file.tensors[1].bytes, bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(file.tensors[2].dtype, DType::boolean);
  EXPECT_TRUE(std::ranges::equal(file.tensors[2].bytes, bytes_of(std::vector<std::uint8_t>{1, 0, 1})));
}

TEST_F(Safetensors, EveryTruncationIsAnError) {
  const std::vector<float> weight{1, 2, 3};
  write({{"w", DType::float32, {3}, bytes_of(weight)}});
  const std::string whole = get();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    EXPECT_THROW(read_safetensors(path()), ValueError) << length << " bytes";
  }
  put(whole + "x");
  EXPECT_THROW(read_safetensors(path()), ValueError);
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
      {R"({"w":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}})", "'w' has dtype \"BF16\""},
      {R"({"w":{"dtype":4,"shape":[4],"data_offsets":[0,8]}})", "'w' has dtype 4"},
      {R"({"w":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "shape that is not a list"},
      {R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
       "non-negative integers"},
      {R"({"w":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})", "9 dimensions"},
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
      {"{\"__metadata__\":{\"a\":1},\"w\":{" + good + "}}", "'a' in __metadata__ is not a string"},
      {R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "has the byte 2", "\1\2"},
      {std::string(100000, '['), "not JSON"},
  };
  put(file_with("{\"w\":{" + good + "}}", std::string(8, '\0')));
  EXPECT_EQ(read_safetensors(path()).tensors.size(), 1u);
  for (const Case& c : cases) {
    put(file_with(c.header, c.data));
    const std::string message = error_of([&] { read_safetensors(path()); });
    EXPECT_NE(message.find(c.expected), std::string::npos)
        << c.header.substr(0, 200) << "\ngave: " << message;
    EXPECT_NE(message.find(path()), std::string::npos) << message;
  }
}

TEST_F(Safetensors, ATremendousHeaderLengthAllocatesNothing) {
  put("\xff\xff\xff\xff\xff\xff\xff\x7f{}"s);
  EXPECT_NE(error_of([&] { read_safetensors(path()); }).find("header of 9223372036854775807 bytes"),
            std::string::npos);
}

TEST_F(Safetensors, MissingFilesAndFolders) {
  EXPECT_THROW(read_safetensors(path()), FileNotFoundError);
  EXPECT_THROW(read_safetensors(folder_), ValueError);
  EXPECT_THROW(write_safetensors(path("missing/weights"), {}), FileNotFoundError);
  EXPECT_EQ(files_in_folder(), 0u);
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
  EXPECT_NE(error_of_write({{"\xff", DType::float32, {2}, w.bytes}}).find("UTF-8"), std::string::npos);
  EXPECT_NE(error_of_write({w}, {{"note", "\xff"}}).find("UTF-8"), std::string::npos);
  EXPECT_EQ(get(), "what was there");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(Safetensors, ARefusedRenameLeavesNoTemporaryFile) {
  fs::create_directories(path("folder/inside"));
  const std::vector<float> one{1};
  const std::vector<NamedTensor> tensors{{"w", DType::float32, {1}, bytes_of(one)}};
  EXPECT_THROW(write_safetensors(path("folder"), tensors), RuntimeError);
  EXPECT_TRUE(fs::is_directory(path("folder/inside")));
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(Safetensors, ReplacesAFile) {
  const std::vector<float> one{1}, two{2, 3};
  write({{"w", DType::float32, {1}, bytes_of(one)}});
  write({{"w", DType::float32, {2}, bytes_of(two)}});
  EXPECT_EQ(read_safetensors(path()).tensors[0].shape, Shape{2});
  EXPECT_EQ(files_in_folder(), 1u);
}

}  // namespace
}  // namespace ravine
