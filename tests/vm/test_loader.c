/* test_loader: the result does not depend on the steps; any allocation may fail; flipped and cut
 * bytes are refused or loaded, never worse.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/module.h"

#include <criterion/criterion.h>
#include <string.h>

/* Everything at steps of that size: NULL on failure. *steps counts. */
static struct vm_module *load_stepped(struct bytes wasm, size_t bytes, struct budget *budget,
                                      size_t *steps, struct err *err)
{
    struct vm_module *module = NULL;
    struct vm_loader *loader = vm_loader_new(wasm, &vm_limits_default, budget, err);
    if (loader == NULL) {
        return NULL;
    }
    enum vm_load_status status;
    *steps = 0;
    do {
        status = vm_loader_step(loader, bytes, &module, err);
        ++*steps;
    } while (status == VM_LOAD_MORE);
    if (status == VM_LOAD_FAILED) { /* and it stays so */
        struct err again;
        cr_assert_eq(vm_loader_step(loader, bytes, &module, &again), VM_LOAD_FAILED);
        cr_assert_str_eq(again.message, err->message);
    }
    vm_loader_free(loader);
    return module;
}

static void same_text(const struct vm_module *a, const struct vm_module *b)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2];
    const struct vm_module *modules[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        FILE *out = open_memstream(&texts[i], &sizes[i]);
        for (uint32_t index = 0; index < a->func_count; index++) {
            vm_module_disassemble(modules[i], index, false, out);
        }
        (void)fclose(out);
    }
    cr_assert_str_eq(texts[0], texts[1]);
    heap_free(texts[0]);
    heap_free(texts[1]);
}

static void same_constant(const struct module_const *a, const struct module_const *b)
{
    cr_assert_eq(a->kind, b->kind);
    cr_assert_eq(a->index, b->index);
    cr_assert_eq(a->offset, b->offset);
    cr_assert_eq(a->code.size, b->code.size);
}

static void same_segments(const struct vm_module *a, const struct vm_module *b)
{
    for (uint32_t i = 0; i < a->element_count; i++) {
        const struct module_element *element = &a->elements[i];
        same_constant(&element->offset, &b->elements[i].offset);
        cr_assert_eq(element->count, b->elements[i].count);
        for (uint32_t item = 0; item < element->count; item++) {
            same_constant(&element->items[item], &b->elements[i].items[item]);
        }
    }
    for (uint32_t i = 0; i < a->data_count; i++) {
        same_constant(&a->data[i].offset, &b->data[i].offset);
        cr_assert(bytes_equal(a->data[i].content, b->data[i].content));
    }
}

static void same_module(const struct vm_module *a, const struct vm_module *b)
{
    same_text(a, b);
    cr_assert_eq(a->type_count, b->type_count);
    cr_assert_eq(a->import_count, b->import_count);
    cr_assert_eq(a->func_count, b->func_count);
    cr_assert_eq(a->table_count, b->table_count);
    cr_assert_eq(a->memory_count, b->memory_count);
    cr_assert_eq(a->global_count, b->global_count);
    cr_assert_eq(a->element_count, b->element_count);
    cr_assert_eq(a->data_count, b->data_count);
    cr_assert_eq(a->export_count, b->export_count);
    same_segments(a, b);
    for (uint32_t i = 0; i < a->export_count; i++) {
        cr_assert_eq(a->exports_by_name[i] - a->exports, b->exports_by_name[i] - b->exports);
    }
    for (uint32_t i = 0; i < a->func_count; i++) {
        cr_assert(bytes_equal(vm_module_function_name(a, i), vm_module_function_name(b, i)));
    }
}

