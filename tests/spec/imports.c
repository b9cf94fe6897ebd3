/* imports.c: import sections written out in full.
 *
 * The program that made the suite's modules writes neighbouring imports of one module as a group, a
 * form of the binary format that came after WebAssembly 3.0:
 *
 *   module  ""  0x7f  count  (name type)*         the same module
 *   module  ""  0x7e  type   count  name*         the same module and type
 *
 * The engine does not read it, and the suite does not mean to test it. What is not understood here
 * is left as it is: the engine shall judge it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

enum {
    SECTION_IMPORT = 2,
    GROUP_OF_MODULE = 0x7f,
    GROUP_OF_TYPE = 0x7e,
    HEADER_BYTES = 8,
    SECTION_BYTES_MAX = 1 << 20,
};

static void append_leb(struct buffer *out, uint32_t value)
{
    for (; value >= 0x80; value >>= 7) {
        buffer_append_u8(out, (uint8_t)(value | 0x80));
    }
    buffer_append_u8(out, (uint8_t)value);
}

static bool read_leb(struct reader *reader, uint64_t *out)
{
    return reader_leb_u64(reader, out) == LEB_OK;
}

/* Everything from `start` to where the reader is. */
static struct bytes since(const struct reader *reader, const uint8_t *start)
{
    return bytes_of(start, (size_t)(reader->ptr - start));
}

/* A name with its length. */
static bool take_name(struct reader *reader, struct bytes *out)
{
    const uint8_t *start = reader->ptr;
    uint64_t size;
    struct bytes text;
    bool is_taken = read_leb(reader, &size) && reader_take(reader, (size_t)size, &text);
    *out = since(reader, start);
    return is_taken;
}

static bool skip_value_type(struct reader *reader)
{
    uint8_t byte;
    int64_t heap_type;
    return reader_u8(reader, &byte) &&
           ((byte != 0x63 && byte != 0x64) || reader_leb_s33(reader, &heap_type) == LEB_OK);
}

static bool skip_limits(struct reader *reader)
{
    uint8_t flags;
    uint64_t number;
    return reader_u8(reader, &flags) && read_leb(reader, &number) &&
           ((flags & 1) == 0 || read_leb(reader, &number));
}

/* The kind of what is imported, and its type. */
static bool take_type(struct reader *reader, struct bytes *out)
{
    const uint8_t *start = reader->ptr;
    uint8_t kind, byte;
    uint64_t index;
    bool is_taken = reader_u8(reader, &kind);
    switch (is_taken ? kind : UINT8_MAX) {
    case VM_EXTERN_FUNC:
        is_taken = read_leb(reader, &index);
        break;
    case VM_EXTERN_TABLE:
        is_taken = skip_value_type(reader) && skip_limits(reader);
        break;
    case VM_EXTERN_MEMORY:
        is_taken = skip_limits(reader);
        break;
    case VM_EXTERN_GLOBAL:
        is_taken = skip_value_type(reader) && reader_u8(reader, &byte);
        break;
    case 4: /* a tag */
        is_taken = reader_u8(reader, &byte) && read_leb(reader, &index);
        break;
    default:
        is_taken = false;
    }
    *out = since(reader, start);
    return is_taken;
}

struct import {
    struct bytes module, name, type;
};

static void append_import(struct buffer *out, const struct import *import)
{
    buffer_append_bytes(out, import->module);
    buffer_append_bytes(out, import->name);
    buffer_append_bytes(out, import->type);
}

/* After module and empty name: the imports of a group; *count: how many. */
static bool expand_group(struct reader *reader, struct buffer *out, struct import *import,
                         uint64_t *count)
{
    uint8_t form;
    if (!reader_u8(reader, &form) || (form == GROUP_OF_TYPE && !take_type(reader, &import->type)) ||
        !read_leb(reader, count)) {
        return false;
    }
    for (uint64_t i = 0; i < *count; i++) {
        if (!take_name(reader, &import->name) ||
            (form == GROUP_OF_MODULE && !take_type(reader, &import->type))) {
            return false;
        }
        append_import(out, import);
    }
    return true;
}

static bool expand_section(struct reader *reader, struct buffer *out)
{
    uint64_t total;
    bool is_good = read_leb(reader, &total) && total <= UINT32_MAX;
    append_leb(out, is_good ? (uint32_t)total : 0);
    for (uint64_t done = 0; is_good && done < total;) {
        struct import import;
        uint64_t count = 1;
        is_good = take_name(reader, &import.module) && take_name(reader, &import.name) &&
                  reader_left(reader) > 0;
        bool is_group = is_good && import.name.size == 1 &&
                        (*reader->ptr == GROUP_OF_MODULE || *reader->ptr == GROUP_OF_TYPE);
        if (is_group) {
            is_good = expand_group(reader, out, &import, &count);
        } else if (is_good) {
            is_good = take_type(reader, &import.type);
            append_import(out, &import);
        }
        done += count;
    }
    return is_good && reader_left(reader) == 0 && !out->failed;
}

void spec_expand_imports(struct bytes wasm, struct buffer *out)
{
    struct reader reader = reader_of(wasm);
    struct bytes header, contents;
    bool is_good = reader_take(&reader, HEADER_BYTES, &header);
    while (is_good && reader_left(&reader) > 0) {
        const uint8_t *start = reader.ptr;
        uint8_t id;
        uint64_t size;
        is_good = reader_u8(&reader, &id) && read_leb(&reader, &size) &&
                  reader_take(&reader, (size_t)size, &contents);
        if (!is_good || id != SECTION_IMPORT) {
            continue;
        }
        struct buffer section;
        struct reader imports = reader_of(contents);
        buffer_init(&section, SECTION_BYTES_MAX);
        if (expand_section(&imports, &section)) {
            buffer_append_bytes(out, bytes_of(wasm.ptr, (size_t)(start - wasm.ptr)));
            buffer_append_u8(out, SECTION_IMPORT);
            append_leb(out, (uint32_t)section.size);
            buffer_append_bytes(out, buffer_bytes(&section));
            buffer_append_bytes(out, bytes_of(reader.ptr, reader_left(&reader)));
        }
        buffer_release(&section);
        break;
    }
    if (out->size == 0) {
        buffer_append_bytes(out, wasm);
    }
}
