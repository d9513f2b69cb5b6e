#include "host/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <type_traits>
#include <utility>

#include "core/error.h"
#include "core/splitmix.h"

namespace ravine::host {
namespace {

// function(T{}) for the type of a dtype of images.
template <class F>
void with_image_type(DType dtype, F function) {
  switch (dtype) {
    case DType::uint8:
      return function(std::uint8_t{});
    case DType::float64:
      return function(double{});
    default:
      return function(float{});
  }
}

// Small integers are computed in float.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T, class V>
T stored(V value) {
  if constexpr (std::is_same_v<T, std::uint8_t>)
    return static_cast<std::uint8_t>(std::clamp(std::floor(value + V{0.5}), V{0}, V{255}));
  else return static_cast<T>(value);
}

struct Extents {
  std::int64_t height = 0, width = 0;
  std::int64_t pixels() const { return height * width; }
};

Extents after(const ImageChange& change, Extents extents) {
  if (change.kind != Change::crop) return extents;
  return {static_cast<std::int64_t>(change.numbers[2]), static_cast<std::int64_t>(change.numbers[3])};
}

Extents largest(const AugmentArgs& args) {
  Extents now{args.height, args.width}, most = now;
  for (const ImageChange& change : args.changes) {
    now = after(change, now);
    most = {std::max(most.height, now.height), std::max(most.width, now.width)};
  }
  return most;
}

// Where a place outside of [0, n) lies, -1 for nowhere.
std::int64_t bordered(std::int64_t place, std::int64_t n, Border border) {
  if (place >= 0 && place < n) return place;
  if (border == Border::constant) return -1;
  if (border == Border::edge) return std::clamp(place, std::int64_t{0}, n - 1);
  return place < 0 ? -place : 2 * (n - 1) - place;
}

// Columns of a row: so many that are filled, then a stretch of the source in steps of 1 or -1, then filled
// ones; step 0: any order.
struct Stretch {
  std::int64_t lead = 0, count = 0, step = 0;

  explicit Stretch(std::span<const std::int64_t> places) {
    const auto n = static_cast<std::int64_t>(places.size());
    while (lead < n && places[static_cast<std::size_t>(lead)] < 0) ++lead;
    std::int64_t end = n;
    while (end > lead && places[static_cast<std::size_t>(end - 1)] < 0) --end;
    count = end - lead;
    const auto own = places.subspan(static_cast<std::size_t>(lead), static_cast<std::size_t>(count));
    for (const std::int64_t candidate : {1, -1}) {
      bool same = true;
      for (std::size_t i = 1; i < own.size(); ++i) same = same && own[i] - own[i - 1] == candidate;
      if (same) {
        step = candidate;
        return;
      }
    }
  }
};

template <class From, class To>
void copy_row(const From* from, To* to, std::span<const std::int64_t> places, const Stretch& stretch,
              To fill) {
  std::fill_n(to, stretch.lead, fill);
  const std::int64_t end = stretch.lead + stretch.count;
  if (stretch.step == 1) {
    std::copy_n(from + places[static_cast<std::size_t>(stretch.lead)], stretch.count, to + stretch.lead);
  } else if (stretch.step == -1) {
    const From* last = from + places[static_cast<std::size_t>(stretch.lead)];
    for (std::int64_t x = 0; x < stretch.count; ++x) to[stretch.lead + x] = static_cast<To>(last[-x]);
  } else {
    for (std::int64_t x = stretch.lead; x < end; ++x) {
      const std::int64_t place = places[static_cast<std::size_t>(x)];
      to[x] = place < 0 ? fill : static_cast<To>(from[place]);
    }
  }
  std::fill_n(to + end, static_cast<std::int64_t>(places.size()) - end, fill);
}

// An image under way. Flips and crops only change the places from which pixels will be taken; everything else
// works on a copy in V.
template <class T>
class Image {
  using V = Computed<T>;

 public:
  Image(const AugmentArgs& args, const T* source, Extents most)
      : channels_(args.channels), source_(source), now_{args.height, args.width}, from_(now_) {
    auto* place = reinterpret_cast<std::int64_t*>(args.workspace);
    rows_ = place;
    columns_ = rows_ + most.height;
    spare_ = columns_ + most.width;
    auto* numbers = reinterpret_cast<V*>(spare_ + std::max(most.height, most.width));
    copy_ = numbers;
    other_ = copy_ + channels_ * most.pixels();
    forget_places();
  }

