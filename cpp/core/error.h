// The exceptions that reach the user. Each becomes the Python exception of the same name.
#pragma once

#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace ravine {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ValueError : Error {
  using Error::Error;
};
struct TypeError : Error {
  using Error::Error;
};
struct KeyError : Error {
  using Error::Error;
};
// What the operating system refused. In Python it is the subclass of OSError that belongs to the number
// (FileNotFoundError, PermissionError, ...).
struct OSError : Error {
  OSError(int number, std::string file_path)
      : Error("'" + file_path + "': " + std::strerror(number)), code(number), path(std::move(file_path)) {}
  int code;  // errno
  std::string path;
};
struct FloatingPointError : Error {
  using Error::Error;
};
struct RuntimeError : Error {
  using Error::Error;
};

// str("got ", shape, ", expected ", 4): everything that streams, as one string.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class Exception, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Exception(str(parts...));
}

// check<ValueError>(rows > 0, "linear: got ", shape): the message is built only when the condition fails.
template <class Exception, class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail<Exception>(parts...);
}

}  // namespace ravine
