// The element types a tensor may have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ravine {

// All that is known of them. X(enumerator, name, C++ type, kind)
#define RAVINE_DTYPES(X)                              \
  X(float32, "float32", float, DTypeKind::floating)   \
  X(float64, "float64", double, DTypeKind::floating)  \
  X(int32, "int32", std::int32_t, DTypeKind::integer) \
  X(int64, "int64", std::int64_t, DTypeKind::integer) \
  X(uint8, "uint8", std::uint8_t, DTypeKind::integer) \
  X(boolean, "bool", bool, DTypeKind::boolean)

enum class DTypeKind : std::uint8_t { floating, integer, boolean };

enum class DType : std::uint8_t {
#define RAVINE_ENUMERATOR(id, name, Type, kind) id,
  RAVINE_DTYPES(RAVINE_ENUMERATOR)
#undef RAVINE_ENUMERATOR
};

// TypeError: `where` got this dtype, which it does not have.
[[noreturn]] void unsupported_dtype(const char* where, DType dtype);

// Of a number that is no dtype they raise TypeError. (Inlined always: kernels of several ISAs call them.)
[[gnu::always_inline]] constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    return sizeof(Type);
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype("size_of", dtype);
}

[[gnu::always_inline]] constexpr const char* name_of(DType dtype) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    return name;
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype("name_of", dtype);
}

[[gnu::always_inline]] constexpr DTypeKind kind_of(DType dtype) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    return kind;
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype("kind_of", dtype);
}

constexpr bool is_floating(DType dtype) { return kind_of(dtype) == DTypeKind::floating; }
constexpr bool is_integer(DType dtype) { return kind_of(dtype) == DTypeKind::integer; }

inline constexpr DType all_dtypes[] = {
#define RAVINE_ELEMENT(id, name, Type, kind) DType::id,
    RAVINE_DTYPES(RAVINE_ELEMENT)
#undef RAVINE_ELEMENT
};

// The C++ type's DType: dtype_of<float> == DType::float32. Other types have none.
template <class T>
struct DTypeOf;
#define RAVINE_TYPE(id, name, Type, kind)     \
  template <>                                 \
  struct DTypeOf<Type> {                      \
    static constexpr DType value = DType::id; \
  };
RAVINE_DTYPES(RAVINE_TYPE)
#undef RAVINE_TYPE
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace ravine
