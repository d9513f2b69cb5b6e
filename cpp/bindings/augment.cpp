#include "host/augment.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/error.h"
#include "core/memory_error.h"

namespace ravine::bindings {
namespace {

DType image_dtype(const py::array& images) {
  const DType dtype = dtype_of_array(images, "images");
  check<TypeError>(dtype == DType::uint8 || dtype == DType::float32 || dtype == DType::float64,
                   "images: expected uint8, float32 or float64, got ", name_of(dtype));
  check<ValueError>(is_dense(images) && images.ndim() == 4,
                    "images: expected a C-contiguous array [n, C, H, W], got shape ", shape_of(images));
  return dtype;
}

py::array augment(const py::array& images, const py::array& rows,
                  const std::vector<std::pair<std::string, std::vector<double>>>& changes,
                  std::int64_t out_height, std::int64_t out_width, std::uint64_t seed, std::int64_t first) {
  host::AugmentArgs args;
  args.dtype = image_dtype(images);
  const py::array chosen = as_contiguous(rows, DType::int64, "rows");
  args.rows = static_cast<const std::int64_t*>(chosen.data());
  const std::int64_t count = chosen.size(), available = images.shape(0);
  for (std::int64_t i = 0; i < count; ++i)
    check<ValueError>(args.rows[i] >= 0 && args.rows[i] < available, "images: there is no image ",
                      args.rows[i], " among ", available);
  args.channels = images.shape(1), args.height = images.shape(2), args.width = images.shape(3);
  args.out_height = out_height, args.out_width = out_width;
  args.images = images.data();
  std::vector<host::ImageChange> own;
  for (const auto& [name, numbers] : changes) {
    host::ImageChange& change = own.emplace_back();
    change.kind = host::change_named(name);
    check<ValueError>(numbers.size() <= change.numbers.size(), name, ": got ", numbers.size(), " numbers");
    std::copy(numbers.begin(), numbers.end(), change.numbers.begin());
  }
  args.changes = own;
  args.seed = seed, args.first = first;
  py::array result = new_array(args.dtype, Shape{count, args.channels, out_height, out_width});
  args.output = result.mutable_data();
  const auto bytes = static_cast<std::size_t>(host::augment_workspace(args));
  std::vector<std::byte> workspace = with_memory(
      bytes, [] { return std::string("the workspace of an augmentation"); },
      [bytes] { return std::vector<std::byte>(bytes); });
  args.workspace = workspace.data();
  {
    const GilRelease released;
    host::augment(args, 0, count);
  }
  return result;
}

py::array mix(const py::array& images, const py::array& partners, const py::array& shares,
              const std::optional<py::array>& boxes) {
  host::MixArgs args;
  args.dtype = image_dtype(images);
  const std::int64_t count = images.shape(0);
  args.channels = images.shape(1), args.height = images.shape(2), args.width = images.shape(3);
  args.images = images.data();
  const py::array others = as_contiguous(partners, DType::int64, "partners"),
                  parts = as_contiguous(shares, DType::float64, "shares");
  const py::array areas = boxes ? as_contiguous(*boxes, DType::int64, "boxes") : py::array();
  check<ValueError>(others.size() == count && parts.size() == count && (!boxes || areas.size() == 4 * count),
                    "mix: expected a partner, a share and a box for each of ", count, " images");
  args.partners = static_cast<const std::int64_t*>(others.data());
  args.shares = static_cast<const double*>(parts.data());
  args.boxes = boxes ? static_cast<const std::int64_t*>(areas.data()) : nullptr;
  for (std::int64_t i = 0; i < count; ++i) {
    check<ValueError>(args.partners[i] >= 0 && args.partners[i] < count, "mix: there is no image ",
                      args.partners[i], " among ", count);
    if (args.boxes == nullptr) continue;
    const std::int64_t* box = args.boxes + 4 * i;
    check<ValueError>(0 <= box[0] && box[0] <= box[2] && box[2] <= args.height && 0 <= box[1] &&
                          box[1] <= box[3] && box[3] <= args.width,
                      "mix: the box of image ", i, " is not inside of it");
  }
  py::array result = new_array(args.dtype, shape_of(images));
  args.output = result.mutable_data();
  {
    const GilRelease released;
    host::mix(args, 0, count);
  }
  return result;
}

}  // namespace

void bind_augment(py::module_& module) {
  module.def("augment", &augment, py::arg("images"), py::arg("rows"), py::arg("changes"),
             py::arg("out_height"), py::arg("out_width"), py::arg("seed"), py::arg("first"),
             "Images taken by index and changed at random, without the GIL.");
  module.def("mix", &mix, py::arg("images"), py::arg("partners"), py::arg("shares"),
             py::arg("boxes") = py::none(), "Images with parts of others of the same batch.");
}

}  // namespace ravine::bindings
