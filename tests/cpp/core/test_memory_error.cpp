#include "core/memory_error.h"

#include <gtest/gtest.h>

#include <string>

#include "core/array.h"

namespace ravine {
namespace {

TEST(ByteCount, TakesTheUnitThatFits) {
  EXPECT_EQ(byte_count(0), "0 B");
  EXPECT_EQ(byte_count(1023), "1023 B");
  EXPECT_EQ(byte_count(1024), "1.0 KiB");
  EXPECT_EQ(byte_count(std::size_t{1536} << 10), "1.5 MiB");
  EXPECT_EQ(byte_count(std::size_t{5} << 29), "2.5 GiB");
  EXPECT_EQ(byte_count(std::size_t{1} << 50), "1048576.0 GiB");
}

// The sanitizers' operator new ends the process instead of throwing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(MemoryError, SaysHowMuchIsNeededForWhat) {
  try {
    const Array array(DType::float32, Shape{std::int64_t{1} << 58});
    FAIL();
  } catch (const MemoryError& error) {
    EXPECT_EQ(std::string(error.what()),
              "out of memory: an array float32 of shape (288230376151711744,) needs 1073741824.0 GiB");
  }
}
#endif

}  // namespace
}  // namespace ravine
