/* values.c: see values.h.
 *
 * Decimal fractions go through strtof and strtod, which round once and correctly; printing takes
 * the fewest digits that read back to the same bits. NaNs are built from their bits: an operation
 * on them would lose the payload.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/values.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_CHARS_MAX = 64 };

struct float_shape { /* IEEE 754 interchange formats */
    unsigned fraction_bits;
    uint64_t sign, infinity, quiet;
};

static const struct float_shape shape_f32 = {23, UINT64_C(1) << 31, UINT64_C(0xff) << 23,
                                             UINT64_C(1) << 22};
static const struct float_shape shape_f64 = {52, UINT64_C(1) << 63, UINT64_C(0x7ff) << 52,
                                             UINT64_C(1) << 51};

/* Digits only, base 10 or after "0x" base 16. */
static bool magnitude_parse(const char *text, uint64_t *out)
{
    int base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    const char *alphabet = base == 16 ? "0123456789abcdefABCDEF" : "0123456789";
    if (text[0] == '\0' || strspn(text, alphabet) != strlen(text)) {
        return false;
    }
    errno = 0;
    *out = strtoull(text, NULL, base);
    return errno == 0;
}

/* Signed from -2^(bits-1), unsigned to 2^bits - 1: both readings of the same bits. */
static bool integer_parse(const char *text, unsigned bits, uint64_t *out)
{
    bool is_negative = text[0] == '-';
    uint64_t magnitude = 0;
    if (!magnitude_parse(text + (is_negative || text[0] == '+' ? 1 : 0), &magnitude)) {
        return false;
    }
    uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    uint64_t limit = is_negative ? UINT64_C(1) << (bits - 1) : mask;
    if (magnitude > limit) {
        return false;
    }
    *out = (is_negative ? UINT64_C(0) - magnitude : magnitude) & mask;
    return true;
}

/* "nan", "nan:0x…", "inf"; *matched tells whether it was one of these words. */
static bool special_parse(const char *text, const struct float_shape *shape, uint64_t *bits,
                          bool *matched)
{
    bool is_negative = text[0] == '-';
    const char *word = text + (is_negative || text[0] == '+' ? 1 : 0);
    uint64_t payload = shape->quiet;
    *matched = true;
    if (strcmp(word, "inf") == 0 || strcmp(word, "infinity") == 0) {
        payload = 0;
    } else if (strncmp(word, "nan:0x", 6) == 0) {
        if (!magnitude_parse(word + 4, &payload) || payload == 0 ||
            payload >= UINT64_C(1) << shape->fraction_bits) {
            return false;
        }
    } else if (strcmp(word, "nan") != 0) {
        *matched = false;
        return false;
    }
    *bits = shape->infinity | payload | (is_negative ? shape->sign : 0);
    return true;
}

/* A plain decimal or hexadecimal number; strtod's words and blanks are not welcome here. */
static bool looks_finite(const char *text)
{
    return text[0] != '\0' && strlen(text) < NUMBER_CHARS_MAX &&
           strspn(text, "+-0123456789.eExXpPabcdfABCDF") == strlen(text);
}

static bool f32_parse(const char *text, uint32_t *out)
{
    uint64_t bits = 0;
    bool matched = false;
    if (special_parse(text, &shape_f32, &bits, &matched)) {
        *out = (uint32_t)bits;
        return true;
    }
    if (matched || !looks_finite(text)) {
        return false;
    }
    char *end = NULL;
    float number = strtof(text, &end);
    memcpy(out, &number, sizeof number);
    return end != text && *end == '\0' && isfinite(number);
}

static bool f64_parse(const char *text, uint64_t *out)
{
    bool matched = false;
    if (special_parse(text, &shape_f64, out, &matched)) {
        return true;
    }
    if (matched || !looks_finite(text)) {
        return false;
    }
    char *end = NULL;
    double number = strtod(text, &end);
    memcpy(out, &number, sizeof number);
    return end != text && *end == '\0' && isfinite(number);
}

