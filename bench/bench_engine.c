/* bench_engine.c: what an instruction costs, what loading costs, what an instance costs.
 *
 * The programs are those of examples/. Gas is the number of instructions executed, so nanoseconds a
 * unit compare across programs; one register-only instruction a dispatch, at two cycles, would be
 * ideal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "vm/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct engine_case {
    const char *program, *function;
    struct vm_value args[2];
    uint32_t arg_count;
};

static const struct engine_case engine_cases[] = {
    {"primes", "count", {{.type = VM_I32, .as.i32 = 200000}}, 1},
    {"primes", "nth", {{.type = VM_I32, .as.i32 = 5000}}, 1},
    {"collatz", "longest", {{.type = VM_I64, .as.i64 = 20000}}, 1},
};

struct engine {
    uint8_t *wasm;
    size_t wasm_size;
    struct vm_module *module;
    const struct engine_case *row;
    uint64_t gas;
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_engine: %s\n", what);
    exit(1);
}

static struct vm_module *load(const struct engine *engine)
{
    struct vm_module *module = NULL;
    struct err err;
    if (!vm_module_load(bytes_of(engine->wasm, engine->wasm_size), &vm_limits_default, NULL,
                        &module, &err)) {
        fail(err.message);
    }
    return module;
}

static void load_and_free(void *context)
{
    vm_module_unref(load(context));
}

static struct vm_instance *instantiate(const struct engine *engine, struct vm_store **store)
{
    struct vm_instance *instance = NULL;
    struct err err = {0};
    *store = vm_store_new(&vm_limits_default, NULL);
    if (*store == NULL || !vm_instantiate(*store, engine->module, NULL, &instance, &err)) {
        fail(err.message);
    }
    return instance;
}

static void instantiate_and_free(void *context)
{
    struct vm_store *store;
    (void)instantiate(context, &store);
    vm_store_free(store);
}

static void run_to_end(struct vm_run *run)
{
    enum vm_status status;
    do {
        status = vm_run_slice(run, 1000000);
    } while (status == VM_SUSPENDED);
    if (status != VM_RETURNED) {
        fail(vm_trap_text(vm_run_trap(run).trap));
    }
}

static void call(void *context)
{
    struct engine *engine = context;
    const struct engine_case *row = engine->row;
    struct vm_store *store;
    struct vm_instance *instance = instantiate(engine, &store);
    struct vm_run *run = vm_run_new(store, INT64_MAX);
    struct vm_extern function;
    struct err err = {0};
    if (run == NULL || !vm_run_begin_start(run, instance, &err)) {
        fail(err.message);
    }
    run_to_end(run);
    if (!vm_instance_find_export(instance, bytes_of_string(row->function), &function) ||
        !vm_run_begin_call(run, function.object, row->args, row->arg_count, &err)) {
        fail(err.message);
    }
    run_to_end(run);
    engine->gas = vm_run_gas_consumed(run);
    vm_run_free(run);
    vm_store_free(store);
}

static void bench_case(const struct engine_case *row)
{
    char name[128];
    char path[4096];
    struct engine engine = {.row = row};
    (void)snprintf(path, sizeof(path), "%s/%s.wasm", EXAMPLES_DIR, row->program);
    engine.wasm = bench_file(path, &engine.wasm_size);
    engine.module = load(&engine);
    double ns = bench_median_ns(call, &engine);
    (void)snprintf(name, sizeof(name), "engine.%s.%s", row->program, row->function);
    bench_print(name, ns / (double)engine.gas, "ns/gas");
    vm_module_unref(engine.module);
    heap_free(engine.wasm);
}

int main(void)
{
    printf("engine.dispatch\t%s\tname\n", vm_dispatch_name());
    for (size_t i = 0; i < sizeof(engine_cases) / sizeof(engine_cases[0]); i++) {
        bench_case(&engine_cases[i]);
    }
    struct engine engine = {0};
    engine.wasm = bench_file(EXAMPLES_DIR "/json_filter.wasm", &engine.wasm_size);
    engine.module = load(&engine);
    struct vm_module_facts facts;
    vm_module_facts(engine.module, &facts);
    double load_ns = bench_median_ns(load_and_free, &engine);
    bench_print("engine.load", (double)facts.body_bytes * 1e3 / load_ns, "MB/s of body");
    bench_print("engine.code_per_body", (double)facts.code_bytes / (double)facts.body_bytes, "x");
    bench_print("engine.instantiate", bench_median_ns(instantiate_and_free, &engine) / 1e3, "us");
    vm_module_unref(engine.module);
    heap_free(engine.wasm);
    return 0;
}
