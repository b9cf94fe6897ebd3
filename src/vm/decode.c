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

enum { SECTION_CUSTOM = 0, SECTION_CODE = 10, SECTION_DATA = 11, SECTION_DATA_COUNT = 12 };

static const uint8_t section_orders[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10};

typedef bool (*decode_section_fn)(struct vm_module *module, struct reader *reader, struct err *err);

static const decode_section_fn section_readers[] = {
    NULL,           decode_types,   decode_imports, decode_funcs,    decode_tables, decode_memories,
    decode_globals, decode_exports, decode_start,   decode_elements, NULL,          decode_data,
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

static bool decoder_contents(struct decoder *decoder, uint8_t id, struct err *err)
{
    switch (id) {
    case SECTION_CODE:
        return decode_code(decoder->module, &decoder->reader, &decoder->code_count, err);
    case SECTION_DATA_COUNT:
        decoder->module->has_data_count = true;
        return decode_u32(&decoder->reader, &decoder->data_count, err);
    default:
        return section_readers[id](decoder->module, &decoder->reader, err);
    }
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
    return decoder_contents(decoder, id, err) &&
           (decoder->reader.ptr == end ||
            decode_fail(&decoder->reader, err, "section size mismatch"));
}

/* ---- After the last section ---- */

int module_name_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static void sift_down(const struct vm_export **heap, size_t root, size_t count)
{
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count &&
            module_name_compare(heap[child]->name, heap[child + 1]->name) < 0) {
            child++;
        }
        if (module_name_compare(heap[root]->name, heap[child]->name) >= 0) {
            return;
        }
        const struct vm_export *swapped = heap[root];
        heap[root] = heap[child];
        heap[child] = swapped;
        root = child;
    }
}

/* Heap sort: the names are foreign, and no order of them may be a slow one. */
static bool sort_exports(struct vm_module *module, struct err *err)
{
    size_t count = module->export_count;
    const struct vm_export **sorted = decode_array(module, count, sizeof *sorted, err);
    if (sorted == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &module->exports[i];
    }
    for (size_t i = count / 2; i > 0; i--) {
        sift_down(sorted, i - 1, count);
    }
    for (size_t end = count; end > 1; end--) {
        const struct vm_export *largest = sorted[0];
        sorted[0] = sorted[end - 1];
        sorted[end - 1] = largest;
        sift_down(sorted, 0, end - 1);
    }
    module->exports_by_name = sorted;
    return true;
}

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
    return sort_exports(module, err) && decode_func_names(module, decoder->names, err);
}

/* Bodies are read last of all; but where the last one is longer than its size, that is why what
 * stands behind it makes no sense. The first error of a module is the one to tell. */
static bool decoder_blame(const struct decoder *decoder, struct err *err)
{
    const struct vm_module *module = decoder->module;
    struct err earlier;
    if (decoder->code_count > 0 && module->func_count > module->func_import_count &&
        module->funcs[module->func_count - 1].body.ptr != NULL &&
        !decode_last_body(module, &earlier)) {
        *err = earlier;
    }
    return false;
}

bool decoder_step(struct decoder *decoder, bool *done, struct err *err)
{
    *done = false;
    if (reader_offset(&decoder->reader) == 0) {
        return decoder_header(decoder, err);
    }
    if (reader_left(&decoder->reader) == 0) {
        *done = true;
        return decoder_finish(decoder, err);
    }
    if (decoder_section(decoder, err)) {
        return true;
    }
    return decoder_blame(decoder, err);
}
