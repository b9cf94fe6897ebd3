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
#include "base/json.h"
#include "vm/vm.h"

#include <jansson.h>

/* One parameter's worth of value, or a buffer that becomes two: pointer and length. */
struct values_argument {
    bool is_buffer;
    struct vm_value value; /* not for buffers */
    uint32_t position;     /* in the JSON array, for messages */
    struct bytes text;     /* of a buffer: the JSON's, */
    bool is_base64;        /* which is base64 or stands for itself, */
    size_t read;           /* read so far, */
    struct bytes data;     /* into the arena */
};

/* What can be said without the function's type: an array of at most EXECUTE_ARGUMENTS_MAX numbers,
 * nulls, and objects {"value": …} or {"type": …, "value": …}. Base64 is looked at if reads_base64;
 * values_read_buffers does so in any case, and in pieces. INVALID_ARGUMENTS. */
bool values_check_form(const json_t *arguments, bool reads_base64, struct err *err) MUST_CHECK;

/* Converts for a function of that type. `arguments` has passed values_check_form. *count elements
 * for param_count parameters (a buffer takes two i32). json: who has their long texts; NULL: they
 * have them. What is in buffers is to be read yet, while
 * the JSON is there. INVALID_ARGUMENTS, NO_MEMORY. */
bool values_parse(const json_t *arguments, const struct json_parser *json,
                  const struct vm_func_type *type, struct arena *arena,
                  struct values_argument **out, uint32_t *count, struct err *err) MUST_CHECK;
/* About so many bytes of the buffers' texts; *is_done when all is read. INVALID_ARGUMENTS,
 * NO_MEMORY.
 */
bool values_read_buffers(struct values_argument *arguments, uint32_t count, struct arena *arena,
                         size_t bytes, bool *is_done, struct err *err) MUST_CHECK;

#endif
