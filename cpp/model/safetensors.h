// Named tensors in a file, in the format of the Python package `safetensors`: eight bytes with the header's
// length, a JSON header (dtype, shape and offsets of each tensor), the tensors' bytes. Format:
// https://huggingface.co/docs/safetensors. Types: F32 F64 I32 I64 U8 BOOL, and F16 and BF16 to read.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "model/file.h"
#include "model/safetensors_header.h"

namespace ravine {

struct NamedTensor {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::span<const std::byte> bytes;  // row-major
};

// The file at `path` holds the whole new content or what it held; see ReplacementFile. ValueError for names
// that are empty, repeated, reserved, too long, have a null character or are no UTF-8, and for bytes that do
// not fit dtype and shape; OSError where the system refuses.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

// An open file whose header has been read and checked. ValueError naming the file, and the tensor if it is
// one's fault, for whatever is not a complete file of the format; OSError where the system refuses.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::vector<TensorEntry>& tensors() const { return header_.tensors; }
  const Metadata& metadata() const { return header_.metadata; }

  // The tensor's elements in row-major order: numel(shape) * size_of(dtype()) bytes. F16 and BF16 become
  // float32, exactly. ValueError for a boolean that is neither 0 nor 1.
  void read(const TensorEntry& tensor, std::byte* to) const;

 private:
  SourceFile source_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_ = 0;
};

}  // namespace ravine
