# Tests of translation, interpreter, gas and runs. Their modules are text in wat/, assembled at build time.
find_program(WAT2WASM wat2wasm REQUIRED)
set(vm_wasm_files)
set(wat_flags_far --enable-all --no-check) # wat2wasm does not know that a constant sees the globals before it
set(wat_flags_wide --enable-all)
set(wat_flags_far_vector --enable-all)
set(wat_flags_tail --enable-all)
set(wat_flags_tail_other --enable-all)
set(wat_flags_simd --enable-tail-call)
set(wat_flags_bulk --enable-all --no-check) # nor that ref.func gives a funcref
foreach(name bulk sweep gas start callee caller fold far far_vector wide tail tail_other simd simd_user needy)
    add_custom_command(
        OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.wasm
        COMMAND ${WAT2WASM} ${wat_flags_${name}} ${CMAKE_CURRENT_SOURCE_DIR}/wat/${name}.wat -o ${CMAKE_CURRENT_BINARY_DIR}/${name}.wasm
        DEPENDS wat/${name}.wat)
    list(APPEND vm_wasm_files ${CMAKE_CURRENT_BINARY_DIR}/${name}.wasm)
endforeach()

set(WH_VM_BACK_TESTS engine.c test_bulk.c test_translate.c test_interp.c test_families.c test_fusions.c test_gas.c test_run.c test_needs_memory.c test_hostile.c test_features.c test_simd.c test_far.c test_tail.c
    test_profile.c ${vm_wasm_files})