static bool number_parse(const char *text, struct vm_value *out)
{
    uint64_t bits = 0;
    switch (out->type) {
    case VM_I32:
        if (!integer_parse(text, 32, &bits)) {
            return false;
        }
        out->as.i32 = (uint32_t)bits;
        return true;
    case VM_I64:
        return integer_parse(text, 64, &out->as.i64);
    case VM_F32:
        return f32_parse(text, &out->as.f32);
    case VM_F64:
        return f64_parse(text, &out->as.f64);
    case VM_V128:
        return text_hex_decode(text, strlen(text), out->as.v128, sizeof out->as.v128);
    case VM_FUNCREF:
        return strcmp(text, "null") == 0;
    case VM_EXTERNREF:
        if (strcmp(text, "null") == 0) {
            return true;
        }
        if (!text_u64_decode(text, strlen(text), &bits) || bits == UINT64_MAX) {
            return false;
        }
        out->as.externref = bits + 1;
        return true;
    }
    return false;
}

bool cli_value_parse(const char *text, enum vm_type type, struct vm_value *out, struct err *err)
{
    const char *type_name = vm_type_name(type);
    const char *rest = text;
    size_t name_size = strcspn(text, ":");
    bool has_prefix = text[name_size] == ':' && name_size > 1 && strchr("ifve", text[0]) != NULL &&
                      strncmp(text, "inf", 3) != 0;
    if (has_prefix) {
        if (strlen(type_name) != name_size || memcmp(text, type_name, name_size) != 0) {
            return err_set(err, ERR_INVALID_ARGUMENTS, "'%s' is for a parameter of type %s", text,
                           type_name);
        }
        rest = text + name_size + 1;
    }
    struct vm_value value;
    memset(&value, 0, sizeof value);
    value.type = type;
    if (!number_parse(rest, &value)) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "'%s' is not a value of type %s", text,
                       type_name);
    }
    *out = value;
    return true;
}

static void f32_append(uint32_t bits, struct buffer *out)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    char text[NUMBER_CHARS_MAX];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)number);
        float back = strtof(text, NULL);
        if (memcmp(&back, &number, sizeof number) == 0) {
            break;
        }
    }
    buffer_append_string(out, text);
}

static void f64_append(uint64_t bits, struct buffer *out)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    char text[NUMBER_CHARS_MAX];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        double back = strtod(text, NULL);
        if (memcmp(&back, &number, sizeof number) == 0) {
            break;
        }
    }
    buffer_append_string(out, text);
}

/* True if it was infinite or not a number, and has been appended. */
static bool special_append(uint64_t bits, const struct float_shape *shape, struct buffer *out)
{
    if ((bits & shape->infinity) != shape->infinity) {
        return false;
    }
    uint64_t payload = bits & ((UINT64_C(1) << shape->fraction_bits) - 1);
    buffer_append_string(out, (bits & shape->sign) != 0 ? "-" : "");
    if (payload == 0) {
        buffer_append_string(out, "inf");
    } else if (payload == shape->quiet) {
        buffer_append_string(out, "nan");
    } else {
        buffer_printf(out, "nan:0x%" PRIx64, payload);
    }
    return true;
}

void cli_value_append(const struct vm_value *value, struct buffer *out)
{
    char hex[2 * sizeof value->as.v128 + 1];
    switch (value->type) {
    case VM_I32:
        buffer_printf(out, "%" PRId32, (int32_t)value->as.i32);
        return;
    case VM_I64:
        buffer_printf(out, "%" PRId64, (int64_t)value->as.i64);
        return;
    case VM_F32:
        if (!special_append(value->as.f32, &shape_f32, out)) {
            f32_append(value->as.f32, out);
        }
        return;
    case VM_F64:
        if (!special_append(value->as.f64, &shape_f64, out)) {
            f64_append(value->as.f64, out);
        }
        return;
    case VM_V128:
        text_hex_encode(bytes_of(value->as.v128, sizeof value->as.v128), hex);
        buffer_append_string(out, hex);
        return;
    case VM_FUNCREF:
        buffer_append_string(out, value->as.funcref == NULL ? "null" : "func");
        return;
    case VM_EXTERNREF:
        if (value->as.externref == 0) {
            buffer_append_string(out, "null");
        } else {
            buffer_printf(out, "%" PRIu64, value->as.externref - 1);
        }
        return;
    }
}
