#include <algorithm>
#include <memory>

#include "api/access.h"

// After the engine's.
#include "ravine/c.h"

struct ravine_model {
  ravine::v1::Model model;
};
struct ravine_step {
  ravine::v1::TrainStep step;
};
struct ravine_arrays {
  std::vector<ravine::v1::Array> arrays;
};

namespace ravine::v1 {
namespace {

thread_local std::string last_error;

// Runs a function; what it throws becomes the last error, and `otherwise` is returned.
template <class T, class Function>
T guarded(T otherwise, Function&& function) noexcept {
  try {
    return function();
  } catch (const std::exception& error) {
    try {
      last_error = error.what();
    } catch (...) {
      last_error.clear();  // no memory for the message
    }
  } catch (...) {
    last_error.clear();
  }
  return otherwise;
}

template <class T>
const T& given(const T* pointer, const char* what) {
  check<ValueError>(pointer != nullptr, what, " is NULL");
  return *pointer;
}

std::vector<View> views(const ravine_tensor* tensors, std::size_t count) {
  check<ValueError>(tensors != nullptr || count == 0, "the tensors are NULL");
  std::vector<View> result;
  for (const ravine_tensor& tensor : std::span(tensors, count)) {
    check<ValueError>(tensor.rank >= 0 && (tensor.rank == 0 || tensor.shape != nullptr), "tensor ",
                      result.size(), ": got rank ", tensor.rank,
                      tensor.shape == nullptr ? " and no shape" : "");
    check<TypeError>(tensor.dtype >= RAVINE_FLOAT32 && tensor.dtype <= RAVINE_BOOL, "tensor ", result.size(),
                     ": ", tensor.dtype, " is no dtype");
    result.emplace_back(tensor.data, static_cast<DType>(tensor.dtype),
                        Shape(std::span(tensor.shape, static_cast<std::size_t>(tensor.rank))));
  }
  return result;
}

}  // namespace
}  // namespace ravine::v1

using namespace ravine::v1;

extern "C" {

const char* ravine_version(void) { return ravine::v1::version(); }

const char* ravine_last_error(void) { return last_error.c_str(); }

int ravine_set_num_threads(int threads) {
  return guarded(1, [&] {
    ravine::v1::set_num_threads(threads);
    return 0;
  });
}

ravine_model* ravine_model_load(const char* path) {
  return guarded<ravine_model*>(nullptr,
                                [&] { return new ravine_model{Model::load(&given(path, "the path"))}; });
}

ravine_arrays* ravine_model_predict(const ravine_model* model, const ravine_tensor* inputs, size_t n_inputs) {
  return guarded<ravine_arrays*>(nullptr, [&] {
    return new ravine_arrays{given(model, "the model").model.predict(views(inputs, n_inputs))};
  });
}

int ravine_model_predict_into(const ravine_model* model, const ravine_tensor* inputs, size_t n_inputs,
                              void* const* outputs, const size_t* sizes, size_t n_outputs) {
  return guarded(1, [&] {
    ravine::check<ravine::ValueError>((outputs != nullptr && sizes != nullptr) || n_outputs == 0,
                                      "the outputs are NULL");
    std::vector<std::span<std::byte>> memory;
    for (std::size_t i = 0; i < n_outputs; ++i)
      memory.emplace_back(static_cast<std::byte*>(outputs[i]), sizes[i]);
    given(model, "the model").model.predict_into(views(inputs, n_inputs), memory);
    return 0;
  });
}

void ravine_model_free(ravine_model* model) { delete model; }

size_t ravine_arrays_count(const ravine_arrays* arrays) {
  return arrays == nullptr ? 0 : arrays->arrays.size();
}

ravine_tensor ravine_arrays_get(const ravine_arrays* arrays, size_t index) {
  if (index >= ravine_arrays_count(arrays)) return {};
  const Array& array = arrays->arrays[index];
  return {array.data(), array.shape().begin(), array.shape().rank(),
          static_cast<std::int32_t>(array.dtype())};
}

void ravine_arrays_free(ravine_arrays* arrays) { delete arrays; }

ravine_step* ravine_step_load(const char* path) {
  return guarded<ravine_step*>(nullptr,
                               [&] { return new ravine_step{TrainStep::load(&given(path, "the path"))}; });
}

int ravine_step_train(ravine_step* step, const ravine_tensor* batch, size_t n_arrays, double* loss) {
  return guarded(1, [&] {
    const double value = given(step, "the step").step(views(batch, n_arrays));
    if (loss != nullptr) *loss = value;
    return 0;
  });
}

ravine_model* ravine_step_model(const ravine_step* step) {
  return guarded<ravine_model*>(nullptr,
                                [&] { return new ravine_model{given(step, "the step").step.model()}; });
}

int ravine_step_save(const ravine_step* step, const char* path) {
  return guarded(1, [&] {
    given(step, "the step").step.save(&given(path, "the path"));
    return 0;
  });
}

void ravine_step_free(ravine_step* step) { delete step; }

}  // extern "C"
