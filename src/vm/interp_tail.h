/* interp_tail.h: handlers as functions that tail-call each other (clang 19 and newer).
 *
 * preserve_none hands every argument register to the callee and keeps none for the caller, so the
 * parameters below are the machine's registers and a handler that calls nothing spills nothing. The
 * order of the parameters decides which register each lives in; on x86-64 they are r12 r13 r14 r15
 * rdi rsi rdx rcx r8, xmm0 and xmm1. pc must not be r12 or r13, whose addressing takes longer
 * encodings; rcx, which shifts may need, is the machine's, which no hot path touches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_INTERP_TAIL_H
#define VM_INTERP_TAIL_H

#include "vm/handler_bodies.h"

#define HANDLER_PARAMETERS                                                                         \
    int64_t gas, uint64_t bound, uint64_t *fp, uint8_t *memory, const uint8_t *pc, uint64_t r0,    \
        uint64_t r1, struct machine *machine, uint64_t r2, vector_register f0, vector_register f1
#define HANDLER_ARGUMENTS gas, bound, fp, memory, pc, r0, r1, machine, r2, f0, f1

typedef __attribute__((preserve_none)) void handler_function(HANDLER_PARAMETERS);

#define HANDLER(name, layout, body) extern handler_function handle_##name;
#include "vm/handlers.def"
#undef HANDLER

/* The asm keeps pc in one place: without it the compiler carries the old and the new one along. */
#define DISPATCH()                                                                                 \
    do {                                                                                           \
        __asm__("" : "+r"(pc));                                                                    \
        handler_function *next;                                                                    \
        memcpy(&next, pc, sizeof next);                                                            \
        __attribute__((musttail)) return next(HANDLER_ARGUMENTS);                                  \
    } while (0)
#define GOTO(name) __attribute__((musttail)) return handle_##name(HANDLER_ARGUMENTS)
#define LEAVE()                                                                                    \
    do {                                                                                           \
        (void)bound;                                                                               \
        (void)memory;                                                                              \
        return;                                                                                    \
    } while (0)

#define HANDLER(name, layout, body)                                                                \
    __attribute__((preserve_none)) void handle_##name(HANDLER_PARAMETERS) body

#endif
