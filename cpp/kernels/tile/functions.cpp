// The table from (operation, types) to tile functions.
#include "kernels/tile/loops.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

template <class F, int arity>
TileFunction floating(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return map<F, float, arity>;
    case DType::float64:
      return map<F, double, arity>;
    default:
      return nullptr;
  }
}

template <class F, int arity>
TileFunction arithmetic(DType dtype) {
  switch (dtype) {
    case DType::int32:
      return map<F, std::int32_t, arity>;
    case DType::int64:
      return map<F, std::int64_t, arity>;
    case DType::uint8:
      return map<F, std::uint8_t, arity>;
    default:
      return floating<F, arity>(dtype);
  }
}

template <class F>
TileFunction comparison(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return compare<F, float>;
    case DType::float64:
      return compare<F, double>;
    case DType::int32:
      return compare<F, std::int32_t>;
    case DType::int64:
      return compare<F, std::int64_t>;
    case DType::uint8:
    case DType::boolean:
      return compare<F, std::uint8_t>;
  }
  return nullptr;
}

template <class F, int arity>
TileFunction logical(DType dtype) {
  switch (dtype) {
    case DType::int32:
      return map<F, std::int32_t, arity>;
    case DType::int64:
      return map<F, std::int64_t, arity>;
    case DType::uint8:
    case DType::boolean:
      return map<F, std::uint8_t, arity>;
    default:
      return nullptr;
  }
}

TileFunction where(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::int32:
      return choose<std::int32_t>;
    case DType::float64:
    case DType::int64:
      return choose<std::int64_t>;
    case DType::uint8:
    case DType::boolean:
      return choose<std::uint8_t>;
  }
  return nullptr;
}

template <class From>
TileFunction cast_from(DType to) {
  switch (to) {
    case DType::float32:
      return convert_elements<From, float, false>;
    case DType::float64:
      return convert_elements<From, double, false>;
    case DType::int32:
      return convert_elements<From, std::int32_t, false>;
    case DType::int64:
      return convert_elements<From, std::int64_t, false>;
    case DType::uint8:
      return convert_elements<From, std::uint8_t, false>;
    case DType::boolean:
      return convert_elements<From, std::uint8_t, true>;
  }
  return nullptr;
}

TileFunction cast(DType from, DType to) {
  switch (from) {
    case DType::float32:
      return cast_from<float>(to);
    case DType::float64:
      return cast_from<double>(to);
    case DType::int32:
      return cast_from<std::int32_t>(to);
    case DType::int64:
      return cast_from<std::int64_t>(to);
    case DType::uint8:
    case DType::boolean:
      return cast_from<std::uint8_t>(to);
  }
  return nullptr;
}

TileFunction random(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return uniform<float>;
    case DType::float64:
      return uniform<double>;
    default:
      return nullptr;
  }
}

TileFunction same_type(TileOp op, DType dtype) {
  switch (op) {
#define RAVINE_FLOAT_1(name) \
  case TileOp::name:         \
    return floating<formula::name, 1>(dtype);
#define RAVINE_FLOAT_2(name) \
  case TileOp::name:         \
    return floating<formula::name, 2>(dtype);
#define RAVINE_FLOAT_3(name) \
  case TileOp::name:         \
    return floating<formula::name, 3>(dtype);
#define RAVINE_ARITHMETIC_1(name) \
  case TileOp::name:              \
    return arithmetic<formula::name, 1>(dtype);
#define RAVINE_ARITHMETIC_2(name) \
  case TileOp::name:              \
    return arithmetic<formula::name, 2>(dtype);
#define RAVINE_ARITHMETIC_3(name) \
  case TileOp::name:              \
    return arithmetic<formula::name, 3>(dtype);
#define RAVINE_LOGICAL_2(name) \
  case TileOp::name:           \
    return logical<formula::name, 2>(dtype);
    RAVINE_UNARY_FLOAT_OPS(RAVINE_FLOAT_1)
    RAVINE_UNARY_ARITHMETIC_OPS(RAVINE_ARITHMETIC_1)
    RAVINE_CLIP_OPS(RAVINE_ARITHMETIC_1)
    RAVINE_BINARY_FLOAT_OPS(RAVINE_FLOAT_2)
    RAVINE_BINARY_ARITHMETIC_OPS(RAVINE_ARITHMETIC_2)
    RAVINE_TERNARY_FLOAT_OPS(RAVINE_FLOAT_3)
    RAVINE_TERNARY_OPS(RAVINE_ARITHMETIC_3)
    RAVINE_LOGICAL_OPS(RAVINE_LOGICAL_2)
#undef RAVINE_FLOAT_1
#undef RAVINE_FLOAT_2
#undef RAVINE_FLOAT_3
#undef RAVINE_ARITHMETIC_1
#undef RAVINE_ARITHMETIC_2
#undef RAVINE_ARITHMETIC_3
#undef RAVINE_LOGICAL_2
    case TileOp::logical_not:
      return dtype == DType::boolean ? map<formula::logical_not, std::uint8_t, 1> : nullptr;
    case TileOp::where:
      return where(dtype);
    case TileOp::uniform:
      return random(dtype);
    default:
      return nullptr;
  }
}

}  // namespace

TileFunction tile_function(TileOp op, DType dtype, DType result_dtype) {
  switch (op) {
#define RAVINE_COMPARE(name) \
  case TileOp::name:         \
    return result_dtype == DType::boolean ? comparison<formula::name>(dtype) : nullptr;
    RAVINE_COMPARE_OPS(RAVINE_COMPARE)
#undef RAVINE_COMPARE
    case TileOp::cast:
      return cast(dtype, result_dtype);
    case TileOp::identity:  // bool has no arithmetic, but copies as a byte
      if (dtype == DType::boolean && result_dtype == dtype) return map<formula::identity, std::uint8_t, 1>;
      [[fallthrough]];
    default:
      return dtype == result_dtype ? same_type(op, dtype) : nullptr;
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
