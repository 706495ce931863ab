# Programs, library, headers, the MPI module and entrenar.pc. Headers keep the layout of the repository below
# include/entrenar, for they include each other from its root: users compile with -I<prefix>/include/entrenar (pkg-config
# gives it) and write <entrenar.h> for the whole face, or "src/autograd/tape.h" for a part.

# All programs of launch/, and what they load: `cmake --build build --target programs`.
get_property(targets DIRECTORY ${PROJECT_SOURCE_DIR}/launch PROPERTY BUILDSYSTEM_TARGETS)
add_custom_target(programs)
add_dependencies(programs comm_mpi)
set(program_names)
foreach(target ${targets})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)
    add_dependencies(programs ${target})
    install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    get_target_property(name ${target} OUTPUT_NAME)
    if(NOT name)
      set(name ${target})
    endif()
    list(APPEND program_names ${name})
  endif()
endforeach()
# entrenar is entrenar-train where it is called so
if("entrenar" IN_LIST program_names AND NOT "entrenar-train" IN_LIST program_names)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/install)
  file(CREATE_LINK entrenar ${PROJECT_BINARY_DIR}/install/entrenar-train SYMBOLIC)
  install(FILES ${PROJECT_BINARY_DIR}/install/entrenar-train DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

install(TARGETS entrenar LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS comm_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/entrenar)

install(DIRECTORY src io DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/entrenar
  FILES_MATCHING PATTERN "*.h" PATTERN ops EXCLUDE)
install(FILES src/entrenar.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/entrenar OPTIONAL)

# The prefix is told from the place of the .pc file: an installation can be moved, or staged with DESTDIR.
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} NORMALIZE OUTPUT_VARIABLE libdir)
file(RELATIVE_PATH ENT_PC_TO_PREFIX ${libdir}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" ENT_PC_TO_PREFIX ${ENT_PC_TO_PREFIX})
set(ENT_PC_PREFIX "\${prefix}")
cmake_path(APPEND ENT_PC_PREFIX ${CMAKE_INSTALL_LIBDIR} OUTPUT_VARIABLE ENT_PC_LIBDIR)
cmake_path(APPEND ENT_PC_PREFIX ${CMAKE_INSTALL_INCLUDEDIR} OUTPUT_VARIABLE ENT_PC_INCLUDEDIR)
configure_file(cmake/entrenar.pc.in entrenar.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/entrenar.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
