// Ravine trains and serves neural networks on CPUs. This header is the whole C++ interface; see
// docs/embedding.md, and ravine/c.h for C and other languages.
#pragma once

#include "ravine/array.h"     // IWYU pragma: export
#include "ravine/error.h"     // IWYU pragma: export
#include "ravine/init.h"      // IWYU pragma: export
#include "ravine/loss.h"      // IWYU pragma: export
#include "ravine/model.h"     // IWYU pragma: export
#include "ravine/nn.h"        // IWYU pragma: export
#include "ravine/optim.h"     // IWYU pragma: export
#include "ravine/random.h"    // IWYU pragma: export
#include "ravine/runtime.h"   // IWYU pragma: export
#include "ravine/schedule.h"  // IWYU pragma: export
#include "ravine/tensor.h"    // IWYU pragma: export
#include "ravine/train.h"     // IWYU pragma: export