Test(vm_loader, steps_of_any_size_make_the_same_module)
{
    for (size_t seed = 0; wasm_seeds[seed] != NULL; seed++) {
        struct buffer wasm = wasm_of_seed(wasm_seeds[seed]);
        struct err err;
        size_t whole_steps, steps, before = SIZE_MAX;
        struct vm_module *whole =
            load_stepped(buffer_bytes(&wasm), SIZE_MAX, NULL, &whole_steps, &err);
        cr_assert_not_null(whole, "%s", err.message);
        cr_assert_eq(whole_steps, 1);
        for (size_t bytes = 1; bytes < 2 * wasm.size; bytes = bytes * 3 / 2 + 1) {
            struct vm_module *module = load_stepped(buffer_bytes(&wasm), bytes, NULL, &steps, &err);
            cr_assert_not_null(module, "%s", err.message);
            cr_assert_leq(steps, before);
            same_module(whole, module);
            vm_module_unref(module);
            before = steps;
        }
        vm_module_unref(whole);
        buffer_release(&wasm);
    }
}

Test(vm_loader, a_step_of_one_byte_reads_one_entry_or_instruction)
{
    struct buffer wasm = wasm_of_seed("control");
    struct err err;
    size_t steps;
    struct vm_module *module = load_stepped(buffer_bytes(&wasm), 1, NULL, &steps, &err);
    size_t instructions = 0;
    for (uint32_t i = 0; i < module->func_count; i++) {
        struct reader reader = reader_of(module->funcs[i].body);
        for (struct instruction instruction; reader_left(&reader) > 0; instructions++) {
            cr_assert(opcode_read(&reader, 0, &instruction, &err));
        }
    }
    /* header, type, function, export, code, name, the end of all sections; each body begins, is
     * validated and translated; the end. Loops are looked at once more. */
    size_t least = 7 + module->func_count + 2 * instructions + 1;
    cr_assert_geq(steps, least);
    cr_assert_leq(steps, least + instructions + wasm.size);
    vm_module_unref(module);
    buffer_release(&wasm);
}

/* Whole and at steps of one byte it fails with the same words, or in neither way. */
static bool fails_alike(struct bytes wasm)
{
    struct err whole = {.code = ERR_NONE}, stepped = {.code = ERR_NONE};
    size_t steps;
    struct vm_module *a = load_stepped(wasm, SIZE_MAX, NULL, &steps, &whole);
    struct vm_module *b = load_stepped(wasm, 1, NULL, &steps, &stepped);
    bool has_failed = a == NULL;
    cr_assert_eq(has_failed, b == NULL);
    cr_assert_str_eq(whole.message, stepped.message);
    vm_module_unref(a);
    vm_module_unref(b);
    return has_failed;
}

Test(vm_loader, steps_of_any_size_fail_alike)
{
    size_t failed = 0;
    for (size_t seed = 0; wasm_seeds[seed] != NULL; seed++) {
        struct buffer wasm = wasm_of_seed(wasm_seeds[seed]);
        for (size_t i = 8; i < wasm.size; i++) {
            wasm.ptr[i] ^= 0x55;
            failed += fails_alike(buffer_bytes(&wasm));
            wasm.ptr[i] ^= 0x55;
        }
        buffer_release(&wasm);
    }
    cr_assert_gt(failed, 100);
}

enum { EXPORTS = 1000, EXPORT_NAME_BYTES = 8 };

/* A memory under many names: the i-th is the number i * factor, of eight digits. */
static struct buffer wasm_of_exports(uint32_t factor)
{
    struct buffer names, out;
    buffer_init(&names, 1 << 20);
    buffer_append(&names, (const uint8_t[]){EXPORTS % 128 | 0x80, EXPORTS / 128}, 2);
    for (uint32_t i = 0; i < EXPORTS; i++) {
        char name[EXPORT_NAME_BYTES + 1];
        snprintf(name, sizeof name, "%08u", i * factor % 99999989);
        buffer_append_u8(&names, EXPORT_NAME_BYTES);
        buffer_append(&names, name, EXPORT_NAME_BYTES);
        buffer_append(&names, (const uint8_t[]){VM_EXTERN_MEMORY, 0}, 2);
    }
    const struct wasm_section sections[] = {
        {5, bytes_of((const uint8_t[]){1, 0, 0}, 3)},
        {7, buffer_bytes(&names)},
    };
    out = wasm_of(sections, 2);
    buffer_release(&names);
    return out;
}

