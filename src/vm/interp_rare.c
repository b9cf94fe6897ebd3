/* interp_rare.c: instructions that are calls anyway: references, tables, bulk operations. Operands
 * and results lie at base[0..]; x and y are the instruction's indices in binary order. A bulk
 * operation that is cut is called again with the same operands: it may not overwrite them before
 * its last piece.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/gas.h"
#include "vm/interp.h"

static uint32_t x_of(const uint8_t *pc)
{
    return code_u32(pc, CODE_RARE_X);
}

static uint32_t y_of(const uint8_t *pc)
{
    return code_u32(pc, CODE_RARE_Y);
}

enum vm_trap rare_REF_FUNC(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    base[0] = (uint64_t)(uintptr_t)machine->funcs[x_of(pc)];
    return VM_TRAP_NONE;
}

/* Puts what growing gives into *out: -1 is of the type that sizes have. What is to be done again
 * later (NO_MEMORY) keeps its operands, and gets back the gas that it paid for its size. */
static enum vm_trap grown(struct machine *machine, int64_t result, bool is_64, enum vm_trap trap,
                          int64_t gas, uint64_t *out)
{
    if (trap == VM_TRAP_NO_MEMORY) {
        machine->unspent = gas;
    } else {
        *out = is_64 ? (uint64_t)result : (uint32_t)result;
    }
    return trap;
}

/* ---- Tables ---- */

enum vm_trap rare_TABLE_GET(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    const struct vm_table *table = machine->instance->tables[x_of(pc)];
    if (base[0] >= table->count) {
        return VM_TRAP_OUT_OF_BOUNDS_TABLE;
    }
    base[0] = table->elements[base[0]];
    return VM_TRAP_NONE;
}

enum vm_trap rare_TABLE_SET(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    struct vm_table *table = machine->instance->tables[x_of(pc)];
    if (base[0] >= table->count) {
        return VM_TRAP_OUT_OF_BOUNDS_TABLE;
    }
    table->elements[base[0]] = base[1];
    return VM_TRAP_NONE;
}

enum vm_trap rare_TABLE_SIZE(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    base[0] = machine->instance->tables[x_of(pc)]->count;
    return VM_TRAP_NONE;
}

enum vm_trap rare_TABLE_GROW(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    enum vm_trap trap = VM_TRAP_NONE;
    struct vm_table *table = machine->instance->tables[x_of(pc)];
    int64_t old = table_grow(table, base[1], base[0], &machine->bulk, &trap);
    if (machine->bulk.is_under_way) {
        return trap;
    }
    return grown(machine, old, table->is_64, trap, gas_elements(base[1]), base);
}

enum vm_trap rare_TABLE_FILL(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    return table_fill(machine->instance->tables[x_of(pc)], base[0], base[1], base[2],
                      &machine->bulk);
}

enum vm_trap rare_TABLE_INIT(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    struct vm_instance *instance = machine->instance;
    return table_init(instance->tables[y_of(pc)], &instance->elements[x_of(pc)], base[0], base[1],
                      base[2], &machine->bulk);
}

enum vm_trap rare_TABLE_COPY(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    struct vm_instance *instance = machine->instance;
    return table_copy(instance->tables[x_of(pc)], instance->tables[y_of(pc)], base[0], base[1],
                      base[2], &machine->bulk);
}

enum vm_trap rare_ELEM_DROP(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    (void)base;
    machine->instance->elements[x_of(pc)].count = 0;
    return VM_TRAP_NONE;
}

int64_t rare_gas_TABLE_GROW(const uint64_t *base)
{
    return gas_elements(base[1]);
}

int64_t rare_gas_TABLE_FILL(const uint64_t *base)
{
    return gas_elements(base[2]);
}

int64_t rare_gas_TABLE_INIT(const uint64_t *base)
{
    return gas_elements(base[2]);
}

int64_t rare_gas_TABLE_COPY(const uint64_t *base)
{
    return gas_elements(base[2]);
}

/* ---- Memories ---- */

enum vm_trap rare_MEMORY_SIZE(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    base[0] = machine->instance->memories[x_of(pc)]->bytes / VM_PAGE_BYTES;
    return VM_TRAP_NONE;
}

enum vm_trap rare_MEMORY_GROW(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    enum vm_trap trap = VM_TRAP_NONE;
    struct vm_memory *memory = machine->instance->memories[x_of(pc)];
    int64_t old = memory_grow(memory, base[0], &trap);
    return grown(machine, old, memory->is_64, trap, gas_pages(base[0]), base);
}

enum vm_trap rare_MEMORY_FILL(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    return memory_fill(machine->instance->memories[x_of(pc)], base[0], (uint8_t)base[1], base[2],
                       &machine->bulk);
}

enum vm_trap rare_MEMORY_INIT(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    struct vm_instance *instance = machine->instance;
    return memory_init(instance->memories[y_of(pc)], instance->data[x_of(pc)], base[0], base[1],
                       base[2], &machine->bulk);
}

enum vm_trap rare_MEMORY_COPY(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    struct vm_instance *instance = machine->instance;
    return memory_copy(instance->memories[x_of(pc)], instance->memories[y_of(pc)], base[0], base[1],
                       base[2], &machine->bulk);
}

enum vm_trap rare_DATA_DROP(struct machine *machine, const uint8_t *pc, uint64_t *base)
{
    (void)base;
    machine->instance->data[x_of(pc)].size = 0;
    return VM_TRAP_NONE;
}

int64_t rare_gas_MEMORY_GROW(const uint64_t *base)
{
    return gas_pages(base[0]);
}

int64_t rare_gas_MEMORY_FILL(const uint64_t *base)
{
    return gas_bytes(base[2]);
}

int64_t rare_gas_MEMORY_INIT(const uint64_t *base)
{
    return gas_bytes(base[2]);
}

int64_t rare_gas_MEMORY_COPY(const uint64_t *base)
{
    return gas_bytes(base[2]);
}
