// Trains models through the public headers and prints the bits of losses, of all parameters and of a
// prediction. A test of the Python package trains the same and compares.
#include <ravine/ravine.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

namespace nn = ravine::nn;
namespace optim = ravine::optim;
using ravine::Tensor;

constexpr int n_steps = 6;
constexpr std::int64_t n_rows = 12;

// Numbers that both languages make without rounding.
template <class T>
std::vector<T> numbers(std::int64_t count, std::int64_t turn) {
  std::vector<T> result;
  for (std::int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<T>((i * 37 + turn * 101) % 64 - 31) / T{16});
  return result;
}

// None for a model that is no classifier.
std::vector<std::int64_t> labels(std::int64_t classes, std::int64_t turn) {
  std::vector<std::int64_t> result;
  for (std::int64_t i = 0; classes > 0 && i < n_rows; ++i) result.push_back((i * 7 + turn * 3) % classes);
  return result;
}

void print(const std::string& name, const ravine::Array& array) {
  std::printf("%s ", name.c_str());
  const auto* bytes = static_cast<const unsigned char*>(array.data());
  for (std::size_t i = 0; i < array.bytes(); ++i) std::printf("%02x", static_cast<unsigned>(bytes[i]));
  std::printf("\n");
}

template <class T>
void run(const char* name, const ravine::TrainStep& step, const ravine::Shape& shape, std::int64_t classes) {
  std::printf("%s\n", name);
  const std::vector<T> targets = numbers<T>(n_rows * 2, 5);
  for (int turn = 0; turn < n_steps; ++turn) {
    const std::vector<T> x = numbers<T>(shape.size(), turn);
    const std::vector<std::int64_t> y = labels(classes, turn);
    const ravine::View target = classes > 0 ? ravine::view(y) : ravine::view(targets, {n_rows, 2});
    const double loss = step({ravine::view(x, shape), target});
    std::printf("loss %a\n", loss);
  }
  for (const auto& [key, array] : step.model().state_dict()) print(key, array);
  const std::vector<T> x = numbers<T>(shape.size(), 99);
  print("output", step.model().predict({ravine::view(x, shape)})[0]);
  std::printf("\n");
}

Tensor convolutional(const nn::Scope& scope, Tensor x) {
  x = nn::conv2d(scope / "0", x, 6, {3, 3}, {.padding = {1, 1}, .bias = false});
  x = nn::relu(nn::batch_norm(scope / "1", x));
  x = nn::conv2d(scope / "4", nn::max_pool2d(x, {2, 2}), 8, {3, 3});
  x = nn::dropout2d(scope, nn::group_norm(scope / "6", nn::silu(x), 4), 0.2);
  x = nn::dropout(scope, ravine::ops::flatten(x), 0.3);
  return nn::linear(scope / "10", x, 10);
}

Tensor perceptron(const nn::Scope& scope, Tensor x) {
  x = nn::gelu(nn::layer_norm(scope / "1", nn::linear(scope / "0", x, 24)));
  x = nn::tanh(nn::rms_norm(scope / "4", nn::linear(scope / "3", x, 16, {.bias = false}), 1, {.eps = 1e-6}));
  return nn::linear(scope / "6", x, 2, {.weight_init = ravine::init::orthogonal(0.5)});
}

ravine::Loss smoothed(Tensor output, Tensor target) {
  return ravine::loss::cross_entropy(output, target, {.label_smoothing = 0.1});
}

}  // namespace

int main() {
  run<float>("convolutional",
             ravine::TrainStep(ravine::Model(convolutional, {.seed = 11}), smoothed,
                               optim::adam({.lr = ravine::schedules::cosine(0.01, 100)}).clip_global_norm(1)),
             {n_rows, 2, 12, 12}, 10);
  const ravine::ModelOptions in_double{.seed = 12, .dtype = ravine::DType::float64};
  run<double>("perceptron",
              ravine::TrainStep(
                  ravine::Model(perceptron, in_double),
                  [](Tensor a, Tensor b) { return ravine::loss::huber(a, b, 0.5); },
                  optim::sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true}).accumulate(2)),
              {n_rows, 5}, 0);
}
