#include "ops/list.h"

namespace ravine {
namespace {

const Op* const list[] = {
#define RAVINE_ROW(name) &name##_op,
    RAVINE_OP_LIST(RAVINE_ROW)
#undef RAVINE_ROW
};

}  // namespace

std::span<const Op* const> all_ops() { return list; }

}  // namespace ravine
