/* decode_read.c: the small parts that the sections of a module are made of: numbers, names,
 * vectors' counts, types (core spec 5.2, 5.3).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

#include "base/text.h"

bool decode_fail(const struct reader *reader, struct err *err, const char *text)
{
    return err_set(err, ERR_INVALID_WASM, "%s at offset 0x%zx", text, reader_offset(reader));
}

bool decode_limit(const struct reader *reader, struct err *err, const char *limit, uint64_t value,
                  uint64_t max)
{
    return err_set(err, ERR_LIMIT, "%s: %llu is over the limit of %llu at offset 0x%zx", limit,
                   (unsigned long long)value, (unsigned long long)max, reader_offset(reader));
}

bool decode_u8(struct reader *reader, uint8_t *out, struct err *err)
{
    return reader_u8(reader, out) ||
           decode_fail(reader, err, "unexpected end of section or function");
}

static bool decode_leb(const struct reader *reader, enum leb_result result, struct err *err)
{
    switch (result) {
    case LEB_OK:
        return true;
    case LEB_TOO_SHORT:
        return decode_fail(reader, err, "unexpected end of section or function");
    case LEB_TOO_LONG:
        return decode_fail(reader, err, "integer representation too long");
    case LEB_TOO_LARGE:
        break;
    }
    return decode_fail(reader, err, "integer too large");
}

bool decode_u32(struct reader *reader, uint32_t *out, struct err *err)
{
    return decode_leb(reader, reader_leb_u32(reader, out), err);
}

bool decode_bytes(struct reader *reader, struct bytes *out, struct err *err)
{
    uint32_t size;
    if (!decode_u32(reader, &size, err)) {
        return false;
    }
    return reader_take(reader, size, out) ||
           decode_fail(reader, err, "unexpected end of section or function: length out of bounds");
}

bool decode_name(const struct vm_module *module, struct reader *reader, struct bytes *out,
                 struct err *err)
{
    struct reader at = *reader;
    if (!decode_bytes(reader, out, err)) {
        return false;
    }
    if (out->size > module->limits.name_bytes_max) {
        return decode_limit(&at, err, "name_bytes_max", out->size, module->limits.name_bytes_max);
    }
    return text_is_utf8(*out) || decode_fail(&at, err, "malformed UTF-8 encoding");
}

bool decode_count(struct reader *reader, const char *limit, uint32_t max, uint32_t *out,
                  struct err *err)
{
    struct reader at = *reader;
    if (!decode_u32(reader, out, err)) {
        return false;
    }
    if (*out > reader_left(reader)) {
        return decode_fail(reader, err, "unexpected end of section or function");
    }
    return *out <= max || decode_limit(&at, err, limit, *out, max);
}

bool decode_value_type(const struct vm_module *module, struct reader *reader, enum vm_type *out,
                       struct err *err)
{
    struct reader at = *reader;
    uint8_t byte;
    if (!decode_u8(reader, &byte, err)) {
        return false;
    }
    *out = (enum vm_type)byte;
    if (byte == VM_V128 && !module->limits.features.simd) {
        return decode_fail(&at, err, "malformed value type v128: the feature simd is off");
    }
    return vm_type_is_value(byte) || decode_fail(&at, err, "malformed value type");
}

bool decode_ref_type(struct reader *reader, enum vm_type *out, struct err *err)
{
    struct reader at = *reader;
    uint8_t byte;
    if (!decode_u8(reader, &byte, err)) {
        return false;
    }
    *out = (enum vm_type)byte;
    return vm_type_is_reference(byte) || decode_fail(&at, err, "malformed reference type");
}

/* One number of limits: of 64 bits since addresses may have them; what 32-bit ones reach is
 * validated. */
static bool decode_size(const struct vm_module *module, struct reader *reader, uint64_t *out,
                        struct err *err)
{
    uint32_t narrow = 0;
    if (module->limits.features.memory64) {
        return decode_leb(reader, reader_leb_u64(reader, out), err);
    }
    bool is_read = decode_u32(reader, &narrow, err);
    *out = narrow;
    return is_read;
}

enum { LIMITS_MAX = 1, LIMITS_64 = 4 };

/* The flags of limits (5.3.7). */
static bool decode_limits_flags(const struct vm_module *module, struct reader *reader,
                                uint8_t *flags, struct err *err)
{
    struct reader at = *reader;
    if (!decode_u8(reader, flags, err)) {
        return false;
    }
    if ((*flags & 0x7f & ~(LIMITS_MAX | LIMITS_64)) != 0) {
        return decode_fail(&at, err, "malformed limits flags: integer too large");
    }
    if (*flags >= 0x80) {
        return decode_fail(&at, err, "malformed limits flags: integer representation too long");
    }
    return (*flags & LIMITS_64) == 0 || module->limits.features.memory64 ||
           decode_fail(&at, err,
                       "malformed limits flags: integer too large: the feature memory64 is off");
}

static bool decode_limits(const struct vm_module *module, struct reader *reader, bool *is_64,
                          uint64_t *min, uint64_t *max, struct err *err)
{
    uint8_t flags;
    if (!decode_limits_flags(module, reader, &flags, err)) {
        return false;
    }
    *is_64 = (flags & LIMITS_64) != 0;
    *max = UINT64_MAX;
    return decode_size(module, reader, min, err) &&
           ((flags & LIMITS_MAX) == 0 || decode_size(module, reader, max, err));
}

bool decode_table_type(const struct vm_module *module, struct reader *reader,
                       struct module_table *out, struct err *err)
{
    out->offset = (uint32_t)reader_offset(reader);
    return decode_ref_type(reader, &out->type, err) &&
           decode_limits(module, reader, &out->is_64, &out->min, &out->max, err);
}

bool decode_memory_type(const struct vm_module *module, struct reader *reader,
                        struct module_memory *out, struct err *err)
{
    out->offset = (uint32_t)reader_offset(reader);
    return decode_limits(module, reader, &out->is_64, &out->min, &out->max, err);
}

bool decode_global_type(const struct vm_module *module, struct reader *reader,
                        struct module_global *out, struct err *err)
{
    uint8_t mutability;
    if (!decode_value_type(module, reader, &out->type, err)) {
        return false;
    }
    struct reader at = *reader;
    if (!decode_u8(reader, &mutability, err)) {
        return false;
    }
    out->is_mutable = mutability == 1;
    return mutability <= 1 || decode_fail(&at, err, "malformed mutability");
}

void *decode_array(struct vm_module *module, size_t count, size_t size, struct err *err)
{
    void *array = arena_alloc_array(&module->arena, count, size, alignof(max_align_t));
    if (array == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for %zu entries of a module", count);
    }
    return array;
}
