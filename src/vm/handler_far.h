/* handler_far.h: loads and stores whose memory is not memory 0 with 32-bit addresses, and tail
 * calls: more bodies for handler_bodies.h, which includes this.
 *
 * An address and an offset of 64 bits may carry out of 64: then no size is large enough. i32
 * addresses are zero-extended in slots, so FAR needs not know how wide its memory's are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_HANDLER_FAR_H
#define VM_HANDLER_FAR_H

/* Defines `address`. */
#define FAR_ADDRESS(a)                                                                             \
    uint64_t address;                                                                              \
    bool carries = __builtin_add_overflow(ONE_##a(i64, CODE_A, CODE_FAR_IMM),                      \
                                          code_u64(pc, CODE_FAR_OFFSET), &address)

#define CHECK_WIDE(bytes)                                                                          \
    if (UNLIKELY(carries || address >= bound)) {                                                   \
        if (carries || machine->memory_bytes < (bytes) ||                                          \
            address > machine->memory_bytes - (bytes)) {                                           \
            TRAP_WITH(VM_TRAP_OUT_OF_BOUNDS_MEMORY);                                               \
        }                                                                                          \
    }

#define BODY_WIDE_LOAD(body, type, bytes, d, a)                                                    \
    {                                                                                              \
        FAR_ADDRESS(a);                                                                            \
        CHECK_WIDE(bytes)                                                                          \
        SET_##d##_##type(CODE_D, body(memory + address));                                          \
        NEXT(CODE_FAR_IMM);                                                                        \
    }

#define BODY_WIDE_STORE(body, type, bytes, v, a)                                                   \
    {                                                                                              \
        FAR_ADDRESS(a);                                                                            \
        CHECK_WIDE(bytes)                                                                          \
        body(memory + address, ONE_##v(type, CODE_D, CODE_FAR_IMM));                               \
        NEXT(CODE_FAR_IMM + IS_I_##v * 8);                                                         \
    }

/* Defines `at`, where the bytes are. */
#define FAR_MEMORY(width)                                                                          \
    const struct vm_memory *far = machine->instance->memories[code_u32(pc, CODE_FAR_MEMORY)];      \
    if (UNLIKELY(carries || far->bytes < (width) || address > far->bytes - (width))) {             \
        TRAP_WITH(VM_TRAP_OUT_OF_BOUNDS_MEMORY);                                                   \
    }                                                                                              \
    uint8_t *at = far->base + address

#define BODY_FAR_LOAD(body, type, bytes)                                                           \
    {                                                                                              \
        FAR_ADDRESS(S);                                                                            \
        FAR_MEMORY(bytes);                                                                         \
        SET_S_##type(CODE_D, body(at));                                                            \
        NEXT(CODE_FAR_IMM);                                                                        \
    }

#define BODY_FAR_STORE(body, type, bytes)                                                          \
    {                                                                                              \
        FAR_ADDRESS(S);                                                                            \
        FAR_MEMORY(bytes);                                                                         \
        body(at, SLOT_##type(CODE_D));                                                             \
        NEXT(CODE_FAR_IMM);                                                                        \
    }

/* ---- Tail calls: the callee's frame begins where the caller's does, and returns where it would
 * have. The depth stays what it is. ---- */

#define TAIL_INTO(code)                                                                            \
    do {                                                                                           \
        uint64_t stack_wanted = (uint64_t)(uintptr_t)fp + (uint64_t)(code)->frame_slots * 8;       \
        if (UNLIKELY(stack_wanted > machine->stack_end)) {                                         \
            machine->stack_wanted = stack_wanted;                                                  \
            GOTO(STACK);                                                                           \
        }                                                                                          \
        const uint8_t *return_pc = (const uint8_t *)(uintptr_t)SLOT(CODE_TAIL_RETURN);             \
        const uint64_t *from = fp + code_u16(pc, CODE_TAIL_FROM);                                  \
        uint32_t count = code_u16(pc, CODE_TAIL_COUNT);                                            \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            fp[i] = from[i];                                                                       \
            __asm__ volatile("" ::: "memory");                                                     \
        }                                                                                          \
        BEGIN_FRAME(code, return_pc);                                                              \
    } while (0)

#define BODY_RETURN_CALL                                                                           \
    {                                                                                              \
        const struct module_func *target =                                                         \
            (const struct module_func *)(uintptr_t)code_u64(pc, CODE_CALL_TARGET);                 \
        const struct code *callee = target->code;                                                  \
        TAIL_INTO(callee);                                                                         \
    }

#define BODY_RETURN_CALL_IMPORT                                                                    \
    {                                                                                              \
        machine->callee = machine->funcs[code_u32(pc, CODE_CALL_TARGET)];                          \
        GOTO(FOREIGN_TAIL);                                                                        \
    }

#define BODY_RETURN_CALL_INDIRECT(a)                                                               \
    {                                                                                              \
        FIND_INDIRECT(a);                                                                          \
        if (UNLIKELY(func->instance != machine->instance)) {                                       \
            machine->callee = func;                                                                \
            GOTO(FOREIGN_TAIL);                                                                    \
        }                                                                                          \
        const struct code *callee = func->code;                                                    \
        TAIL_INTO(callee);                                                                         \
    }

/* A tail call that leaves the instance. The host is called with the frame's beginning as its own,
 * and returns for the caller; another instance is reached over a bridge, the one that is there if
 * the caller was entered over one. */
#define BODY_FOREIGN_TAIL                                                                          \
    {                                                                                              \
        const struct vm_func *func = machine->callee;                                              \
        uint64_t slots = machine_frame_slots(func->type) + BRIDGE_SLOTS;                           \
        slots += func->code != NULL ? func->code->frame_slots : 0;                                 \
        machine->stack_wanted = (uint64_t)(uintptr_t)fp + slots * 8;                               \
        if (machine->stack_wanted > machine->stack_end) {                                          \
            GOTO(STACK);                                                                           \
        }                                                                                          \
        if (func->code == NULL) {                                                                  \
            GOTO(HOST_TAIL);                                                                       \
        }                                                                                          \
        fp = machine_bridge_tail(machine, fp, pc);                                                 \
        RELOAD_MEMORY();                                                                           \
        BEGIN_FRAME(func->code, (const uint8_t *)&machine->stubs[STUB_BRIDGE]);                    \
    }

#define BODY_HOST_TAIL                                                                             \
    {                                                                                              \
        const uint8_t *return_pc = (const uint8_t *)(uintptr_t)SLOT(CODE_TAIL_RETURN);             \
        memmove(fp, fp + code_u16(pc, CODE_TAIL_FROM),                                             \
                code_u16(pc, CODE_TAIL_COUNT) * sizeof *fp);                                       \
        enum vm_trap trap = machine_call_host(machine, fp);                                        \
        if (trap != VM_TRAP_NONE) {                                                                \
            TRAP_WITH(trap);                                                                       \
        }                                                                                          \
        RELOAD_MEMORY();                                                                           \
        machine->depth_left++;                                                                     \
        RETURN_TO(return_pc);                                                                      \
    }

#endif