  void change(const ImageChange& change, std::uint64_t seed) {
    const auto& n = change.numbers;
    const auto draw = [&](std::uint64_t i) { return uniform_at(seed, i); };
    switch (change.kind) {
      case Change::flip:
        if (draw(0) < n[0]) std::reverse(columns_, columns_ + now_.width);
        if (draw(1) < n[1]) std::reverse(rows_, rows_ + now_.height);
        return;
      case Change::crop:
        return crop(n, draw(0), draw(1));
      case Change::affine:
        return affine(n, draw);
      case Change::cutout:
        if (draw(0) < n[2]) cutout(n, draw(1), draw(2));
        return;
      case Change::jitter:
        return jitter(n, draw);
      case Change::noise:
        return noise(n[0], seed);
    }
  }

  void write(T* output) {
    if (!copied_) return take(source_, output, static_cast<T>(stored<T>(fill_)));
    if (!identity()) materialise();
    const std::int64_t size = channels_ * now_.pixels();
    for (std::int64_t i = 0; i < size; ++i) output[i] = stored<T>(copy_[i]);
  }

 private:
  void forget_places() {
    for (std::int64_t i = 0; i < now_.height; ++i) rows_[i] = i;
    for (std::int64_t i = 0; i < now_.width; ++i) columns_[i] = i;
    from_ = now_;
    filled_ = false;
  }

  bool identity() const {
    if (from_.height != now_.height || from_.width != now_.width) return false;
    for (std::int64_t i = 0; i < now_.height; ++i)
      if (rows_[i] != i) return false;
    for (std::int64_t i = 0; i < now_.width; ++i)
      if (columns_[i] != i) return false;
    return true;
  }

  template <class From, class To>
  void take(const From* from, To* to, To fill) const {
    const std::span<const std::int64_t> places(columns_, static_cast<std::size_t>(now_.width));
    const Stretch stretch(places);
    for (std::int64_t c = 0; c < channels_; ++c)
      for (std::int64_t y = 0; y < now_.height; ++y, to += now_.width) {
        if (rows_[y] < 0) std::fill_n(to, now_.width, fill);
        else copy_row(from + (c * from_.height + rows_[y]) * from_.width, to, places, stretch, fill);
      }
  }

  // Puts the pixels where they belong, as numbers of V.
  void materialise() {
    if (copied_) {
      if (identity()) return;
      take(copy_, other_, fill_);
      std::swap(copy_, other_);
    } else {
      take(source_, copy_, fill_);
      copied_ = true;
    }
    forget_places();
  }

  void crop(const std::array<double, 7>& n, double u, double v) {
    if (filled_) materialise();  // what was filled before may have been filled with something else
    const Extents next{static_cast<std::int64_t>(n[2]), static_cast<std::int64_t>(n[3])};
    const auto border = static_cast<Border>(static_cast<int>(n[5]));
    const auto move = [&](std::int64_t* places, std::int64_t size, std::int64_t wanted, double padding,
                          double share) {
      const auto pad = static_cast<std::int64_t>(padding);
      const auto choices = static_cast<double>(size + 2 * pad - wanted + 1);
      const std::int64_t begin = static_cast<std::int64_t>(share * choices) - pad;
      for (std::int64_t i = 0; i < wanted; ++i) {
        const std::int64_t place = bordered(begin + i, size, border);
        spare_[i] = place < 0 ? -1 : places[place];
      }
      std::copy_n(spare_, wanted, places);
    };
    move(rows_, now_.height, next.height, n[0], u);
    move(columns_, now_.width, next.width, n[1], v);
    now_ = next;
    fill_ = static_cast<V>(n[4]);
    filled_ = border == Border::constant;
  }

  template <class Draw>
  void affine(const std::array<double, 7>& n, Draw draw) {
    materialise();
    const auto radians = [](double degrees) { return degrees * std::numbers::pi / 180; };
    const double angle = radians((2 * draw(0) - 1) * n[0]);
    const double dx = (2 * draw(1) - 1) * n[1] * static_cast<double>(now_.width);
    const double dy = (2 * draw(2) - 1) * n[2] * static_cast<double>(now_.height);
    const double scale = n[3] + draw(3) * (n[4] - n[3]), shear = std::tan(radians((2 * draw(4) - 1) * n[5]));
    const double cosine = std::cos(angle), sine = std::sin(angle);
    // Rotation times shear times scale, and its inverse.
    const double a = scale * cosine, b = scale * (-cosine * shear - sine), c = scale * sine,
                 d = scale * (cosine - sine * shear), determinant = a * d - b * c;
    const double middle_y = static_cast<double>(now_.height - 1) / 2,
                 middle_x = static_cast<double>(now_.width - 1) / 2;
    const auto fill = static_cast<V>(n[6]);
    for (std::int64_t y = 0; y < now_.height; ++y)
      for (std::int64_t x = 0; x < now_.width; ++x) {
        const double px = static_cast<double>(x) - middle_x - dx, py = static_cast<double>(y) - middle_y - dy;
        const double sx = (d * px - b * py) / determinant + middle_x;
        const double sy = (a * py - c * px) / determinant + middle_y;
        for (std::int64_t k = 0; k < channels_; ++k)
          other_[(k * now_.height + y) * now_.width + x] = bilinear(copy_ + k * now_.pixels(), sx, sy, fill);
      }
    std::swap(copy_, other_);
  }

