/* test_translate: what translation makes of a body, seen through the printed code; its limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include "vm/engine.h"
#include "vm/wasm_bytes.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The handlers of a function of wat/fold.wat, in order. */
struct folded {
    uint32_t function;
    char handlers[160];
};

static struct folded foldeds[] = {
    {0, "I32_ADD_S_SS RETURN"},
    {1, "I32_ADD_R_SI I32_XOR_R_RS RETURN_i64_R"},
    {2, "BRANCH_I32_LT_S_SI RETURN"},
    {3, "BRANCH_I32_GE_S_SI RETURN"},
    {4, "BRANCH_NOT_F64_LT_SI GLOBAL_SET_i64_I RETURN"},
    {5, "I32_LOAD_R_SS RETURN_i64_R"},
    {6, "I32_STORE_I_SI RETURN"},
    {7, "I64_LOAD32_U_R_I RETURN_i64_R"},
    {8, "RETURN_i64_S"},
    {9, "MOVE_i64_S_S MOVE_i32_S_I I32_SUB_R_SS RETURN_i64_R"},
    {10, "I32_ADD_R_SI I32_MUL_R_RS RETURN_i64_R"},
};

static char *printed(const struct vm_module *module, uint32_t function)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    vm_module_disassemble(module, function, true, out);
    fclose(out);
    return text;
}

/* What each instruction does itself: fusing it with the next one changes only the handler. */
static int length_alone(const char *name)
{
    const char *then = strstr(name, "_THEN_");
    return then != NULL ? (int)(then - name) : (int)strlen(name);
}

static void handlers_of(const struct code *code, char *out, size_t size)
{
    *out = '\0';
    for (uint32_t at = 0; at < code->size; at += 8) {
        enum handler handler = handler_of_word(code_u64(code->start, (int)at));
        if (handler != HANDLER_COUNT) {
            const char *name = handler_layouts[handler].name;
            snprintf(out + strlen(out), size - strlen(out), "%s%.*s", *out ? " " : "",
                     length_alone(name), name);
        }
    }
}

ParameterizedTestParameters(vm_translate, folds_and_fuses)
{
    return cr_make_param_array(struct folded, foldeds, sizeof foldeds / sizeof foldeds[0]);
}

ParameterizedTest(struct folded *folded, vm_translate, folds_and_fuses)
{
    char handlers[256];
    struct engine engine = engine_open("fold", (struct engine_options){0});
    const struct vm_module *module = engine.instance->module;
    handlers_of(module->funcs[folded->function].code, handlers, sizeof handlers);
    cr_assert_str_eq(handlers, folded->handlers);
    char *text = printed(module, folded->function);
    for (char *word = strtok(folded->handlers, " "); word != NULL; word = strtok(NULL, " ")) {
        cr_assert_not_null(strstr(text, word), "%s", text);
    }
    cr_assert_null(strstr(text, "?"), "%s", text);
    free(text);
    engine_close(&engine);
}

Test(vm_translate, prints_all_of_a_large_module)
{
    for (int slots_only = 0; slots_only < 2; slots_only++) {
        struct engine engine =
            engine_open("sweep", (struct engine_options){.slots_only = slots_only});
        for (uint32_t i = 0; i < engine.instance->module->func_count; i++) {
            char *text = printed(engine.instance->module, i);
            cr_assert_null(strstr(text, "  ?\n"), "%s", text);
            free(text);
        }
        engine_close(&engine);
    }
}

Test(vm_translate, is_deterministic)
{
    struct engine engine = engine_open("sweep", (struct engine_options){0});
    struct vm_module *module = engine.instance->module;
    const struct translate_options options = {0};
    for (uint32_t i = 0; i < module->func_count; i++) {
        const struct code *before = module->funcs[i].code;
        struct err err;
        cr_assert(translate_func_with(module, i, &options, &err));
        const struct code *after = module->funcs[i].code;
        cr_assert_eq(before->size, after->size);
        cr_assert_arr_eq(before->start, after->start, before->size);
    }
    engine_close(&engine);
}

