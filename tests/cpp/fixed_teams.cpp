// Tests run on the threads that they ask for, however busy the machine is.
#include "core/team.h"

namespace {

[[maybe_unused]] const bool fixed = [] {
  ravine::set_adaptive_teams(false);
  return true;
}();

}  // namespace
