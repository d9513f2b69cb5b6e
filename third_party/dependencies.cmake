# Finds Eigen, nlohmann_json and pybind11: a system package serves, else the build requirement of the same name from
# the Python package index. No copies are kept here.

find_package(Python 3.10 COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module REQUIRED)

# The folder of an installed Python package, or empty.
function(ravine_python_package_dir package result)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.util as u; s = u.find_spec('${package}'); print(list(s.submodule_search_locations)[0] if s else '')"
    OUTPUT_VARIABLE dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${dir}" PARENT_SCOPE)
endfunction()

# The package nlohmann_json brings its header in its own folder; the package cmeel-eigen installs below cmeel.prefix beside it.
ravine_python_package_dir(nlohmann_json nlohmann_json_dir)
if(nlohmann_json_dir)
  get_filename_component(site_packages "${nlohmann_json_dir}" DIRECTORY)
  list(APPEND CMAKE_PREFIX_PATH "${site_packages}/cmeel.prefix" "${nlohmann_json_dir}")
endif()

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.9 QUIET)
if(NOT nlohmann_json_FOUND)
  find_path(nlohmann_json_include nlohmann/json.hpp HINTS "${nlohmann_json_dir}/include" REQUIRED)
  add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED)
  target_include_directories(nlohmann_json::nlohmann_json INTERFACE "${nlohmann_json_include}")
endif()

if(RAVINE_PYTHON)
  ravine_python_package_dir(pybind11 pybind11_dir)
  find_package(pybind11 2.11 REQUIRED CONFIG HINTS "${pybind11_dir}/share/cmake/pybind11")
endif()
