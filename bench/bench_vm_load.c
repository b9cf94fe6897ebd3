/* bench_vm_load.c: what it costs to load a module, by phase, and what a small program with a memory
 * costs from instance to end.
 *
 * The module is generated, about a megabyte and a half; with files as arguments it is those
 * instead, one after the other. Megabytes are of function bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mapping.h"
#include "bench.h"
#include "generated.h"
#include "vm/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATED_BYTES = 1536 * 1024 };

/* (module (memory 2)
 *   (func (export "f") (result i32)
 *     i32.const 100  i32.const 7  i32.store  i32.const 100  i32.load)) */
static const uint8_t small_program[] = {
    0,  'a', 's',  'm',  1, 0,    0, 0,    1, 5, 1,    0x60, 0, 1,    0x7f, 3,  2,
    1,  0,   5,    3,    1, 0,    2, 7,    5, 1, 1,    'f',  0, 0,    10,   18, 1,
    16, 0,   0x41, 0xe4, 0, 0x41, 7, 0x36, 2, 0, 0x41, 0xe4, 0, 0x28, 2,    0,  0x0b};

static void fail(const char *what)
{
    fprintf(stderr, "bench_vm_load: %s\n", what);
    exit(1);
}

static void check(bool ok, const struct err *err)
{
    if (!ok) {
        fail(err->message);
    }
}

struct loading {
    struct bytes wasm;
    struct vm_module *module; /* of the phase that is measured */
};

static void decode(struct loading *loading)
{
    struct arena arena;
    struct err err;
    struct decoder decoder;
    arena_init(&arena, NULL);
    struct vm_module *module = ARENA_NEW(&arena, struct vm_module);
    if (module == NULL) {
        fail("no memory");
    }
    module->references = 1;
    module->limits = vm_limits_default;
    module->wasm = arena_copy(&arena, loading->wasm);
    module->arena = arena; /* transferred */
    decoder_init(&decoder, module);
    for (bool is_done = false; !is_done;) {
        size_t left = SIZE_MAX;
        check(decoder_step(&decoder, &left, &is_done, &err), &err);
    }
    loading->module = module;
}

static void decode_and_free(void *context)
{
    struct loading *loading = context;
    decode(loading);
    vm_module_unref(loading->module);
}

static void validate(void *context)
{
    const struct loading *loading = context;
    struct vm_module *module = loading->module;
    struct err err;
    struct validator *validator = validator_new(module, NULL);
    struct module_check module_check = {0};
    size_t all = SIZE_MAX;
    bool is_checked;
    check(validator != NULL && validate_module(module, &module_check, &all, &is_checked, &err),
          &err);
    for (uint32_t i = module->func_import_count; i < module->func_count; i++) {
        size_t left = SIZE_MAX;
        bool is_done;
        check(validator_begin(validator, i, &err) &&
                  validator_continue(validator, &left, &is_done, &err),
              &err);
        module->funcs[i].loop_offset = validator_loop(validator);
    }
    validator_free(validator);
}

static void load_and_free(void *context)
{
    struct loading *loading = context;
    struct vm_module *module = NULL;
    struct err err;
    check(vm_module_load(loading->wasm, &vm_limits_default, NULL, &module, &err), &err);
    vm_module_unref(module);
}

static void print_speed(const char *name, const char *phase, size_t bytes, double ns)
{
    char line[256];
    (void)snprintf(line, sizeof line, "load.%s.%s", name, phase);
    bench_print(line, (double)bytes * 1e3 / ns, "MB/s of body");
}

/* What translation takes is the rest: code cannot be translated twice without keeping it twice. */
static void bench_module(const char *name, struct bytes wasm)
{
    char line[256];
    struct loading loading = {.wasm = wasm};
    struct vm_module *module = NULL;
    struct vm_module_facts facts;
    struct err err;
    check(vm_module_load(wasm, &vm_limits_default, NULL, &module, &err), &err);
    vm_module_facts(module, &facts);
    vm_module_unref(module);
    double decode_ns = bench_median_ns(decode_and_free, &loading);
    decode(&loading);
    double validate_ns = bench_median_ns(validate, &loading);
    vm_module_unref(loading.module);
    double load_ns = bench_median_ns(load_and_free, &loading);
    print_speed(name, "decode", facts.body_bytes, decode_ns);
    print_speed(name, "validate", facts.body_bytes, validate_ns);
    print_speed(name, "translate", facts.body_bytes, load_ns - decode_ns - validate_ns);
    print_speed(name, "all", facts.body_bytes, load_ns);
    (void)snprintf(line, sizeof line, "load.%s.code_per_body", name);
    bench_print(line, (double)facts.code_bytes / (double)facts.body_bytes, "x");
}

/* ---- From instance to end ---- */

static void run_to_end(struct vm_run *run)
{
    if (vm_run_slice(run, 1000) != VM_RETURNED) {
        fail("the program has not returned");
    }
}

static void instantiate_call_release(void *context)
{
    struct vm_module *module = context;
    struct vm_instance *instance = NULL;
    struct vm_extern function;
    struct err err;
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    check(vm_instantiate(store, module, NULL, &instance, &err), &err);
    struct vm_run *run = vm_run_new(store, 1000);
    check(vm_run_begin_start(run, instance, &err), &err);
    run_to_end(run);
    if (!vm_instance_find_export(instance, bytes_of_string("f"), &function)) {
        fail("no function");
    }
    check(vm_run_begin_call(run, function.object, NULL, 0, &err), &err);
    run_to_end(run);
    vm_run_free(run);
    vm_store_free(store);
}

static void instantiate_call_release_cold(void *context)
{
    instantiate_call_release(context);
    mapping_pool_trim();
}

static void bench_small_program(void)
{
    struct vm_module *module = NULL;
    struct err err;
    check(vm_module_load(bytes_of(small_program, sizeof small_program), &vm_limits_default, NULL,
                         &module, &err),
          &err);
    bench_print("instance.with_memory", bench_median_ns(instantiate_call_release, module) / 1e3,
                "us to instantiate, call and release");
    bench_print("instance.with_memory_unpooled",
                bench_median_ns(instantiate_call_release_cold, module) / 1e3,
                "us to instantiate, call and release");
    vm_module_unref(module);
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *wasm = bench_file(arguments[i], &size);
        const char *slash = strrchr(arguments[i], '/');
        bench_module(slash == NULL ? arguments[i] : slash + 1, bytes_of(wasm, size));
        heap_free(wasm);
    }
    if (count == 1) {
        struct buffer wasm = generated_module(GENERATED_BYTES);
        bench_module("generated", buffer_bytes(&wasm));
        buffer_release(&wasm);
        bench_small_program();
    }
    return 0;
}
