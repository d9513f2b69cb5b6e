// Recurrent layers, forward and backward, against the formulas in float64, row by row.
#include "kernels/api/sequence.h"

#include <algorithm>
#include <array>

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

struct Layer {
  RecurrentCell cell;
  std::int64_t steps, batch, hidden, projected = 0;
  bool reverse = false, initial = false, lengths = false, bias = true;

  std::int64_t size() const { return projected > 0 ? projected : hidden; }
  std::int64_t columns() const { return gates_of(cell) * hidden; }
  std::int64_t rows() const { return steps * batch; }
  // Of the recurrent weights: sums stay of one size, and so their errors.
  double spread() const { return std::min(0.4, 2 / std::sqrt(static_cast<double>(size()))); }
  bool is_lstm() const { return cell == RecurrentCell::lstm; }
  bool is_gru() const { return cell == RecurrentCell::gru; }
};

// What goes into both directions, and the results as they should be.
template <class T>
struct Problem {
  explicit Problem(const Layer& of)
      : layer(of),
        gates(random_buffer<T>(of.rows() * of.columns(), 1, -2, 2)),
        weight(random_buffer<T>(of.columns() * of.size(), 2, -of.spread(), of.spread())),
        bias(random_buffer<T>(of.columns(), 3)),
        projection(random_buffer<T>(of.projected * of.hidden, 4)),
        initial(random_buffer<T>(of.batch * of.size(), 5)),
        initial_cell(random_buffer<T>(of.batch * of.hidden, 6)),
        grad_output(random_buffer<T>(of.rows() * of.size(), 7)),
        grad_last(random_buffer<T>(of.batch * of.size(), 8)),
        grad_last_cell(random_buffer<T>(of.batch * of.hidden, 9)),
        lengths(of.batch) {
    for (std::int64_t row = 0; row < of.batch; ++row)
      lengths[row] = of.lengths ? (row * 7 + 3) % (of.steps + 1) : of.steps;
    const auto zeros = [](std::int64_t n) { return Doubles(static_cast<std::size_t>(n), 0.0); };
    const std::int64_t rows = of.rows(), states = of.batch * of.size(), cells_of_rows = of.batch * of.hidden;
    output = zeros(rows * of.size());
    last = grad_initial = zeros(states);
    last_cell = grad_initial_cell = zeros(cells_of_rows);
    activations = zeros(rows * 4 * of.hidden);
    cells = unprojected = zeros(rows * of.hidden);
    grad_gates = grad_recurrent = zeros(rows * of.columns());
    grad_projected = zeros(rows * of.projected);
    grad_first = zeros(of.batch * of.columns());
    for (std::int64_t row = 0; row < of.batch; ++row) solve(row);
  }

  Layer layer;
  Buffer<T> gates, weight, bias, projection, initial, initial_cell, grad_output, grad_last, grad_last_cell;
  Buffer<std::int64_t> lengths;
  Doubles output, last, last_cell, activations, cells, unprojected;
  Doubles grad_gates, grad_recurrent, grad_projected, grad_initial, grad_initial_cell, grad_first;

 private:
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
  static double number(const Buffer<T>& from, std::int64_t i) { return static_cast<double>(from[i]); }
  static double& in(Doubles& values, std::int64_t i) { return values[static_cast<std::size_t>(i)]; }

