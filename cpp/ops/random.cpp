// Random numbers: a function of the run's seed and step, the node's stream and the element's number.
#include "ops/tile_ops.h"

namespace ravine {
namespace {

// The attribute `stream` is the node's own; it is kept when a pass copies the node.
void infer_uniform(Node& node) {
  expect_inputs(node, 0);
  node.attrs.check_known("uniform", {"shape", "dtype", "stream"});
  const Shape shape = node.attrs.dims("shape");
  for (const std::int64_t extent : shape)
    check<ValueError>(extent >= 0, "uniform: the shape ", shape, " has a negative extent");
  const DType dtype = node.attrs.has("dtype") ? node.attrs.dtype("dtype") : DType::float32;
  check<TypeError>(is_floating(dtype), "uniform: expected float32 or float64, got ", name_of(dtype));
  node.attrs.set("shape", shape);
  node.attrs.set("dtype", dtype);
  if (!node.attrs.has("stream"))
    node.attrs.set("stream", static_cast<std::int64_t>(node.graph->next_stream++));
  node.outputs = {{dtype, shape}};
}

}  // namespace

constinit const Op uniform_op{
    .name = "uniform", .kind = OpKind::tile, .infer = infer_uniform, .tile = TileOp::uniform, .random = true};

}  // namespace ravine
