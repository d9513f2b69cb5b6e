// The parameters and statistics of a model, and what else its graphs read and write.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/fork.h"
#include "graph/graph.h"
#include "train/named.h"

namespace ravine {

// Whose turn it is: predictions read at once, a step writes alone. A step that waits comes before predictions
// that ask later.
class Turns {
 public:
  void lock() {
    const std::lock_guard next(next_);
    use_.lock();
  }
  void unlock() { use_.unlock(); }
  void lock_shared() {
    const std::lock_guard next(next_);
    use_.lock_shared();
  }
  void unlock_shared() { use_.unlock_shared(); }

 private:
  Mutex next_, use_;
};

struct ModelStates {
  // "model.<name>" of those that belong to the model, "captured.<number>" of others.
  train::NamedArrays arrays;
  // Of the model's state_dict: the names, and the arrays that they name.
  std::vector<std::pair<std::string, std::size_t>> keys;
  mutable Turns turns;

  // The number of an array, which is added under "captured" if it is not the model's.
  std::size_t number_of(const Array& array);
  // The array in a graph.
  Value value_in(Graph& graph, std::size_t number) const;

  // Copies, row-major.
  train::NamedArrays state_dict() const;
  // Takes all of them. ValueError with all that does not fit, and nothing is changed then.
  void load_state_dict(const train::NamedArrays& state);
};

}  // namespace ravine
