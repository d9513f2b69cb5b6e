#include "core/memory.h"

#include <algorithm>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ravine {
namespace {

// Large memory in huge pages: a matrix's rows then share the few pages that the processor keeps translations
// of, and its first use faults once in 2 MiB.
constexpr std::size_t huge_page = std::size_t{2} << 20;
std::size_t unit_of(std::size_t bytes) { return bytes >= 2 * huge_page ? huge_page : 64; }

}  // namespace

SharedBytes reserve_bytes(std::size_t bytes) {
  const std::size_t unit = unit_of(bytes),
                    rounded = std::max<std::size_t>(64, (bytes + unit - 1) / unit * unit);
  const std::align_val_t alignment{unit};
  auto* memory = static_cast<std::byte*>(::operator new[](rounded, alignment));
#if defined(__linux__)
  if (unit == huge_page) ::madvise(memory, rounded, MADV_HUGEPAGE);  // advice: a refusal changes nothing
#endif
  return SharedBytes(memory, [alignment](std::byte* pointer) { ::operator delete[](pointer, alignment); });
}

SharedBytes allocate_bytes(std::size_t bytes) {
  SharedBytes memory = reserve_bytes(bytes);
  std::memset(memory.get(), 0, bytes);
  return memory;
}

}  // namespace ravine
