/* test_validate: one pass of the algorithm, rule by rule; nothing that does not hold gets through,
 * and the limits of a body hold exactly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/module.h"

#include <criterion/criterion.h>
#include <string.h>

Test(vm_validate, bodies_that_break_a_rule_are_refused)
{
    const struct {
        struct bytes body;
        const char *text;
    } rows[] = {
        {BYTES(0x1a), "type mismatch: expected a value, found nothing"},
        {BYTES(0x41, 0), "type mismatch: values remain"},
        {BYTES(0x42, 0, 0x45, 0x1a), "type mismatch: expected i32, found i64"},
        {BYTES(0x20, 0), "unknown local 0"},
        {BYTES(0x23, 1), "unknown global 1"},
        {BYTES(0x42, 0, 0x24, 0), "type mismatch: expected i32, found i64"},
        {BYTES(0x10, 1), "unknown function 1"},
        {BYTES(0x0c, 1), "unknown label 1"},
        {BYTES(0x02, 0x40, 0x0c, 2, 0x0b), "unknown label 2"},
        {BYTES(0x02, 1, 0x0b), "unknown type 1"},
        {BYTES(0x41, 0, 0x11, 1, 0), "unknown type 1"},
        {BYTES(0x41, 0, 0x11, 0, 1), "unknown table 1"},
        {BYTES(0x05), "END opcode expected"},
        {BYTES(0x02, 0x40, 0x05, 0x0b), "END opcode expected"},
        {BYTES(0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b), "END opcode expected"},
        {BYTES(0x02, 0x40), "unexpected end"},
        {BYTES(0x41, 0, 0x04, 0x7f, 0x41, 0, 0x0b, 0x1a), "type mismatch: if without else"},
        {BYTES(0x41, 0, 0x41, 0, 0x42, 0, 0x1b, 0x1a), "type mismatch"},
        {BYTES(0xd0, 0x70, 0xd0, 0x70, 0x41, 0, 0x1b, 0x1a), "type mismatch: select of ref"},
        {BYTES(0x41, 0, 0x42, 0, 0x41, 0, 0x1b, 0x1a), "type mismatch: select of two"},
        {BYTES(0x1c, 0), "invalid result arity"},
        {BYTES(0x1c, 2, 0x7f, 0x7f), "invalid result arity"},
        {BYTES(0x41, 0, 0xd1, 0x1a), "type mismatch: expected a reference"},
        {BYTES(0xd2, 0, 0x1a), "undeclared function reference"},
        {BYTES(0xd2, 1, 0x1a), "unknown function 1"},
        {BYTES(0x41, 0, 0x28, 3, 0, 0x1a), "alignment must not be larger than natural"},
        {BYTES(0x41, 0, 0x28, 31, 0, 0x1a), "alignment must not be larger than natural"},
        {BYTES(0x41, 0, 0x2d, 1, 0, 0x1a), "alignment must not be larger than natural"},
        {BYTES(0xfc, 9, 0), "unknown data segment 0"},
        {BYTES(0xfc, 13, 0), "unknown elem segment 0"},
        {BYTES(0xfc, 16, 1, 0x1a), "unknown table 1"},
        {BYTES(0xd0, 0x6f, 0x41, 0, 0xfc, 15, 0, 0x1a), "type mismatch: expected funcref"},
        {BYTES(0x02, 0x7f, 0x02, 0x40, 0x41, 0, 0x41, 0, 0x0e, 1, 0, 1, 0x0b, 0x41, 0, 0x0b, 0x1a),
         "type mismatch: labels of different arity"},
        {BYTES(0x41, 0, 0x0e, 0, 1), "unknown label 1"},
        {BYTES(0x00, 0x42, 0, 0x45, 0x1a), "type mismatch: expected i32, found i64"},
        {BYTES(0x00, 0x41, 0), "type mismatch: values remain"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wasm_refused(wasm_of_body(rows[i].body), NULL, ERR_INVALID_WASM, rows[i].text);
        wasm_refused(wasm_of_body(rows[i].body), NULL, ERR_INVALID_WASM, "in function 0");
    }
}

Test(vm_validate, unreachable_code_takes_whatever_is_asked_for)
{
    const struct bytes rows[] = {
        BYTES(0x00, 0x6a, 0x1a),                         /* unreachable i32.add drop */
        BYTES(0x00, 0x1b, 0x1a),                         /* unreachable select drop */
        BYTES(0x00, 0x42, 0, 0x41, 0, 0x1b, 0x7b, 0x1a), /* select gives what it got: i64.popcnt */
        BYTES(0x00, 0xd1, 0x1a),                         /* unreachable ref.is_null drop */
        BYTES(0x0c, 0, 0x28, 2, 0, 0x1a),                /* br 0, i32.load drop */
        BYTES(0x02, 0x7f, 0x00, 0x0e, 1, 0, 0, 0x0b, 0x1a),
        BYTES(0x0f, 0x04, 0x40, 0x05, 0x0b), /* return, if else end */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wasm_accepted(wasm_of_body(rows[i]), NULL);
    }
}

