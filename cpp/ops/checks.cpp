#include "ops/checks.h"

#include <cmath>

namespace ravine {

std::string describe_inputs(const Node& node) {
  std::string text;
  for (const Value& input : node.inputs) text += (text.empty() ? "" : ", ") + to_string(input.type());
  return text;
}

void expect_inputs(const Node& node, int count) { expect_inputs(node, count, count); }

void expect_inputs(const Node& node, int least, int most) {
  const int found = node.n_inputs();
  if (found >= least && found <= most) return;
  const std::string expected =
      least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
  fail<TypeError>(node.op->name, ": takes ", expected, expected == "1" ? " tensor" : " tensors", ", got ",
                  found);
}

void expect_floating(const Node& node, int input) {
  check<TypeError>(is_floating(node.input_dtype(input)), node.op->name,
                   ": expected a float32 or float64 tensor as input ", input, ", got ",
                   describe_inputs(node));
}

void expect_index(const Node& node, int input) {
  const DType dtype = node.input_dtype(input);
  check<TypeError>(dtype == DType::int64 || dtype == DType::int32, node.op->name,
                   ": indices must be int64 or int32, got ", to_string(node.input_type(input)));
}

void expect_one_dtype(const Node& node, int first) {
  for (int i = first + 1; i < node.n_inputs(); ++i)
    check<TypeError>(node.input_dtype(i) == node.input_dtype(first), node.op->name,
                     ": the inputs must have one dtype, got ", describe_inputs(node));
}

void expect_shape(const Node& node, int input, const Shape& expected, const char* what) {
  check<ValueError>(node.input_shape(input) == expected, node.op->name, ": ", what, " has shape ",
                    node.input_shape(input), ", expected ", expected, " for an input of shape ",
                    node.input_shape(0));
}

double normalize_eps(Node& node) {
  const double eps = node.attrs.real("eps", 1e-5);
  check<ValueError>(std::isfinite(eps) && eps >= 0, node.op->name,
                    ": eps must be finite and not negative, got ", eps);
  node.attrs.set("eps", eps);
  return eps;
}

double eps_of(const Node& node) { return node.attrs.real("eps"); }

}  // namespace ravine
