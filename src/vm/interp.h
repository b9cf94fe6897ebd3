/* interp.h: the machine that runs internal code, seen from run.c and from the cold paths.
 *
 * While handlers run, the hot state (pc, fp, r0, r1, r2, f0, f1, memory base and bound, gas) lives
 * in machine registers; leaving stores it here, entering loads it from here. Nothing of a guest's
 * state is on the C stack, so a run that has left can go on in any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_INTERP_H
#define VM_INTERP_H

#include "vm/code.h"
#include "vm/instance.h"

/* A float register, or a v128: its lowest lane is the float. */
typedef double vector_register __attribute__((vector_size(16)));

enum leave {
    LEAVE_RETURNED,   /* from the outermost call; results at the bottom of the stack */
    LEAVE_EDGE,       /* gas < 0 after an edge was paid: pc is its target, edge_cost its price */
    LEAVE_PIECE,      /* a bulk operation is under way: pc is the instruction's, which is paid */
    LEAVE_OUT_OF_GAS, /* a bulk operation that cannot be paid, or the planted end of a run */
    LEAVE_TRAP,       /* `trap`; pc is the instruction's. After NO_MEMORY it can be done again */
};

/* Words of a run's own code: what the outermost call and the calls between instances return to. */
enum machine_stub { STUB_ENTER = 0, STUB_RETURNED = 3, STUB_BRIDGE = 5, STUB_COUNT = 6 };

/* The words of a bridge: the frame between a caller and a function of another instance. */
enum machine_bridge { BRIDGE_RETURN, BRIDGE_INSTANCE, BRIDGE_FUNC, BRIDGE_SLOTS };

struct machine {
    /* the registers, while no handler runs */
    const uint8_t *pc;
    uint64_t *fp;
    int64_t gas; /* left of the slice; what the slice does not hold is in reserve */
    uint64_t r0, r1, r2;
    vector_register f0, f1;

    struct vm_instance *instance; /* whose code runs; NULL before the first call */
    struct vm_global **globals;   /* of the instance, as the next ones */
    struct vm_func **funcs;
    struct vm_table **tables;
    const uint32_t *type_ids;
    uint8_t *memory;       /* base of memory 0; NULL if there is none */
    uint64_t memory_bytes; /* its size */
    uint64_t bound; /* the first address at which an access must look closer: 15 less, or 0 */

    int64_t reserve; /* gas of the limit that later slices will get */
    uint64_t stack_end;
    uint32_t depth_left;          /* calls */
    uint32_t edge_cost;           /* at LEAVE_EDGE */
    struct bulk bulk;             /* what this slice may still move, and what is under way */
    uint64_t stack_wanted;        /* STACK: the address up to which a frame needs the stack */
    const struct vm_func *callee; /* FOREIGN, HOST, ENTER: what is called */
    enum leave leave;
    enum vm_trap trap;
    bool host_trapped; /* the trap is the embedder's doing */
    int64_t unspent;   /* at a trap NO_MEMORY: gas to pay back; else 0 */

    struct mapping stack_mapping;
    uint64_t *stack;        /* its base */
    uint64_t stack_bytes;   /* reserved */
    uint64_t stack_charged; /* of them, to the budget */
    struct budget *budget;
    uint64_t stubs[STUB_COUNT];
};

/* Runs from machine->pc until it leaves. */
void interp_run(struct machine *machine);

/* interp_cold.c: what handlers call where time does not matter. */

/* Makes the stack reach to stack_wanted, or says why not. */
enum vm_trap machine_stack_grow(struct machine *machine);
/* Makes `instance` (NULL: none) the one whose code runs. */
void machine_enter_instance(struct machine *machine, struct vm_instance *instance);
/* Takes over the base and size that memory 0 has now. */
void machine_reload_memory(struct machine *machine);
/* Calls machine->callee, a host function: arguments and results at frame[0..]. */
enum vm_trap machine_call_host(struct machine *machine, uint64_t *frame);
/* Lays the bridge of a call of machine->callee at `frame` and returns the callee's frame; the stack
 * is there. unbridge takes it away again and returns the pc to return to. */
uint64_t *machine_bridge(struct machine *machine, uint64_t *frame, const uint8_t *return_pc);
/* The same for the tail call at pc by the function whose frame is `frame`. */
uint64_t *machine_bridge_tail(struct machine *machine, uint64_t *frame, const uint8_t *pc);
const uint8_t *machine_unbridge(struct machine *machine, uint64_t *frame);
/* The slots of what `func` takes or gives, whichever is more. */
uint32_t machine_frame_slots(const struct vm_func_type *type);

/* interp_rare.c: one function for each RARE_ROW and BULK_ROW of handlers_control.def. pc is the
 * instruction's, base points to its operands. */
#define RARE_OPERATIONS(X)                                                                         \
    X(REF_FUNC)                                                                                    \
    X(TABLE_GET)                                                                                   \
    X(TABLE_SET)                                                                                   \
    X(TABLE_SIZE)                                                                                  \
    X(ELEM_DROP)                                                                                   \
    X(DATA_DROP)                                                                                   \
    X(MEMORY_SIZE)
#define BULK_OPERATIONS(X)                                                                         \
    X(TABLE_INIT)                                                                                  \
    X(TABLE_COPY)                                                                                  \
    X(TABLE_GROW)                                                                                  \
    X(TABLE_FILL)                                                                                  \
    X(MEMORY_GROW)                                                                                 \
    X(MEMORY_INIT)                                                                                 \
    X(MEMORY_COPY)                                                                                 \
    X(MEMORY_FILL)
#define RARE_PROTOTYPE(op)                                                                         \
    enum vm_trap rare_##op(struct machine *machine, const uint8_t *pc, uint64_t *base);
#define BULK_PROTOTYPE(op) RARE_PROTOTYPE(op) int64_t rare_gas_##op(const uint64_t *base);
RARE_OPERATIONS(RARE_PROTOTYPE)
BULK_OPERATIONS(BULK_PROTOTYPE)
#undef RARE_PROTOTYPE
#undef BULK_PROTOTYPE

#endif
