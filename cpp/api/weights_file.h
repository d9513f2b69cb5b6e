// Named arrays in safetensors files.
#pragma once

#include <string>

#include "api/recording.h"

namespace ravine::v1 {

using train::NamedArrays;

void write_arrays(const std::string& path, const NamedArrays& arrays, const Metadata& metadata);
NamedArrays read_arrays(const SafetensorsFile& file);

// The arrays in the order of the set; ValueError with all that is missing, unexpected or misshaped.
std::vector<ravine::Array> fitting(const ParameterStore& store, const NamedArrays& given,
                                   const std::string& what);

}  // namespace ravine::v1
