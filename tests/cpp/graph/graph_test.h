// Small help for tests of graphs: run one on given numbers.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/program.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "rules/op_table.h"

namespace ravine::testing {

inline Array array_of(const Shape& shape, const std::vector<float>& values) {
  Array array(DType::float32, shape);
  EXPECT_EQ(static_cast<std::size_t>(array.size()), values.size());
  std::copy(values.begin(), values.end(), array.as<float>());
  return array;
}

// Runs a program on float32 inputs; every output as a flat list.
inline std::vector<std::vector<float>> run(Program& program, const std::vector<Array>& inputs = {}) {
  std::vector<const void*> from;
  for (const Array& input : inputs) from.push_back(input.data());
  std::vector<std::vector<float>> results;
  std::vector<void*> to;
  for (const TensorType& type : program.output_types()) {
    EXPECT_EQ(type.dtype, DType::float32);
    results.emplace_back(static_cast<std::size_t>(numel(type.shape)), -12345.0f);
  }
  for (auto& result : results) to.push_back(result.data());
  program.run(from, to);
  return results;
}

inline std::vector<std::string> kernel_names(const Program& program) {
  std::vector<std::string> names;
  for (const KernelCall& call : program.calls())
    names.push_back(call.kernel + (call.fused.empty() ? "" : " + " + call.fused));
  return names;
}

}  // namespace ravine::testing