  void solve(std::int64_t row) {
    const std::int64_t n = lengths[row], H = layer.hidden, K = layer.size(), G = gates_of(layer.cell);
    const auto at = [&](std::int64_t step) {  // the row of an array over steps
      return (layer.reverse ? n - 1 - step : step) * layer.batch + row;
    };
    Doubles h(static_cast<std::size_t>(K), 0.0), c(static_cast<std::size_t>(H), 0.0);
    if (layer.initial) {
      for (std::int64_t k = 0; k < K; ++k) in(h, k) = number(initial, row * K + k);
      for (std::int64_t j = 0; j < H; ++j) in(c, j) = number(initial_cell, row * H + j);
    }
    std::vector<Doubles> h_before, c_before;
    for (std::int64_t step = 0; step < n; ++step) {
      h_before.push_back(h);
      c_before.push_back(c);
      Doubles next(static_cast<std::size_t>(H));
      for (std::int64_t j = 0; j < H; ++j) {
        std::array<double, 4> x{}, state{};
        for (std::int64_t gate = 0; gate < G; ++gate) {
          const std::int64_t column = gate * H + j;
          const auto g = static_cast<std::size_t>(gate);
          x[g] = number(gates, at(step) * layer.columns() + column);
          for (std::int64_t k = 0; k < K; ++k) state[g] += number(weight, column * K + k) * in(h, k);
          if (layer.is_gru() && layer.bias) state[g] += number(bias, column);
        }
        std::array<double, 4> kept{};
        if (layer.is_lstm()) {
          kept = {sigmoid(x[0] + state[0]), sigmoid(x[1] + state[1]), std::tanh(x[2] + state[2]),
                  sigmoid(x[3] + state[3])};
          in(c, j) = kept[1] * in(c, j) + kept[0] * kept[2];
          in(next, j) = kept[3] * std::tanh(in(c, j));
          in(cells, at(step) * H + j) = in(c, j);
          in(unprojected, at(step) * H + j) = in(next, j);
        } else if (layer.is_gru()) {
          kept = {sigmoid(x[0] + state[0]), sigmoid(x[1] + state[1]), 0, state[2]};
          kept[2] = std::tanh(x[2] + kept[0] * state[2]);
          in(next, j) = (1 - kept[1]) * kept[2] + kept[1] * in(h, j);
        } else {
          const double sum = x[0] + state[0];
          in(next, j) = layer.cell == RecurrentCell::tanh ? std::tanh(sum) : std::max(sum, 0.0);
        }
        for (std::int64_t which = 0; which < 4; ++which)
          in(activations, at(step) * 4 * H + which * H + j) = kept[static_cast<std::size_t>(which)];
      }
      for (std::int64_t k = 0; k < K; ++k) {
        double value = 0;
        if (layer.projected == 0) value = in(next, k);
        for (std::int64_t j = 0; j < H && layer.projected > 0; ++j)
          value += number(projection, k * H + j) * in(next, j);
        in(h, k) = in(output, at(step) * K + k) = value;
      }
    }
    for (std::int64_t k = 0; k < K; ++k) in(last, row * K + k) = in(h, k);
    for (std::int64_t j = 0; j < H; ++j) in(last_cell, row * H + j) = in(c, j);

    Doubles dh(static_cast<std::size_t>(K)), dc(static_cast<std::size_t>(H));
    for (std::int64_t k = 0; k < K; ++k) in(dh, k) = number(grad_last, row * K + k);
    for (std::int64_t j = 0; j < H; ++j) in(dc, j) = number(grad_last_cell, row * H + j);
    for (std::int64_t step = n - 1; step >= 0; --step) {
      const Doubles &from_h = h_before[static_cast<std::size_t>(step)],
                    &from_c = c_before[static_cast<std::size_t>(step)];
      for (std::int64_t k = 0; k < K; ++k) in(dh, k) += number(grad_output, at(step) * K + k);
      for (std::int64_t k = 0; k < layer.projected; ++k) in(grad_projected, at(step) * K + k) = in(dh, k);
      Doubles direct(static_cast<std::size_t>(K), 0.0);
      for (std::int64_t j = 0; j < H; ++j) {
        double d = layer.projected == 0 ? in(dh, j) : 0;
        for (std::int64_t k = 0; k < layer.projected; ++k) d += number(projection, k * H + j) * in(dh, k);
        const auto kept = [&](std::int64_t which) {
          return in(activations, at(step) * 4 * H + which * H + j);
        };
        std::array<double, 4> of_x{}, of_state{};
        if (layer.is_lstm()) {
          const double i = kept(0), f = kept(1), g = kept(2), o = kept(3);
          const double squashed = std::tanh(in(cells, at(step) * H + j));
          in(dc, j) += d * o * (1 - squashed * squashed);
          of_x = of_state = {in(dc, j) * g * i * (1 - i),
                             in(dc, j) * from_c[static_cast<std::size_t>(j)] * f * (1 - f),
                             in(dc, j) * i * (1 - g * g), d * squashed * o * (1 - o)};
          in(dc, j) *= f;
        } else if (layer.is_gru()) {
          const double r = kept(0), z = kept(1), fresh = kept(2), of_h = kept(3);
          const double d_fresh = d * (1 - z) * (1 - fresh * fresh);
          of_x = {d_fresh * of_h * r * (1 - r),
                  d * (from_h[static_cast<std::size_t>(j)] - fresh) * z * (1 - z), d_fresh, 0};
          of_state = {of_x[0], of_x[1], d_fresh * r, 0};
          in(direct, j) = d * z;
        } else {
          const double y = in(output, at(step) * K + j);
          of_x[0] = of_state[0] = layer.cell == RecurrentCell::tanh ? d * (1 - y * y) : y > 0 ? d : 0;
        }
        for (std::int64_t gate = 0; gate < G; ++gate) {
          const std::int64_t column = at(step) * layer.columns() + gate * H + j;
          in(grad_gates, column) = of_x[static_cast<std::size_t>(gate)];
          in(grad_recurrent, column) = of_state[static_cast<std::size_t>(gate)];
        }
      }
      for (std::int64_t k = 0; k < K; ++k) {
        in(dh, k) = layer.is_gru() ? in(direct, k) : 0;
        for (std::int64_t column = 0; column < layer.columns(); ++column)
          in(dh, k) +=
              number(weight, column * K + k) * in(grad_recurrent, at(step) * layer.columns() + column);
      }
    }
    for (std::int64_t column = 0; column < layer.columns() && n > 0; ++column)
      in(grad_first, row * layer.columns() + column) = in(grad_recurrent, at(0) * layer.columns() + column);
    for (std::int64_t k = 0; k < K; ++k) in(grad_initial, row * K + k) = in(dh, k);
    for (std::int64_t j = 0; j < H; ++j) in(grad_initial_cell, row * H + j) = in(dc, j);
  }
};

