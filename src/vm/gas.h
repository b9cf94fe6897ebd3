/* gas.h: what an instruction costs, schedule VM_GAS_SCHEDULE. Private to vm.
 *
 * The fixed part is the gas column of opcodes.def: 1 for each instruction executed; block, loop,
 * else, end and nop are free. The part that depends on a size:
 *
 *   memory.init, memory.copy, memory.fill   1 for each 64 bytes begun
 *   table.init, table.copy, table.fill      1 for each 8 elements begun
 *   table.grow                              the same, of the elements asked for
 *   memory.grow                             1024 for each page asked for
 *   an active segment at instantiation      as the init instruction that it is equivalent to
 *   entering a function                     1 for each 64 full of its declared locals
 *   br, br_if, br_table, return             1 for each 16 full of the label's values
 *   call, call_indirect, and their tail     1 for each 16 full of parameters and results
 *   calls
 *
 * A v128 counts as two locals or values.
 *
 * One rule for all that have a size at run time: the size as the program states it is charged
 * before anything is checked or done, so a trap or a refused growth costs as much as success. If
 * what is left does not suffice, the run is out of gas with everything spent and the operation not
 * done. Only a run that is interrupted in the middle of one has paid for less: for what was done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_GAS_H
#define VM_GAS_H

#include "vm/module.h"

enum {
    GAS_BULK_BYTES = 64,
    GAS_BULK_ELEMENTS = 8,
    GAS_PAGE = 1024,
    GAS_LOCALS = 64,
    GAS_VALUES = 16,
};

/* Of units that `part` of the size begins; what no run could pay is as much as there can be. */
static inline int64_t gas_begun(uint64_t size, uint64_t part)
{
    return (int64_t)(size / part + (size % part != 0));
}

static inline int64_t gas_bytes(uint64_t size)
{
    return gas_begun(size, GAS_BULK_BYTES);
}

static inline int64_t gas_elements(uint64_t count)
{
    return gas_begun(count, GAS_BULK_ELEMENTS);
}

static inline int64_t gas_pages(uint64_t pages)
{
    return pages > INT64_MAX / GAS_PAGE ? INT64_MAX : (int64_t)pages * GAS_PAGE;
}

/* Known when translating: few cost nothing, but a program must not move thousands for the price of
 * one instruction. */
static inline uint32_t gas_locals(uint32_t count)
{
    return count / GAS_LOCALS;
}

static inline uint32_t gas_values(uint32_t count)
{
    return count / GAS_VALUES;
}

/* The active segments of a module, together. */
int64_t gas_segments(const struct vm_module *module);

#endif
