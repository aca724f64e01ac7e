# pr_options: the warnings, hardening and sanitizers that every target of ours is built with.
include(CheckCCompilerFlag)
include(CheckPIESupported)

set(PR_SANITIZE "" CACHE STRING "Sanitizers for every target: address,undefined | thread | fuzzer,address,undefined | empty")
option(PR_HARDEN "Stack, control-flow and linker hardening" ON)
option(PR_LTO "Link-time optimisation" OFF)
option(PR_FAULTS "Named steps at which tests kill or stop the dispatcher (common/base/fault.h)" OFF)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug | RelWithDebInfo" FORCE)
endif()

# Our assertions hold in release builds too (common/base/check.h), so nothing may hang on NDEBUG.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)

add_library(pr_options INTERFACE)
target_compile_definitions(pr_options INTERFACE _GNU_SOURCE)
target_include_directories(pr_options INTERFACE ${PROJECT_SOURCE_DIR}/common ${PROJECT_SOURCE_DIR}/include)

if(PR_FAULTS)
  target_compile_definitions(pr_options INTERFACE PR_FAULTS)
endif()

target_compile_options(pr_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wformat=2 -Wundef -Wvla
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wswitch-enum
  -Wimplicit-fallthrough -Wnull-dereference -Wdouble-promotion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(pr_options INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Walloca)
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
  # Not for clang: uthash's hash falls through with a comment, which only GCC reads; pr_assert(!"why") is a string used as a condition.
  target_compile_options(pr_options INTERFACE -Wshorten-64-to-32 -Wconditional-uninitialized -Wcomma -Wthread-safety -Wunreachable-code
    -Wno-implicit-fallthrough -Wno-string-conversion)
endif()

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES C)
target_link_options(pr_options INTERFACE -Wl,--as-needed)

if(PR_HARDEN AND NOT PR_SANITIZE)
  target_compile_options(pr_options INTERFACE -fstack-protector-strong)
  # Each of these exists on some architectures only.
  foreach(flag -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "PR_HAS${flag}" known)
    check_c_compiler_flag(${flag} ${known})
    if(${known})
      target_compile_options(pr_options INTERFACE ${flag})
    endif()
  endforeach()
  # Fortified calls need the optimiser; -U first, because a distribution's compiler may set its own level.
  target_compile_options(pr_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
  target_link_options(pr_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

if(PR_SANITIZE)
  set(compile_sanitizers ${PR_SANITIZE})
  # Libraries and programs with a main of their own are instrumented only; pr_fuzz() links the engine.
  string(REPLACE "fuzzer" "fuzzer-no-link" compile_sanitizers "${compile_sanitizers}")
  target_compile_options(pr_options INTERFACE -fsanitize=${compile_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(pr_options INTERFACE -fsanitize=${compile_sanitizers})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # GCC sees null paths in what the sanitizers add; the plain builds keep the warning.
    target_compile_options(pr_options INTERFACE -Wno-null-dereference)
  endif()
endif()

if(PR_SANITIZE STREQUAL "thread")
  # Pulled in by name, and exported, so that librdkafka finds these before glibc's.
  add_library(pr_tsan_threads STATIC ${PROJECT_SOURCE_DIR}/tests/support/tsan_threads.c)
  target_compile_definitions(pr_tsan_threads PRIVATE _GNU_SOURCE)
  target_compile_options(pr_tsan_threads PRIVATE -fsanitize=thread -Wall -Wextra)
  target_link_options(pr_options INTERFACE -Wl,-u,thrd_create -rdynamic)
  target_link_libraries(pr_options INTERFACE pr_tsan_threads)
endif()

if(PR_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
