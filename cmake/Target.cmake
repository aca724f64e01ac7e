# How this project declares its libraries and programs.

# pr_library(<name> <source>...): a static library built with our options, its users get them too.
function(pr_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC pr_options)
endfunction()

# pr_program(<name> <library> <source>...): an installed program; all but its main.c is in <library>, so that tests can link it.
function(pr_program name library)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE ${library})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
