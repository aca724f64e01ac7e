# Puts SQL files into a program, so that an installed binary needs no files beside it.

#[[
pr_embed_sql(<target> <prefix> <file>...)

Generates <prefix>.h and <prefix>.c in the target's build folder and adds them to the target. For each file NAME.sql there is
`extern const char <prefix>_NAME[]` (other characters become _; a leading number stays behind the prefix), and in the order given
a table `extern const struct pr_sql_file <prefix>_files[]` of {name, text}, ended by {NULL, NULL}. The struct is in "base/sql.h".
]]
function(pr_embed_sql target prefix)
  set(paths "")
  foreach(file IN LISTS ARGN)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    list(APPEND paths ${file})
  endforeach()
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/sql)
  set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedSql.cmake)
  add_custom_command(
    OUTPUT ${folder}/${prefix}.c ${folder}/${prefix}.h
    COMMAND ${CMAKE_COMMAND} "-DPREFIX=${prefix}" "-DFOLDER=${folder}" "-DFILES=${paths}" -P ${script}
    DEPENDS ${paths} ${script}
    VERBATIM)
  target_sources(${target} PRIVATE ${folder}/${prefix}.c ${folder}/${prefix}.h)
  target_include_directories(${target} PRIVATE ${folder})
  # C promises 4,095 bytes a literal; our compilers take more.
  set_source_files_properties(${folder}/${prefix}.c PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
endfunction()