  V bilinear(const V* plane, double x, double y, V fill) const {
    const double left = std::floor(x), top = std::floor(y);
    if (!(left >= -1 && top >= -1 && left < static_cast<double>(now_.width) &&
          top < static_cast<double>(now_.height)))
      return fill;
    const auto x0 = static_cast<std::int64_t>(left), y0 = static_cast<std::int64_t>(top);
    const auto at = [&](std::int64_t row, std::int64_t column) {
      const bool inside = row >= 0 && row < now_.height && column >= 0 && column < now_.width;
      return inside ? plane[row * now_.width + column] : fill;
    };
    const auto u = static_cast<V>(x - left), v = static_cast<V>(y - top);
    const V upper = at(y0, x0) * (1 - u) + at(y0, x0 + 1) * u;
    const V lower = at(y0 + 1, x0) * (1 - u) + at(y0 + 1, x0 + 1) * u;
    return upper * (1 - v) + lower * v;
  }

  void cutout(const std::array<double, 7>& n, double u, double v) {
    materialise();
    const auto range = [](double extent, double size, double share) {
      const auto n_all = static_cast<std::int64_t>(extent), n_cut = static_cast<std::int64_t>(size);
      const std::int64_t begin = static_cast<std::int64_t>(share * extent) - n_cut / 2;
      return std::pair{std::max(begin, std::int64_t{0}), std::min(begin + n_cut, n_all)};
    };
    const auto [top, bottom] = range(static_cast<double>(now_.height), n[0], u);
    const auto [left, right] = range(static_cast<double>(now_.width), n[1], v);
    for (std::int64_t c = 0; c < channels_; ++c)
      for (std::int64_t y = top; y < bottom; ++y)
        std::fill_n(copy_ + (c * now_.height + y) * now_.width + left,
                    std::max(right - left, std::int64_t{0}), static_cast<V>(n[3]));
  }

  V gray(std::int64_t pixel) const {
    if (channels_ != 3) {
      V sum = 0;
      for (std::int64_t c = 0; c < channels_; ++c) sum += copy_[c * now_.pixels() + pixel];
      return sum / static_cast<V>(channels_);
    }
    const V* red = copy_ + pixel;
    return static_cast<V>(0.2989) * red[0] + static_cast<V>(0.587) * red[now_.pixels()] +
           static_cast<V>(0.114) * red[2 * now_.pixels()];
  }

  template <class Draw>
  void jitter(const std::array<double, 7>& n, Draw draw) {
    materialise();
    const auto high = static_cast<V>(n[4]);
    const auto factor = [&](std::size_t i) {
      const double low = std::max(0.0, 1 - n[i]);
      return static_cast<V>(low + draw(i) * (1 + n[i] - low));
    };
    const auto blend = [&](V value, V other, V share) {
      return std::clamp(share * value + (1 - share) * other, V{0}, high);
    };
    const std::int64_t pixels = now_.pixels(), size = channels_ * pixels;
    if (n[0] > 0) {
      const V share = factor(0);
      for (std::int64_t i = 0; i < size; ++i) copy_[i] = blend(copy_[i], 0, share);
    }
    if (n[1] > 0) {
      const V share = factor(1);
      double sum = 0;
      for (std::int64_t i = 0; i < pixels; ++i) sum += static_cast<double>(gray(i));
      const V mean = static_cast<V>(sum / static_cast<double>(pixels));
      for (std::int64_t i = 0; i < size; ++i) copy_[i] = blend(copy_[i], mean, share);
    }
    if (channels_ != 3) return;
    if (n[2] > 0) {
      const V share = factor(2);
      for (std::int64_t i = 0; i < pixels; ++i) {
        const V own = gray(i);
        for (std::int64_t c = 0; c < 3; ++c) copy_[c * pixels + i] = blend(copy_[c * pixels + i], own, share);
      }
    }
    if (n[3] > 0) {
      const auto turn = static_cast<V>((2 * draw(3) - 1) * n[3]);
      for (std::int64_t i = 0; i < pixels; ++i) turn_hue(copy_ + i, pixels, turn);
    }
  }

