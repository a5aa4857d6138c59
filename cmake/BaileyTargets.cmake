# One function per kind of target, so that every folder is built with the same warnings and hardening.

find_program(CCACHE ccache)
foreach(language C CXX)
  if(CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${CCACHE})
  endif()
endforeach()

add_library(bailey_warnings INTERFACE)
target_compile_options(bailey_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers -Wno-sign-conversion
    -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Wformat=2 -Werror=return-type>)
target_compile_options(bailey_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-pedantic>
  $<$<CXX_COMPILER_ID:Clang>:-Wno-gnu-statement-expression-from-macro-expansion>)  # TRY

# GCC 12 sees overlaps in inlined std::string that cannot be (its bug 105329).
target_compile_options(bailey_warnings INTERFACE $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>)

# What a packager's flags say already is theirs (dpkg-buildflags, rpm's optflags): ours would come behind them.
add_library(bailey_hardening INTERFACE)
set(given "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELEASE}")
foreach(flag -fstack-protector-strong -fstack-clash-protection)
  if(NOT given MATCHES "-f(no-)?stack-(protector|clash)")
    target_compile_options(bailey_hardening INTERFACE ${flag})
  endif()
endforeach()
if(NOT given MATCHES "_FORTIFY_SOURCE")
  target_compile_options(bailey_hardening INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
endif()
if(NOT given MATCHES "-fcf-protection" AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  target_compile_options(bailey_hardening INTERFACE -fcf-protection)
endif()
if(NOT given MATCHES "_GLIBCXX_ASSERTIONS")
  target_compile_definitions(bailey_hardening INTERFACE _GLIBCXX_ASSERTIONS)  # an index out of range ends the program
endif()
target_compile_options(bailey_hardening INTERFACE $<$<CONFIG:Release>:-ffunction-sections -fdata-sections>)
target_link_options(bailey_hardening INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack $<$<CONFIG:Release>:-Wl,--gc-sections>)
if(BAILEY_SANITIZE)
  target_compile_options(bailey_hardening INTERFACE -fsanitize=${BAILEY_SANITIZE},undefined -fno-omit-frame-pointer)
  target_link_options(bailey_hardening INTERFACE -fsanitize=${BAILEY_SANITIZE},undefined)
endif()

# bailey_library(NAME SOURCES... [USES targets...]): the static library of one folder, includes from the root.
function(bailey_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
  add_library(bailey_${name} STATIC ${ARG_SOURCES})
  target_include_directories(bailey_${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(bailey_${name} PUBLIC ${ARG_USES} PRIVATE bailey_warnings bailey_hardening)
endfunction()

if(BAILEY_FUZZ)
  target_compile_options(bailey_hardening INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(bailey_hardening INTERFACE -fsanitize=fuzzer-no-link)
endif()

# bailey_test(NAME LABEL label SOURCES... [USES targets...]): one GoogleTest program, one label. Each TEST is a CTest entry of
# its own, so that a failure and a skip are seen by name. Only unit tests run side by side: the others look at the host.
function(bailey_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(${name} PRIVATE ${ARG_USES} bailey_test_support GTest::gtest_main bailey_warnings)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0>)  # halves the time to build them; nothing of them is measured
  if(BAILEY_SANITIZE)
    target_link_options(${name} PRIVATE -fsanitize=${BAILEY_SANITIZE},undefined)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  set(serial ON)
  if(ARG_LABEL STREQUAL unit)
    set(serial OFF)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${serial})
endfunction()

# bailey_fuzz(NAME SOURCES... CORPUS dirs... [USES targets...]): a file with LLVMFuzzerTestOneInput. Every build replays the corpus
# over it (NAME_replay); BAILEY_FUZZ adds NAME itself, libFuzzer from that corpus for a bounded number of inputs.
function(bailey_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;CORPUS;USES" ${ARGN})
  add_executable(${name}_replay ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cc)
  target_link_libraries(${name}_replay PRIVATE ${ARG_USES} bailey_warnings bailey_hardening)
  add_test(NAME ${name}_replay COMMAND ${name}_replay ${ARG_CORPUS})
  set_tests_properties(${name}_replay PROPERTIES LABELS fuzz TIMEOUT 600)
  if(NOT BAILEY_FUZZ)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_USES} bailey_warnings bailey_hardening)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set(found ${CMAKE_CURRENT_BINARY_DIR}/${name}_found)
  file(MAKE_DIRECTORY ${found})
  add_test(NAME ${name} COMMAND ${name} -runs=30000 -max_len=16384 -timeout=60 -artifact_prefix=${found}/ ${found} ${ARG_CORPUS})
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 3600)
endfunction()
