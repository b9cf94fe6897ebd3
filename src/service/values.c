/* values.c: numbers, texts of numbers, and buffers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/values.h"

#include "base/text.h"
#include "service/execute_request.h"
#include "service/service.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAFE_INTEGER_MAX ((json_int_t)9007199254740991) /* 2^53 - 1 */

enum { HEX_DIGITS_64 = 16, V128_BYTES = 16, VALUES_PIECE_MIN = 4 };

/* The two float formats, as far as NaNs are concerned (core spec 2.2.3). */
struct float_format {
    unsigned payload_bits;
    unsigned sign_bit;
    uint64_t infinity;
};
static const struct float_format float32 = {23, 31, UINT64_C(0x7f800000)};
static const struct float_format float64 = {52, 63, UINT64_C(0x7ff0000000000000)};

static bool argument_error(struct err *err, uint32_t position, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENTS, "arguments[%u]: %s", position, what);
}

/* ---- form ---- */

static bool type_name_is_known(const char *name)
{
    static const enum vm_type types[] = {VM_I32,  VM_I64,     VM_F32,      VM_F64,
                                         VM_V128, VM_FUNCREF, VM_EXTERNREF};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(name, vm_type_name(types[i])) == 0) {
            return true;
        }
    }
    return strcmp(name, "bytes") == 0 || strcmp(name, "string") == 0;
}

static bool check_number(const json_t *value, uint32_t position, struct err *err)
{
    if (json_is_integer(value) && (json_integer_value(value) > SAFE_INTEGER_MAX ||
                                   json_integer_value(value) < -SAFE_INTEGER_MAX)) {
        return argument_error(err, position,
                              "an integer beyond 2^53 - 1 must be sent as a string: "
                              "{\"type\":\"i64\",\"value\":\"…\"}");
    }
    return true;
}

/* A buffer's value must be a string, and that of `bytes` must decode. */
static bool check_buffer(const json_t *type, const json_t *value, uint32_t position,
                         bool reads_base64, struct err *err)
{
    bool is_bytes = strcmp(json_string_value(type), "bytes") == 0;
    if (!is_bytes && strcmp(json_string_value(type), "string") != 0) {
        return true;
    }
    if (!json_is_string(value)) {
        return argument_error(err, position, "the value of bytes and string must be a string");
    }
    if (!is_bytes || !reads_base64) {
        return true;
    }
    size_t size = json_string_length(value);
    uint8_t *decoded = heap_alloc(size / 4 * 3);
    if (decoded == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for arguments[%u]", position);
    }
    bool ok = text_base64_decode(json_string_value(value), size, decoded, &size);
    heap_free(decoded);
    return ok || argument_error(err, position, "the value of bytes must be base64");
}

static bool check_object(const json_t *argument, uint32_t position, bool reads_base64,
                         struct err *err)
{
    const json_t *type = json_object_get(argument, "type");
    const json_t *value = json_object_get(argument, "value");
    if (value == NULL) {
        return argument_error(err, position, "an object must have the member \"value\"");
    }
    if (json_object_size(argument) != (type == NULL ? 1 : 2)) {
        return argument_error(err, position,
                              "an object may have the members \"type\" and \"value\" only");
    }
    if (!json_is_number(value) && !json_is_string(value) && !json_is_null(value)) {
        return argument_error(err, position, "\"value\" must be a number, a string or null");
    }
    if (type != NULL && (!json_is_string(type) || !type_name_is_known(json_string_value(type)))) {
        return argument_error(err, position,
                              "\"type\" must be i32, i64, f32, f64, v128, funcref, externref, "
                              "bytes or string");
    }
    return check_number(value, position, err) &&
           (type == NULL || check_buffer(type, value, position, reads_base64, err));
}

bool values_check_form(const json_t *arguments, bool reads_base64, struct err *err)
{
    if (!json_is_array(arguments)) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "arguments must be an array");
    }
    size_t count = json_array_size(arguments);
    if (count > EXECUTE_ARGUMENTS_MAX) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "arguments has %zu elements, at most %d may be",
                       count, EXECUTE_ARGUMENTS_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        const json_t *argument = json_array_get(arguments, i);
        if (json_is_object(argument)) {
            if (!check_object(argument, i, reads_base64, err)) {
                return false;
            }
        } else if (json_is_number(argument) || json_is_null(argument)) {
            if (!check_number(argument, i, err)) {
                return false;
            }
        } else {
            return argument_error(err, i, "must be a number or an object {\"type\":…,\"value\":…}");
        }
    }
    return true;
}

