// Memory that there is not: how much was asked for, and for what.
#pragma once

#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace ravine {

// A number of bytes for people: "512 B", "1.5 KiB", "38.1 MiB", "2.3 GiB".
std::string byte_count(std::size_t bytes);

// Becomes Python's MemoryError. Copies do not throw, as is asked of exceptions.
class MemoryError : public std::bad_alloc {
 public:
  MemoryError(std::size_t bytes, const std::string& what);
  const char* what() const noexcept override { return message_.what(); }

 private:
  std::runtime_error message_;
};

// allocate(), whose std::bad_alloc becomes a MemoryError of so many bytes for what(), a text that is made
// only then.
template <class What, class Allocate>
decltype(auto) with_memory(std::size_t bytes, What&& what, Allocate&& allocate) {
  try {
    return std::forward<Allocate>(allocate)();
  } catch (const std::bad_alloc&) {
    throw MemoryError(bytes, std::forward<What>(what)());
  }
}

}  // namespace ravine
