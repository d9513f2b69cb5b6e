// Fits y = 3 x - 1 by gradient descent: the library as another project sees it.
#include <ravine/ravine.h>

#include <cstdio>

int main() {
  const ravine::Model line([](const ravine::nn::Scope& scope, ravine::Tensor x) {
    return x * scope.parameter("slope", {}, ravine::init::zeros()) +
           scope.parameter("offset", {}, ravine::init::zeros());
  });
  const ravine::TrainStep step(
      line, [](ravine::Tensor y, ravine::Tensor target) { return ravine::loss::mse(y, target); },
      ravine::optim::sgd({.lr = 0.1}));
  const float xs[] = {-1, 0, 1, 2}, ys[] = {-4, -1, 2, 5};
  double loss = 0;
  for (int i = 0; i < 200; ++i) loss = step({ravine::view(xs), ravine::view(ys)});
  const ravine::StateDict state = line.state_dict();
  std::printf("loss %g, slope %g, offset %g\n", loss, static_cast<double>(state.at("slope").data<float>()[0]),
              static_cast<double>(state.at("offset").data<float>()[0]));
  return loss < 1e-6 ? 0 : 1;
}