/* ---- scalars ---- */

/* An integral JSON number; 3.0 is one, 3.5 is not. */
static bool number_to_integer(const json_t *value, json_int_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    double number = json_is_real(value) ? json_real_value(value) : (double)NAN;
    if (!(fabs(number) <= (double)SAFE_INTEGER_MAX) || number != floor(number)) {
        return false;
    }
    *out = (json_int_t)number;
    return true;
}

static bool parse_i32(const json_t *value, struct vm_value *out, const char **what)
{
    json_int_t number = 0;
    if (!number_to_integer(value, &number) || number < INT32_MIN || number > UINT32_MAX) {
        *what = "an i32 must be an integer from -2^31 to 2^32 - 1";
        return false;
    }
    out->as.i32 = (uint32_t)number;
    return true;
}

static bool text_to_u64_hex(const char *digits, size_t count, uint64_t *out)
{
    char padded[HEX_DIGITS_64 + 1] = "0000000000000000";
    uint8_t bytes[HEX_DIGITS_64 / 2];
    if (count == 0 || count > HEX_DIGITS_64) {
        return false;
    }
    memcpy(padded + HEX_DIGITS_64 - count, digits, count);
    if (!text_hex_decode(padded, HEX_DIGITS_64, bytes, sizeof(bytes))) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        *out = *out << 8 | bytes[i];
    }
    return true;
}

static bool text_to_i64(const char *text, size_t size, uint64_t *out)
{
    if (size > 2 && text[0] == '0' && text[1] == 'x') {
        return text_to_u64_hex(text + 2, size - 2, out);
    }
    bool is_negative = size > 0 && text[0] == '-';
    uint64_t magnitude = 0;
    if (!text_u64_decode(text + is_negative, size - is_negative, &magnitude)) {
        return false;
    }
    if (is_negative && magnitude > UINT64_C(1) << 63) {
        return false;
    }
    *out = is_negative ? UINT64_C(0) - magnitude : magnitude;
    return true;
}

static bool parse_i64(const json_t *value, struct vm_value *out, const char **what)
{
    json_int_t number = 0;
    if (json_is_string(value)) {
        *what = "an i64 text must be decimal from -2^63 to 2^64 - 1, or 0x and 1 to 16 digits";
        return text_to_i64(json_string_value(value), json_string_length(value), &out->as.i64);
    }
    if (!number_to_integer(value, &number)) {
        *what = "an i64 must be an integer up to 2^53 - 1 in size, or a string";
        return false;
    }
    out->as.i64 = (uint64_t)number;
    return true;
}

/* "nan", "inf", "nan:0x…", each with an optional '-', and "-0". */
static bool text_to_float(const char *text, const struct float_format *format, uint64_t *bits)
{
    static const char nan_prefix[] = "nan:0x";
    uint64_t sign = 0;
    if (text[0] == '-') {
        sign = UINT64_C(1) << format->sign_bit;
        text++;
    }
    uint64_t payload = 0;
    if (strcmp(text, "inf") == 0) {
        *bits = sign | format->infinity;
        return true;
    }
    if (strcmp(text, "0") == 0) {
        *bits = sign;
        return sign != 0;
    }
    if (strcmp(text, "nan") == 0) {
        payload = UINT64_C(1) << (format->payload_bits - 1);
    } else if (strncmp(text, nan_prefix, strlen(nan_prefix)) != 0 ||
               !text_to_u64_hex(text + strlen(nan_prefix), strlen(text) - strlen(nan_prefix),
                                &payload) ||
               payload == 0 || payload >> format->payload_bits != 0) {
        return false;
    }
    *bits = sign | format->infinity | payload;
    return true;
}

static bool parse_f32(const json_t *value, struct vm_value *out, const char **what)
{
    if (json_is_string(value)) {
        uint64_t bits = 0;
        *what = "an f32 text must be nan, inf, -inf, -0 or nan:0x and a payload below 2^23";
        if (!text_to_float(json_string_value(value), &float32, &bits)) {
            return false;
        }
        out->as.f32 = (uint32_t)bits;
        return true;
    }
    if (!json_is_number(value)) {
        *what = "an f32 must be a number, or a string such as \"nan\"";
        return false;
    }
    float number = (float)json_number_value(value);
    if (isinf(number)) {
        *what = "the number is too large for an f32";
        return false;
    }
    memcpy(&out->as.f32, &number, sizeof(number));
    return true;
}