  // Turns the hue of a pixel by a share of the circle, by way of hue, saturation and value.
  static void turn_hue(V* red, std::int64_t step, V turn) {
    V &r = red[0], &g = red[step], &b = red[2 * step];
    const V value = std::max({r, g, b}), least = std::min({r, g, b}), chroma = value - least;
    if (chroma == 0) return;
    V hue = 0;
    if (value == r) hue = (g - b) / chroma;
    else if (value == g) hue = 2 + (b - r) / chroma;
    else hue = 4 + (r - g) / chroma;
    hue = hue / 6 + turn;
    hue = (hue - std::floor(hue)) * 6;
    const auto part = [&](V offset) {
      const V k = std::fmod(offset + hue, V{6});
      return value - chroma * std::clamp(std::min(k, 4 - k), V{0}, V{1});
    };
    r = part(5), g = part(3), b = part(1);
  }

  void noise(double std, std::uint64_t seed) {
    materialise();
    const std::int64_t size = channels_ * now_.pixels();
    for (std::int64_t i = 0; i < size; i += 2) {
      const auto place = static_cast<std::uint64_t>(i);
      // 1 - u lies in (0, 1], where the logarithm is finite.
      const double radius = std * std::sqrt(-2 * std::log(1 - uniform_at(seed, place)));
      const double angle = 2 * std::numbers::pi * uniform_at(seed, place + 1);
      copy_[i] += static_cast<V>(radius * std::cos(angle));
      if (i + 1 < size) copy_[i + 1] += static_cast<V>(radius * std::sin(angle));
    }
  }

  std::int64_t channels_;
  const T* source_;
  Extents now_, from_;  // of the image, and of the memory that the places are in
  std::int64_t *rows_ = nullptr, *columns_ = nullptr, *spare_ = nullptr;  // places, -1: filled
  V *copy_ = nullptr, *other_ = nullptr;
  V fill_ = 0;
  bool copied_ = false, filled_ = false;
};

template <class T>
void augment_as(const AugmentArgs& args, std::int64_t begin, std::int64_t end) {
  const std::int64_t in_size = args.channels * args.height * args.width,
                     out_size = args.channels * args.out_height * args.out_width;
  const Extents most = largest(args);
  for (std::int64_t i = begin; i < end; ++i) {
    Image<T> image(args, static_cast<const T*>(args.images) + args.rows[i] * in_size, most);
    const std::uint64_t seed = number_at(args.seed, static_cast<std::uint64_t>(args.first + i));
    for (std::size_t k = 0; k < args.changes.size(); ++k) image.change(args.changes[k], number_at(seed, k));
    image.write(static_cast<T*>(args.output) + i * out_size);
  }
}

template <class T>
void mix_as(const MixArgs& args, std::int64_t begin, std::int64_t end) {
  using V = Computed<T>;
  const std::int64_t size = args.channels * args.height * args.width;
  const auto image = [&](std::int64_t i) { return static_cast<const T*>(args.images) + i * size; };
  for (std::int64_t i = begin; i < end; ++i) {
    const T *own = image(i), *partner = image(args.partners[i]);
    T* output = static_cast<T*>(args.output) + i * size;
    if (args.boxes == nullptr) {
      const auto share = static_cast<V>(args.shares[i]);
      for (std::int64_t j = 0; j < size; ++j)
        output[j] = stored<T>(share * static_cast<V>(own[j]) + (1 - share) * static_cast<V>(partner[j]));
      continue;
    }
    std::copy_n(own, size, output);
    const std::int64_t* box = args.boxes + 4 * i;
    for (std::int64_t c = 0; c < args.channels; ++c)
      for (std::int64_t y = box[0]; y < box[2]; ++y) {
        const std::int64_t place = (c * args.height + y) * args.width + box[1];
        std::copy_n(partner + place, box[3] - box[1], output + place);
      }
  }
}

}  // namespace

Change change_named(std::string_view name) {
  constexpr std::array names{"flip", "crop", "affine", "cutout", "jitter", "noise"};
  const auto place = std::find(names.begin(), names.end(), name);
  check<KeyError>(place != names.end(), "unknown change of images '", std::string(name), "'");
  return static_cast<Change>(place - names.begin());
}

std::int64_t augment_workspace(const AugmentArgs& args) {
  const Extents most = largest(args);
  const std::int64_t places = most.height + most.width + std::max(most.height, most.width);
  const std::int64_t bytes = args.dtype == DType::float64 ? 8 : 4;
  return 8 * places + 2 * bytes * args.channels * most.pixels();
}

void augment(const AugmentArgs& args, std::int64_t begin, std::int64_t end) {
  with_image_type(args.dtype, [&]<class T>(T) { augment_as<T>(args, begin, end); });
}

void mix(const MixArgs& args, std::int64_t begin, std::int64_t end) {
  with_image_type(args.dtype, [&]<class T>(T) { mix_as<T>(args, begin, end); });
}

}  // namespace ravine::host
