/* play_vm.c: see play_vm.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "play_vm.h"

#include "vm/instance.h"
#include "vm/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_BYTES = 64 << 20, IMPORTS_MAX = 64, HASH_LANES = 4 };

#define HASH_BEGIN 0x811c9dc5u

struct player {
    const struct play_options *options;
    struct budget budget;
    struct vm_store *store;
    struct vm_func *mix;
    struct vm_instance *instances[2];
    struct play *out;
};

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static uint32_t hash_word(uint32_t hash, uint32_t word)
{
    return (hash ^ word) * 0x01000193u;
}

/* "host" "mix" */
static enum vm_trap mix(void *context, struct vm_instance *caller, const struct vm_value *args,
                        struct vm_value *results)
{
    (void)context;
    (void)caller;
    results[0] = (struct vm_value){.type = VM_I64, .as.i64 = args[1].as.i64 * 31 + args[0].as.i32};
    return args[0].as.i32 == 0x7f ? VM_TRAP_HOST : VM_TRAP_NONE;
}

/* ---- What can be seen ---- */

/* In lanes, as one multiplication must wait for the other. */
static uint32_t hash_memory(const struct vm_instance *instance)
{
    uint32_t lanes[HASH_LANES] = {HASH_BEGIN, HASH_BEGIN, HASH_BEGIN, HASH_BEGIN};
    const struct vm_memory *memory = instance->memories[0];
    for (uint64_t at = 0; at < memory->bytes; at += sizeof lanes) {
        uint32_t words[HASH_LANES];
        memcpy(words, memory->base + at, sizeof words);
        for (int lane = 0; lane < HASH_LANES; lane++) {
            lanes[lane] = hash_word(lanes[lane], words[lane]);
        }
    }
    uint32_t hash = (uint32_t)memory->bytes;
    for (int lane = 0; lane < HASH_LANES; lane++) {
        hash = hash_word(hash, lanes[lane]);
    }
    return hash;
}

static uint32_t number_of_func(const struct player *player, const struct vm_func *func)
{
    return func == NULL ? 0
           : func->instance == NULL
               ? 1
               : 2 + func->index + (func->instance == player->instances[0] ? 0 : 100);
}

uint64_t play_plain_bits(const struct vm_value *value)
{
    switch (value->type) {
    case VM_I32:
        return value->as.i32;
    case VM_F32:
        return (value->as.f32 & INT32_MAX) > 0x7f800000 ? 0x7fc00000 : value->as.f32;
    case VM_F64:
        return (value->as.f64 & INT64_MAX) > 0x7ff0000000000000 ? 0x7ff8000000000000
                                                                : value->as.f64;
    case VM_FUNCREF:
    case VM_EXTERNREF:
        return value->as.i64 != 0;
    case VM_I64:
    case VM_V128:
        break;
    }
    return value->as.i64;
}

/* References are addresses, which differ from play to play. */
static uint32_t hash_value(const struct player *player, uint32_t hash, enum vm_type type,
                           uint64_t bits)
{
    if (player->options->is_plain) {
        bits = play_plain_bits(&(struct vm_value){.type = type, .as.i64 = bits});
    } else if (type == VM_FUNCREF) {
        bits = number_of_func(player, (const struct vm_func *)(uintptr_t)bits);
    }
    return hash_word(hash_word(hash, (uint32_t)bits), (uint32_t)(bits >> 32));
}

static struct play_state look(const struct player *player)
{
    struct play_state state = {.globals = HASH_BEGIN, .tables = HASH_BEGIN};
    for (int i = 0; i < 2 && player->instances[i] != NULL; i++) {
        const struct vm_instance *instance = player->instances[i];
        state.memories[i] = hash_memory(instance);
        for (uint32_t global = 0; global < instance->module->global_count; global++) {
            const struct vm_global *of = instance->globals[global];
            if (of->type != VM_V128) {
                state.globals = hash_value(player, state.globals, of->type, of->value[0]);
            } else if (!player->options->is_plain) { /* which not every embedder may see */
                state.globals = hash_value(player, state.globals, VM_I64, of->value[0]);
                state.globals = hash_value(player, state.globals, VM_I64, of->value[1]);
            }
        }
        state.globals_of_first = i == 0 ? state.globals : state.globals_of_first;
    }
    for (uint32_t i = 0; i < GENERATE_TABLES; i++) {
        const struct vm_table *table = player->instances[0]->tables[i];
        for (uint32_t element = 0; element < table->count; element++) {
            state.tables = hash_value(player, state.tables, table->type, table->elements[element]);
        }
        state.tables = hash_word(state.tables, table->count);
    }
    return state;
}

/* ---- Steps ---- */

