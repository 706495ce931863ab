# Everything from Debian's packages (launch/install-packages); nothing is downloaded or vendored.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
find_package(MPI REQUIRED COMPONENTS C)
find_package(HDF5 REQUIRED COMPONENTS C)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)

# OpenBLAS: as a static archive, because loading it dynamically costs a program its start. The OpenMP build, used with one
# thread: our threads are our own, over fixed tiles. Debian's serial build takes no lock around its buffers, so two
# threads that multiply at once get each other's numbers.
find_library(ENT_OPENBLAS_ARCHIVE NAMES libopenblas.a PATH_SUFFIXES openblas-openmp REQUIRED)
find_path(ENT_OPENBLAS_INCLUDE NAMES cblas.h PATH_SUFFIXES openblas-openmp REQUIRED)
add_library(OpenBLAS::OpenBLAS STATIC IMPORTED)
set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
  IMPORTED_LOCATION ${ENT_OPENBLAS_ARCHIVE}
  INTERFACE_INCLUDE_DIRECTORIES ${ENT_OPENBLAS_INCLUDE})

# Only libhdf5 itself, not what it was linked with.
find_library(HDF5_SERIAL NAMES hdf5_serial hdf5 HINTS ${HDF5_LIBRARY_DIRS} PATH_SUFFIXES hdf5/serial REQUIRED)
add_library(ent_hdf5 INTERFACE)
target_include_directories(ent_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS} ${HDF5_INCLUDE_DIRS})
target_link_libraries(ent_hdf5 INTERFACE ${HDF5_SERIAL})
