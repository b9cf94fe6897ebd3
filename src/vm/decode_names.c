/* decode_names.c: function names from the name section (core spec A.4.1).
 *
 *   ( id:u8 size:u32 contents )*      id 1: vec(index:u32 name), indices ascending
 *
 * The section is for debugging only: at the first thing that is malformed all names are forgotten.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

enum { NAMES_FUNCTIONS = 1 };

/* False when malformed. */
static bool read_names(const struct vm_module *module, struct bytes subsection, struct bytes *names)
{
    struct reader reader = reader_of(subsection);
    struct err ignored;
    uint32_t count, index;
    uint32_t next = 0;
    if (!decode_u32(&reader, &count, &ignored)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name;
        if (!decode_u32(&reader, &index, &ignored) || index < next || index >= module->func_count ||
            !decode_name(module, &reader, &name, &ignored)) {
            return false;
        }
        names[index] = name;
        next = index + 1;
    }
    return reader_left(&reader) == 0;
}

/* Finds the subsection of function names; false when malformed, empty when there is none. */
static bool find_subsection(struct bytes section, struct bytes *out)
{
    struct reader reader = reader_of(section);
    struct err ignored;
    *out = bytes_of(NULL, 0);
    while (reader_left(&reader) > 0) {
        uint8_t id;
        struct bytes contents;
        if (!decode_u8(&reader, &id, &ignored) || !decode_bytes(&reader, &contents, &ignored)) {
            return false;
        }
        if (id == NAMES_FUNCTIONS) {
            *out = contents;
        }
    }
    return true;
}

bool decode_func_names(struct vm_module *module, struct bytes section, struct err *err)
{
    struct bytes subsection;
    if (!find_subsection(section, &subsection) || subsection.size == 0) {
        return true;
    }
    struct bytes *names = decode_array(module, module->func_count, sizeof *names, err);
    if (names == NULL) {
        return false;
    }
    if (read_names(module, subsection, names)) {
        module->func_names = names;
    }
    return true;
}
