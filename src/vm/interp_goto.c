/* interp_goto.c: the same handlers as labels of one function, for compilers without guaranteed tail
 * calls. `goto *` from the end of each one to the next keeps a jump of its own for every handler,
 * which is what lets the processor predict it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/handler_bodies.h"

#define DISPATCH()                                                                                 \
    do {                                                                                           \
        const void *next;                                                                          \
        memcpy(&next, pc, sizeof next);                                                            \
        goto *next;                                                                                \
    } while (0)
#define GOTO(name) goto label_##name
#define LEAVE() return NULL

/* With NULL it runs nothing and tells where its labels are. NOLINTBEGIN(readability-function-size):
 * the loop is one function by nature. */
static const void *const *run(struct machine *machine)
{
    static const void *const labels[HANDLER_COUNT] = {
#define HANDLER(name, layout, body) [HANDLER_##name] = &&label_##name,
#include "vm/handlers.def"
#undef HANDLER
    };
    if (machine == NULL) {
        return labels;
    }
    int64_t gas = machine->gas;
    uint64_t bound = machine->bound;
    uint64_t *fp = machine->fp;
    uint8_t *memory = machine->memory;
    const uint8_t *pc = machine->pc;
    uint64_t r0 = machine->r0;
    vector_register f0 = machine->f0;
    DISPATCH();
#define HANDLER(name, layout, body) label_##name : body
#include "vm/handlers.def"
#undef HANDLER
}
/* NOLINTEND(readability-function-size) */

uint64_t handler_word(enum handler handler)
{
    return (uint64_t)(uintptr_t)run(NULL)[handler];
}

void interp_run(struct machine *machine)
{
    (void)run(machine);
}

const char *vm_dispatch_name(void)
{
    return WH_DISPATCH_NAME;
}