static bool parse_f64(const json_t *value, struct vm_value *out, const char **what)
{
    if (json_is_string(value)) {
        *what = "an f64 text must be nan, inf, -inf, -0 or nan:0x and a payload below 2^52";
        return text_to_float(json_string_value(value), &float64, &out->as.f64);
    }
    if (!json_is_number(value)) {
        *what = "an f64 must be a number, or a string such as \"nan\"";
        return false;
    }
    double number = json_number_value(value);
    memcpy(&out->as.f64, &number, sizeof(number));
    return true;
}

static bool parse_v128(const json_t *value, struct vm_value *out, const char **what)
{
    *what = "a v128 must be a string of 32 hexadecimal digits";
    return json_is_string(value) &&
           text_hex_decode(json_string_value(value), json_string_length(value), out->as.v128,
                           V128_BYTES);
}

static bool parse_null(const json_t *value, struct vm_value *out, const char **what)
{
    *what = "a reference can only be null";
    out->as.externref = 0;
    return json_is_null(value);
}

/* ---- arguments ---- */

struct argument_source { /* an element of the array, taken apart */
    const char *type;    /* NULL: not said */
    const json_t *value;
    uint32_t position;
};

static struct argument_source argument_source_of(const json_t *arguments, uint32_t position)
{
    const json_t *element = json_array_get(arguments, position);
    if (!json_is_object(element)) {
        return (struct argument_source){NULL, element, position};
    }
    return (struct argument_source){json_string_value(json_object_get(element, "type")),
                                    json_object_get(element, "value"), position};
}

static bool source_is_buffer(const struct argument_source *source)
{
    return source->type != NULL &&
           (strcmp(source->type, "bytes") == 0 || strcmp(source->type, "string") == 0);
}

static bool parse_scalar(const struct argument_source *source, enum vm_type type,
                         struct vm_value *out, struct err *err)
{
    if (source->type != NULL && strcmp(source->type, vm_type_name(type)) != 0) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "arguments[%u] is said to be %s, the parameter is %s", source->position,
                       source->type, vm_type_name(type));
    }
    *out = (struct vm_value){.type = type};
    const char *what = NULL;
    bool ok = false;
    switch (type) {
    case VM_I32:
        ok = parse_i32(source->value, out, &what);
        break;
    case VM_I64:
        ok = parse_i64(source->value, out, &what);
        break;
    case VM_F32:
        ok = parse_f32(source->value, out, &what);
        break;
    case VM_F64:
        ok = parse_f64(source->value, out, &what);
        break;
    case VM_V128:
        ok = parse_v128(source->value, out, &what);
        break;
    case VM_FUNCREF:
    case VM_EXTERNREF:
        ok = parse_null(source->value, out, &what);
        break;
    }
    return ok || argument_error(err, source->position, what);
}

static struct bytes text_of(const struct json_parser *json, const json_t *string)
{
    return json != NULL ? json_parser_string(json, string)
                        : bytes_of(json_string_value(string), json_string_length(string));
}

bool values_parse(const json_t *arguments, const struct json_parser *json,
                  const struct vm_func_type *type, struct arena *arena,
                  struct values_argument **out, uint32_t *count, struct err *err)
{
    uint32_t argument_count = (uint32_t)json_array_size(arguments);
    struct values_argument *parsed = ARENA_ARRAY(arena, struct values_argument, argument_count);
    if (parsed == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for arguments");
    }
    uint32_t param = 0;
    for (uint32_t i = 0; i < argument_count; i++) {
        struct argument_source source = argument_source_of(arguments, i);
        bool is_buffer = source_is_buffer(&source);
        uint32_t wanted = is_buffer ? 2 : 1;
        if (param + wanted > type->param_count) {
            return err_set(err, ERR_INVALID_ARGUMENTS,
                           "arguments has too many elements: the function takes %u parameters",
                           type->param_count);
        }
        parsed[i].is_buffer = is_buffer;
        parsed[i].position = i;
        if (is_buffer && (type->types[param] != VM_I32 || type->types[param + 1] != VM_I32)) {
            return argument_error(err, i, "bytes and string need two i32 parameters");
        }
        if (is_buffer) {
            parsed[i].text = text_of(json, source.value);
            parsed[i].is_base64 = strcmp(source.type, "bytes") == 0;
        } else if (!parse_scalar(&source, type->types[param], &parsed[i].value, err)) {
            return false;
        }
        param += wanted;
    }
    if (param != type->param_count) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "arguments gives %u parameters, the function takes %u", param,
                       type->param_count);
    }
    *out = parsed;
    *count = argument_count;
    return true;
}

