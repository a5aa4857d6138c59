# Every library that is not the compiler's own, found before anything is built: what is missing is said here, by name.
# scripts/packages.txt has the packages of Debian that bring them.

find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED)          # Boost.Process, headers only: base/command.cc
find_package(nlohmann_json 3.11 REQUIRED)  # base/json.cc
find_package(spdlog REQUIRED)              # headers only: base/log.cc
find_package(fmt REQUIRED)                 # headers only
find_package(PkgConfig REQUIRED)

# bailey_pkg(NAME MODULE): an interface target of what pkg-config says. By name and not by file, so that the linker takes the
# static library for a static program.
function(bailey_pkg name module)
  pkg_check_modules(${name} REQUIRED QUIET ${module})
  add_library(bailey_lib_${name} INTERFACE)
  target_include_directories(bailey_lib_${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIRS})
  target_link_directories(bailey_lib_${name} INTERFACE ${${name}_LIBRARY_DIRS})
  target_link_libraries(bailey_lib_${name} INTERFACE ${${name}_LIBRARIES})
endfunction()
bailey_pkg(seccomp libseccomp)  # seccomp/names.cc
bailey_pkg(cap libcap)          # native/identity/caps.cc

find_library(BAILEY_RESOLV resolv)  # res_mkquery and the like, of the C library where there is none of its own
if(NOT BAILEY_RESOLV)
  message(FATAL_ERROR "libresolv was not found: it comes with the C library's development files (libc6-dev)")
endif()