Test(vm_validate, modules_that_break_a_rule_are_refused)
{
    const struct {
        struct buffer wasm;
        const char *text;
    } rows[] = {
        {WASM({4, BYTES(1, 0x70, 1, 2, 1)}), "size minimum must not be greater than maximum"},
        {WASM({5, BYTES(1, 1, 2, 1)}), "size minimum must not be greater than maximum"},
        {WASM({5, BYTES(1, 0, 0x81, 0x80, 4)}), "memory size must be at most 65536 pages (4GiB)"},
        {WASM({5, BYTES(1, 1, 0, 0x81, 0x80, 4)}), "memory size must be at most 65536 pages"},
        {WASM({6, BYTES(1, 0x7f, 0, 0x42, 0, 0x0b)}), "type mismatch: expected i32, found i64"},
        {WASM({6, BYTES(1, 0x7f, 0, 0x23, 0, 0x0b)}), "unknown global 0"},
        {WASM({6, BYTES(1, 0x70, 0, 0xd2, 0, 0x0b)}), "unknown function 0"},
        {WASM({2, BYTES(1, 0, 0, 3, 0x7f, 1)}, {6, BYTES(1, 0x7f, 0, 0x23, 0, 0x0b)}),
         "constant expression required"},
        {WASM({7, BYTES(1, 0, 0, 0)}), "unknown function 0"},
        {WASM({7, BYTES(1, 0, 1, 0)}), "unknown table 0"},
        {WASM({7, BYTES(1, 0, 2, 0)}), "unknown memory 0"},
        {WASM({7, BYTES(1, 0, 3, 0)}), "unknown global 0"},
        {WASM({5, BYTES(1, 0, 0)}, {7, BYTES(2, 1, 'a', 2, 0, 1, 'a', 2, 0)}),
         "duplicate export name"},
        {WASM({8, BYTES(0)}), "unknown function 0"},
        {WASM({1, BYTES(1, 0x60, 1, 0x7f, 0)}, {2, BYTES(1, 0, 0, 0, 0)}, {8, BYTES(0)}),
         "start function"},
        {WASM({9, BYTES(1, 0, 0x41, 0, 0x0b, 0)}), "unknown table 0"},
        {WASM({4, BYTES(1, 0x6f, 0, 0)}, {9, BYTES(1, 0, 0x41, 0, 0x0b, 0)}), "type mismatch"},
        {WASM({4, BYTES(1, 0x70, 0, 0)}, {9, BYTES(1, 0, 0x42, 0, 0x0b, 0)}), "type mismatch"},
        {WASM({9, BYTES(1, 1, 0, 1, 0)}), "unknown function 0"},
        {WASM({11, BYTES(1, 0, 0x41, 0, 0x0b, 0)}), "unknown memory 0"},
        {WASM({5, BYTES(1, 0, 0)}, {11, BYTES(1, 0, 0x42, 0, 0x0b, 0)}), "type mismatch"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wasm_refused(rows[i].wasm, NULL, ERR_INVALID_WASM, rows[i].text);
    }
}

Test(vm_validate, data_instructions_need_a_data_count)
{
    wasm_refused(WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)},
                      {10, BYTES(1, 5, 0, 0xfc, 9, 0, 0x0b)}, {11, BYTES(1, 1, 0)}),
                 NULL, ERR_INVALID_WASM, "data count section required");
    wasm_accepted(WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {12, BYTES(1)},
                       {10, BYTES(1, 5, 0, 0xfc, 9, 0, 0x0b)}, {11, BYTES(1, 1, 0)}),
                  NULL);
}

