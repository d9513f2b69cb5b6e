# Makes all but the public symbols of an object local: cmake -DINPUT=... -DOUTPUT=... -DNM=... -DOBJCOPY=... -P hide_symbols.cmake
function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${ARGN}: ${errors}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# Variables that the compiler makes unique in a process (inline ones, and static ones of inline functions) cannot be made
# local. They get names of our own, so that they are not taken for the same variable of another Eigen, say.
run("${NM}" --defined-only --format=posix "${INPUT}")
string(REGEX MATCHALL "[^\n ]+ u [^\n]*" unique "${output}")
set(renamed "")
foreach(line IN LISTS unique)
  string(REGEX REPLACE " .*" "" name "${line}")
  string(APPEND renamed "${name} private_ravine_${name}\n")
endforeach()
file(WRITE "${OUTPUT}.renamed" "${renamed}")
run("${OBJCOPY}" --redefine-syms=${OUTPUT}.renamed --localize-hidden "${INPUT}" "${OUTPUT}")
