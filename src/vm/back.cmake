# The back: translation, interpreter, runs. Sets WH_VM_BACK_SOURCES.
#
# WH_DISPATCH: how handlers reach each other. "tail-call" needs a compiler that guarantees tail calls and has a calling convention
# without callee-saved registers (clang 19 and newer); "computed-goto" is one function of labels and needs GNU C; "auto" tries.
set(WH_DISPATCH auto CACHE STRING "Interpreter dispatch: auto, tail-call or computed-goto")
set_property(CACHE WH_DISPATCH PROPERTY STRINGS auto tail-call computed-goto)
set(WH_CPU auto CACHE STRING "What the interpreter is compiled for: auto, baseline, x86-64-v3 or native")
set_property(CACHE WH_CPU PROPERTY STRINGS auto baseline x86-64-v3 native)

include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_FLAGS "-O1 -Werror")
check_c_source_compiles("
    typedef __attribute__((preserve_none)) void handler(long, void *);
    static handler *table[2];
    static __attribute__((preserve_none)) void first(long a, void *b)
    {
        __attribute__((musttail)) return table[a](a, b);
    }
    int main(int count, char **arguments)
    {
        table[0] = first;
        first(count, arguments);
        return 0;
    }" WH_HAS_TAIL_CALL_DISPATCH)
unset(CMAKE_REQUIRED_FLAGS)

# Every processor with SEV-SNP is an x86-64-v3; "auto" uses its instructions where this one has them.
include(CheckCSourceRuns)
check_c_source_runs("
    int main(void)
    {
        __builtin_cpu_init();
        return __builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"bmi2\") && __builtin_cpu_supports(\"fma\") ? 0 : 1;
    }" WH_HAS_X86_64_V3)

if(WH_DISPATCH STREQUAL "auto")
    if(WH_HAS_TAIL_CALL_DISPATCH)
        set(wh_dispatch tail-call)
    else()
        set(wh_dispatch computed-goto)
    endif()
else()
    set(wh_dispatch ${WH_DISPATCH})
endif()

if(wh_dispatch STREQUAL "tail-call")
    if(NOT WH_HAS_TAIL_CALL_DISPATCH)
        message(FATAL_ERROR "WH_DISPATCH=tail-call: this compiler has no musttail with preserve_none (clang 19 has)")
    endif()
    set(wh_interp_sources interp_integer.c interp_float.c interp_memory.c interp_simd.c interp_far.c interp_control.c interp_fused.c)
    set(wh_pins 1)
elseif(wh_dispatch STREQUAL "computed-goto")
    set(wh_interp_sources interp_goto.c)
    set(wh_pins 0) # handlers for pinned locals are too many for one function
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(WARNING "computed-goto dispatch by clang takes minutes to compile and is slow: use clang 19 or newer, or gcc")
    endif()
else()
    message(FATAL_ERROR "WH_DISPATCH=${WH_DISPATCH}: not auto, tail-call or computed-goto")
endif()

# Labels as values, `goto *` and `return f()` of a void function are the point of these files, not an oversight. The stack protector
# would cost every handler; it protects arrays, of which they have none.
set(wh_interp_flags -Wno-pedantic -fno-stack-protector -fno-asynchronous-unwind-tables)
if(WH_CPU STREQUAL "native" OR WH_CPU STREQUAL "x86-64-v3")
    list(APPEND wh_interp_flags -march=${WH_CPU})
elseif(WH_CPU STREQUAL "auto" AND WH_HAS_X86_64_V3)
    list(APPEND wh_interp_flags -march=x86-64-v3)
endif()
if(wh_dispatch STREQUAL "computed-goto" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Keep one indirect jump for each handler.
    list(APPEND wh_interp_flags -fno-gcse -fno-crossjumping)
endif()

# For measuring what metering or canonical NaNs cost, never for use: such an engine does not stop, or is not deterministic.
set(WH_MEASURE_WITHOUT "" CACHE STRING "Leave out of the interpreter, to measure what it costs: gas or nan")
set_property(CACHE WH_MEASURE_WITHOUT PROPERTY STRINGS "" gas nan)
set(wh_dispatch_name ${wh_dispatch})
if(WH_MEASURE_WITHOUT)
    if(NOT WH_MEASURE_WITHOUT MATCHES "^(gas|nan)$")
        message(FATAL_ERROR "WH_MEASURE_WITHOUT=${WH_MEASURE_WITHOUT}: not gas or nan")
    endif()
    if(WH_TESTS)
        message(FATAL_ERROR "WH_MEASURE_WITHOUT is for measuring only: it needs -DWH_TESTS=OFF")
    endif()
    message(WARNING "an engine WITHOUT ${WH_MEASURE_WITHOUT}: measure with it, run nothing else on it")
    string(TOUPPER ${WH_MEASURE_WITHOUT} wh_without)
    list(APPEND wh_interp_flags -DWH_WITHOUT_${wh_without} -Wno-unused-parameter -Wno-unused-function)
    string(APPEND wh_dispatch_name ", WITHOUT ${WH_MEASURE_WITHOUT}")
endif()
set_source_files_properties(${wh_interp_sources} PROPERTIES
    COMPILE_OPTIONS "${wh_interp_flags}" COMPILE_DEFINITIONS "WH_DISPATCH_NAME=\"${wh_dispatch_name}\"")

set(WH_VM_BACK_SOURCES
    gas.c code.c fusion.c translate.c translate_stack.c translate_emit.c translate_room.c translate_choose.c translate_pin.c translate_simd.c
    translate_plain.c translate_control.c translate_far.c translate_tail.c
    interp_cold.c interp_rare.c ${wh_interp_sources} run.c code_print.c profile.c profile_print.c)
