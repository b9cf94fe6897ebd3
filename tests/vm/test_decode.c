/* test_decode: malformed modules are refused with the reason and the place; limits hold exactly;
 * what is only for debugging can break nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/module.h"

#include <criterion/criterion.h>
#include <string.h>

#define TYPE_NONE                                                                                  \
    {                                                                                              \
        1, BYTES(1, 0x60, 0, 0)                                                                    \
    } /* one type, [] -> [] */

Test(vm_decode, the_header_is_asked_for_to_the_last_byte)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    for (size_t size = 0; size < sizeof header; size++) {
        struct vm_module *module;
        struct err err;
        cr_assert_not(
            vm_module_load(bytes_of(header, size), &vm_limits_default, NULL, &module, &err));
        cr_assert_not_null(strstr(err.message, "unexpected end"), "%s", err.message);
    }
    wasm_accepted(wasm_of(NULL, 0), NULL);
}

Test(vm_decode, another_magic_or_version_is_refused)
{
    for (size_t i = 0; i < 8; i++) {
        struct buffer wasm = wasm_of(NULL, 0);
        wasm.ptr[i] ^= 0x10;
        wasm_refused(wasm, NULL, ERR_INVALID_WASM,
                     i < 4 ? "magic header not detected" : "unknown binary version");
    }
}

