#include "bindings/bindings.h"

PYBIND11_MODULE(_core, module) {
  using namespace ravine::bindings;
  module.doc() = "Ravine's engine: graphs, programs, kernels. The package `ravine` is its public face.";
  module.attr("__version__") = RAVINE_VERSION;
  bind_errors(module);
  bind_lock(module);
  bind_watch(module);
  bind_calls(module);
  bind_runtime(module);
  bind_array(module);
  bind_augment(module);
  bind_random(module);
  bind_optim(module);
  bind_minimize(module);
  bind_graph(module);
  bind_train(module);
  bind_program(module);
  bind_model(module);
  bind_exported(module);
}
