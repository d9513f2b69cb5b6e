// Softmax and cross-entropy, float32, beside a plain loop over the same arrays. Rows say threads, rows,
// columns.
#include <vector>

#include "rows.h"

namespace ravine::bench {
namespace {

using namespace kernels;

struct Problem : Rows {
  using Rows::Rows;
  std::vector<std::int64_t> labels = labels_of(rows, columns);

  static std::vector<std::int64_t> labels_of(std::int64_t rows, std::int64_t classes) {
    std::vector<std::int64_t> labels;
    for (std::int64_t row = 0; row < rows; ++row) labels.push_back(row * 7 % classes);
    return labels;
  }
};

template <bool log>
void forward(benchmark::State& state) {
  const Problem p(state);
  const SoftmaxArgs args{p.rows, p.columns, p.x.get(), p.y.get(), log};
  time_kernel(state, active_kernels().float32.softmax, args, p.threads, p.streams(1, 1));
}
template <bool log>
void backward(benchmark::State& state) {
  const Problem p(state);
  const SoftmaxGradArgs args{p.rows, p.columns, p.x.get(), p.y.get(), p.z.get(), log};
  time_kernel(state, active_kernels().float32.softmax_grad, args, p.threads, p.streams(2, 1));
}

void cross_entropy(benchmark::State& state) {
  const Problem p(state);
  CrossEntropyArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.logits = p.x.get();
  args.labels = p.labels.data();
  args.losses = p.of_rows[0].get();
  args.row_weights = p.of_rows[1].get();
  args.maxima = p.of_rows[2].get();
  args.log_sums = p.of_rows[3].get();
  time_kernel(state, active_kernels().float32.cross_entropy, args, p.threads, p.streams(1, 0));
}
void cross_entropy_grad(benchmark::State& state) {
  const Problem p(state);
  CrossEntropyGradArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.logits = p.x.get();
  args.labels = p.labels.data();
  args.maxima = p.of_rows[0].get();
  args.log_sums = p.of_rows[2].get();
  args.grad_losses = p.of_rows[1].get();
  args.grad_logits = p.y.get();
  time_kernel(state, active_kernels().float32.cross_entropy_grad, args, p.threads, p.streams(1, 1));
}

void shapes(benchmark::internal::Benchmark* bench) {
  rows_and_columns(
      bench, {{32, 2}, {32, 10}, {128, 10}, {1024, 10}, {65536, 10}, {128, 100}, {128, 1000}, {4096, 1000}});
}

BENCHMARK(forward<false>)->Name("softmax")->Apply(shapes);
BENCHMARK(forward<true>)->Name("log_softmax")->Apply(shapes);
BENCHMARK(backward<false>)->Name("softmax_grad")->Apply(shapes);
BENCHMARK(backward<true>)->Name("log_softmax_grad")->Apply(shapes);
BENCHMARK(cross_entropy)->Apply(shapes);
BENCHMARK(cross_entropy_grad)->Apply(shapes);

}  // namespace
}  // namespace ravine::bench
