/* decode_segments.c: element and data segments (core spec 5.5.12, 5.5.14).
 *
 * Both begin with flags: bit 0 passive or declarative, bit 1 an explicit index (active) or
 * declarative (not), and for elements bit 2: items are expressions, not function indices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

enum { SEGMENT_NOT_ACTIVE = 1, SEGMENT_EXPLICIT = 2, SEGMENT_EXPRESSIONS = 4 };

/* The type of the items: as a type where they are expressions, else as a kind, of which there is
 * one: 0, functions. The short active forms leave it out. */
static bool decode_element_type(struct reader *reader, uint32_t flags, struct module_element *out,
                                struct err *err)
{
    out->type = VM_FUNCREF;
    if ((flags & (SEGMENT_NOT_ACTIVE | SEGMENT_EXPLICIT)) == 0) {
        return true;
    }
    if ((flags & SEGMENT_EXPRESSIONS) != 0) {
        return decode_ref_type(reader, &out->type, err);
    }
    struct reader at = *reader;
    uint8_t kind;
    return decode_u8(reader, &kind, err) &&
           (kind == 0 || decode_fail(&at, err, "malformed element kind"));
}

static bool decode_func_index(struct vm_module *module, struct reader *reader,
                              struct module_const *out, struct err *err)
{
    out->kind = MODULE_CONST_FUNC;
    out->offset = (uint32_t)reader_offset(reader);
    if (!decode_u32(reader, &out->index, err)) {
        return false;
    }
    decode_declare_func(module, out->index);
    return true;
}

static bool decode_element_items(struct vm_module *module, struct reader *reader, uint32_t flags,
                                 struct module_element *out, struct err *err)
{
    /* A segment that is longer than any table can never be used whole. */
    if (!decode_count(reader, "table_elements_max", module->limits.table_elements_max, &out->count,
                      err)) {
        return false;
    }
    out->items = decode_array(module, out->count, sizeof *out->items, err);
    if (out->items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        bool is_read = (flags & SEGMENT_EXPRESSIONS) != 0
                           ? decode_const(module, reader, &out->items[i], err)
                           : decode_func_index(module, reader, &out->items[i], err);
        if (!is_read) {
            return false;
        }
    }
    return true;
}

static bool decode_element(struct vm_module *module, struct reader *reader,
                           struct module_element *out, struct err *err)
{
    struct reader at = *reader;
    uint32_t flags;
    out->position = (uint32_t)reader_offset(reader);
    if (!decode_u32(reader, &flags, err)) {
        return false;
    }
    if (flags > (SEGMENT_NOT_ACTIVE | SEGMENT_EXPLICIT | SEGMENT_EXPRESSIONS)) {
        return decode_fail(&at, err, "malformed elements segment kind");
    }
    if ((flags & SEGMENT_NOT_ACTIVE) != 0) {
        out->mode = (flags & SEGMENT_EXPLICIT) != 0 ? MODULE_DECLARATIVE : MODULE_PASSIVE;
    } else {
        out->mode = MODULE_ACTIVE;
        if ((flags & SEGMENT_EXPLICIT) != 0 && !decode_u32(reader, &out->table_index, err)) {
            return false;
        }
        if (!decode_const(module, reader, &out->offset, err)) {
            return false;
        }
    }
    return decode_element_type(reader, flags, out, err) &&
           decode_element_items(module, reader, flags, out, err);
}

bool decode_elements(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    if (!decode_count(reader, "segments_max", module->limits.segments_max, &count, err)) {
        return false;
    }
    struct module_element *elements = decode_array(module, count, sizeof *elements, err);
    if (elements == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_element(module, reader, &elements[i], err)) {
            return false;
        }
    }
    module->elements = elements;
    module->element_count = count;
    return true;
}

static bool decode_data_segment(struct vm_module *module, struct reader *reader,
                                struct module_data *out, struct err *err)
{
    struct reader at = *reader;
    uint32_t flags;
    out->position = (uint32_t)reader_offset(reader);
    if (!decode_u32(reader, &flags, err)) {
        return false;
    }
    if (flags > SEGMENT_EXPLICIT) {
        return decode_fail(&at, err, "malformed data segment kind");
    }
    out->mode = flags == SEGMENT_NOT_ACTIVE ? MODULE_PASSIVE : MODULE_ACTIVE;
    if (flags == SEGMENT_EXPLICIT && !decode_u32(reader, &out->memory_index, err)) {
        return false;
    }
    if (out->mode == MODULE_ACTIVE && !decode_const(module, reader, &out->offset, err)) {
        return false;
    }
    return decode_bytes(reader, &out->content, err);
}

bool decode_data(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    if (!decode_count(reader, "segments_max", module->limits.segments_max, &count, err)) {
        return false;
    }
    struct module_data *data = decode_array(module, count, sizeof *data, err);
    if (data == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_data_segment(module, reader, &data[i], err)) {
            return false;
        }
    }
    module->data = data;
    module->data_count = count;
    return true;
}