static bool no_memory(const struct values_argument *argument, struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for arguments[%u]", argument->position);
}

static bool begin_buffer(struct values_argument *argument, struct arena *arena, struct err *err)
{
    size_t size = argument->is_base64 ? argument->text.size / 4 * 3 : argument->text.size;
    argument->data = bytes_of(arena_alloc(arena, size, 1), 0);
    return argument->data.ptr != NULL || no_memory(argument, err);
}

/* So many bytes of the text: whole groups of base64, of which only the last may be padded. */
static bool read_some(struct values_argument *argument, size_t bytes, struct err *err)
{
    const uint8_t *text = argument->text.ptr + argument->read;
    uint8_t *out = (uint8_t *)(uintptr_t)argument->data.ptr + argument->data.size;
    size_t size = bytes;
    bool is_last = argument->read + bytes == argument->text.size;
    if (!argument->is_base64) {
        memcpy(out, text, bytes);
    } else if (!text_base64_decode((const char *)text, bytes, out, &size) ||
               (!is_last && size != bytes / 4 * 3)) {
        return argument_error(err, argument->position, "the value of bytes must be base64");
    }
    argument->read += bytes;
    argument->data.size += size;
    return true;
}

bool values_read_buffers(struct values_argument *arguments, uint32_t count, struct arena *arena,
                         size_t bytes, bool *is_done, struct err *err)
{
    size_t left = bytes;
    for (uint32_t i = 0; i < count && left >= VALUES_PIECE_MIN; i++) {
        struct values_argument *argument = &arguments[i];
        size_t rest = argument->text.size - argument->read;
        size_t piece = rest < left ? rest : left / 4 * 4;
        if (argument->is_buffer && argument->data.ptr == NULL &&
            !begin_buffer(argument, arena, err)) {
            return false;
        }
        if (rest > 0 && !read_some(argument, piece, err)) {
            return false;
        }
        left -= piece;
    }
    *is_done = left >= VALUES_PIECE_MIN;
    return true;
}

/* ---- results ---- */

static json_t *float_to_json(uint64_t bits, const struct float_format *format, double number)
{
    uint64_t magnitude = bits & ((UINT64_C(1) << format->sign_bit) - 1);
    const char *sign = magnitude == bits ? "" : "-";
    if (magnitude == format->infinity) {
        return json_sprintf("%sinf", sign);
    }
    if (magnitude > format->infinity) {
        uint64_t payload = magnitude - format->infinity;
        if (payload == UINT64_C(1) << (format->payload_bits - 1)) {
            return json_sprintf("%snan", sign);
        }
        return json_sprintf("%snan:0x%llx", sign, (unsigned long long)payload);
    }
    if (magnitude == 0 && bits != 0) {
        return json_string("-0"); /* RFC 8785 writes the number -0 as 0 */
    }
    return json_real(number);
}

static json_t *scalar_to_json(const struct vm_value *value)
{
    float number32;
    double number64;
    char text[2 * V128_BYTES + 1];
    switch (value->type) {
    case VM_I32:
        return json_integer((int32_t)value->as.i32);
    case VM_I64:
        return json_sprintf("%lld", (long long)value->as.i64);
    case VM_F32:
        memcpy(&number32, &value->as.f32, sizeof(number32));
        return float_to_json(value->as.f32, &float32, (double)number32);
    case VM_F64:
        memcpy(&number64, &value->as.f64, sizeof(number64));
        return float_to_json(value->as.f64, &float64, number64);
    case VM_V128:
        text_hex_encode(bytes_of(value->as.v128, V128_BYTES), text);
        return json_string(text);
    case VM_FUNCREF:
        return value->as.funcref == NULL ? json_null() : json_string("ref");
    case VM_EXTERNREF:
        return value->as.externref == 0 ? json_null() : json_string("ref");
    }
    return NULL;
}

json_t *service_value_to_json(const struct vm_value *value)
{
    return json_pack("{s:s, s:o}", "type", vm_type_name(value->type), "value",
                     scalar_to_json(value));
}
