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

/* One name of a function; false when malformed. */
static bool read_name(struct decoder *decoder)
{
    struct reader *reader = &decoder->name_reader;
    struct err ignored;
    uint32_t index;
    struct bytes name;
    if (!decode_u32(reader, &index, &ignored) || index < decoder->name_next ||
        index >= decoder->module->func_count ||
        !decode_name(decoder->module, reader, &name, &ignored)) {
        return false;
    }
    decoder->func_names[index] = name;
    decoder->name_next = index + 1;
    decoder->name_count--;
    return true;
}

/* One subsection; false when malformed. */
static bool read_subsection(struct decoder *decoder)
{
    struct err ignored;
    uint8_t id;
    struct bytes contents;
    if (!decode_u8(&decoder->name_reader, &id, &ignored) ||
        !decode_bytes(&decoder->name_reader, &contents, &ignored)) {
        return false;
    }
    if (id == NAMES_FUNCTIONS) {
        decoder->names = contents;
    }
    return true;
}

/* All subsections were seen: reads the one of functions, if there is one. */
static bool begin_names(struct decoder *decoder, bool *is_done, struct err *err)
{
    struct err ignored;
    struct reader reader = reader_of(decoder->names);
    *is_done = decoder->names.size == 0 || !decode_u32(&reader, &decoder->name_count, &ignored);
    if (*is_done) {
        return true;
    }
    decoder->name_reader = reader;
    decoder->func_names = decode_array(decoder->module, decoder->module->func_count,
                                       sizeof *decoder->func_names, err);
    return decoder->func_names != NULL;
}

static void read_some(struct decoder *decoder, size_t *left, bool *is_done)
{
    size_t before = reader_left(&decoder->name_reader);
    if (decoder->func_names == NULL) {
        *is_done = !read_subsection(decoder);
    } else if (decoder->name_count > 0) {
        *is_done = !read_name(decoder);
    } else {
        *is_done = true;
        decoder->module->func_names = before == 0 ? decoder->func_names : NULL;
    }
    module_take(left, before - reader_left(&decoder->name_reader));
}

bool decode_func_names(struct decoder *decoder, size_t *left, bool *is_done, struct err *err)
{
    if (decoder->func_names == NULL && reader_left(&decoder->name_reader) == 0) {
        return begin_names(decoder, is_done, err);
    }
    read_some(decoder, left, is_done);
    return true;
}
