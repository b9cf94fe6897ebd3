/* test_translate: what translation makes of a body, seen through the printed code; its limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include "support/wasm_bytes.h"
#include "vm/engine.h"

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

static uint8_t *code_until(const struct vm_module *module, uint32_t function, uint64_t stop_gas,
                           uint32_t *size)
{
    struct retranslation *again = translate_again_until(module, function, 0, stop_gas, NULL);
    cr_assert_not_null(again);
    cr_assert_not(translate_again_continue(again, SIZE_MAX));
    uint8_t *copy = translate_again_copy(again, size);
    cr_assert_not_null(copy);
    translate_again_free(again);
    return copy;
}

static enum handler handler_at(const uint8_t *pc)
{
    enum handler handler = handler_of_word(code_u64(pc, 0));
    cr_assert_lt(handler, HANDLER_COUNT);
    return handler;
}

/* Where branches lead and what edges cost: nothing branches in a copy. */
static void blank_edges(enum code_format format, uint8_t *bytes)
{
    switch ((int)format) {
    case CODE_BRANCH:
        memset(bytes + CODE_BRANCH_REL, 0, CODE_BRANCH_IMM - CODE_BRANCH_REL);
        break;
    case CODE_JUMP:
        memset(bytes + CODE_JUMP_REL, 0, 8);
        break;
    case CODE_TABLE:
        memset(bytes + CODE_TABLE_ENTRIES, 0, 8 * ((size_t)code_u32(bytes, CODE_TABLE_COUNT) + 1));
        break;
    case CODE_CALL:
        memset(bytes + CODE_CALL_COST, 0, 4);
        break;
    case CODE_RARE:
        memset(bytes + CODE_RARE_COST, 0, 4);
        break;
    default:
        break;
    }
}

/* The next one, which it may be fused with, aside. */
static bool is_same_instruction(const uint8_t *a, const uint8_t *b)
{
    uint8_t bytes[2][256];
    const struct handler_layout *layout = &handler_layouts[handler_at(a)];
    const char *name = layout->name, *other = handler_layouts[handler_at(b)].name;
    uint32_t size = code_instruction_bytes(layout, a);
    cr_assert_leq(size, sizeof bytes[0]);
    if (length_alone(name) != length_alone(other) ||
        strncmp(name, other, (size_t)length_alone(name)) != 0 ||
        code_instruction_bytes(&handler_layouts[handler_at(b)], b) != size) {
        return false;
    }
    memcpy(bytes[0], a, size);
    memcpy(bytes[1], b, size);
    blank_edges((enum code_format)layout->format, bytes[0]);
    blank_edges((enum code_format)layout->format, bytes[1]);
    return memcmp(bytes[0] + 8, bytes[1] + 8, size - 8) == 0;
}

/* How many instructions of a copy come after those that it has in common with the code. */
static uint32_t count_beyond(const struct code *code, const uint8_t *copy, uint32_t size)
{
    uint32_t at = 0, beyond = 0;
    while (at < size && at < code->size && is_same_instruction(copy + at, code->start + at)) {
        at += code_instruction_bytes(&handler_layouts[handler_at(copy + at)], copy + at);
    }
    for (; at < size; beyond++) {
        at += code_instruction_bytes(&handler_layouts[handler_at(copy + at)], copy + at);
    }
    return beyond;
}

/* What comes after a stop may take back and change what made its operands, and nothing before. */
static void expect_beginnings(const struct vm_module *module, uint32_t function)
{
    enum { TAKEN_BACK_MAX = 3, STOP = 1 };
    const struct code *code = module->funcs[function].code;
    uint32_t size, last_size = 0;
    bool is_whole = false;
    for (uint64_t gas = 0; !is_whole; gas = gas < 200 ? gas + 1 : TRANSLATE_TO_THE_END) {
        uint8_t *copy = code_until(module, function, gas, &size);
        uint32_t beyond = count_beyond(code, copy, size);
        is_whole = size == code->size && beyond == 0;
        cr_assert_geq(size + 64, last_size);
        cr_assert_leq(beyond, TAKEN_BACK_MAX + STOP, "%u: %u", (unsigned)function, (unsigned)gas);
        cr_assert(is_whole || gas != TRANSLATE_TO_THE_END);
        last_size = size;
        heap_free(copy);
    }
}

Test(vm_translate, code_up_to_a_stop_begins_like_the_whole)
{
    static const char *const names[] = {"sweep", "simd", "wide", "gas"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        struct engine engine = engine_open(names[n], (struct engine_options){0});
        const struct vm_module *module = engine.instance->module;
        for (uint32_t i = module->func_import_count; i < module->func_count; i++) {
            expect_beginnings(module, i);
        }
        engine_close(&engine);
    }
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
    static const uint8_t number[] = {0x41, 0, 0x1a};
    static const uint8_t vector[] = {0xfd, 0x0c, 0, 0, 0, 0, 0, 0, 0,   0,
                                     0,    0,    0, 0, 0, 0, 0, 0, 0x1a};
    return wasm_of_locals(count, type,
                          pushes_v128 ? bytes_of(vector, sizeof vector)
                                      : bytes_of(number, sizeof number));
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