Test(vm_loader, exports_are_found_whatever_their_order)
{
    static const uint32_t factors[] = {1, 99999988, 12345677};
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        struct buffer wasm = wasm_of_exports(factors[i]);
        struct err err;
        size_t steps;
        struct vm_module *module = load_stepped(buffer_bytes(&wasm), 20, NULL, &steps, &err);
        cr_assert_not_null(module, "%s", err.message);
        cr_assert_gt(steps, EXPORTS);
        for (uint32_t index = 0; index < EXPORTS; index++) {
            struct vm_export found, wanted = vm_module_export(module, index);
            cr_assert(vm_module_find_export(module, wanted.name, &found));
            cr_assert_eq(found.name.ptr, wanted.name.ptr);
        }
        vm_module_unref(module);
        buffer_release(&wasm);
    }
}

Test(vm_loader, a_name_that_is_exported_twice_is_refused_at_any_step)
{
    struct buffer wasm = wasm_of_exports(12345677);
    size_t entry = 1 + EXPORT_NAME_BYTES + 2;
    uint8_t *last = wasm.ptr + wasm.size - entry;
    memcpy(last, last - 500 * entry, entry);
    cr_assert(fails_alike(buffer_bytes(&wasm)));
    wasm_refused(wasm, NULL, ERR_INVALID_WASM, "duplicate export name");
}

Test(vm_loader, any_allocation_may_fail_and_all_memory_comes_back)
{
    for (size_t seed = 0; wasm_seeds[seed] != NULL; seed++) {
        struct buffer wasm = wasm_of_seed(wasm_seeds[seed]);
        struct budget budget;
        struct vm_module *module = NULL;
        budget_init(&budget, NULL, SIZE_MAX);
        for (size_t count = 1; module == NULL; count++) {
            struct err err = {.code = ERR_NONE};
            size_t steps;
            heap_fail_after(count);
            module = load_stepped(buffer_bytes(&wasm), SIZE_MAX, &budget, &steps, &err);
            heap_fail_after(0);
            if (module == NULL) {
                cr_assert_eq(err.code, ERR_NO_MEMORY, "%s", err.message);
                cr_assert_eq(budget_used(&budget), 0);
            }
            cr_assert_lt(count, 1000);
        }
        cr_assert_gt(budget_used(&budget), 0);
        vm_module_unref(module);
        cr_assert_eq(budget_used(&budget), 0);
        buffer_release(&wasm);
    }
}

Test(vm_loader, any_budget_is_enough_or_is_refused_and_all_memory_comes_back)
{
    for (size_t seed = 0; wasm_seeds[seed] != NULL; seed++) {
        struct buffer wasm = wasm_of_seed(wasm_seeds[seed]);
        bool is_loaded = false;
        for (size_t limit = 0; !is_loaded; limit += 128) {
            struct budget budget;
            struct err err = {.code = ERR_NONE};
            size_t steps;
            budget_init(&budget, NULL, limit);
            struct vm_module *module =
                load_stepped(buffer_bytes(&wasm), SIZE_MAX, &budget, &steps, &err);
            is_loaded = module != NULL;
            cr_assert(is_loaded || err.code == ERR_NO_MEMORY, "%s", err.message);
            vm_module_unref(module);
            cr_assert_eq(budget_used(&budget), 0);
            cr_assert_lt(limit, 1 << 20);
        }
        buffer_release(&wasm);
    }
}

static void try_load(struct bytes wasm)
{
    /* A copy of just that size, so that a sanitizer sees a read past the end. */
    uint8_t *copy = heap_alloc(wasm.size);
    struct vm_module *module;
    struct budget budget;
    struct err err = {.code = ERR_NONE};
    if (wasm.size > 0) {
        memcpy(copy, wasm.ptr, wasm.size);
    }
    budget_init(&budget, NULL, 64 << 20);
    if (vm_module_load(bytes_of(copy, wasm.size), &vm_limits_default, &budget, &module, &err)) {
        vm_module_unref(module);
    } else {
        cr_assert_neq(err.code, ERR_NONE);
    }
    cr_assert_eq(budget_used(&budget), 0);
    heap_free(copy);
}

