/* decode.c: the frame of a module (core spec 5.5): header, sections in order, and what must hold
 * between them. decode_*.c read what is inside.
 *
 *   00 61 73 6d  01 00 00 00  ( id:u8 size:u32 contents )*
 *
 * Custom sections (0) may stand anywhere; of them only "name" is kept, and read last. The others
 * stand at most once and in the order of section_orders: data count (12) before code (10).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

#include <string.h>

enum { SECTION_CUSTOM = 0, HEADER_BYTES = 8 };

static const uint8_t section_orders[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10};

/* Begin reads what is before the entries, and how many there are; entry reads one. */
struct section {
    bool (*begin)(struct decoder *decoder, struct err *err);
    bool (*entry)(struct decoder *decoder, struct err *err);
};

static bool decode_data_count(struct decoder *decoder, struct err *err)
{
    decoder->module->has_data_count = true;
    return decode_u32(&decoder->reader, &decoder->data_count, err);
}

static const struct section sections[] = {
    [1] = {decode_types, decode_type},         [2] = {decode_imports, decode_import},
    [3] = {decode_funcs, decode_func},         [4] = {decode_tables, decode_table},
    [5] = {decode_memories, decode_memory},    [6] = {decode_globals, decode_global},
    [7] = {decode_exports, decode_export},     [8] = {decode_start, NULL},
    [9] = {decode_elements, decode_element},   [10] = {decode_code, decode_body},
    [11] = {decode_data, decode_data_segment}, [12] = {decode_data_count, NULL},
};

enum decoder_phase {
    DECODER_HEADER,
    DECODER_SECTION, /* the next one, or the end */
    DECODER_ENTRY,   /* of the section at hand, or its end */
    DECODER_EXPORTS, /* are being sorted */
    DECODER_NAMES,
    DECODER_BLAME, /* a section has failed: look at the last body */
};

void decoder_init(struct decoder *decoder, struct vm_module *module)
{
    *decoder = (struct decoder){.module = module, .reader = reader_of(module->wasm)};
}

static bool decoder_header(struct decoder *decoder, struct err *err)
{
    static const uint8_t magic[4] = {0x00, 'a', 's', 'm'};
    static const uint8_t version[4] = {1, 0, 0, 0};
    struct bytes bytes;
    if (!reader_take(&decoder->reader, sizeof magic, &bytes)) {
        return decode_fail(&decoder->reader, err, "unexpected end of section or function");
    }
    if (memcmp(bytes.ptr, magic, sizeof magic) != 0) {
        return err_set(err, ERR_INVALID_WASM, "magic header not detected at offset 0x0");
    }
    if (!reader_take(&decoder->reader, sizeof version, &bytes)) {
        return decode_fail(&decoder->reader, err, "unexpected end of section or function");
    }
    if (memcmp(bytes.ptr, version, sizeof version) != 0) {
        return err_set(err, ERR_INVALID_WASM, "unknown binary version at offset 0x4");
    }
    return true;
}

static bool decoder_custom(struct decoder *decoder, const uint8_t *end, struct err *err)
{
    struct bytes name;
    struct reader *reader = &decoder->reader;
    if (!decode_name(decoder->module, reader, &name, err)) {
        return false;
    }
    if (reader->ptr > end) {
        return decode_fail(reader, err, "unexpected end of section or function");
    }
    struct bytes contents;
    bool is_taken = reader_take(reader, (size_t)(end - reader->ptr), &contents);
    if (is_taken && bytes_equal(name, bytes_of_string("name"))) {
        decoder->names = contents;
    }
    return is_taken;
}

