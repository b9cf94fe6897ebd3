/* engine.c: see engine.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/engine.h"

#include "vm/translate.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

/* One engine is open at a time; closing it gives everything back. */
static struct budget budget;

static struct buffer read_wasm(const char *name)
{
    char path[512];
    uint8_t block[4096];
    struct buffer wasm;
    buffer_init(&wasm, 1 << 20);
    snprintf(path, sizeof path, "%s/tests/vm/%s.wasm", WH_BUILD_DIR, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    for (size_t size; (size = fread(block, 1, sizeof block, file)) > 0;) {
        buffer_append(&wasm, block, size);
    }
    fclose(file);
    return wasm;
}

static struct vm_module *load_wasm(struct bytes wasm, const char *name)
{
    struct err err;
    struct vm_module *module = NULL;
    cr_assert(vm_module_load(wasm, &vm_limits_default, &budget, &module, &err), "%s: %s", name,
              err.message);
    return module;
}

static struct vm_module *load(const char *name)
{
    struct buffer wasm = read_wasm(name);
    struct vm_module *module = load_wasm(buffer_bytes(&wasm), name);
    buffer_release(&wasm);
    return module;
}

static void translate_to_slots(struct vm_module *module)
{
    const struct translate_options options = {.slots_only = true};
    struct err err;
    for (uint32_t i = module->func_import_count; i < module->func_count; i++) {
        cr_assert(translate_func_with(module, i, &options, &err), "%s", err.message);
    }
}

static void run_start(struct engine *engine)
{
    struct err err;
    struct vm_run *run = vm_run_new(engine->store, ENGINE_NO_LIMIT);
    cr_assert(vm_run_begin_start(run, engine->instance, &err), "%s", err.message);
    cr_assert_eq(vm_run_slice(run, ENGINE_NO_LIMIT), VM_RETURNED);
    vm_run_free(run);
}

struct engine engine_open_wasm(struct bytes wasm, struct engine_options options)
{
    struct engine engine;
    struct err err;
    const struct vm_limits *limits = options.limits != NULL ? options.limits : &vm_limits_default;
    budget_init(&budget, options.parent, SIZE_MAX / 2);
    engine.store = vm_store_new(limits, &budget);
    struct vm_module *module = load_wasm(wasm, "module");
    if (options.slots_only) {
        translate_to_slots(module);
    }
    cr_assert(vm_instantiate(engine.store, module, NULL, &engine.instance, &err), "%s",
              err.message);
    vm_module_unref(module);
    run_start(&engine);
    return engine;
}

struct engine engine_open(const char *name, struct engine_options options)
{
    struct buffer wasm = read_wasm(name);
    struct engine engine = engine_open_wasm(buffer_bytes(&wasm), options);
    buffer_release(&wasm);
    return engine;
}

void engine_close(struct engine *engine)
{
    vm_store_free(engine->store);
    cr_assert_eq(budget_used(&budget), 0);
}

struct vm_instance *engine_add(struct engine *engine, const char *name,
                               const struct vm_extern *imports)
{
    return engine_add_with(engine, name, imports, (struct engine_options){0});
}

struct vm_instance *engine_add_with(struct engine *engine, const char *name,
                                    const struct vm_extern *imports, struct engine_options options)
{
    struct err err;
    struct vm_instance *instance;
    struct vm_module *module = load(name);
    if (options.slots_only) {
        translate_to_slots(module);
    }
    cr_assert(vm_instantiate(engine->store, module, imports, &instance, &err), "%s", err.message);
    vm_module_unref(module);
    return instance;
}

struct vm_func *engine_func(const struct vm_instance *instance, const char *name)
{
    struct vm_extern found;
    cr_assert(vm_instance_find_export(instance, bytes_of_string(name), &found), "%s", name);
    return found.object;
}

struct vm_value engine_i32(uint32_t value)
{
    return (struct vm_value){.type = VM_I32, .as.i32 = value};
}

/* ---- Calls ---- */

static uint64_t memory_hash(const struct vm_instance *instance)
{
    struct vm_extern found;
    uint8_t *bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    if (!vm_instance_find_export(instance, bytes_of_string("memory"), &found)) {
        return 0;
    }
    uint64_t size = vm_memory_bytes(found.object);
    cr_assert(vm_memory_range(found.object, 0, size, &bytes));
    for (uint64_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash ^ size;
}

struct slice {
    struct vm_run *run;
    uint64_t gas;
    enum vm_status status;
};

static void *run_slice(void *context)
{
    struct slice *slice = context;
    slice->status = vm_run_slice(slice->run, slice->gas);
    return NULL;
}

static void run_slice_on_thread(struct slice *slice)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run_slice, slice), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

static struct outcome call(struct engine *engine, const char *name, uint32_t argument,
                           uint64_t gas_limit, uint64_t gas, bool on_threads)
{
    struct outcome outcome = {0};
    struct err err;
    struct vm_value value = engine_i32(argument);
    struct vm_func *func = engine_func(engine->instance, name);
    struct vm_run *run = vm_run_new(engine->store, gas_limit);
    cr_assert(vm_run_begin_call(run, func, &value, vm_func_get_type(func)->param_count, &err), "%s",
              err.message);
    struct slice slice = {.run = run, .gas = gas};
    do {
        uint64_t before = vm_run_gas_consumed(run);
        on_threads ? run_slice_on_thread(&slice) : (void)run_slice(&slice);
        outcome.slices++;
        cr_assert_geq(vm_run_gas_consumed(run), before);
    } while (slice.status == VM_SUSPENDED);
    outcome.status = slice.status;
    outcome.gas = vm_run_gas_consumed(run);
    if (outcome.status == VM_RETURNED) {
        uint32_t count;
        const struct vm_value *results = vm_run_results(run, &count);
        uint32_t slot = 0;
        for (uint32_t i = 0; i < count; i++) {
            value_to_slots(&results[i], &outcome.results[slot]);
            slot += vm_type_slots(results[i].type);
        }
    } else if (outcome.status == VM_TRAPPED) {
        outcome.trap = vm_run_trap(run);
    }
    outcome.memory = memory_hash(engine->instance);
    vm_run_free(run);
    return outcome;
}

struct outcome engine_call(struct engine *engine, const char *name, uint32_t argument,
                           uint64_t gas_limit, uint64_t slice)
{
    return call(engine, name, argument, gas_limit, slice, false);
}

struct outcome engine_call_on_threads(struct engine *engine, const char *name, uint32_t argument,
                                      uint64_t gas_limit, uint64_t slice)
{
    return call(engine, name, argument, gas_limit, slice, true);
}

static struct outcome run_anew(struct engine (*open)(bool slots_only), bool slots_only,
                               const char *name, uint32_t argument, uint64_t gas_limit,
                               uint64_t slice)
{
    struct engine engine = open(slots_only);
    bool on_threads = slice == 7 && slots_only;
    struct outcome outcome = call(&engine, name, argument, gas_limit, slice, on_threads);
    engine_close(&engine);
    return outcome;
}

struct outcome engine_assert_sweep(struct engine (*open)(bool slots_only), const char *name,
                                   uint32_t argument, uint64_t first)
{
    static const uint64_t slices[] = {1, 7, 1000, ENGINE_NO_LIMIT};
    struct outcome all = run_anew(open, false, name, argument, ENGINE_NO_LIMIT, ENGINE_NO_LIMIT);
    for (size_t i = 0; i < 2 * sizeof slices / sizeof slices[0]; i++) {
        struct outcome other =
            run_anew(open, i % 2 == 1, name, argument, ENGINE_NO_LIMIT, slices[i / 2]);
        engine_assert_equal(&all, &other);
    }
    for (uint64_t limit = first; limit <= all.gas + 1; limit++) {
        struct outcome folded = run_anew(open, false, name, argument, limit, ENGINE_NO_LIMIT);
        struct outcome slots = run_anew(open, true, name, argument, limit, 13);
        engine_assert_equal(&folded, &slots);
        if (limit >= all.gas) {
            engine_assert_equal(&folded, &all);
        } else {
            cr_assert_eq(folded.status, VM_OUT_OF_GAS);
            cr_assert_eq(folded.gas, limit);
        }
        limit += limit > 500 && limit + 100 < all.gas ? 37 : 0; /* memory.grow is long */
    }
    return all;
}

void engine_assert_equal(const struct outcome *a, const struct outcome *b)
{
    cr_assert_eq(a->status, b->status);
    cr_assert_eq(a->gas, b->gas, "%lu and %lu gas", a->gas, b->gas);
    cr_assert_eq(a->trap.trap, b->trap.trap);
    cr_assert_eq(a->trap.has_location, b->trap.has_location);
    cr_assert_eq(a->trap.offset, b->trap.offset);
    cr_assert_eq(a->trap.function_index, b->trap.function_index);
    cr_assert_eq(a->memory, b->memory, "memory differs");
    cr_assert_arr_eq(a->results, b->results, sizeof a->results);
}
