// The one exception type, and what it says.
#pragma once

#include <gtest/gtest.h>
#include <ravine/error.h>

#include <string>

template <class Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const ravine::Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

#define EXPECT_ERROR(expression, text)                                            \
  do {                                                                            \
    const std::string message = error_of([&] { static_cast<void>(expression); }); \
    EXPECT_NE(message.find(text), std::string::npos) << message;                  \
  } while (false)