template <class T>
void set_shape(RecurrenceShape& args, const Problem<T>& problem) {
  const Layer& layer = problem.layer;
  args.cell = layer.cell;
  args.reverse = layer.reverse;
  args.steps = layer.steps;
  args.batch = layer.batch;
  args.hidden = layer.hidden;
  args.projected = layer.projected;
  args.weight = problem.weight.data();
  args.projection = problem.projection.data();
  if (layer.initial) args.initial = problem.initial.data();
  if (layer.initial && layer.is_lstm()) args.initial_cell = problem.initial_cell.data();
  if (layer.lengths) args.lengths = problem.lengths.data();
}

template <class T>
void check(const Layer& layer) {
  SCOPED_TRACE(::testing::Message() << "cell " << static_cast<int>(layer.cell) << ", " << layer.steps << " x "
                                    << layer.batch << " x " << layer.hidden << ", projected "
                                    << layer.projected << ", reverse " << layer.reverse << ", initial "
                                    << layer.initial << ", lengths " << layer.lengths << ", " << sizeof(T));
  const Problem<T> problem(layer);
  const double eps = sizeof(T) == 4 ? 3e-6 : 6e-15;
  const std::int64_t rows = layer.rows();
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<T> output(rows * layer.size()), last(layer.batch * layer.size()),
        last_cell(layer.is_lstm() ? layer.batch * layer.hidden : 0),
        activations(gates_of(layer.cell) > 1 ? rows * 4 * layer.hidden : 0),
        cells(layer.is_lstm() ? rows * layer.hidden : 0),
        unprojected(layer.projected > 0 ? rows * layer.hidden : 0);
    RecurrenceArgs args;
    set_shape(args, problem);
    args.gates = problem.gates.data();
    if (layer.is_gru() && layer.bias) args.bias = problem.bias.data();
    args.output = output.data();
    args.last = last.data();
    args.last_cell = last_cell.data();
    Buffer<std::byte> forgetful(static_cast<std::int64_t>(kernels.recurrence_workspace(args)));
    args.workspace = forgetful.data();
    run_same_bits(table, kernels.recurrence, args, {output.memory(), last.memory(), last_cell.memory()},
                  {forgetful.memory()});
    expect_close(output, problem.output, eps, eps, "output without a history");
    expect_close(last, problem.last, eps, eps, "last state without a history");
    if (layer.is_lstm()) expect_close(last_cell, problem.last_cell, eps, eps, "last cell without a history");

    args.keeps_history = true;
    if (activations.size() > 0) args.activations = activations.data();
    args.cells = cells.data();
    args.unprojected = unprojected.data();
    Buffer<std::byte> workspace(static_cast<std::int64_t>(kernels.recurrence_workspace(args)));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.recurrence, args,
                  {output.memory(), last.memory(), last_cell.memory(), activations.memory(), cells.memory(),
                   unprojected.memory()},
                  {workspace.memory()});
    expect_close(output, problem.output, eps, eps, "output");
    expect_close(last, problem.last, eps, eps, "last state");
    if (layer.is_lstm()) expect_close(last_cell, problem.last_cell, eps, eps, "last cell state");
    if (activations.size() > 0) expect_close(activations, problem.activations, eps, eps, "activations");
    if (layer.is_lstm()) expect_close(cells, problem.cells, eps, eps, "cell states");
    if (layer.projected > 0) expect_close(unprojected, problem.unprojected, eps, eps, "unprojected");

    Buffer<T> grad_gates(rows * layer.columns()), grad_recurrent(layer.is_gru() ? rows * layer.columns() : 0),
        grad_projected(rows * layer.projected), grad_initial(layer.initial ? layer.batch * layer.size() : 0),
        grad_initial_cell(layer.initial && layer.is_lstm() ? layer.batch * layer.hidden : 0),
        grad_first(layer.initial ? layer.batch * layer.columns() : 0);
    RecurrenceGradArgs back;
    set_shape(back, problem);
    back.output = output.data();
    back.activations = activations.data();
    back.cells = cells.data();
    back.grad_output = problem.grad_output.data();
    back.grad_last = problem.grad_last.data();
    back.grad_last_cell = problem.grad_last_cell.data();
    back.grad_gates = grad_gates.data();
    if (layer.is_gru()) back.grad_recurrent = grad_recurrent.data();
    back.grad_projected = grad_projected.data();
    back.has_initial = layer.initial;
    back.grad_initial = grad_initial.data();
    back.grad_initial_cell = grad_initial_cell.data();
    back.grad_first = grad_first.data();
    Buffer<std::byte> space(static_cast<std::int64_t>(kernels.recurrence_grad_workspace(back)));
    back.workspace = space.data();
    run_same_bits(table, kernels.recurrence_grad, back,
                  {grad_gates.memory(), grad_recurrent.memory(), grad_projected.memory(),
                   grad_initial.memory(), grad_initial_cell.memory(), grad_first.memory()},
                  {space.memory()});
    const double loose = 10 * eps;
    expect_close(grad_gates, problem.grad_gates, loose, loose, "gates' gradient");
    if (layer.is_gru())
      expect_close(grad_recurrent, problem.grad_recurrent, loose, loose, "states' gradient");
    if (layer.projected > 0)
      expect_close(grad_projected, problem.grad_projected, loose, loose, "projected states' gradient");
    if (!layer.initial) return;
    expect_close(grad_initial, problem.grad_initial, loose, loose, "initial state's gradient");
    if (layer.is_lstm())
      expect_close(grad_initial_cell, problem.grad_initial_cell, loose, loose, "initial cell's gradient");
    expect_close(grad_first, problem.grad_first, loose, loose, "first step's gradient");
  });
}

