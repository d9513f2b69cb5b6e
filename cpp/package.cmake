# What another project uses: the library `ravine`, whose symbols are those of the public headers and no others, and the
# package that find_package(ravine) and pkg-config find once it is installed, by `cmake --install` or in the wheel.

# All of the engine becomes one object. Groups of inline functions are dissolved, since the linker would drop a group of
# ours for one of the program's of the same name.
set(whole_object "${CMAKE_CURRENT_BINARY_DIR}/ravine_whole.o")
add_custom_command(
  OUTPUT "${whole_object}"
  COMMAND ${CMAKE_LINKER} -r --force-group-allocation --whole-archive $<TARGET_FILE:ravine_engine> -o "${whole_object}"
  DEPENDS ravine_engine
  VERBATIM)
# In the library's object hidden symbols are local: nothing of it (or of Eigen) can clash with what else a program links.
set(one_object "${CMAKE_CURRENT_BINARY_DIR}/ravine.o")
add_custom_command(
  OUTPUT "${one_object}"
  COMMAND ${CMAKE_COMMAND} -DINPUT=${whole_object} -DOUTPUT=${one_object} -DNM=${CMAKE_NM} -DOBJCOPY=${CMAKE_OBJCOPY}
          -P "${CMAKE_CURRENT_SOURCE_DIR}/hide_symbols.cmake"
  DEPENDS "${whole_object}" hide_symbols.cmake
  VERBATIM)

# A library of one object, shared with the symbols of a version script alone. (Instances of the standard library's
# templates would be visible too.) Its own calls stay inside, whatever else the process has loaded.
function(ravine_library name kind object symbols)
  add_library(${name} ${kind} "${object}")
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set_target_properties(${name} PROPERTIES
    LINKER_LANGUAGE CXX EXPORT_NAME ravine SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  target_include_directories(${name} INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                               $<INSTALL_INTERFACE:${package_root}include>)
  target_compile_features(${name} INTERFACE cxx_std_20)
  target_link_libraries(${name} PUBLIC Threads::Threads)
  target_link_options(${name} PRIVATE "-Wl,--version-script=${symbols}" -Wl,-Bsymbolic-functions)
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS "${symbols}")
  if(RAVINE_SANITIZE)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)  # its tests link the engine
  endif()
endfunction()

# Where the package is installed: in the wheel below the Python package's folder.
include(GNUInstallDirs)
set(package_root "")
set(package_lib "${CMAKE_INSTALL_LIBDIR}")
set(package_include "${CMAKE_INSTALL_INCLUDEDIR}")
if(SKBUILD)
  set(package_root "ravine/cpp/")
  set(package_lib "lib")
  set(package_include "include")
endif()

ravine_library(ravine "" "${one_object}" "${CMAKE_CURRENT_SOURCE_DIR}/exports.map")  # shared by BUILD_SHARED_LIBS
add_library(ravine::ravine ALIAS ravine)
set_target_properties(ravine PROPERTIES VERSION ${PROJECT_VERSION})
set(package_library ravine)
set(package_link "-lravine")
set(package_links "")

# The wheel has the kernels once: the extension module links the shared library that programs link, in which it sees
# what it uses besides. The library has a name of its own, as it and the module belong together.
if(RAVINE_PYTHON)
  set(shared_object "${CMAKE_CURRENT_BINARY_DIR}/ravine_python.o")
  set(shared_map "${CMAKE_CURRENT_BINARY_DIR}/ravine_python.map")
  add_custom_command(
    OUTPUT "${shared_object}" "${shared_map}"
    COMMAND Python::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/bindings/share_symbols.py" --nm ${CMAKE_NM}
            --object "${whole_object}" --exports "${CMAKE_CURRENT_SOURCE_DIR}/exports.map" --out "${shared_object}"
            --map "${shared_map}" $<TARGET_OBJECTS:ravine_bindings>
    DEPENDS "${whole_object}" exports.map bindings/share_symbols.py $<TARGET_OBJECTS:ravine_bindings>
    COMMAND_EXPAND_LISTS VERBATIM)
  ravine_library(ravine_python SHARED "${shared_object}" "${shared_map}")
  set_target_properties(ravine_python PROPERTIES OUTPUT_NAME ravine-python)
endif()

option(RAVINE_INSTALL "Rules that install the library, its headers and the CMake package" ${top_level})
if(SKBUILD)
  set(package_library ravine_python)  # a wheel has no links: one file of the name that programs ask for
  set(package_link "-l:$<TARGET_FILE_NAME:ravine_python>")
  set(package_links NAMELINK_SKIP)
endif()
if(RAVINE_INSTALL)
  include(CMakePackageConfigHelpers)
  set(package_dir "${package_root}${package_lib}/cmake/ravine")
  install(TARGETS ${package_library} EXPORT ravine-targets
          LIBRARY DESTINATION "${package_root}${package_lib}" COMPONENT ravine ${package_links}
          ARCHIVE DESTINATION "${package_root}${package_lib}" COMPONENT ravine)
  install(DIRECTORY include/ravine DESTINATION "${package_root}${package_include}" COMPONENT ravine)
  install(EXPORT ravine-targets NAMESPACE ravine:: DESTINATION "${package_dir}" COMPONENT ravine)
  configure_package_config_file(ravine-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/ravine-config.cmake"
                                INSTALL_DESTINATION "${package_dir}")
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/ravine-config-version.cmake"
                                   COMPATIBILITY SameMinorVersion)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/ravine-config.cmake"
                "${CMAKE_CURRENT_BINARY_DIR}/ravine-config-version.cmake"
          DESTINATION "${package_dir}" COMPONENT ravine)
  # pkg-config: paths follow from where the file lies, so that the folder may be moved.
  file(RELATIVE_PATH prefix_from_pc "/${package_lib}/pkgconfig" "/")
  configure_file(ravine.pc.in "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc.in" @ONLY)
  file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc" INPUT "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc.in")
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc" DESTINATION "${package_root}${package_lib}/pkgconfig"
          COMPONENT ravine)
endif()
