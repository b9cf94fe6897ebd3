/* values.c: values as the scripts write them: numbers as unsigned decimal text of their bits, NaNs
 * by class, references as "null" or the host's number, vectors as an array of lanes, each of which
 * is such a number or a class of NaNs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool parse_type(const char *text, enum vm_type *out)
{
    static const enum vm_type types[] = {VM_I32,  VM_I64,     VM_F32,      VM_F64,
                                         VM_V128, VM_FUNCREF, VM_EXTERNREF};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(vm_type_name(types[i]), text) == 0) {
            *out = types[i];
            return true;
        }
    }
    return false;
}

enum { V128_BYTES = 16 };

/* "i8", "f64" … */
static bool parse_lane_type(const json_t *json, uint32_t *bytes, bool *is_float)
{
    const char *type = json_string_value(json_object_get(json, "lane_type"));
    uint64_t bits;
    if (type == NULL || (type[0] != 'i' && type[0] != 'f') ||
        !text_u64_decode(type + 1, strlen(type + 1), &bits)) {
        return false;
    }
    *bytes = (uint32_t)bits / 8;
    *is_float = type[0] == 'f';
    return bits == 8 || bits == 16 || bits == 32 || bits == 64;
}

/* The text of a lane; NULL if the value has no such lane. */
static const char *lane_text(const json_t *json, size_t lane)
{
    return json_string_value(json_array_get(json_object_get(json, "value"), lane));
}

/* The machine is little-endian, and so are vectors. */
static bool parse_v128(const json_t *json, struct vm_value *out)
{
    uint32_t bytes;
    bool is_float;
    if (!parse_lane_type(json, &bytes, &is_float)) {
        return false;
    }
    for (size_t lane = 0; lane < V128_BYTES / bytes; lane++) {
        const char *text = lane_text(json, lane);
        uint64_t number;
        if (text == NULL || !text_u64_decode(text, strlen(text), &number)) {
            return false;
        }
        memcpy(out->as.v128 + lane * bytes, &number, bytes);
    }
    return true;
}

bool spec_value_parse(const json_t *json, struct vm_value *out)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *text = json_string_value(json_object_get(json, "value"));
    uint64_t number = 0;
    if (type != NULL && strcmp(type, "v128") == 0) {
        out->type = VM_V128;
        return parse_v128(json, out);
    }
    if (type == NULL || text == NULL || !parse_type(type, &out->type)) {
        return false;
    }
    bool is_null = strcmp(text, "null") == 0;
    if (!is_null && !text_u64_decode(text, strlen(text), &number)) {
        return false;
    }
    switch (out->type) {
    case VM_I32:
    case VM_F32:
        out->as.i32 = (uint32_t)number;
        return !is_null && number <= UINT32_MAX;
    case VM_I64:
    case VM_F64:
        out->as.i64 = number;
        return !is_null;
    case VM_FUNCREF:
        out->as.funcref = NULL;
        return is_null;
    case VM_EXTERNREF:
        out->as.externref = is_null ? 0 : number + 1;
        return true;
    case VM_V128:
        break;
    }
    return false;
}

/* Canonical: just the quiet bit; arithmetic: at least the quiet bit (core spec 4.3.3). */
static bool is_nan(const struct vm_value *value, bool is_canonical)
{
    if (value->type == VM_F32) {
        uint32_t quiet = 0x7fc00000;
        return (value->as.f32 & (is_canonical ? 0x7fffffff : quiet)) == quiet;
    }
    uint64_t quiet = 0x7ff8000000000000;
    return value->type == VM_F64 &&
           (value->as.f64 & (is_canonical ? 0x7fffffffffffffff : quiet)) == quiet;
}

static bool same_bits(const struct vm_value *a, const struct vm_value *b)
{
    switch (a->type) {
    case VM_I32:
    case VM_F32:
        return a->as.i32 == b->as.i32;
    case VM_I64:
    case VM_F64:
        return a->as.i64 == b->as.i64;
    case VM_FUNCREF:
        return a->as.funcref == b->as.funcref;
    case VM_EXTERNREF:
        return a->as.externref == b->as.externref;
    case VM_V128:
        return memcmp(a->as.v128, b->as.v128, V128_BYTES) == 0;
    }
    return false;
}

/* Lane by lane: floats may be given as a class of NaNs. */
static bool v128_matches(const json_t *expected, const struct vm_value *value)
{
    uint32_t bytes;
    bool is_float;
    if (!parse_lane_type(expected, &bytes, &is_float)) {
        return false;
    }
    for (size_t lane = 0; lane < V128_BYTES / bytes; lane++) {
        const char *text = lane_text(expected, lane);
        struct vm_value found = {.type = bytes == 4 ? VM_F32 : VM_F64};
        uint64_t number = 0;
        memcpy(&found.as.i64, value->as.v128 + lane * bytes, bytes);
        bool is_class = text != NULL && is_float && strncmp(text, "nan:", 4) == 0;
        if (is_class ? !is_nan(&found, strcmp(text, "nan:canonical") == 0)
                     : text == NULL || !text_u64_decode(text, strlen(text), &number) ||
                           number != found.as.i64) {
            return false;
        }
    }
    return true;
}

bool spec_value_matches(const json_t *expected, const struct vm_value *value)
{
    const char *type = json_string_value(json_object_get(expected, "type"));
    const char *text = json_string_value(json_object_get(expected, "value"));
    struct vm_value wanted;
    if (type == NULL || strcmp(type, vm_type_name(value->type)) != 0) {
        return false;
    }
    if (value->type == VM_V128) {
        return v128_matches(expected, value);
    }
    bool is_some_function = value->type == VM_FUNCREF && text != NULL && strcmp(text, "null") != 0;
    if (text == NULL || is_some_function) { /* any reference that is not null */
        return (value->type == VM_FUNCREF && value->as.funcref != NULL) ||
               (value->type == VM_EXTERNREF && value->as.externref != 0);
    }
    if (strncmp(text, "nan:", 4) == 0) {
        return is_nan(value, strcmp(text, "nan:canonical") == 0);
    }
    return spec_value_parse(expected, &wanted) && same_bits(&wanted, value);
}

void spec_value_text(const struct vm_value *value, char *out, size_t size)
{
    if (value->type == VM_V128) {
        uint64_t halves[2];
        memcpy(halves, value->as.v128, sizeof halves);
        (void)snprintf(out, size, "v128:%016" PRIx64 "%016" PRIx64, halves[1], halves[0]);
        return;
    }
    bool is_half = value->type == VM_I32 || value->type == VM_F32;
    (void)snprintf(out, size, "%s:%" PRIu64, vm_type_name(value->type),
                   is_half ? value->as.i32 : value->as.i64);
}
