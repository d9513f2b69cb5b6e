# What another project uses: the library `ravine`, whose symbols are those of the public headers and no others, and the
# package that find_package(ravine) and pkg-config find once it is installed.

# All of the engine becomes one object, in which hidden symbols are local: nothing of it (or of Eigen) can clash with
# what else a program links. Groups of inline functions are dissolved, since the linker would drop a group of ours for
# one of the program's of the same name.
set(one_object "${CMAKE_CURRENT_BINARY_DIR}/ravine.o")
add_custom_command(
  OUTPUT "${one_object}"
  COMMAND ${CMAKE_LINKER} -r --force-group-allocation --whole-archive $<TARGET_FILE:ravine_engine> -o "${one_object}"
  COMMAND ${CMAKE_COMMAND} -DOBJECT=${one_object} -DNM=${CMAKE_NM} -DOBJCOPY=${CMAKE_OBJCOPY}
          -P "${CMAKE_CURRENT_SOURCE_DIR}/hide_symbols.cmake"
  DEPENDS ravine_engine hide_symbols.cmake
  VERBATIM)

add_library(ravine "${one_object}")  # shared or static by BUILD_SHARED_LIBS
add_library(ravine::ravine ALIAS ravine)
set_source_files_properties("${one_object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
set_target_properties(ravine PROPERTIES
  LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
target_include_directories(ravine INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                            $<INSTALL_INTERFACE:include>)
target_compile_features(ravine INTERFACE cxx_std_20)
target_link_libraries(ravine PUBLIC Threads::Threads)
# Instances of the standard library's templates would be visible too.
target_link_options(ravine PRIVATE "-Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/exports.map")
set_property(TARGET ravine APPEND PROPERTY LINK_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/exports.map")

if(RAVINE_SANITIZE)
  set_target_properties(ravine PROPERTIES EXCLUDE_FROM_ALL TRUE)  # its tests link the engine
endif()

option(RAVINE_INSTALL "Rules that install the library, its headers and the CMake package" ${top_level})
if(RAVINE_INSTALL AND NOT SKBUILD)
  include(GNUInstallDirs)
  include(CMakePackageConfigHelpers)
  set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ravine")
  install(TARGETS ravine EXPORT ravine-targets COMPONENT ravine)
  install(DIRECTORY include/ravine DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT ravine)
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
  file(RELATIVE_PATH prefix_from_pc "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  configure_file(ravine.pc.in "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc" @ONLY)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/ravine.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
          COMPONENT ravine)
endif()
