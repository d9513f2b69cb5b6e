#include <gtest/gtest.h>
#include <ravine/ravine.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "api/expect_error.h"

namespace {

TEST(Array, ViewsHaveCheckedShapesAndDtypes) {
  const std::vector<float> x{1, 2, 3, 4, 5, 6};
  const ravine::View view = ravine::view(x, {2, 3});
  EXPECT_EQ(view.dtype(), ravine::DType::float32);
  EXPECT_EQ(view.shape(), (ravine::Shape{2, 3}));
  EXPECT_EQ(view.data<float>()[5], 6.0f);
  EXPECT_EQ(ravine::view(x).shape(), ravine::Shape{6});
  EXPECT_EQ(ravine::view(x.data(), {3, 2}).size(), 6);
  EXPECT_ERROR(view.data<double>(), "its elements are of float32, not of float64");
  EXPECT_ERROR(ravine::view(x, {2, 2}), "got 6 elements for the shape (2, 2), which has 4");
  EXPECT_ERROR(ravine::view(x.data(), {2, -3}), "negative extent in (2, -3)");
  EXPECT_ERROR(ravine::view(static_cast<const float*>(nullptr), {1}), "null for an array of shape (1,)");
  EXPECT_EQ(ravine::view(static_cast<const float*>(nullptr), {0, 4}).size(), 0);
  EXPECT_ERROR(ravine::Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), "got 9 extents");
  EXPECT_ERROR(ravine::view(x.data(), {std::int64_t{1} << 40, std::int64_t{1} << 40}), "is too large");
}

TEST(Array, CopiesAreDeep) {
  ravine::Array a(ravine::DType::int64, {2, 2});
  EXPECT_EQ(a.data<std::int64_t>()[3], 0);
  a.data<std::int64_t>()[3] = 7;
  ravine::Array b = a;
  b.data<std::int64_t>()[3] = 8;
  EXPECT_EQ(a.data<std::int64_t>()[3], 7);
  a = b;
  EXPECT_EQ(a.data<std::int64_t>()[3], 8);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0u);
  EXPECT_EQ(a.bytes(), 32u);
  EXPECT_EQ(ravine::Array().size(), 0);
  EXPECT_ERROR(ravine::Array(ravine::DType::float64, {-1}), "negative extent");
}

TEST(Array, DtypesOfTypes) {
  static_assert(ravine::dtype_of<long>() == ravine::DType::int64);
  static_assert(ravine::dtype_of<long long>() == ravine::DType::int64);
  static_assert(ravine::dtype_of<bool>() == ravine::DType::boolean);
  EXPECT_STREQ(ravine::name_of(ravine::DType::boolean), "bool");
  EXPECT_EQ(ravine::size_of(ravine::dtype_of<double>()), 8u);
}

TEST(Init, ScalesByTheFans) {
  const struct {
    ravine::Initializer begin;
    double largest;  // of a weight [40, 50, 3, 3]
  } cases[] = {
      {ravine::init::fan_in_uniform(), 1 / std::sqrt(450.0)},
      {ravine::init::kaiming_uniform(), std::sqrt(6 / 450.0)},
      {ravine::init::kaiming_uniform(ravine::init::Fan::out, 1), std::sqrt(3 / 360.0)},
      {ravine::init::xavier_uniform(), std::sqrt(6 / 810.0)},
      {ravine::init::uniform(-3, 3), 3},
      {ravine::init::constant(0.5), 0.5},
  };
  for (const auto& [begin, largest] : cases) {
    ravine::Array weight(ravine::DType::float64, {40, 50, 3, 3});
    ravine::Generator random(1);
    begin.fill(weight, random);
    double found = 0;
    for (std::int64_t i = 0; i < weight.size(); ++i)
      found = std::max(found, std::abs(weight.data<double>()[i]));
    EXPECT_LE(found, largest * (1 + 1e-12));
    EXPECT_GT(found, largest * 0.99);
  }
  ravine::Array vector(ravine::DType::float32, {3});
  ravine::Generator random(1);
  EXPECT_ERROR(ravine::init::xavier_normal().fill(vector, random), "fans need a weight of at least 2");
  EXPECT_ERROR(random.uniform(vector, 1, 0), "low must not exceed high, got 1 and 0");
  ravine::Array integers(ravine::DType::int64, {3});
  EXPECT_ERROR(random.normal(integers, 0, 1), "expected float32 or float64");
}

TEST(Init, OrthogonalRows) {
  ravine::Array weight(ravine::DType::float64, {3, 8});
  ravine::Generator random(2);
  ravine::init::orthogonal(2).fill(weight, random);
  const double* w = weight.data<double>();
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) {
      double dot = 0;
      for (int i = 0; i < 8; ++i) dot += w[a * 8 + i] * w[b * 8 + i];
      EXPECT_NEAR(dot, a == b ? 4 : 0, 1e-12);
    }
}

TEST(Schedule, NamesAndComposition) {
  using namespace ravine::schedules;
  const ravine::Schedule plan = sequence({warmup(1, 2), cosine(1, 4)});
  const std::vector<double> curve = plan.curve(4);
  EXPECT_EQ(curve[0], 0.0);
  EXPECT_EQ(curve[1], 0.5);
  EXPECT_EQ(curve[2], 1.0);
  EXPECT_NEAR(curve[3], 0.5 + std::sqrt(0.125), 1e-15);
  EXPECT_EQ(multi_step(1, {2, 3}, 0.5).at(3), 0.25);
  EXPECT_EQ(step_decay(1, 2, 0.5).at(4), 0.25);
  EXPECT_EQ(exponential(1, 0.5).at(2), 0.25);
  EXPECT_EQ(polynomial(1, 4, 2).at(1), 0.5625);
  EXPECT_EQ(product({linear(1, 0, 2), constant(0.5)}).at(1), 0.25);
  EXPECT_EQ(ravine::Schedule([](std::int64_t step) { return 1.0 / static_cast<double>(step + 1); }).at(1),
            0.5);
  EXPECT_ERROR(linear(1, 0, 2).at(2), "spans 2 steps");
  EXPECT_ERROR(ravine::Schedule("cosin", {1.0}), "cosin");
}

TEST(Runtime, ThreadsAndVersion) {
  const int before = ravine::num_threads();
  ravine::set_num_threads(3);
  EXPECT_EQ(ravine::num_threads(), 3);
  EXPECT_ERROR(ravine::set_num_threads(0), "1");
  ravine::set_num_threads(before);
  EXPECT_NE(std::string(ravine::version()).find('.'), std::string::npos);
  EXPECT_NE(std::string(ravine::instruction_set()), "");
}

}  // namespace
