// The named constants of a node: strides, axes, an epsilon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace ravine {

using Attr = std::variant<bool, std::int64_t, double, std::string, Dims, DType>;

// A small map ordered by name. Readers say the type that they need: an integer serves where a real number is
// read, a number of 0 or 1 where a bool is, a dtype's name where a DType is. TypeError or KeyError otherwise.
class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, Attr>> entries);

  void set(std::string_view name, Attr value);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  void check_known(const char* operation,
                   std::initializer_list<std::string_view> known) const;  // TypeError on others

  bool flag(std::string_view name, bool otherwise) const;
  std::int64_t integer(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double real(std::string_view name) const;
  double real(std::string_view name, double otherwise) const;
  Dims dims(std::string_view name) const;
  Dims dims(std::string_view name, const Dims& otherwise) const;
  DType dtype(std::string_view name) const;

  bool operator==(const Attrs& other) const = default;
  std::size_t hash() const;       // equal for equal attributes
  std::string to_string() const;  // "stride=(1, 1), groups=1"
  const std::vector<std::pair<std::string, Attr>>& entries() const { return entries_; }

 private:
  const Attr* find(std::string_view name) const;
  const Attr& at(std::string_view name) const;
  std::vector<std::pair<std::string, Attr>> entries_;
};

DType parse_dtype(std::string_view name);  // TypeError on an unknown name

}  // namespace ravine
