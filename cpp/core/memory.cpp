#include "core/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ravine {
namespace {

constexpr std::size_t line = 64, huge_page = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes, std::size_t unit) {
  return std::max(unit, (bytes + unit - 1) / unit * unit);
}

SharedBytes from_heap(std::size_t bytes) {
  const std::align_val_t alignment{line};
  auto* memory = static_cast<std::byte*>(::operator new[](rounded(bytes, line), alignment));
  return SharedBytes(memory, [alignment](std::byte* pointer) { ::operator delete[](pointer, alignment); });
}

#if defined(__linux__)
// Large memory comes from the system, and goes back to it at once: a heap would keep what a dropped program
// leaves, in pieces that the next one, a little larger, does not fit into. And it comes in huge pages: a
// matrix's rows then share the few pages that the processor keeps translations of, and its first use faults
// once in 2 MiB. It is all 0.
bool is_large(std::size_t bytes) { return bytes >= 2 * huge_page; }

SharedBytes from_system(std::size_t bytes) {
  const std::size_t size = rounded(bytes, huge_page), mapped = size + huge_page;
  void* const base = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  auto* const begin = static_cast<std::byte*>(base);
  const std::size_t before = (huge_page - reinterpret_cast<std::uintptr_t>(base) % huge_page) % huge_page;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + size, huge_page - before);
  std::byte* const memory = begin + before;
  ::madvise(memory, size, MADV_HUGEPAGE);  // advice: a refusal changes nothing
  return SharedBytes(memory, [size](std::byte* pointer) { ::munmap(pointer, size); });
}
#else
bool is_large(std::size_t) { return false; }
SharedBytes from_system(std::size_t bytes) { return from_heap(bytes); }
#endif

}  // namespace

SharedBytes reserve_bytes(std::size_t bytes) {
  return is_large(bytes) ? from_system(bytes) : from_heap(bytes);
}

SharedBytes allocate_bytes(std::size_t bytes) {
  SharedBytes memory = reserve_bytes(bytes);
  if (!is_large(bytes)) std::memset(memory.get(), 0, bytes);
  return memory;
}

}  // namespace ravine
