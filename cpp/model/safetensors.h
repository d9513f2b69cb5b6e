// Named tensors in a file, in the format of the Python package `safetensors`: eight bytes with the header's
// length, a JSON header (dtype, shape and offsets of each tensor), the tensors' bytes. Format:
// https://huggingface.co/docs/safetensors. Types: F32 F64 I32 I64 U8 BOOL.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"

namespace ravine {

struct NamedTensor {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::span<const std::byte> bytes;  // row-major
};

using Metadata = std::map<std::string, std::string>;

struct TensorFile {
  std::vector<NamedTensor> tensors;  // in the header's order; their bytes lie in `data`
  Metadata metadata;
  std::unique_ptr<std::byte[]> data;
};

// Writes a temporary file beside `path` and renames it, so that `path` holds the whole new content or what it
// held. ValueError for names that are empty, repeated, reserved or no UTF-8 and for bytes that do not fit
// dtype and shape; FileNotFoundError where the folder does not exist; RuntimeError where the system refuses.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

// ValueError naming the file, and the tensor where it is one's fault, for whatever is not a complete file of
// that format; FileNotFoundError; RuntimeError where the system refuses.
TensorFile read_safetensors(const std::string& path);

}  // namespace ravine
