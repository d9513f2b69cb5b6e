// Fits y = 3 x - 1 by gradient descent: the library as another project sees it.
#include <cstdio>
#include <memory>

#include "graph/autodiff.h"
#include "graph/program.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "optim/optimizer.h"
#include "rules/op_table.h"

int main() {
  using namespace ravine;
  const Array slope = Array::scalar(0, DType::float32), offset = Array::scalar(0, DType::float32);
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {4}}), y = graph.input({DType::float32, {4}});
  const Values parameters{graph.state(slope), graph.state(offset)};
  const Value loss = ops::mean(ops::square(x * parameters[0] + parameters[1] - y));
  const auto sgd = std::make_shared<optim::Optimizer>("sgd", std::vector{slope, offset},
                                                      optim::Optimizer::Settings{{"lr", 0.1}});
  optim::optimizer_step(graph, sgd, gradients(loss, parameters));
  const auto step = compile(graph, std::span(&loss, 1));
  const float xs[] = {-1, 0, 1, 2}, ys[] = {-4, -1, 2, 5};
  const void* inputs[] = {xs, ys};
  float now = 0;
  void* outputs[] = {&now};
  for (int i = 0; i < 200; ++i) step->run(inputs, outputs);
  std::printf("loss %g, slope %g, offset %g\n", now, *slope.as<float>(), *offset.as<float>());
  return now < 1e-6f ? 0 : 1;
}