Test(vm_decode, malformed_sections_are_refused_in_the_words_of_the_spec)
{
    const struct {
        struct buffer wasm;
        const char *text;
    } rows[] = {
        {WASM({13, BYTES(0)}), "malformed section id at offset 0x8"},
        {WASM({1, BYTES(0)}, {1, BYTES(0)}), "unexpected content after last section"},
        {WASM({3, BYTES(0)}, {1, BYTES(0)}), "unexpected content after last section"},
        {WASM({1, BYTES(0, 0)}), "section size mismatch"},
        {WASM({1, BYTES(1)}), "unexpected end"},
        {WASM({1, BYTES(1, 0x61, 0, 0)}), "malformed function type"},
        {WASM({1, BYTES(1, 0xe0, 0x7f)}), "integer representation too long"},
        {WASM({1, BYTES(1, 0x60, 1, 0x40, 0)}), "malformed value type"},
        {WASM({1, BYTES(1, 0x60, 0x7f, 0x7f)}), "unexpected end"},
        {WASM({2, BYTES(1, 0, 0, 4)}), "malformed import kind"},
        {WASM({2, BYTES(1, 0, 0, 0, 0)}), "unknown type"},
        {WASM({2, BYTES(1, 1, 0x80, 0, 0, 0)}), "malformed UTF-8 encoding"},
        {WASM({2, BYTES(1, 9, 0)}), "length out of bounds"},
        {WASM({3, BYTES(1, 0)}), "unknown type"},
        {WASM(TYPE_NONE, {3, BYTES(1, 0)}), "function and code section have inconsistent lengths"},
        {WASM({10, BYTES(1, 2, 0, 0x0b)}), "function and code section have inconsistent lengths"},
        {WASM({4, BYTES(1, 0x7f, 0, 0)}), "malformed reference type"},
        {WASM({4, BYTES(1, 0x70, 2, 0)}), "integer too large"},
        {WASM({4, BYTES(1, 0x70, 0x81, 0)}), "integer representation too long"},
        {WASM({5, BYTES(1, 1, 0)}), "unexpected end"},
        {WASM({6, BYTES(1, 0x7f, 2, 0x41, 0, 0x0b)}), "malformed mutability"},
        {WASM({6, BYTES(1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x0b)}), "type mismatch"},
        {WASM({6, BYTES(1, 0x7f, 0, 0x0b)}), "type mismatch"},
        {WASM({6, BYTES(1, 0x7f, 0, 0x41, 0, 0x45, 0x0b)}), "constant expression required"},
        {WASM({7, BYTES(1, 0, 4, 0)}), "malformed export kind"},
        {WASM({9, BYTES(1, 8)}), "malformed elements segment kind"},
        {WASM({9, BYTES(1, 1, 1, 0)}), "malformed element kind"},
        {WASM({9, BYTES(1, 5, 0x7f, 0)}), "malformed reference type"},
        {WASM({11, BYTES(1, 3)}), "malformed data segment kind"},
        {WASM({11, BYTES(1, 1, 5, 0)}), "unexpected end"},
        {WASM({12, BYTES(1)}), "data count and data section have inconsistent lengths"},
        {WASM({12, BYTES(0)}, {11, BYTES(1, 1, 0)}), "data count and data section"},
        {WASM({0, BYTES(5, 'a')}), "unexpected end"},
        {WASM({0, BYTES(1, 0xff)}), "malformed UTF-8 encoding"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wasm_refused(rows[i].wasm, NULL, ERR_INVALID_WASM, rows[i].text);
    }
}

Test(vm_decode, malformed_bodies_are_refused_and_the_function_is_named)
{
    const struct {
        struct buffer wasm;
        const char *text;
    } rows[] = {
        {WASM(TYPE_NONE, {3, BYTES(1, 0)}, {10, BYTES(1, 0)}), "unexpected end"},
        {WASM(TYPE_NONE, {3, BYTES(1, 0)}, {10, BYTES(1, 1, 0)}), "unexpected end"},
        {WASM(TYPE_NONE, {3, BYTES(1, 0)}, {10, BYTES(1, 3, 0, 0x0b, 0x0b)}), "section size"},
        {WASM(TYPE_NONE, {3, BYTES(1, 0)},
              {10, BYTES(1, 12, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 1, 0x7f, 0x0b, 0, 0)}),
         "too many locals"},
        {WASM(TYPE_NONE, {3, BYTES(1, 0)}, {10, BYTES(1, 4, 1, 1, 0x40, 0x0b)}),
         "malformed value type"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer copy = wasm_of(NULL, 0);
        copy.size = 0;
        buffer_append_bytes(&copy, buffer_bytes(&rows[i].wasm));
        wasm_refused(copy, NULL, ERR_INVALID_WASM, rows[i].text);
        wasm_refused(rows[i].wasm, NULL, ERR_INVALID_WASM, "in function 0");
    }
}

/* ---- Limits: at, and one above ---- */

struct limit_row {
    const char *name;
    size_t offset; /* of the limit in struct vm_limits */
    uint32_t value;
    struct buffer wasm; /* needs exactly `value` */
};

#define LIMIT(name, value, ...)                                                                    \
    {                                                                                              \
#name, offsetof(struct vm_limits, name), value, WASM(__VA_ARGS__)                          \
    }

Test(vm_decode, each_limit_admits_its_value_and_refuses_one_more)
{
    struct limit_row rows[] = {
        LIMIT(types_max, 2, {1, BYTES(2, 0x60, 0, 0, 0x60, 0, 0)}),
        LIMIT(params_max, 2, {1, BYTES(1, 0x60, 2, 0x7f, 0x7f, 0)}),
        LIMIT(results_max, 2, {1, BYTES(1, 0x60, 0, 2, 0x7f, 0x7f)}),
        LIMIT(imports_max, 1, {2, BYTES(1, 0, 0, 3, 0x7f, 0)}),
        LIMIT(functions_max, 2, TYPE_NONE, {2, BYTES(1, 0, 0, 0, 0)}, {3, BYTES(1, 0)},
              {10, BYTES(1, 2, 0, 0x0b)}),
        LIMIT(functions_max, 1, TYPE_NONE, {2, BYTES(1, 0, 0, 0, 0)}),
        LIMIT(tables_max, 2, {2, BYTES(1, 0, 0, 1, 0x70, 0, 0)}, {4, BYTES(1, 0x70, 0, 0)}),
        LIMIT(tables_max, 1, {2, BYTES(1, 0, 0, 1, 0x70, 0, 0)}),
        LIMIT(memories_max, 1, {5, BYTES(1, 0, 0)}),
        LIMIT(memories_max, 1, {2, BYTES(1, 0, 0, 2, 0, 0)}),
        LIMIT(globals_max, 2, {2, BYTES(1, 0, 0, 3, 0x7f, 0)},
              {6, BYTES(1, 0x7f, 0, 0x41, 0, 0x0b)}),
        LIMIT(globals_max, 1, {2, BYTES(1, 0, 0, 3, 0x7f, 0)}),
        LIMIT(exports_max, 2, {5, BYTES(1, 0, 0)}, {7, BYTES(2, 1, 'a', 2, 0, 1, 'b', 2, 0)}),
        LIMIT(segments_max, 2, {9, BYTES(2, 1, 0, 0, 1, 0, 0)}),
        LIMIT(segments_max, 2, {11, BYTES(2, 1, 0, 1, 0)}),
        LIMIT(table_elements_max, 2, TYPE_NONE, {3, BYTES(1, 0)}, {9, BYTES(1, 1, 0, 2, 0, 0)},
              {10, BYTES(1, 2, 0, 0x0b)}),
        LIMIT(locals_max, 5, {1, BYTES(1, 0x60, 1, 0x7f, 0)}, {3, BYTES(1, 0)},
              {10, BYTES(1, 6, 2, 1, 0x7f, 3, 0x7e, 0x0b)}),
        LIMIT(function_bytes_max, 3, TYPE_NONE, {3, BYTES(1, 0)}, {10, BYTES(1, 3, 0, 1, 0x0b)}),
        LIMIT(constant_bytes_max, 3, {6, BYTES(1, 0x7f, 0, 0x41, 0, 0x0b)}),
        LIMIT(constant_bytes_max, 6, {6, BYTES(1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x6a, 0x0b)}),
        LIMIT(name_bytes_max, 2, {5, BYTES(1, 0, 0)}, {7, BYTES(1, 2, 'a', 'b', 2, 0)}),
        LIMIT(name_bytes_max, 3, {0, BYTES(3, 'a', 'b', 'c')}),
        LIMIT(module_bytes_max, 13, {1, BYTES(0)}, {3, BYTES(0)}),
    };
    rows[sizeof rows / sizeof rows[0] - 1].value =
        (uint32_t)rows[sizeof rows / sizeof rows[0] - 1].wasm.size;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_limits limits = vm_limits_default;
        uint32_t *limit = (uint32_t *)((char *)&limits + rows[i].offset);
        struct vm_module *module;
        struct err err = {.code = ERR_NONE};
        for (int above = 0; above < 2; above++) {
            *limit = rows[i].value + (uint32_t)above;
            cr_assert(vm_module_load(buffer_bytes(&rows[i].wasm), &limits, NULL, &module, &err),
                      "%s, row %zu: %s", rows[i].name, i, err.message);
            vm_module_unref(module);
        }
        *limit = rows[i].value - 1;
        wasm_refused(rows[i].wasm, &limits, ERR_LIMIT, rows[i].name);
    }
}

/* Two types, of 100 parameters, and of 60 and so many results. */
static struct buffer wasm_of_wide_types(uint8_t results)
{
    uint8_t types[256];
    size_t size = 0;
    memset(types, VM_I32, sizeof types);
    types[size++] = 2;
    types[size++] = 0x60;
    types[size] = 100;
    size += 101;
    types[size++] = 0;
    types[size++] = 0x60;
    types[size] = 60;
    size += 61;
    types[size] = results;
    size += 1U + results;
    return WASM({1, {types, size}});
}

Test(vm_decode, types_have_a_hundred_values_each_in_the_mean)
{
    struct vm_limits limits = vm_limits_default;
    limits.types_max = 2;
    wasm_accepted(wasm_of_wide_types(40), &limits);
    wasm_refused(wasm_of_wide_types(41), &limits, ERR_LIMIT,
                 "values of all types: 201 is over the limit of 200 at offset 0x73");
}

Test(vm_decode, counts_of_billions_allocate_nothing)
{
    for (uint8_t id = 1; id <= 11; id++) {
        struct budget budget;
        struct vm_module *module;
        struct err err;
        if (id == 8) { /* start is no vector */
            continue;
        }
        struct buffer wasm = WASM({id, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 0x60)});
        budget_init(&budget, NULL, 64 << 10);
        cr_assert_not(
            vm_module_load(buffer_bytes(&wasm), &vm_limits_default, &budget, &module, &err));
        cr_assert_eq(err.code, ERR_INVALID_WASM, "section %u: %s", id, err.message);
        cr_assert_eq(budget_used(&budget), 0);
        buffer_release(&wasm);
    }
}

