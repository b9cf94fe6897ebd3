/* interp_cold.c: what handlers need now and then: more stack, another instance, the host.
 *
 * The stack of a run is one mapping of stack_bytes_max. It is opened and charged to the budget as
 * far as frames have reached, in steps, and never given back before the run ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp.h"

#include <assert.h>

enum { STACK_STEP_BYTES = 65536, ACCESS_BYTES_MAX = 16 };

enum vm_trap machine_stack_grow(struct machine *machine)
{
    bool is_there = machine->stack_wanted <= machine->stack_end; /* then it is the depth */
    uint64_t bytes = machine->stack_wanted - (uint64_t)(uintptr_t)machine->stack;
    if (is_there || bytes > machine->stack_bytes) {
        return VM_TRAP_CALL_STACK_EXHAUSTED;
    }
    bytes = (bytes + STACK_STEP_BYTES - 1) / STACK_STEP_BYTES * STACK_STEP_BYTES;
    bytes = bytes < machine->stack_bytes ? bytes : machine->stack_bytes;
    assert(bytes > machine->stack_charged);
    uint64_t added = bytes - machine->stack_charged;
    if (machine->budget != NULL && !budget_charge(machine->budget, added)) {
        return budget_refusal(machine->budget) == BUDGET_REFUSED_HERE ? VM_TRAP_MEMORY_BUDGET
                                                                      : VM_TRAP_NO_MEMORY;
    }
    if (!mapping_open(&machine->stack_mapping, bytes)) {
        if (machine->budget != NULL) {
            budget_release(machine->budget, added);
        }
        return VM_TRAP_NO_MEMORY;
    }
    machine->stack_charged = bytes;
    machine->stack_end = (uint64_t)(uintptr_t)machine->stack + bytes;
    return VM_TRAP_NONE;
}

void machine_reload_memory(struct machine *machine)
{
    const struct vm_instance *instance = machine->instance;
    bool has_memory = instance != NULL && instance->module->memory_count > 0;
    const struct vm_memory *memory = has_memory ? instance->memories[0] : NULL;
    machine->memory = memory != NULL ? memory->base : NULL;
    machine->memory_bytes = memory != NULL ? memory->bytes : 0;
    machine->bound = machine->memory_bytes > 0 ? machine->memory_bytes - (ACCESS_BYTES_MAX - 1) : 0;
}

void machine_enter_instance(struct machine *machine, struct vm_instance *instance)
{
    machine->instance = instance;
    machine->globals = instance != NULL ? instance->globals : NULL;
    machine->funcs = instance != NULL ? instance->funcs : NULL;
    machine->tables = instance != NULL ? instance->tables : NULL;
    machine->type_ids = instance != NULL ? instance->type_ids : NULL;
    machine_reload_memory(machine);
}

uint32_t machine_frame_slots(const struct vm_func_type *type)
{
    uint32_t params = 0;
    uint32_t results = 0;
    for (uint32_t i = 0; i < type->param_count; i++) {
        params += vm_type_slots(type->types[i]);
    }
    for (uint32_t i = 0; i < type->result_count; i++) {
        results += vm_type_slots(type->types[type->param_count + i]);
    }
    return params > results ? params : results;
}

/* ---- The host: its values are not slots ---- */

enum { HOST_VALUES = 16 }; /* that need no heap */

static void values_of_slots(const struct vm_func_type *type, const uint64_t *slots,
                            struct vm_value *values)
{
    for (uint32_t i = 0; i < type->param_count; i++) {
        values[i] = value_from_slots(type->types[i], slots);
        slots += vm_type_slots(type->types[i]);
    }
}

/* What the host gave decides the bits, the signature the types. */
static void slots_of_values(const struct vm_func_type *type, struct vm_value *values,
                            uint64_t *slots)
{
    for (uint32_t i = 0; i < type->result_count; i++) {
        values[i].type = type->types[type->param_count + i];
        value_to_slots(&values[i], slots);
        slots += vm_type_slots(values[i].type);
    }
}

enum vm_trap machine_call_host(struct machine *machine, uint64_t *frame)
{
    const struct vm_func *func = machine->callee;
    const struct vm_func_type *type = func->type;
    struct vm_value few[HOST_VALUES] = {0};
    uint32_t count = type->param_count + type->result_count;
    struct vm_value *values =
        count <= HOST_VALUES ? few : heap_alloc_array(count, sizeof(struct vm_value));
    enum vm_trap trap = VM_TRAP_HOST;
    if (values != NULL) {
        values_of_slots(type, frame, values);
        trap =
            func->host(func->host_context, machine->instance, values, values + type->param_count);
        if (trap == VM_TRAP_NONE) {
            slots_of_values(type, values + type->param_count, frame);
        }
    }
    if (values != few) {
        heap_free(values);
    }
    machine->host_trapped = trap != VM_TRAP_NONE;
    return trap;
}

/* ---- Bridges: a caller's frame ends where its arguments begin; a bridge pushes them up by its
 * three words, and its own return address leads back here. ---- */

uint64_t *machine_bridge(struct machine *machine, uint64_t *frame, const uint8_t *return_pc)
{
    const struct vm_func *func = machine->callee;
    uint64_t *callee = frame + BRIDGE_SLOTS;
    memmove(callee, frame, func->code->param_slots * sizeof frame[0]);
    frame[BRIDGE_RETURN] = (uint64_t)(uintptr_t)return_pc;
    frame[BRIDGE_INSTANCE] = (uint64_t)(uintptr_t)machine->instance;
    frame[BRIDGE_FUNC] = (uint64_t)(uintptr_t)func;
    machine_enter_instance(machine, func->instance);
    return callee;
}

uint64_t *machine_bridge_tail(struct machine *machine, uint64_t *frame, const uint8_t *pc)
{
    const struct vm_func *func = machine->callee;
    const uint64_t *arguments = frame + code_u16(pc, CODE_TAIL_FROM);
    uint64_t return_word = frame[code_u16(pc, CODE_TAIL_RETURN)];
    bool is_bridged = return_word == (uint64_t)(uintptr_t)&machine->stubs[STUB_BRIDGE];
    uint64_t *callee = is_bridged ? frame : frame + BRIDGE_SLOTS;
    uint64_t *bridge = callee - BRIDGE_SLOTS;
    memmove(callee, arguments, code_u16(pc, CODE_TAIL_COUNT) * sizeof frame[0]);
    if (!is_bridged) {
        bridge[BRIDGE_RETURN] = return_word;
        bridge[BRIDGE_INSTANCE] = (uint64_t)(uintptr_t)machine->instance;
    }
    bridge[BRIDGE_FUNC] = (uint64_t)(uintptr_t)func;
    machine_enter_instance(machine, func->instance);
    return callee;
}

const uint8_t *machine_unbridge(struct machine *machine, uint64_t *frame)
{
    const uint8_t *return_pc = (const uint8_t *)(uintptr_t)frame[BRIDGE_RETURN];
    const struct vm_func *func = (const struct vm_func *)(uintptr_t)frame[BRIDGE_FUNC];
    machine_enter_instance(machine, (struct vm_instance *)(uintptr_t)frame[BRIDGE_INSTANCE]);
    memmove(frame, frame + BRIDGE_SLOTS, func->code->result_slots * sizeof frame[0]);
    return return_pc;
}
