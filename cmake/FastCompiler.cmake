# The fastest interpreter comes from clang 19 or newer (musttail with preserve_none); any other C11 compiler builds the same
# program with computed goto. CC in the environment overrides.
if(NOT DEFINED ENV{CC})
    find_program(wh_clang NAMES clang-21 clang-20 clang-19)
    if(wh_clang)
        set(CMAKE_C_COMPILER ${wh_clang})
    endif()
endif()
