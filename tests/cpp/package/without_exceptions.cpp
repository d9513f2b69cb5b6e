// The interface without exceptions: what goes wrong is a result.
#include <ravine/ravine.h>

#include <cstdio>
#include <string>

int main() {
  const ravine::Model model([](const ravine::nn::Scope& scope, ravine::Tensor x) {
    return ravine::nn::linear(scope / "out", x, 2);
  });
  const float x[] = {1, 2, 3, 4, 5, 6};
  const ravine::View good[] = {ravine::view(x, {2, 3})}, bad[] = {ravine::view(x, {3, 2})};
  const auto predicted = model.try_predict(good);
  const auto refused = model.try_predict(bad);
  const ravine::Status unread = model.try_load_weights("/none");
  if (!predicted || (*predicted)[0].shape() != ravine::Shape{2, 2} || refused || unread) return 1;
  std::printf("%s\n%s\n", refused.error().c_str(), unread.error().c_str());
  const bool told = refused.error().find("'out.weight' is float32 (2, 3)") != std::string::npos &&
                    unread.error().find("No such file") != std::string::npos;
  return told ? 0 : 1;
}
