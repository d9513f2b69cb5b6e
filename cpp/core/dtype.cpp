#include "core/dtype.h"

#include "core/error.h"

namespace ravine {

void unsupported_dtype(const char* where, DType dtype) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    fail<TypeError>(where, ": dtype " name " is not supported here");
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  fail<TypeError>(where, ": unknown dtype number ", static_cast<int>(dtype));
}

}  // namespace ravine
