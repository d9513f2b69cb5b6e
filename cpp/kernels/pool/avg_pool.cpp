// The mean of each window, and its gradient.
#include "kernels/api/table.h"
#include "kernels/pool/narrow.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

template <class T, class L>
void avg_pool_rows(const AvgPoolArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  for_each_pixel_row(
      s, s.out_height, team, [&](std::int64_t image, std::int64_t oh, std::int64_t begin, std::int64_t end) {
        const Window rows = window_of(row_axis, oh);
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        for (std::int64_t ow = 0; ow < s.out_width; ++ow) {
          const Window columns = window_of(column_axis, ow);
          const typename L::Value divisor = L::every(static_cast<T>(divisor_of(s, rows, columns)));
          T* to =
              static_cast<T*>(args.output) + ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
          L::for_each(begin, end, [&](std::int64_t c, auto n) {
            typename L::Value
                sum{};  // of sums over window rows: the error grows with the window's side, not its area
            for (std::int64_t kh = 0; kh < rows.count; ++kh) {
              const T* row =
                  input + ((rows.first + kh * rows.dilation) * s.width + columns.first) * s.channels + c;
              typename L::Value row_sum{};
              for (std::int64_t kw = 0; kw < columns.count; ++kw)
                row_sum += L::get(row + kw * columns.dilation * s.channels, n);
              sum += row_sum;
            }
            L::put(to + c, sum / divisor, n);
          });
        }
      });
}

template <class T, class L>
void avg_pool_grad_tiles(const AvgPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  const typename L::Value divisor = L::every(static_cast<T>(tiles.height * tiles.width));
  spread_tiles<T, L>(
      args.shape, tiles, static_cast<T*>(args.grad_input), team,
      [&](std::int64_t at, auto n) {
        return L::get(static_cast<const T*>(args.grad_output) + at, n) / divisor;
      },
      [](typename L::Value share, std::int64_t, std::int64_t) { return share; });
}

template <class T, class L>
void avg_pool_grad_rows(const AvgPoolGradArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  const T* grad_output = static_cast<const T*>(args.grad_output);
  for_each_pixel_row(
      s, s.height, team, [&](std::int64_t image, std::int64_t ih, std::int64_t begin, std::int64_t end) {
        const Reach rows = reach_of(row_axis, ih);
        for (std::int64_t iw = 0; iw < s.width; ++iw) {
          const Reach columns = reach_of(column_axis, iw);
          T* to = static_cast<T*>(args.grad_input) + ((image * s.height + ih) * s.width + iw) * s.channels;
          alignas(64) T sums[channel_block];
          L::for_each(begin, end,
                      [&](std::int64_t c, auto n) { L::put(sums + (c - begin), typename L::Value{}, n); });
          for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
            if (!reaches(row_axis, oh, ih)) continue;
            const Window window_rows = window_of(row_axis, oh);
            for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
              if (!reaches(column_axis, ow, iw)) continue;
              const std::int64_t count = divisor_of(s, window_rows, window_of(column_axis, ow));
              const typename L::Value divisor = L::every(static_cast<T>(count));
              const T* from = grad_output + ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
              L::for_each(begin, end, [&](std::int64_t c, auto n) {
                T* sum = sums + (c - begin);
                L::put(sum, L::get(sum, n) + L::get(from + c, n) / divisor, n);
              });
            }
          }
          L::for_each(begin, end,
                      [&](std::int64_t c, auto n) { L::put(to + c, L::get(sums + (c - begin), n), n); });
        }
      });
}

template <class T>
void avg_pool_grad_narrow(const AvgPoolGradArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  narrow_gradient<T, false>(s, static_cast<T*>(args.grad_input), team,
                            [&](std::int64_t image, std::int64_t oh, T* values, Index<T>*) {
                              const std::int64_t row = (image * s.out_height + oh) * s.out_width * s.channels;
                              const Window rows = window_of(row_axis, oh);
                              for (std::int64_t ow = 0; ow < s.out_width; ++ow) {
                                const T divisor =
                                    static_cast<T>(divisor_of(s, rows, window_of(column_axis, ow)));
                                for (std::int64_t i = ow * s.channels; i < (ow + 1) * s.channels; ++i)
                                  values[i] = static_cast<const T*>(args.grad_output)[row + i] / divisor;
                              }
                            });
}

}  // namespace

template <class T>
void avg_pool(const AvgPoolArgs& args, const Team& team) {
  with_lanes<T>(args.shape, [&](auto l) { avg_pool_rows<T, decltype(l)>(args, team); });
}
template void avg_pool<float>(const AvgPoolArgs&, const Team&);
template void avg_pool<double>(const AvgPoolArgs&, const Team&);

template <class T>
void avg_pool_grad(const AvgPoolGradArgs& args, const Team& team) {
  const Tiles tiles = tiles_of(args.shape);
  if (!tiles.apply && is_narrow<T>(args.shape)) {
    avg_pool_grad_narrow<T>(args, team);
    return;
  }
  with_lanes<T>(args.shape, [&](auto l) {
    if (tiles.apply) avg_pool_grad_tiles<T, decltype(l)>(args, tiles, team);
    else avg_pool_grad_rows<T, decltype(l)>(args, team);
  });
}
template void avg_pool_grad<float>(const AvgPoolGradArgs&, const Team&);
template void avg_pool_grad<double>(const AvgPoolGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
