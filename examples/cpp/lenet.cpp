// LeNet-5 (LeCun et al. 1998) on Fashion-MNIST, from scratch and through the public headers alone:
//   lenet [FOLDER [EPOCHS [EXAMPLES]]]
// FOLDER holds the four IDX files, packed by gzip or not; by default Debian's package dataset-fashion-mnist.
#include <ravine/ravine.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace nn = ravine::nn;
using ravine::Tensor;

constexpr std::int64_t side = 28, pixels = side * side, classes = 10, batch_size = 128;

// The content of a file, or of the packed file beside it, which gzip unpacks.
std::vector<unsigned char> content(const std::string& path) {
  const bool packed = !std::filesystem::exists(path);
  const std::string command = "gzip -dc -- '" + path + ".gz'";
  std::FILE* file = packed ? popen(command.c_str(), "r") : std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("'" + path + "' cannot be opened");
  std::vector<unsigned char> bytes(1 << 26);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  if (packed) pclose(file);
  else std::fclose(file);
  return bytes;
}

// What follows the header of an IDX file of so many axes: `size` bytes for each example.
std::vector<unsigned char> read_idx(const std::string& path, int axes, std::int64_t size) {
  std::vector<unsigned char> bytes = content(path);
  const auto header = static_cast<std::size_t>(4 + 4 * axes);
  const auto examples = [&] {
    return std::int64_t{bytes[4]} << 24 | bytes[5] << 16 | bytes[6] << 8 | bytes[7];
  };
  if (bytes.size() < header || bytes[2] != 8 || bytes[3] != axes ||
      static_cast<std::int64_t>(bytes.size() - header) != examples() * size)
    throw std::runtime_error("'" + path + "' is no IDX file of this data");
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));
  return bytes;
}

struct Data {
  std::vector<float> images;  // [n, 1, 28, 28], in [-1, 1]
  std::vector<std::int64_t> labels;
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }

  Data(const std::string& folder, const std::string& part, std::int64_t most) {
    for (const unsigned char byte : read_idx(folder + "/" + part + "-images-idx3-ubyte", 3, pixels))
      images.push_back(static_cast<float>(byte) / 127.5f - 1);
    for (const unsigned char byte : read_idx(folder + "/" + part + "-labels-idx1-ubyte", 1, 1))
      labels.push_back(byte);
    labels.resize(static_cast<std::size_t>(std::min(most, size())));
    images.resize(static_cast<std::size_t>(size() * pixels));
  }
};

Tensor lenet(const nn::Scope& scope, Tensor x) {
  x = nn::max_pool2d(nn::relu(nn::conv2d(scope / "conv1", x, 6, {5, 5}, {.padding = {2, 2}})), {2, 2});
  x = nn::max_pool2d(nn::relu(nn::conv2d(scope / "conv2", x, 16, {5, 5})), {2, 2});
  x = nn::relu(nn::linear(scope / "fc1", ravine::ops::flatten(x), 120));
  x = nn::relu(nn::linear(scope / "fc2", x, 84));
  return nn::linear(scope / "fc3", x, classes);
}

double accuracy(const ravine::Model& model, const Data& data) {
  std::int64_t right = 0;
  for (std::int64_t begin = 0; begin < data.size(); begin += 1000) {
    const std::int64_t rows = std::min<std::int64_t>(1000, data.size() - begin);
    const ravine::Array logits =
        model.predict({ravine::view(data.images.data() + begin * pixels, {rows, 1, side, side})})[0];
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* row = logits.data<float>() + i * classes;
      right += std::max_element(row, row + classes) - row == data.labels[static_cast<std::size_t>(begin + i)];
    }
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

void train(const std::string& folder, int epochs, std::int64_t examples) {
  const Data training(folder, "train", examples), test(folder, "t10k", examples);
  const std::int64_t batches = training.size() / batch_size;
  const ravine::Model model(lenet, {.seed = 1});
  const ravine::TrainStep step(
      model, [](Tensor logits, Tensor labels) { return ravine::loss::cross_entropy(logits, labels); },
      ravine::optim::adam({.lr = ravine::schedules::cosine(2e-3, epochs * batches)}));

  ravine::Generator random(1);
  std::vector<float> x(static_cast<std::size_t>(batch_size * pixels));
  std::vector<std::int64_t> y(static_cast<std::size_t>(batch_size));
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    const std::vector<std::int64_t> order = random.permutation(training.size());
    double total = 0;
    for (std::int64_t batch = 0; batch < batches; ++batch) {
      for (std::int64_t i = 0; i < batch_size; ++i) {
        const std::int64_t example = order[static_cast<std::size_t>(batch * batch_size + i)];
        std::copy_n(training.images.begin() + example * pixels, pixels, x.begin() + i * pixels);
        y[static_cast<std::size_t>(i)] = training.labels[static_cast<std::size_t>(example)];
      }
      total += step({ravine::view(x, {batch_size, 1, side, side}), ravine::view(y)});
    }
    std::printf("epoch %d: loss %.4f, test accuracy %.4f\n", epoch, total / static_cast<double>(batches),
                accuracy(model, test));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string folder = argc > 1 ? argv[1] : "/usr/share/datasets/fashion-mnist";
    train(folder, argc > 2 ? std::atoi(argv[2]) : 5, argc > 3 ? std::atoll(argv[3]) : 60000);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lenet: %s\n", error.what());
    return 1;
  }
}