static void run(struct player *player, bool is_second, bool is_start, uint32_t export,
                const struct vm_func *func)
{
    struct err err;
    struct play_step *step = &player->out->steps[player->out->count++];
    struct vm_run *run = vm_run_new(player->store, player->options->gas_limit);
    *step = (struct play_step){.is_second = is_second, .is_start = is_start, .export = export};
    bool is_begun =
        run != NULL && (is_start ? vm_run_begin_start(run, player->instances[is_second], &err)
                                 : vm_run_begin_call(run, func, NULL, 0, &err));
    if (!is_begun) {
        die("begin", "failed");
    }
    do {
        step->status = vm_run_slice(run, player->options->slice);
    } while (step->status == VM_SUSPENDED);
    step->gas = vm_run_gas_consumed(run);
    if (step->status == VM_TRAPPED) {
        step->trap = vm_run_trap(run);
        step->trap.module = NULL; /* of this play only, as the name */
        step->trap.function_name = bytes_of(NULL, 0);
    } else if (step->status == VM_RETURNED) {
        const struct vm_value *results = vm_run_results(run, &step->result_count);
        for (uint32_t i = 0; i < step->result_count; i++) {
            step->results[i] = results[i];
            if (results[i].type == VM_FUNCREF) {
                step->results[i].as.i64 = number_of_func(player, results[i].as.funcref);
            }
        }
    }
    vm_run_free(run);
    step->state = look(player);
}

static struct vm_module *load(struct budget *budget, const struct buffer *wasm, bool slots_only)
{
    struct err err;
    struct vm_module *module = NULL;
    const struct translate_options options = {.slots_only = true};
    if (!vm_module_load(buffer_bytes(wasm), &vm_limits_default, budget, &module, &err)) {
        die("load", err.message);
    }
    for (uint32_t i = module->func_import_count; slots_only && i < module->func_count; i++) {
        if (!translate_func_with(module, i, &options, &err)) {
            die("translate", err.message);
        }
    }
    return module;
}

void play_load(const struct generated *generated, bool slots_only, struct play_modules *out)
{
    budget_init(&out->budget, NULL, BUDGET_BYTES);
    out->modules[0] = load(&out->budget, &generated->first, slots_only);
    out->modules[1] = load(&out->budget, &generated->second, slots_only);
}

static void demand_empty(const struct budget *budget)
{
    if (budget_used(budget) != 0) {
        die("budget", "not given back");
    }
}

void play_unload(struct play_modules *modules)
{
    vm_module_unref(modules->modules[0]);
    vm_module_unref(modules->modules[1]);
    demand_empty(&modules->budget);
}

static void link_module(struct player *player, struct vm_module *module, bool is_second)
{
    struct err err;
    struct vm_extern imports[IMPORTS_MAX];
    for (uint32_t i = 0; i < module->import_count; i++) {
        struct bytes name = module->imports[i].name;
        if (name.size == 3) {
            imports[i] = (struct vm_extern){VM_EXTERN_FUNC, player->mix};
        } else if (!vm_instance_find_export(player->instances[0], name, &imports[i])) {
            die("link", "no such export");
        }
    }
    if (!vm_instantiate(player->store, module, imports, &player->instances[is_second], &err)) {
        die("instantiate", err.message);
    }
}

/* False if the start did not come to its end: then there are no exports. */
static bool play_module(struct player *player, struct vm_module *module, bool is_second)
{
    link_module(player, module, is_second);
    run(player, is_second, true, 0, NULL);
    if (player->out->steps[player->out->count - 1].status != VM_RETURNED) {
        return false;
    }
    for (uint32_t i = 0;; i++) {
        char name[16];
        struct vm_extern found;
        int length = snprintf(name, sizeof name, "r%u", i);
        if (!vm_instance_find_export(player->instances[is_second], bytes_of(name, (size_t)length),
                                     &found)) {
            return true;
        }
        run(player, is_second, false, i, found.object);
    }
}

void play(const struct play_modules *modules, const struct play_options *options, struct play *out)
{
    static const enum vm_type types[] = {VM_I32, VM_I64, VM_I64};
    const struct vm_func_type type = {2, 1, types};
    struct player player = {.options = options, .out = out};
    memset(out, 0, sizeof *out); /* padding too: plays are compared as bytes */
    budget_init(&player.budget, NULL, BUDGET_BYTES);
    player.store = vm_store_new(&vm_limits_default, &player.budget);
    player.mix = player.store != NULL ? vm_store_host_func(player.store, &type, mix, NULL) : NULL;
    if (player.mix == NULL) {
        die("store", "no memory");
    }
    if (play_module(&player, modules->modules[0], false)) {
        (void)play_module(&player, modules->modules[1], true);
    }
    vm_store_free(player.store);
    demand_empty(&player.budget);
}
