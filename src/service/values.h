/* values.h: JSON arguments into WebAssembly values and results back (docs/protocol.md section 6).
 * Private to service.
 *
 * The parameter's type decides what an argument means; nothing is rounded on the way that the type
 * does not round (a JSON number for an f32 is). Messages name the argument by its place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_VALUES_H
#define SERVICE_VALUES_H

#include "base/arena.h"
#include "vm/vm.h"

#include <jansson.h>

/* One parameter's worth of value, or a buffer that becomes two: pointer and length. */
struct values_argument {
    bool is_buffer;
    struct vm_value value; /* not for buffers */
    struct bytes data;     /* of a buffer, in the arena */
    uint32_t position;     /* in the JSON array, for messages */
};

/* What can be said without the function's type: an array of at most EXECUTE_ARGUMENTS_MAX numbers,
 * nulls, and objects {"value": …} or {"type": …, "value": …}. INVALID_ARGUMENTS. */
bool values_check_form(const json_t *arguments, struct err *err) MUST_CHECK;

/* Converts for a function of that type. `arguments` has passed values_check_form. *count elements
 * for param_count parameters (a buffer takes two i32). INVALID_ARGUMENTS, NO_MEMORY. */
bool values_parse(const json_t *arguments, const struct vm_func_type *type, struct arena *arena,
                  struct values_argument **out, uint32_t *count, struct err *err) MUST_CHECK;

#endif
