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

/* How many items; they are the next entries. */
static bool begin_items(struct decoder *decoder, struct module_element *out, struct err *err)
{
    struct vm_module *module = decoder->module;
    /* A segment that is longer than any table can never be used whole. */
    if (!decode_count(&decoder->reader, "table_elements_max", module->limits.table_elements_max,
                      &out->count, err)) {
        return false;
    }
    out->items = decode_array(module, out->count, sizeof *out->items, err);
    decoder->items_left = out->count;
    decoder->count += out->count;
    return out->items != NULL;
}

static bool decode_item(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    const struct module_element *element = &module->elements[decoder->elements - 1];
    struct module_const *item = &element->items[element->count - decoder->items_left--];
    return decoder->has_expressions ? decode_const(module, &decoder->reader, item, err)
                                    : decode_func_index(module, &decoder->reader, item, err);
}

static bool begin_element(struct decoder *decoder, struct module_element *out, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct reader *reader = &decoder->reader;
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
    decoder->has_expressions = (flags & SEGMENT_EXPRESSIONS) != 0;
    return decode_element_type(reader, flags, out, err) && begin_items(decoder, out, err);
}

bool decode_elements(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    if (!decode_count(&decoder->reader, "segments_max", module->limits.segments_max,
                      &module->element_count, err)) {
        return false;
    }
    decoder->count = module->element_count;
    module->elements = decode_array(module, module->element_count, sizeof *module->elements, err);
    return module->elements != NULL;
}

bool decode_element(struct decoder *decoder, struct err *err)
{
    return decoder->items_left > 0
               ? decode_item(decoder, err)
               : begin_element(decoder, &decoder->module->elements[decoder->elements++], err);
}

bool decode_data_segment(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct reader *reader = &decoder->reader;
    struct module_data *out = &module->data[decoder->next];
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

bool decode_data(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    if (!decode_count(&decoder->reader, "segments_max", module->limits.segments_max,
                      &module->data_count, err)) {
        return false;
    }
    decoder->count = module->data_count;
    module->data = decode_array(module, module->data_count, sizeof *module->data, err);
    return module->data != NULL;
}
