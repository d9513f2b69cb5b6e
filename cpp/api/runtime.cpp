#include "api/access.h"

namespace ravine::v1 {

int num_threads() { return ravine::num_threads(); }
void set_num_threads(int threads) { ravine::set_num_threads(threads); }
void set_executor(Executor executor) { ravine::set_executor(std::move(executor)); }

const char* version() { return RAVINE_VERSION; }
const char* instruction_set() { return active_kernels().isa; }

}  // namespace ravine::v1