/* ---- What a module says of itself ---- */

Test(vm_decode, facts_imports_and_exports_are_those_of_the_module)
{
    struct err err;
    struct buffer wasm = wasm_of_seed("import");
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    struct vm_module_facts facts;
    struct vm_export export;
    cr_assert_not_null(module, "%s", err.message);
    vm_module_facts(module, &facts);
    cr_assert_eq(facts.function_count, 2);
    cr_assert_eq(facts.global_count, 2);
    cr_assert_eq(facts.data_count, 1);
    cr_assert_eq(facts.element_count, 1);
    cr_assert_not(facts.has_start);
    cr_assert_gt(facts.memory_bytes, facts.wasm_bytes);
    cr_assert_eq(vm_module_import_count(module), 4);
    struct vm_import import = vm_module_import(module, 3);
    cr_assert(bytes_equal(import.name, bytes_of_string("memory")));
    cr_assert_eq(import.type.kind, VM_EXTERN_MEMORY);
    cr_assert_eq(import.type.min, 1);
    cr_assert_eq(import.type.max, 2);
    cr_assert_eq(vm_module_export_count(module), 5);
    for (uint32_t i = 0; i < 5; i++) {
        struct vm_export by_index = vm_module_export(module, i);
        cr_assert(vm_module_find_export(module, by_index.name, &export));
        cr_assert_eq(export.index, by_index.index);
    }
    cr_assert(vm_module_find_export(module, bytes_of_string("p"), &export));
    cr_assert_eq(export.type.func.param_count, 1);
    cr_assert_not(vm_module_find_export(module, bytes_of_string("q"), &export));
    cr_assert_not(vm_module_find_export(module, bytes_of_string(""), &export));
    vm_module_unref(module);
}

