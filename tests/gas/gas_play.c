/* gas_play.c: does what a script on standard input says with modules, and prints for each line what
 * came of it and what it cost. count_gas.mjs does the same on another engine, in the same words.
 *
 *   module PATH         load it and run its segments and start function
 *   call NAME ARG...    an export; an argument is the bits of a number, or @K: the last result of
 * the K-th call put HEX             bytes into memory, where the last call's result points
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/vm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUDGET_BYTES = 256 << 20,
    LINE_CHARS_MAX = 1 << 16,
    MODULE_BYTES_MAX = 16 << 20,
    CALLS_MAX = 64
};

struct player {
    struct budget budget;
    struct vm_store *store;
    struct vm_instance *instance;
    uint64_t results[CALLS_MAX]; /* the last one of each call */
    uint32_t call_count;
};

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "gas_play: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static uint32_t hash_memory(const struct player *player)
{
    uint32_t hash = 0x811c9dc5u;
    uint8_t *bytes;
    struct vm_extern memory;
    if (!vm_instance_find_export(player->instance, bytes_of_string("memory"), &memory) ||
        !vm_memory_range(memory.object, 0, vm_memory_bytes(memory.object), &bytes)) {
        return 0;
    }
    for (uint64_t i = 0; i < vm_memory_bytes(memory.object); i++) {
        hash = (hash ^ bytes[i]) * 0x01000193u;
    }
    return hash;
}

static uint64_t bits_of(const struct vm_value *value)
{
    return value->type == VM_I32 || value->type == VM_F32 ? value->as.i32 : value->as.i64;
}

/* Runs to the end and prints how it came to it. */
static void finish(struct player *player, struct vm_run *run)
{
    uint32_t count = 0;
    enum vm_status status = vm_run_slice(run, UINT64_MAX);
    printf(status == VM_RETURNED ? "returned" : "trapped");
    if (status == VM_RETURNED) {
        const struct vm_value *results = vm_run_results(run, &count);
        for (uint32_t i = 0; i < count; i++) {
            player->results[player->call_count] = bits_of(&results[i]);
            printf(" %" PRIx64, bits_of(&results[i]));
        }
    }
    printf(" memory %" PRIx32 " gas %" PRIu64 "\n", hash_memory(player), vm_run_gas_consumed(run));
    vm_run_free(run);
}

static void open_module(struct player *player, const char *path)
{
    struct err err;
    struct buffer wasm;
    struct vm_module *module = NULL;
    uint8_t chunk[65536];
    size_t size;
    FILE *file = fopen(path, "rb");
    buffer_init(&wasm, MODULE_BYTES_MAX);
    while (file != NULL && (size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buffer_append(&wasm, chunk, size);
    }
    if (file == NULL || fclose(file) != 0) {
        die(path, "cannot be read");
    }
    vm_store_free(player->store);
    player->store = vm_store_new(&vm_limits_default, &player->budget);
    if (player->store == NULL ||
        !vm_module_load(buffer_bytes(&wasm), &vm_limits_default, &player->budget, &module, &err) ||
        !vm_instantiate(player->store, module, NULL, &player->instance, &err)) {
        die(path, player->store == NULL ? "no memory" : err.message);
    }
    vm_module_unref(module);
    buffer_release(&wasm);
    struct vm_run *run = vm_run_new(player->store, UINT64_MAX);
    if (run == NULL || !vm_run_begin_start(run, player->instance, &err)) {
        die(path, "cannot start");
    }
    finish(player, run);
}

static uint64_t argument(const struct player *player, const char *arg)
{
    return arg[0] == '@' ? player->results[strtoul(arg + 1, NULL, 10) % CALLS_MAX]
                         : strtoull(arg, NULL, 0);
}

static void call(struct player *player, char *rest)
{
    enum { ARGS_MAX = 32 };
    struct err err;
    struct vm_extern func;
    struct vm_value args[ARGS_MAX];
    uint32_t count = 0;
    const char *name = strtok(rest, " ");
    player->call_count++;
    if (player->instance == NULL || name == NULL || player->call_count == CALLS_MAX ||
        !vm_instance_find_export(player->instance, bytes_of_string(name), &func)) {
        die("call", "no such export, or too many calls");
    }
    const struct vm_func_type *type = vm_func_get_type(func.object);
    for (const char *arg; (arg = strtok(NULL, " ")) != NULL && count < ARGS_MAX; count++) {
        args[count].type = count < type->param_count ? type->types[count] : VM_I32;
        args[count].as.i64 = argument(player, arg); /* an i32 is its lower half */
    }
    struct vm_run *run = vm_run_new(player->store, UINT64_MAX);
    if (run == NULL || !vm_run_begin_call(run, func.object, args, count, &err)) {
        die(name, run == NULL ? "no memory" : err.message);
    }
    finish(player, run);
}

static void put(const struct player *player, const char *hex)
{
    uint8_t *bytes;
    struct vm_extern memory;
    size_t size = strlen(hex) / 2;
    if (player->instance == NULL ||
        !vm_instance_find_export(player->instance, bytes_of_string("memory"), &memory) ||
        !vm_memory_range(memory.object, player->results[player->call_count], size, &bytes)) {
        die("put", "no such memory");
    }
    for (size_t i = 0; i < size; i++) {
        const char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

int main(void)
{
    static char line[LINE_CHARS_MAX];
    struct player player = {.call_count = 0};
    budget_init(&player.budget, NULL, BUDGET_BYTES);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = strchr(line, ' ');
        if (rest == NULL) {
            die(line, "not a line of a script");
        }
        *rest++ = '\0';
        if (strcmp(line, "module") == 0) {
            open_module(&player, rest);
        } else if (strcmp(line, "call") == 0) {
            call(&player, rest);
        } else if (strcmp(line, "put") == 0) {
            put(&player, rest);
        } else {
            die(line, "not a line of a script");
        }
    }
    vm_store_free(player.store);
    return EXIT_SUCCESS;
}
