# Everything from Debian's packages (launch/install-packages); nothing is downloaded or vendored.
find_package(PkgConfig REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(DW REQUIRED IMPORTED_TARGET libdw)

# oneDNN, version 2 or 3: products in bf16. Only its headers are needed here: the library is loaded at run time, by runs
# that ask for bf16 on CPUs that have instructions for it. Without it the values are computed in fp32.
find_path(ENT_ONEDNN_INCLUDE NAMES oneapi/dnnl/dnnl.h)
if(NOT ENT_ONEDNN_INCLUDE)
  message(STATUS "oneDNN not found: bf16 without the CPU's instructions for it")
endif()

# Only libhdf5 itself, not what it was linked with.
find_library(HDF5_SERIAL NAMES hdf5_serial hdf5 HINTS ${HDF5_LIBRARY_DIRS} PATH_SUFFIXES hdf5/serial REQUIRED)
add_library(ent_hdf5 INTERFACE)
target_include_directories(ent_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS} ${HDF5_INCLUDE_DIRS})
target_link_libraries(ent_hdf5 INTERFACE ${HDF5_SERIAL})

# Programs link archives where Debian has them: they start without loading forty libraries (libhdf5 alone brings those of
# curl and Kerberos), and can be static as a whole. The library that is installed links the shared ones.
# ent_archive(TARGET name...): the static form of a dependency, TARGET_static.
function(ent_archive target)
  string(MAKE_C_IDENTIFIER ${target} id)
  add_library(${id}_static INTERFACE)
  target_include_directories(${id}_static SYSTEM INTERFACE $<TARGET_PROPERTY:${target},INTERFACE_INCLUDE_DIRECTORIES>)
  foreach(name ${ARGN})
    find_library(ENT_ARCHIVE_${name} NAMES lib${name}.a PATH_SUFFIXES hdf5/serial REQUIRED)
    target_link_libraries(${id}_static INTERFACE ${ENT_ARCHIVE_${name}})
  endforeach()
  target_link_libraries(${id}_static INTERFACE m dl)
endfunction()
ent_archive(ent_hdf5 hdf5 sz aec z)
ent_archive(PkgConfig::JANSSON jansson)
ent_archive(PkgConfig::YAML yaml)
ent_archive(PkgConfig::PCRE2 pcre2-8)
ent_archive(PkgConfig::UTF8PROC utf8proc)
ent_archive(PkgConfig::NETTLE nettle)