/* The code up to a stop is the code of the whole, wherever the stop is. */
Test(vm_translate, code_up_to_a_stop_begins_like_the_whole)
{
    struct engine engine = engine_open("sweep", (struct engine_options){0});
    const struct vm_module *module = engine.instance->module;
    for (uint32_t i = 0; i < module->func_count; i++) {
        uint32_t size, last_size = 0;
        for (uint64_t gas = 0; gas < 200; gas++) {
            uint8_t *copy = translate_until(module, i, 0, gas, &size);
            cr_assert_not_null(copy);
            cr_assert_geq(size + 64, last_size);
            last_size = size;
            heap_free(copy);
        }
    }
    engine_close(&engine);
}

/* Loads wasm with these limits; gives the code's size. */
static bool loads(const struct vm_limits *limits, struct buffer wasm, struct err *err,
                  size_t *code_bytes)
{
    struct vm_module *module = wasm_load(&wasm, limits, err);
    if (module == NULL) {
        return false;
    }
    *code_bytes = module->code_bytes;
    vm_module_unref(module);
    return true;
}

static struct buffer small_module(void)
{
    static const uint8_t body[] = {0x41, 1, 0x41, 2, 0x6a, 0x1a};
    return wasm_of_body(bytes_of(body, sizeof body));
}

Test(vm_translate, code_bytes_max_below_at_and_above)
{
    struct vm_limits limits = vm_limits_default;
    struct err err;
    size_t size, again;
    cr_assert(loads(&limits, small_module(), &err, &size));
    limits.code_bytes_max = (uint32_t)size + 8;
    cr_assert(loads(&limits, small_module(), &err, &again));
    limits.code_bytes_max = (uint32_t)size;
    cr_assert(loads(&limits, small_module(), &err, &again));
    limits.code_bytes_max = (uint32_t)size - 1;
    cr_assert_not(loads(&limits, small_module(), &err, &again));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_not_null(strstr(err.message, "code_bytes_max"), "%s", err.message);
}

/* One function with so many locals of a type, and one value on its stack: of i32, or of v128. */
static struct buffer module_of_locals(uint32_t count, uint8_t type, bool pushes_v128)
{
    struct buffer code;
    buffer_init(&code, 100);
    buffer_append_u8(&code, 1);
    buffer_append_u8(&code, 10);
    buffer_append_u8(&code, 1);
    for (int i = 0; i < 5; i++) { /* five bytes, whatever the number */
        buffer_append_u8(&code, (uint8_t)((count >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0)));
    }
    static const uint8_t number[] = {0x41, 0, 0x1a, 0x0b};
    static const uint8_t vector[] = {0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0,    0,
                                     0,    0,    0, 0, 0, 0, 0, 0, 0x1a, 0x0b};
    struct bytes rest =
        pushes_v128 ? bytes_of(vector, sizeof vector) : bytes_of(number, sizeof number);
    code.ptr[1] = (uint8_t)(1 + 5 + 1 + rest.size);
    buffer_append_u8(&code, type);
    buffer_append_bytes(&code, rest);
    struct wasm_section sections[] = {
        {1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {10, buffer_bytes(&code)}};
    struct buffer wasm = wasm_of(sections, 3);
    buffer_release(&code);
    return wasm;
}

Test(vm_translate, frames_have_at_most_65536_slots)
{
    struct vm_limits limits = vm_limits_default;
    struct err err;
    size_t size;
    limits.locals_max = 100000;
    /* A frame is the word to return to, the locals, and the value on the stack. */
    static const struct {
        uint32_t count;
        uint8_t type;
        bool pushes_v128, fits;
    } rows[] = {
        {65533, 0x7f, false, true},  {65534, 0x7f, false, true}, {65535, 0x7f, false, false},
        {65536, 0x7f, false, false}, {65533, 0x7f, true, true},  {65534, 0x7f, true, false},
        {32766, 0x7b, false, true},  {32767, 0x7b, false, true}, {32768, 0x7b, false, false},
        {32766, 0x7b, true, true},   {32767, 0x7b, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer wasm = module_of_locals(rows[i].count, rows[i].type, rows[i].pushes_v128);
        cr_assert_eq(loads(&limits, wasm, &err, &size), rows[i].fits, "row %zu", i);
        cr_assert(rows[i].fits || err.code == ERR_LIMIT);
    }
}
