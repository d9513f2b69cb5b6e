// What goes wrong: one exception type, and results for code that is built without exceptions.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace ravine {

// Thrown by every function of the library for a bad argument, a bad file, or a state that does not allow the
// call. what() says what was wrong, what was seen and what was expected. Nothing has changed then. (Only
// std::bad_alloc, and what functions of yours throw, come beside it.)
#ifndef RAVINE_ENGINE  // whose own files have the class from core/error.h
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
#endif

// The other public names stand in `v1`, whose symbols alone are visible, and are used as `ravine::Error`.
#pragma GCC visibility push(default)
namespace v1 {

struct [[gnu::visibility("hidden")]] Access;  // what the library's own files see of the classes below

// Whether a call of a `try_` function succeeded.
class Status {
 public:
  Status() = default;
  static Status failed(std::string message) {
    Status status;
    status.error_.emplace(std::move(message));
    return status;
  }
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const std::string& error() const { return ok() ? none() : *error_; }  // empty after a success

 private:
  static const std::string& none();
  std::optional<std::string> error_;
};

// The same with a value: `if (auto model = Model::try_load(path)) use(*model); else log(model.error());`
template <class T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status failure) : status_(std::move(failure)) {}
  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  const std::string& error() const { return status_.error(); }
  T& operator*() { return *value_; }  // after a success only
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace v1
#pragma GCC visibility pop
using namespace v1;
}  // namespace ravine
