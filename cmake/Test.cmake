# How this project declares its tests: one binary a file, one label a test.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)

#[[
pr_c_tests(LABEL <unit|prop|schema|integration|fault|limits> LIBRARIES <library>... SOURCES <path/name_test.c>...
           [TIMEOUT <seconds>] [FIXTURE pg])

Each source becomes one cmocka program and one ctest named LABEL/path/name. With FIXTURE pg it runs inside tests/support/with-pg.sh, which
gives it a private PostgreSQL in POSTRIDER_TEST_PG.
]]
function(pr_c_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "LABEL;TIMEOUT;FIXTURE" "LIBRARIES;SOURCES")
  set(launcher "")
  if(arg_FIXTURE)
    set(launcher ${PROJECT_SOURCE_DIR}/tests/support/with-${arg_FIXTURE}.sh)
  endif()
  foreach(source IN LISTS arg_SOURCES)
    string(REGEX REPLACE "(_prop)?_test\\.c$" "" path ${source})
    cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/tests OUTPUT_VARIABLE folder)
    set(name ${folder}/${path})
    string(MAKE_C_IDENTIFIER "test_${name}" target)
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES} PkgConfig::CMOCKA)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
    add_test(NAME ${name} COMMAND ${launcher} $<TARGET_FILE:${target}>)
    pr_test_properties(${name} ${arg_LABEL} "${arg_TIMEOUT}")
  endforeach()
endfunction()

#[[
pr_fuzz_tests(LIBRARIES <library>... SOURCES <name_fuzz.c>...)

With the preset fuzz each source is a libFuzzer program; otherwise it is linked with standalone_main.c. Either way the ctest runs over the corpus
in corpus/NAME once.
]]
function(pr_fuzz_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "" "LIBRARIES;SOURCES")
  foreach(source IN LISTS arg_SOURCES)
    string(REGEX REPLACE "_fuzz\\.c$" "" name ${source})
    set(target fuzz_${name})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    if(PR_SANITIZE MATCHES "fuzzer")
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      add_test(NAME fuzz/${name} COMMAND ${target} -runs=0 ${corpus})
    else()
      target_sources(${target} PRIVATE standalone_main.c)
      add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
    endif()
    pr_test_properties(fuzz/${name} fuzz "")
  endforeach()
endfunction()

#[[
pr_script_tests(LABEL <label> SCRIPTS <name>... [TIMEOUT <seconds>] [ARGUMENTS <argument>...] [SUFFIX <text>] [SERIAL]
                [UNLESS <sanitizer regex>])

Each script of the current folder becomes one ctest LABEL/name. PR_BUILD_DIR names the build in its environment. An exit code of 77 means
that the test was skipped. SERIAL: nothing else runs beside it. UNLESS: not in builds with such a sanitizer ("thread": what has no threads gains
nothing by it).
]]
function(pr_script_tests)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SERIAL" "LABEL;TIMEOUT;SUFFIX;UNLESS" "SCRIPTS;ARGUMENTS")
  if(arg_UNLESS AND PR_SANITIZE MATCHES "${arg_UNLESS}")
    return()
  endif()
  foreach(script IN LISTS arg_SCRIPTS)
    string(REGEX REPLACE "(_test)?\\.(py|sh)$" "" path ${script})
    set(name ${arg_LABEL}/${path}${arg_SUFFIX})
    set(interpreter "")
    if(script MATCHES "\\.py$")
      set(interpreter python3 -B)
    endif()
    add_test(NAME ${name} COMMAND ${interpreter} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${arg_ARGUMENTS})
    pr_test_properties(${name} ${arg_LABEL} "${arg_TIMEOUT}")
    if(arg_SERIAL)
      set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
  endforeach()
endfunction()

# Sanitizers: a short list of others' false reports, and the first report ends the test.
function(pr_test_properties name label timeout)
  if(NOT timeout)
    set(timeout 60)
  endif()
  if(PR_SANITIZE)
    math(EXPR timeout "${timeout} * 4")
  endif()
  set(support ${PROJECT_SOURCE_DIR}/tests/support)
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77)
  set_property(TEST ${name} PROPERTY ENVIRONMENT
    "PR_BUILD_DIR=${PROJECT_BINARY_DIR}"
    "PYTHONDONTWRITEBYTECODE=1"
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "LSAN_OPTIONS=suppressions=${support}/lsan.supp:print_suppressions=0"
    "TSAN_OPTIONS=suppressions=${support}/tsan.supp:halt_on_error=1:second_deadlock_stack=1")
endfunction()