// Around vectors, panels of two and three vectors, tiles and blocks of rows.
TEST(Recurrence, AgreesWithTheFormulas) {
  for (const RecurrentCell cell :
       {RecurrentCell::tanh, RecurrentCell::relu, RecurrentCell::gru, RecurrentCell::lstm}) {
    for (const Layer& layer : {Layer{cell, 1, 1, 1}, Layer{cell, 3, 2, 5}, Layer{cell, 4, 7, 16},
                               Layer{cell, 3, 13, 33}, Layer{cell, 2, 70, 17}, Layer{cell, 2, 3, 100}}) {
      check<float>(layer);
      check<double>(layer);
    }
  }
}

TEST(Recurrence, GoesBackwardsFromGivenStatesByLengths) {
  for (const RecurrentCell cell :
       {RecurrentCell::tanh, RecurrentCell::relu, RecurrentCell::gru, RecurrentCell::lstm}) {
    for (const bool reverse : {false, true})
      for (const bool initial : {false, true})
        for (const bool lengths : {false, true}) {
          Layer layer{cell, 5, 9, 19};
          layer.reverse = reverse;
          layer.initial = initial;
          layer.lengths = lengths;
          layer.bias = !initial;
          check<float>(layer);
          check<double>(layer);
        }
  }
}