static bool decoder_section(struct decoder *decoder, struct err *err)
{
    struct reader at = decoder->reader;
    uint8_t id;
    struct bytes contents;
    if (!decode_u8(&decoder->reader, &id, err)) {
        return false;
    }
    if (id >= sizeof section_orders) {
        return decode_fail(&at, err, "malformed section id");
    }
    if (id != SECTION_CUSTOM && section_orders[id] <= decoder->last_order) {
        return decode_fail(&at, err, "unexpected content after last section");
    }
    if (!decode_bytes(&decoder->reader, &contents, err)) {
        return false;
    }
    const uint8_t *end = decoder->reader.ptr;
    decoder->reader.ptr = contents.ptr; /* back: contents are read to where they lead */
    if (id == SECTION_CUSTOM) {
        return decoder_custom(decoder, end, err);
    }
    decoder->last_order = section_orders[id];
    decoder->section = id;
    decoder->end = end;
    decoder->count = 0;
    decoder->next = 0;
    decoder->phase = DECODER_ENTRY;
    return sections[id].begin(decoder, err);
}

static bool decoder_entry(struct decoder *decoder, struct err *err)
{
    if (decoder->next < decoder->count) {
        return sections[decoder->section].entry(decoder, err) && ++decoder->next > 0;
    }
    decoder->phase = DECODER_SECTION;
    return decoder->reader.ptr == decoder->end ||
           decode_fail(&decoder->reader, err, "section size mismatch");
}

/* ---- After the last section ---- */

static bool decoder_finish(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    if (decoder->code_count != module->func_count - module->func_import_count) {
        return decode_fail(&decoder->reader, err,
                           "function and code section have inconsistent lengths");
    }
    if (module->has_data_count && decoder->data_count != module->data_count) {
        return decode_fail(&decoder->reader, err,
                           "data count and data section have inconsistent lengths");
    }
    decoder->phase = DECODER_EXPORTS;
    decoder->name_reader = reader_of(decoder->names);
    decoder->names = bytes_of(NULL, 0);
    return export_sort_begin(&decoder->sort, module, err);
}

/* Bodies are read last of all; but where the last one is longer than its size, that is why what
 * stands behind it makes no sense. The first error of a module is the one to tell. */
static bool decoder_blame(struct decoder *decoder, const struct err *failure, struct err *err)
{
    const struct vm_module *module = decoder->module;
    *err = *failure;
    if (decoder->code_count == 0 || module->func_count == module->func_import_count ||
        module->funcs[module->func_count - 1].body.ptr == NULL) {
        return false;
    }
    const struct module_func *func = &module->funcs[module->func_count - 1];
    decoder->failure = *failure;
    decoder->reader = reader_of(bytes_of(func->body.ptr, module->wasm.size - func->body_offset));
    decoder->phase = DECODER_BLAME;
    return true;
}

static bool decoder_sections(struct decoder *decoder, size_t *left, struct err *err)
{
    struct err failure;
    const uint8_t *before = decoder->reader.ptr;
    bool is_good = decoder->phase == DECODER_ENTRY ? decoder_entry(decoder, &failure)
                                                   : decoder_section(decoder, &failure);
    if (!is_good) {
        return decoder_blame(decoder, &failure, err);
    }
    if (decoder->reader.ptr > before) { /* imports are read twice */
        module_take(left, (size_t)(decoder->reader.ptr - before));
    }
    return true;
}

/* One thing; *done when there is nothing to do any more. */
static bool decoder_one(struct decoder *decoder, size_t *left, bool *done, struct err *err)
{
    switch ((enum decoder_phase)decoder->phase) {
    case DECODER_HEADER:
        decoder->phase = DECODER_SECTION;
        module_take(left, HEADER_BYTES);
        return decoder_header(decoder, err);
    case DECODER_SECTION:
        if (reader_left(&decoder->reader) == 0) {
            return decoder_finish(decoder, err);
        }
        return decoder_sections(decoder, left, err);
    case DECODER_ENTRY:
        return decoder_sections(decoder, left, err);
    case DECODER_EXPORTS:
        if (export_sort_some(&decoder->sort, left)) {
            decoder->phase = DECODER_NAMES;
        }
        return true;
    case DECODER_NAMES:
        return decode_func_names(decoder, left, done, err);
    case DECODER_BLAME:
        break;
    }
    return decode_last_body(decoder, left, err);
}

bool decoder_step(struct decoder *decoder, size_t *left, bool *done, struct err *err)
{
    *done = false;
    do {
        if (!decoder_one(decoder, left, done, err)) {
            return false;
        }
    } while (*left > 0 && !*done);
    return true;
}
