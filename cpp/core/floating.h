// From a floating dtype that is known when the program runs to code for its C++ type.
#pragma once

#include "core/dtype.h"

namespace ravine {

// body.template operator()<T>() for the dtype's C++ type T. Of a dtype that is not floating it raises
// TypeError. (Inlined always: kernels of several ISAs call it.)
template <class Body>
[[gnu::always_inline]] inline decltype(auto) with_floating(DType dtype, const char* where, Body&& body) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind)                                               \
  case DType::id:                                                                       \
    if constexpr (kind == DTypeKind::floating) return body.template operator()<Type>(); \
    else break;
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype(where, dtype);
}

}  // namespace ravine
