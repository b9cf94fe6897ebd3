/* interp_control.c: the handlers of handlers_control.def, as functions; and the way in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/handlers_control.def"

#include "vm/family_end.h"
#undef HANDLER

static handler_function *const handlers[HANDLER_COUNT] = {
#define HANDLER(name, layout, body) [HANDLER_##name] = handle_##name,
#include "vm/handlers.def"
#undef HANDLER
};

uint64_t handler_word(enum handler handler)
{
    return (uint64_t)(uintptr_t)handlers[handler];
}

void interp_run(struct machine *machine)
{
    handler_function *first;
    memcpy(&first, machine->pc, sizeof first);
    first(machine->gas, machine->bound, machine->fp, machine->memory, machine->pc, machine->r0,
          machine->r1, machine, machine->r2, machine->f0, machine->f1);
}

const char *vm_dispatch_name(void)
{
    return WH_DISPATCH_NAME;
}
