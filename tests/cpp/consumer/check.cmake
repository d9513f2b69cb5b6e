# A project that adds Ravine's folder is configured: it needs no Python, and its warnings are its own.
#   cmake -DRAVINE_SOURCE_DIR=... -DBUILD=... -DEigen3_DIR=... -Dnlohmann_json_DIR=... -Dnlohmann_json_include=... -P check.cmake
file(REMOVE_RECURSE "${BUILD}")
set(found "")
foreach(place Eigen3_DIR nlohmann_json_DIR nlohmann_json_include)
  if(${place})
    list(APPEND found "-D${place}=${${place}}")
  endif()
endforeach()
execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${BUILD} -G ${GENERATOR} -DRAVINE_SOURCE_DIR=${RAVINE_SOURCE_DIR}
          -DCMAKE_DISABLE_FIND_PACKAGE_Python=TRUE -DCMAKE_DISABLE_FIND_PACKAGE_GTest=TRUE ${found}
  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "the consumer is not configured:\n${output}")
endif()
file(READ "${BUILD}/compile_commands.json" commands)
if(NOT commands MATCHES "main.cpp" OR NOT commands MATCHES "kernels/gemm/gemm.cpp")
  message(FATAL_ERROR "the consumer does not compile the library")
endif()
if(commands MATCHES "-Werror")
  message(FATAL_ERROR "the consumer's warnings are errors")
endif()
load_cache("${BUILD}" READ_WITH_PREFIX of_ CMAKE_BUILD_TYPE RAVINE_PYTHON RAVINE_TESTS)
if(of_RAVINE_PYTHON OR of_RAVINE_TESTS OR of_CMAKE_BUILD_TYPE)
  message(FATAL_ERROR "the consumer's settings are not its own: '${of_CMAKE_BUILD_TYPE}' ${of_RAVINE_PYTHON} ${of_RAVINE_TESTS}")
endif()
