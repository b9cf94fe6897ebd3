/* wasm_bytes.c: see wasm_bytes.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { WASM_BYTES_MAX = 16 << 20 };

const char *const wasm_seeds[] = {"control", "empty", "import", "memory", "numeric", "table", NULL};

void wasm_leb(struct buffer *out, uint32_t value)
{
    while (value >= 0x80) {
        buffer_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buffer_append_u8(out, (uint8_t)value);
}

struct buffer wasm_of(const struct wasm_section *sections, size_t count)
{
    struct buffer out;
    buffer_init(&out, WASM_BYTES_MAX);
    buffer_append(&out, "\0asm\1\0\0\0", 8);
    for (size_t i = 0; i < count; i++) {
        buffer_append_u8(&out, sections[i].id);
        wasm_leb(&out, (uint32_t)sections[i].contents.size);
        buffer_append_bytes(&out, sections[i].contents);
    }
    cr_assert_not(out.failed);
    return out;
}

struct buffer wasm_code(struct bytes locals, struct bytes body)
{
    struct buffer out;
    buffer_init(&out, WASM_BYTES_MAX);
    wasm_leb(&out, 1);
    wasm_leb(&out, (uint32_t)(locals.size + body.size + 1));
    buffer_append_bytes(&out, locals);
    buffer_append_bytes(&out, body);
    buffer_append_u8(&out, 0x0b);
    return out;
}

struct buffer wasm_of_body(struct bytes body)
{
    struct buffer code = wasm_code((struct bytes)BYTES(0), body);
    struct buffer out =
        WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {4, BYTES(1, 0x70, 0, 2)},
             {5, BYTES(1, 0, 1)}, {6, BYTES(1, 0x7f, 1, 0x41, 0, 0x0b)}, {10, buffer_bytes(&code)});
    buffer_release(&code);
    return out;
}

struct buffer wasm_of_locals(uint32_t count, uint8_t type, struct bytes body)
{
    struct buffer locals;
    buffer_init(&locals, WASM_BYTES_MAX);
    wasm_leb(&locals, 1);
    wasm_leb(&locals, count);
    buffer_append_u8(&locals, type);
    struct buffer code = wasm_code(buffer_bytes(&locals), body);
    struct buffer out = WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)},
                             {7, BYTES(1, 1, 'f', 0, 0)}, {10, buffer_bytes(&code)});
    buffer_release(&locals);
    buffer_release(&code);
    return out;
}

struct buffer wasm_repeat(struct bytes begin, struct bytes pattern, uint32_t count,
                          struct bytes end)
{
    struct buffer out;
    buffer_init(&out, WASM_BYTES_MAX);
    buffer_append_bytes(&out, begin);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_bytes(&out, pattern);
    }
    buffer_append_bytes(&out, end);
    cr_assert_not(out.failed);
    return out;
}

struct buffer wasm_of_seed(const char *name)
{
    char path[4096];
    struct buffer out;
    buffer_init(&out, WASM_BYTES_MAX);
    (void)snprintf(path, sizeof path, "%s/fuzz/corpus/vm_decode/%s.wasm", WH_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "cannot open %s", path);
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        buffer_append_u8(&out, (uint8_t)byte);
    }
    (void)fclose(file);
    cr_assert_not(out.failed);
    return out;
}

struct vm_module *wasm_load(struct buffer *wasm, const struct vm_limits *limits, struct err *err)
{
    struct vm_module *module = NULL;
    bool is_loaded = vm_module_load(
        buffer_bytes(wasm), limits == NULL ? &vm_limits_default : limits, NULL, &module, err);
    buffer_release(wasm);
    return is_loaded ? module : NULL;
}

void wasm_refused(struct buffer wasm, const struct vm_limits *limits, enum err_code code,
                  const char *text)
{
    struct err err = {.code = ERR_NONE};
    struct vm_module *module = wasm_load(&wasm, limits, &err);
    cr_assert_null(module, "accepted, expected \"%s\"", text);
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, text), "\"%s\", expected \"%s\"", err.message, text);
    if (code == ERR_INVALID_WASM) {
        cr_assert_not_null(strstr(err.message, "at offset 0x"), "%s", err.message);
    }
}

void wasm_accepted(struct buffer wasm, const struct vm_limits *limits)
{
    struct err err = {.code = ERR_NONE};
    struct vm_module *module = wasm_load(&wasm, limits, &err);
    cr_assert_not_null(module, "%s", err.message);
    vm_module_unref(module);
}
