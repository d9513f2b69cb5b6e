// Names the instruction set a kernel file is compiled for. The build compiles every source of this folder
// once per ISA with RAVINE_ISA set to the namespace below; everything such a file defines lives in
// ravine::kernels::RAVINE_ISA, so that the linker can never merge code of two ISAs.
#pragma once

#define RAVINE_ISA_LIST(X) X(generic) X(x86_64_v3) X(x86_64_v4)
