# Finds Eigen, nlohmann_json, pybind11 and the threads: a system package serves, else the build requirement of the same
# name from the Python package index. No copies are kept here.

# Targets that link the library from another folder see what it links.
macro(ravine_find_target target)
  if(NOT TARGET ${target})
    find_package(${ARGN} QUIET)
    if(TARGET ${target})
      set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
    endif()
  endif()
endmacro()

# The folder of an installed Python package, or empty.
function(ravine_python_package_dir package result)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.util as u; s = u.find_spec('${package}'); print(list(s.submodule_search_locations)[0] if s else '')"
    OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${dir}" PARENT_SCOPE)
endfunction()

ravine_find_target(Threads::Threads Threads)
ravine_find_target(Eigen3::Eigen Eigen3 3.4 NO_MODULE)
ravine_find_target(nlohmann_json::nlohmann_json nlohmann_json 3.9)

# Python serves the bindings, and to find packages that pip has installed.
if(RAVINE_PYTHON)
  find_package(Python 3.10 COMPONENTS Interpreter Development.Module REQUIRED)
elseif(NOT TARGET Eigen3::Eigen OR NOT TARGET nlohmann_json::nlohmann_json)
  find_package(Python 3.10 COMPONENTS Interpreter)
endif()

# The package nlohmann_json brings its header in its own folder; the package cmeel-eigen installs below cmeel.prefix
# beside it.
if(Python_FOUND)
  ravine_python_package_dir(nlohmann_json nlohmann_json_dir)
  if(nlohmann_json_dir)
    get_filename_component(site_packages "${nlohmann_json_dir}" DIRECTORY)
    list(APPEND CMAKE_PREFIX_PATH "${site_packages}/cmeel.prefix" "${nlohmann_json_dir}")
    ravine_find_target(Eigen3::Eigen Eigen3 3.4 NO_MODULE)
    ravine_find_target(nlohmann_json::nlohmann_json nlohmann_json 3.9)
  endif()
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_path(nlohmann_json_include nlohmann/json.hpp HINTS "${nlohmann_json_dir}/include")
  if(nlohmann_json_include)
    add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
    target_include_directories(nlohmann_json::nlohmann_json INTERFACE "${nlohmann_json_include}")
  endif()
endif()
foreach(needed "Threads::Threads|a thread library" "Eigen3::Eigen|Eigen 3.4 (apt install libeigen3-dev)"
               "nlohmann_json::nlohmann_json|nlohmann_json 3.9 (apt install nlohmann-json3-dev)")
  string(REPLACE "|" ";" needed "${needed}")
  list(GET needed 0 target)
  list(GET needed 1 name)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "Ravine needs ${name}")
  endif()
endforeach()

if(RAVINE_PYTHON)
  ravine_python_package_dir(pybind11 pybind11_dir)
  find_package(pybind11 2.11 REQUIRED CONFIG HINTS "${pybind11_dir}/share/cmake/pybind11")
endif()