TEST(Recurrence, ProjectsTheState) {
  for (const std::int64_t projected : {1, 8, 21})
    for (const bool all : {false, true})
      check<float>({RecurrentCell::lstm, 4, 9, 34, projected, all, all, all});
  check<double>({RecurrentCell::lstm, 4, 9, 34, 5, true, true, true});
}

// Longer sums than the micro-kernels take at once.
TEST(Recurrence, IsWide) {
  check<float>({RecurrentCell::gru, 2, 2, 700});
  check<double>({RecurrentCell::tanh, 2, 2, 600});
}

TEST(Recurrence, HasNoStepsNoRowsOrNoWidth) {
  for (const RecurrentCell cell : {RecurrentCell::tanh, RecurrentCell::gru, RecurrentCell::lstm}) {
    check<float>({cell, 0, 3, 5, 0, false, true});
    check<float>({cell, 3, 0, 5, 0, true, true});
    check<float>({cell, 3, 2, 0});
  }
}

TEST(Recurrence, ReportsALengthOutOfBoundsAndClampsIt) {
  Layer layer{RecurrentCell::gru, 3, 4, 5};
  layer.lengths = true;
  Problem<float> problem(layer);
  for (std::int64_t row = 0; row < 4; ++row)
    problem.lengths[row] = std::array<std::int64_t, 4>{3, 2, 4, -1}[static_cast<std::size_t>(row)];
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> output(3 * 4 * 5), last(4 * 5);
    Fault fault;
    RecurrenceArgs args;
    set_shape(args, problem);
    args.gates = problem.gates.data();
    args.bias = problem.bias.data();
    args.output = output.data();
    args.last = last.data();
    args.fault = &fault;
    args.fault_code = 7;
    Buffer<std::byte> workspace(static_cast<std::int64_t>(table.float32.recurrence_workspace(args)));
    args.workspace = workspace.data();
    run(table, table.float32.recurrence, args, 2);
    EXPECT_EQ(fault.code, 7);
    EXPECT_EQ(fault.position, 2);
    EXPECT_EQ(fault.value, 4);
    for (std::int64_t j = 0; j < 5; ++j) {
      EXPECT_NE(output[(2 * 4 + 2) * 5 + j], 0.0f);
      EXPECT_EQ(output[3 * 5 + j], 0.0f);
      EXPECT_EQ(last[3 * 5 + j], 0.0f);
    }
  });
}

}  // namespace
}  // namespace ravine::testing
