// Goes on with a training that began in Python: step.ravine out.ravine
#include <ravine/ravine.h>

#include <cstdio>
#include <vector>

int main(int, char** argv) {
  ravine::TrainStep step = ravine::TrainStep::load(argv[1]);
  std::vector<float> x(50 * 64, 0.5f);
  std::vector<std::int64_t> y(50, 3);
  for (int i = 0; i < 5; ++i)
    std::printf("%.9g\n", step({ravine::view(x.data(), {50, 64}), ravine::view(y.data(), {50})}));
  std::vector<ravine::Array> out = step.model().predict({ravine::view(x.data(), {50, 64})});
  std::printf("%.9g\n", out[0].data<float>()[0]);
  step.save(argv[2]);  // rv.load_step(out.ravine) goes on from here
}
