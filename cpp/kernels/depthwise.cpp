#include "kernels/conv.h"
