#include "core/memory_error.h"

#include <array>
#include <iomanip>
#include <sstream>

namespace ravine {

std::string byte_count(std::size_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB"};
  std::ostringstream text;
  if (bytes < 1024) {
    text << bytes << " B";
    return text.str();
  }
  double count = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; count >= 1024 && unit + 1 < units.size(); ++unit) count /= 1024;
  text << std::fixed << std::setprecision(1) << count << " " << units[unit];
  return text.str();
}

MemoryError::MemoryError(std::size_t bytes, const std::string& what)
    : message_("out of memory: " + what + " needs " + byte_count(bytes)) {}

}  // namespace ravine
