# wh_library(folder SOURCES a.c … DEPENDS base …)     the library wh_<folder> of src/<folder>
# wh_test(folder SOURCES test_a.c … [DEPENDS …])      the Criterion program test_<folder> of tests/<folder>

set(WH_WARNINGS
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual
    -Wswitch-enum -Wformat=2 -Wundef -Wvla -Werror)

add_library(wh_options INTERFACE)
target_include_directories(wh_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(wh_options INTERFACE _GNU_SOURCE WH_VERSION="${PROJECT_VERSION}")
target_compile_options(wh_options INTERFACE ${WH_WARNINGS} -ffp-contract=off -fno-math-errno)
target_link_libraries(wh_options INTERFACE Threads::Threads m)

function(wh_library folder)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(wh_${folder} STATIC ${arg_SOURCES})
    target_link_libraries(wh_${folder} PUBLIC wh_options)
    foreach(dependency ${arg_DEPENDS})
        if(TARGET ${dependency} OR dependency MATCHES "::")
            target_link_libraries(wh_${folder} PUBLIC ${dependency})
        else()
            target_link_libraries(wh_${folder} PUBLIC wh_${dependency})
        endif()
    endforeach()
endfunction()

# Criterion's macros and fixed-size tables in tests need a little room. Linked last, so that it has the last word.
add_library(wh_test_options INTERFACE)
target_compile_options(wh_test_options INTERFACE -Wno-pedantic -Wno-conversion -Wno-sign-conversion -Wno-missing-prototypes
                                                 -Wno-cast-qual -Wno-switch-enum)

function(wh_test folder)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    add_executable(test_${folder} ${arg_SOURCES})
    target_include_directories(test_${folder} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(test_${folder} PRIVATE wh_${folder} Criterion::Criterion ${arg_DEPENDS})
    target_link_libraries(test_${folder} PRIVATE wh_test_options)
    target_compile_definitions(test_${folder} PRIVATE WH_SOURCE_DIR="${CMAKE_SOURCE_DIR}" WH_BUILD_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${folder} COMMAND test_${folder} --verbose=0)
    # Criterion counts a leaking test as passed. Time is bounded here: its own .timeout leaks now and then.
    set_tests_properties(${folder} PROPERTIES TIMEOUT 600 FAIL_REGULAR_EXPRESSION "SUMMARY: [A-Za-z]*Sanitizer")
endfunction()
