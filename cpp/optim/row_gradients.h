// Gradients of tables of which a step reads few rows: their other rows are zero, and neither the gradient nor
// the update looks at them. Whoever gathers says so (gather_rows and its gradient, scatter_add_rows, have an
// attribute `sparse`), as it decides what an update means: rules with memory leave that of other rows as it
// is.
#pragma once

#include "graph/graph.h"

namespace ravine::optim {

// Puts in the place of each gradient that is a sum of sparse ones its rows [n, ...], each row of the
// parameter at most once. Returns for each gradient which rows these are ([n], see coalesce_rows), or none
// where it is dense.
Values take_rows(Values& gradients);

}  // namespace ravine::optim