Test(vm_validate, an_immutable_global_is_not_set)
{
    wasm_refused(WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)},
                      {6, BYTES(1, 0x7f, 0, 0x41, 0, 0x0b)},
                      {10, BYTES(1, 6, 0, 0x41, 0, 0x24, 0, 0x0b)}),
                 NULL, ERR_INVALID_WASM, "global is immutable");
}

/* ---- Limits ---- */

static struct buffer nested(uint32_t depth)
{
    struct buffer body;
    buffer_init(&body, 1 << 20);
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append(&body, "\x02\x40", 2);
    }
    for (uint32_t i = 0; i < depth; i++) {
        buffer_append_u8(&body, 0x0b);
    }
    struct buffer wasm = wasm_of_body(buffer_bytes(&body));
    buffer_release(&body);
    return wasm;
}

Test(vm_validate, nesting_is_limited)
{
    struct vm_limits limits = vm_limits_default;
    limits.nesting_max = 5;
    wasm_accepted(nested(4), &limits);
    wasm_accepted(nested(5), &limits);
    wasm_refused(nested(6), &limits, ERR_LIMIT, "nesting_max");
    wasm_accepted(nested(vm_limits_default.nesting_max), NULL);
    wasm_refused(nested(vm_limits_default.nesting_max + 1), NULL, ERR_LIMIT, "nesting_max");
}

Test(vm_validate, br_tables_are_limited)
{
    const struct bytes body = BYTES(0x41, 0, 0x0e, 3, 0, 0, 0, 0);
    struct vm_limits limits = vm_limits_default;
    limits.br_table_max = 4;
    wasm_accepted(wasm_of_body(body), &limits);
    limits.br_table_max = 3;
    wasm_accepted(wasm_of_body(body), &limits);
    limits.br_table_max = 2;
    wasm_refused(wasm_of_body(body), &limits, ERR_LIMIT, "br_table_max");
}

Test(vm_validate, operands_are_limited_to_what_a_stack_may_hold)
{
    const struct bytes body = BYTES(0x41, 0, 0x41, 0, 0x41, 0, 0x1a, 0x1a, 0x1a);
    struct vm_limits limits = vm_limits_default;
    limits.stack_bytes_max = 4 * sizeof(uint64_t);
    wasm_accepted(wasm_of_body(body), &limits);
    limits.stack_bytes_max = 3 * sizeof(uint64_t);
    wasm_accepted(wasm_of_body(body), &limits);
    limits.stack_bytes_max = 2 * sizeof(uint64_t);
    wasm_refused(wasm_of_body(body), &limits, ERR_LIMIT, "stack_bytes_max");
}

/* 1000 results a call, and calls by the thousand, push millions of operands from a few bytes: the
 * budget ends it. */
Test(vm_validate, operands_are_charged_to_the_budget)
{
    struct buffer types, code;
    buffer_init(&types, 1 << 20);
    buffer_append(&types, "\x01\x60\x00", 3);
    wasm_leb(&types, 1000);
    for (int i = 0; i < 1000; i++) {
        buffer_append_u8(&types, 0x7f);
    }
    buffer_init(&code, 1 << 20);
    buffer_append_u8(&code, 1);
    wasm_leb(&code, 2 * 1000 + 2);
    buffer_append_u8(&code, 0);
    for (int i = 0; i < 1000; i++) {
        buffer_append(&code, "\x10\x00", 2);
    }
    buffer_append_u8(&code, 0x0b);
    struct buffer wasm = WASM({1, buffer_bytes(&types)}, {2, BYTES(1, 0, 0, 0, 0)},
                              {3, BYTES(1, 0)}, {10, buffer_bytes(&code)});
    struct budget budget;
    struct vm_module *module;
    struct err err;
    struct vm_limits limits = vm_limits_default;
    limits.values_per_byte_max = 1000;
    budget_init(&budget, NULL, 256 << 10);
    cr_assert_not(vm_module_load(buffer_bytes(&wasm), &limits, &budget, &module, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY, "%s", err.message);
    cr_assert_eq(budget_used(&budget), 0);
    buffer_release(&types);
    buffer_release(&code);
    buffer_release(&wasm);
}
