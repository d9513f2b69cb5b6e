// The transforms of the input's pixels, which the forward pass and the gradient to the filter share.
#include "kernels/conv/winograd/tiles.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// Its type is the same for filterings that have the transform in common.
template <class Input>
struct InputTransform {
  template <class Pixels, class Points>
  RAVINE_INLINE void operator()(const Pixels& d, Points& v) const {
    Input::input(d, v);
  }
};

}  // namespace

template <class F>
void transform_input(const TiledImages& images, const float* from, std::int64_t count, Range tiles, float* to,
                     const TransformedTiles& layout) {
  transform_tiles<float, F::pixels, F::points>(InputTransform<typename F::Input>{}, images, F::step, from,
                                               count, tiles, to, layout);
}
#define RAVINE_INSTANTIATE(...)                                                                             \
  template void transform_input<__VA_ARGS__>(const TiledImages&, const float*, std::int64_t, Range, float*, \
                                             const TransformedTiles&);
RAVINE_INSTANTIATE(Winograd<float, 2, 3>)
RAVINE_INSTANTIATE(Winograd<float, 4, 3>)
RAVINE_INSTANTIATE(Winograd<float, 2, 5>)
RAVINE_INSTANTIATE(StridedWinograd<float, 2>)
RAVINE_INSTANTIATE(StridedWinograd<float, 4>)
RAVINE_INSTANTIATE(TransposedWinograd<float, 2>)
RAVINE_INSTANTIATE(TransposedWinograd<float, 4>)
#undef RAVINE_INSTANTIATE

}  // namespace ravine::kernels::RAVINE_ISA