Test(vm_loader, flipped_and_cut_bytes_never_crash)
{
    for (size_t seed = 0; wasm_seeds[seed] != NULL; seed++) {
        struct buffer wasm = wasm_of_seed(wasm_seeds[seed]);
        for (size_t i = 0; i < wasm.size; i++) {
            try_load(bytes_of(wasm.ptr, i));
            for (int bit = 0; bit < 8; bit++) {
                wasm.ptr[i] ^= (uint8_t)(1 << bit);
                try_load(buffer_bytes(&wasm));
                wasm.ptr[i] ^= (uint8_t)(1 << bit);
            }
            uint8_t kept = wasm.ptr[i];
            wasm.ptr[i] = 0xff;
            try_load(buffer_bytes(&wasm));
            wasm.ptr[i] = kept;
        }
        buffer_release(&wasm);
    }
}

/* Gives it back in pieces of that size; how many. */
static size_t release_stepped(struct vm_loader *loader, size_t bytes, const struct budget *budget)
{
    size_t pieces = 0;
    bool is_released = false;
    while (!is_released) {
        size_t before = budget_used(budget);
        is_released = vm_loader_release_some(loader, bytes);
        cr_assert_leq(before - budget_used(budget), bytes + 4096);
        cr_assert(is_released || budget_used(budget) < before);
        pieces++;
    }
    vm_loader_free(loader);
    return pieces;
}

Test(vm_loader, a_loader_is_given_back_in_pieces_wherever_it_stands)
{
    struct buffer wasm = wasm_of_seed("control");
    size_t most = 0;
    bool has_ended = false;
    for (size_t steps = 0; !has_ended; steps++) {
        struct budget budget;
        struct err err;
        struct vm_module *module = NULL;
        budget_init(&budget, NULL, 1 << 20);
        struct vm_loader *loader =
            vm_loader_new(buffer_bytes(&wasm), &vm_limits_default, &budget, &err);
        for (size_t i = 0; i < steps && !has_ended; i++) {
            has_ended = vm_loader_step(loader, 1, &module, &err) == VM_LOAD_DONE;
        }
        size_t pieces = release_stepped(loader, 64, &budget);
        most = pieces > most ? pieces : most;
        vm_module_unref(module);
        cr_assert_eq(budget_used(&budget), 0);
    }
    cr_assert_gt(most, 100);
    cr_assert(vm_loader_release_some(NULL, 1));
    buffer_release(&wasm);
}

Test(vm_loader, one_that_has_failed_tells_why_while_it_is_given_back)
{
    struct buffer wasm = wasm_of_seed("control");
    struct budget budget;
    struct err first, again;
    struct vm_module *module = NULL;
    budget_init(&budget, NULL, 1 << 20);
    wasm.ptr[wasm.size / 2] ^= 0x55;
    struct vm_loader *loader =
        vm_loader_new(buffer_bytes(&wasm), &vm_limits_default, &budget, &first);
    cr_assert_eq(vm_loader_step(loader, SIZE_MAX, &module, &first), VM_LOAD_FAILED);
    cr_assert_not(vm_loader_release_some(loader, 1));
    cr_assert_eq(vm_loader_step(loader, 1, &module, &again), VM_LOAD_FAILED);
    cr_assert_str_eq(again.message, first.message);
    vm_loader_free(loader);
    cr_assert_eq(budget_used(&budget), 0);
    buffer_release(&wasm);
}

Test(vm_loader, a_module_lives_as_long_as_it_is_referred_to)
{
    struct budget budget;
    struct err err;
    size_t steps;
    struct buffer wasm = wasm_of_seed("control");
    budget_init(&budget, NULL, 1 << 20);
    struct vm_module *module = load_stepped(buffer_bytes(&wasm), SIZE_MAX, &budget, &steps, &err);
    buffer_release(&wasm); /* the module has its own copy */
    cr_assert_eq(vm_module_ref(module), module);
    vm_module_unref(module);
    cr_assert_eq(vm_module_function_name(module, 0).size, 4);
    vm_module_unref(module);
    cr_assert_eq(budget_used(&budget), 0);
    vm_module_unref(NULL);
    vm_loader_free(NULL);
}
