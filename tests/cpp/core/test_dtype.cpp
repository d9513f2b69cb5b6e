// The table of dtypes: each has its numbers, and what is none is an error everywhere.
#include "core/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <type_traits>
#include <vector>

#include "core/array.h"
#include "core/error.h"
#include "core/floating.h"
#include "dispatch/dispatch.h"
#include "graph/attrs.h"

namespace ravine::testing {
namespace {

const auto unknown = static_cast<DType>(std::size(all_dtypes));

template <class Function>
std::string type_error_of(Function function) {
  try {
    function();
  } catch (const TypeError& error) {
    return error.what();
  }
  return "no TypeError";
}

TEST(DType, EveryOneHasItsNumbers) {
  struct Row {
    const char* name;
    std::size_t bytes;
    DTypeKind kind;
  };
  const Row rows[] = {{"float32", 4, DTypeKind::floating}, {"float64", 8, DTypeKind::floating},
                      {"int32", 4, DTypeKind::integer},    {"int64", 8, DTypeKind::integer},
                      {"uint8", 1, DTypeKind::integer},    {"bool", 1, DTypeKind::boolean}};
  ASSERT_EQ(std::size(rows), std::size(all_dtypes));
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    const DType dtype = all_dtypes[i];
    EXPECT_STREQ(name_of(dtype), rows[i].name);
    EXPECT_EQ(size_of(dtype), rows[i].bytes);
    EXPECT_EQ(kind_of(dtype), rows[i].kind);
    EXPECT_EQ(parse_dtype(rows[i].name), dtype);
    EXPECT_EQ(Array::scalar(1, dtype).bytes(), rows[i].bytes);
  }
  EXPECT_EQ(dtype_of<std::uint8_t>, DType::uint8);
  EXPECT_EQ(dtype_of<float>, DType::float32);
}

TEST(DType, WithFloatingCallsForItsTypeOnly) {
  const auto size = []<class T>() { return std::is_floating_point_v<T> ? sizeof(T) : 0; };
  EXPECT_EQ(with_floating(DType::float32, "here", size), 4U);
  EXPECT_EQ(with_floating(DType::float64, "here", size), 8U);
  for (const DType other : {DType::int32, DType::int64, DType::uint8, DType::boolean})
    EXPECT_EQ(type_error_of([&] { with_floating(other, "here", size); }),
              std::string("here: dtype ") + name_of(other) + " is not supported here");
  EXPECT_EQ(type_error_of([&] { with_floating(unknown, "here", size); }), "here: unknown dtype number 6");
}

TEST(DType, AnUnknownOneIsAnError) {
  const std::string number = "unknown dtype number 6";
  EXPECT_NE(type_error_of([] { (void)size_of(unknown); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { (void)name_of(unknown); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { (void)is_floating(unknown); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { (void)is_integer(unknown); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { Array(unknown, Shape{2}); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { Array::scalar(1, unknown); }).find(number), std::string::npos);
  EXPECT_NE(type_error_of([] { (void)active_kernels().of(unknown); }).find(number), std::string::npos);
}

TEST(DType, KernelsOfFloatingDtypesAreNotThoseOfAnother) {
  EXPECT_EQ(type_error_of([] { (void)active_kernels().of(DType::int32); }),
            "kernels of floating dtypes: dtype int32 is not supported here");
  EXPECT_EQ(&active_kernels().of(DType::float64), &active_kernels().float64);
}

#if defined(RAVINE_X86_64) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
// The compiler's own word for all that -march=x86-64-v3 and -v4 let it emit.
TEST(Dispatch, ChoosesAnInstructionSetByAllItsFeatures) {
  const std::vector<std::string> supported = supported_isas();
  const auto has = [&](const char* isa) {
    return std::find(supported.begin(), supported.end(), isa) != supported.end();
  };
  EXPECT_EQ(has("x86-64-v3"), __builtin_cpu_supports("x86-64-v3") != 0);
  EXPECT_EQ(has("x86-64-v4"), __builtin_cpu_supports("x86-64-v4") != 0);
}
#endif

}  // namespace
}  // namespace ravine::testing