Test(vm_decode, exports_are_found_in_a_long_list)
{
    struct buffer exports;
    buffer_init(&exports, 1 << 20);
    wasm_leb(&exports, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%u", i * 7919 % 1000);
        wasm_leb(&exports, (uint32_t)strlen(name));
        buffer_append_string(&exports, name);
        buffer_append(&exports, "\2\0", 2);
    }
    struct buffer wasm = WASM({5, BYTES(1, 0, 0)}, {7, buffer_bytes(&exports)});
    struct err err;
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    cr_assert_not_null(module, "%s", err.message);
    for (uint32_t i = 0; i < 1000; i++) {
        struct vm_export export;
        char name[16];
        (void)snprintf(name, sizeof name, "%u", i);
        cr_assert(vm_module_find_export(module, bytes_of_string(name), &export), "%s", name);
    }
    buffer_release(&exports);
    vm_module_unref(module);
}

static struct bytes name_of(struct buffer wasm, uint32_t index, struct vm_module **out)
{
    struct err err;
    *out = wasm_load(&wasm, NULL, &err);
    cr_assert_not_null(*out, "%s", err.message);
    return vm_module_function_name(*out, index);
}

#define NAMED(...)                                                                                 \
    WASM(TYPE_NONE, {3, BYTES(2, 0, 0)}, {10, BYTES(2, 2, 0, 0x0b, 2, 0, 0x0b)},                   \
         {0, BYTES(4, 'n', 'a', 'm', 'e', __VA_ARGS__)})

Test(vm_decode, function_names_come_from_the_name_section)
{
    struct vm_module *module;
    struct bytes name = name_of(NAMED(0, 2, 1, 'm', 1, 4, 1, 1, 1, 'f'), 1, &module);
    cr_assert(bytes_equal(name, bytes_of_string("f")));
    cr_assert_eq(vm_module_function_name(module, 0).size, 0);
    vm_module_unref(module);
}

Test(vm_decode, a_malformed_name_section_is_as_if_it_were_not_there)
{
    struct buffer rows[] = {
        NAMED(1, 4, 1, 2, 1, 'f'),               /* no such function */
        NAMED(1, 4, 1, 1, 1, 0xff),              /* not UTF-8 */
        NAMED(1, 7, 2, 1, 1, 'f', 0, 1, 'g'),    /* not ascending */
        NAMED(1, 7, 2, 1, 1, 'f', 1, 1, 'g'),    /* twice */
        NAMED(1, 5, 1, 1, 1, 'f', 0),            /* longer than its names */
        NAMED(1, 9, 1, 1, 1, 'f'),               /* longer than the section */
        NAMED(1, 5, 0xff, 0xff, 0xff, 0xff, 15), /* billions of names */
        NAMED(1),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_module *module;
        cr_assert_eq(name_of(rows[i], 1, &module).size, 0, "row %zu", i);
        vm_module_unref(module);
    }
}

Test(vm_decode, names_in_messages_and_listings_are_printable)
{
    char text[MODULE_NAME_TEXT_BYTES];
    uint8_t foreign[200];
    module_name_text(bytes_of_string("a\"b\\c\x1b[2J\xc2\x9b"), text);
    cr_assert_str_eq(text, "a\\22b\\5cc\\1b[2J\\c2\\9b");
    memset(foreign, 0xff, sizeof foreign);
    module_name_text(bytes_of(foreign, sizeof foreign), text);
    cr_assert_lt(strlen(text), sizeof text);
    cr_assert_str_eq(text + strlen(text) - 6, "\\ff...");
    module_name_text(bytes_of(NULL, 0), text);
    cr_assert_str_eq(text, "");
}

Test(vm_decode, a_function_is_disassembled_with_offsets_and_nesting)
{
    char *text = NULL;
    size_t size = 0;
    struct err err;
    const struct bytes body = BYTES(0x02, 0x7f, 0x41, 0x7f, 0x0c, 0, 0x0b, 0x1a);
    struct buffer wasm = wasm_of_body(body);
    struct vm_module *module = wasm_load(&wasm, NULL, &err);
    FILE *out = open_memstream(&text, &size);
    vm_module_disassemble(module, 0, false, out);
    (void)fclose(out);
    cr_assert_str_eq(text, "function 0 () -> ()\n"
                           "0000002a    block i32\n"
                           "0000002c      i32.const -1\n"
                           "0000002e      br 0\n"
                           "00000030    end\n"
                           "00000031    drop\n"
                           "00000032  end\n");
    heap_free(text);
    vm_module_unref(module);
}
