/* bench_bounds.c: how long a client's worst input keeps a thread without a pause.
 *
 * A worker goes from one execution to another between steps, so the longest step is what everybody
 * else may have to wait for. Here are programs made to have long ones, each of about the largest
 * size that a node takes, loaded, instantiated, run and released as a node does it. Times are of
 * the thread, so that what else the machine does counts little.
 *
 *   <what>.longest   milliseconds of the longest step
 *   <what>.all       of all steps together
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"
#include "vm/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MODULE_BYTES = 16 << 20,
    LOAD_BYTES = 16384,
    COPY_BYTES = 1 << 20,
    RELEASE_BYTES = 4 << 20,
    SLICE_GAS = 20000,
    I32_CONST = 0x41,
    DROP = 0x1a,
    END = 0x0b,
};

static struct vm_limits limits;
static double longest, all;
static const char *longest_of;

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static double began;

static void begin_step(void)
{
    began = now_ms();
}

static void end_step(const char *what)
{
    double took = now_ms() - began;
    all += took;
    if (took > longest) {
        longest = took;
        longest_of = what;
    }
}

static void report(const char *what)
{
    printf("%s.longest\t%.3f\tms\t%s\n", what, longest, longest_of);
    printf("%s.all\t%.3f\tms\n", what, all);
    fflush(stdout);
    longest = 0;
    all = 0;
}

/* ---- Making modules ---- */

static void put_leb(struct buffer *out, uint32_t value)
{
    do {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        buffer_append_u8(out, value != 0 ? byte | 0x80 : byte);
    } while (value != 0);
}

static void put(struct buffer *out, const char *hex)
{
    for (; hex[0] != 0; hex += hex[0] == ' ' ? 1 : 2) {
        unsigned byte;
        if (hex[0] != ' ' && sscanf(hex, "%2x", &byte) == 1) {
            buffer_append_u8(out, (uint8_t)byte);
        }
    }
}

static void put_section(struct buffer *out, uint8_t id, struct buffer *contents)
{
    buffer_append_u8(out, id);
    put_leb(out, (uint32_t)contents->size);
    buffer_append_bytes(out, buffer_bytes(contents));
    buffer_release(contents);
}

static void put_hex_section(struct buffer *out, uint8_t id, const char *hex)
{
    struct buffer contents;
    buffer_init(&contents, 1 << 16);
    put(&contents, hex);
    put_section(out, id, &contents);
}

static struct buffer module_begin(void)
{
    struct buffer out;
    buffer_init(&out, 64 << 20);
    put(&out, "00 61 73 6d 01 00 00 00");
    return out;
}

static struct buffer contents_begin(void)
{
    struct buffer out;
    buffer_init(&out, 64 << 20);
    return out;
}

/* One function of type [] -> [] that is `size` bytes of `pattern`. */
static struct buffer one_body(const char *locals, const char *prefix, const char *pattern,
                              const char *suffix, size_t size)
{
    struct buffer out = module_begin();
    struct buffer body = contents_begin();
    struct buffer code = contents_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put(&body, locals);
    put(&body, prefix);
    struct buffer one = contents_begin();
    put(&one, pattern);
    while (body.size + one.size < size) {
        buffer_append_bytes(&body, buffer_bytes(&one));
    }
    buffer_release(&one);
    put(&body, suffix);
    buffer_append_u8(&body, END);
    put_leb(&code, 1);
    put_leb(&code, (uint32_t)body.size);
    buffer_append_bytes(&code, buffer_bytes(&body));
    buffer_release(&body);
    put_section(&out, 10, &code);
    return out;
}

/* A section of `count` times `item`; in front of it what `before` says, as (id, hex) pairs. */
static struct buffer many(const char *const *before, uint8_t id, uint32_t count, const char *item)
{
    struct buffer out = module_begin();
    for (; before != NULL && before[0] != NULL; before += 2) {
        put_hex_section(&out, (uint8_t)atoi(before[0]), before[1]);
    }
    struct buffer contents = contents_begin();
    struct buffer one = contents_begin();
    put(&one, item);
    put_leb(&contents, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_bytes(&contents, buffer_bytes(&one));
    }
    buffer_release(&one);
    put_section(&out, id, &contents);
    return out;
}

static struct buffer big_body(void)
{
    return one_body("00", "", "41 01 1a", "", (8 << 20) - 16);
}

static struct buffer big_loop(void)
{
    return one_body("01 04 7f", "03 40", "20 00 20 01 6a 21 02", "0b", (8 << 20) - 16);
}

/* of which none pins anything */
static struct buffer empty_loops(void)
{
    return one_body("00", "", "03 40 0b", "", (8 << 20) - 16);
}

/* of which each pins something */
static struct buffer small_loops(void)
{
    return one_body("01 01 7f", "", "03 40 20 00 1a 20 00 1a 0b", "", (8 << 20) - 16);
}

static struct buffer loops_in_a_loop(void)
{
    return one_body("01 01 7f", "03 40", "03 40 20 00 1a 0b", "0b", (8 << 20) - 16);
}

static struct buffer jumps(void)
{
    return one_body("00", "02 40", "41 00 0d 00", "0b", (8 << 20) - 16);
}

/* The same as start function. */
static struct buffer started(struct buffer out)
{
    struct buffer with = module_begin();
    /* types and functions, then the start section, then the code */
    buffer_append(&with, out.ptr + 8, 6 + 4);
    put_hex_section(&with, 8, "00");
    buffer_append(&with, out.ptr + 18, out.size - 18);
    buffer_release(&out);
    return with;
}

/* A million and a half square roots without a branch. */
static struct buffer straight(void)
{
    return started(one_body("00", "", "41 00 b7 9f 1a", "", (8 << 20) - 16));
}

static struct buffer jump_tables(void)
{
    struct buffer pattern = contents_begin();
    put(&pattern, "02 40 41 00 0e");
    put_leb(&pattern, 60000);
    for (int i = 0; i <= 60000; i++) {
        buffer_append_u8(&pattern, 0);
    }
    buffer_append_u8(&pattern, END);
    char *hex = malloc(2 * pattern.size + 1);
    for (size_t i = 0; i < pattern.size; i++) {
        snprintf(hex + 2 * i, 3, "%02x", pattern.ptr[i]);
    }
    struct buffer out = one_body("00", "", hex, "", (8 << 20) - 70000);
    free(hex);
    buffer_release(&pattern);
    return out;
}

static struct buffer many_locals(void)
{
    struct buffer out = module_begin();
    struct buffer code = contents_begin();
    struct buffer funcs = contents_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_leb(&funcs, 10000);
    put_leb(&code, 10000);
    for (int i = 0; i < 10000; i++) {
        buffer_append_u8(&funcs, 0);
        put(&code, "06 01 d0 86 03 7f 0b");
    }
    put_section(&out, 3, &funcs);
    put_section(&out, 10, &code);
    return out;
}

static struct buffer many_functions(void)
{
    struct buffer out = module_begin();
    struct buffer code = contents_begin();
    struct buffer funcs = contents_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_leb(&funcs, 200000);
    put_leb(&code, 200000);
    for (int i = 0; i < 200000; i++) {
        buffer_append_u8(&funcs, 0);
        put(&code, "02 00 0b");
    }
    put_section(&out, 3, &funcs);
    put_section(&out, 10, &code);
    struct buffer names = contents_begin();
    struct buffer inner = contents_begin();
    put_leb(&inner, 200000);
    for (uint32_t i = 0; i < 200000; i++) {
        put_leb(&inner, i);
        put(&inner, "03 61 62 63");
    }
    put(&names, "04 6e 61 6d 65 01");
    put_leb(&names, (uint32_t)inner.size);
    buffer_append_bytes(&names, buffer_bytes(&inner));
    buffer_release(&inner);
    put_section(&out, 0, &names);
    return out;
}

static struct buffer many_types(void)
{
    struct buffer item = contents_begin();
    put(&item, "60");
    put_leb(&item, 60);
    for (int i = 0; i < 60; i++) {
        buffer_append_u8(&item, 0x7f);
    }
    put_leb(&item, 40);
    for (int i = 0; i < 40; i++) {
        buffer_append_u8(&item, 0x7e);
    }
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put_leb(&contents, 10000);
    for (int i = 0; i < 10000; i++) {
        size_t at = contents.size + 2;
        buffer_append_bytes(&contents, buffer_bytes(&item));
        for (int bit = 0; bit < 14; bit++) { /* all different */
            contents.ptr[at + 46 + (size_t)bit] = (i >> bit & 1) != 0 ? 0x7e : 0x7f;
        }
    }
    put_section(&out, 1, &contents);
    buffer_release(&item);
    return out;
}

/* Each before all that came before it. */
static struct buffer falling_types(void)
{
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put_leb(&contents, 10000);
    for (int i = 9999; i >= 0; i--) {
        put(&contents, "600e");
        for (int bit = 13; bit >= 0; bit--) {
            buffer_append_u8(&contents, (i >> bit & 1) != 0 ? 0x7f : 0x7e);
        }
        put(&contents, "00");
    }
    put_section(&out, 1, &contents);
    return out;
}

static struct buffer exports(uint32_t count, uint32_t name_bytes)
{
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put_leb(&contents, count);
    for (uint32_t i = 0; i < count; i++) {
        char digits[16];
        snprintf(digits, sizeof digits, "%010u", i * 2654435761u);
        put_leb(&contents, name_bytes);
        for (uint32_t j = 0; j < name_bytes - 10; j++) {
            buffer_append_u8(&contents, 'a');
        }
        buffer_append(&contents, digits, 10);
        put(&contents, "00 00");
    }
    put_section(&out, 7, &contents);
    put_hex_section(&out, 10, "01 02 00 0b");
    return out;
}

static struct buffer many_exports(void)
{
    return exports(100000, 140);
}

static struct buffer long_exports(void)
{
    return exports(150, 99000);
}

static struct buffer elements(void)
{
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put_hex_section(&out, 4, "01 70 00 80 ad e2 04"); /* 10,000,000 */
    put(&contents, "01 00 41 00 0b");
    put_leb(&contents, 1000000);
    for (int i = 0; i < 1000000; i++) {
        buffer_append_u8(&contents, 0);
    }
    put_section(&out, 9, &contents);
    put_hex_section(&out, 10, "01 02 00 0b");
    return out;
}

static struct buffer globals(void)
{
    return many(NULL, 6, 100000, "7f 00 41 00 41 00 6a 41 00 6a 0b");
}

static struct buffer long_global(void)
{
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put(&contents, "01 7f 00 41 00");
    while (contents.size < MODULE_BYTES - 64) {
        put(&contents, "41 00 6a");
    }
    buffer_append_u8(&contents, END);
    put_section(&out, 6, &contents);
    return out;
}

static struct buffer data_segments(void)
{
    static const char *const before[] = {"5", "01 00 01", NULL};
    return many(before, 11, 100000, "00 41 00 0b 01 78");
}

static struct buffer big_data(void)
{
    struct buffer out = module_begin();
    struct buffer contents = contents_begin();
    put_hex_section(&out, 5, "01 00 80 08");
    put(&contents, "01 00 41 00 0b");
    put_leb(&contents, MODULE_BYTES - 64);
    for (int i = 0; i < MODULE_BYTES - 64; i++) {
        buffer_append_u8(&contents, (uint8_t)i);
    }
    put_section(&out, 11, &contents);
    return out;
}

/* (memory 1024) (func (memory.fill 0 1 64 MiB)) as start function */
static struct buffer fill(void)
{
    struct buffer out = module_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put_hex_section(&out, 5, "01 00 80 08");
    put_hex_section(&out, 8, "00");
    put_hex_section(&out, 10, "01 0e 00 41 00 41 01 41 80 80 80 20 fc 0b 00 0b");
    return out;
}

/* touches a byte of each page, in a loop */
static struct buffer touch(void)
{
    struct buffer out = module_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put_hex_section(&out, 5, "01 00 80 08");
    put_hex_section(&out, 8, "00");
    put_hex_section(&out, 10,
                    "01 1e 01 01 7f 03 40 20 00 41 01 3a 00 00 20 00 41 80 20 6a 22 00 41 80 80 80 "
                    "20 49 0d 00 0b 0b");
    return out;
}

/* traps at the end of a big body */
static struct buffer late_trap(void)
{
    return started(one_body("00", "", "41 01 1a", "00", (8 << 20) - 16));
}

/* the same after branches, of which there is more to know than of constants */
static struct buffer late_trap_of_branches(void)
{
    return started(one_body("00", "02 40", "41 00 0d 00", "0b 00", (8 << 20) - 16));
}

static struct buffer recursion(void)
{
    struct buffer out = module_begin();
    put_hex_section(&out, 1, "01 60 00 00");
    put_hex_section(&out, 3, "01 00");
    put_hex_section(&out, 8, "00");
    put_hex_section(&out, 10, "01 0a 01 c8 01 7f 10 00 41 00 1a 0b");
    return out;
}

/* ---- Running them ---- */

enum ending { REFUSED, RETURNED, TRAPPED };
static const char *const ending_names[] = {"refused", "returned", "trapped"};

static void copy(uint8_t *to, struct bytes wasm)
{
    for (size_t done = 0; done < wasm.size; done += COPY_BYTES) {
        size_t left = wasm.size - done;
        begin_step();
        memcpy(to + done, wasm.ptr + done, left < COPY_BYTES ? left : COPY_BYTES);
        end_step("the copy");
    }
}

static void free_loader(struct vm_loader *loader)
{
    bool is_released;
    do {
        begin_step();
        is_released = vm_loader_release_some(loader, RELEASE_BYTES);
        end_step("vm_loader_release_some");
    } while (!is_released);
    begin_step();
    vm_loader_free(loader);
    end_step("vm_loader_free");
}

static struct vm_module *load(struct bytes wasm, struct budget *budget, struct err *err)
{
    struct vm_module *module = NULL;
    uint8_t *to = NULL;
    begin_step();
    struct vm_loader *loader = vm_loader_new_empty(wasm.size, &limits, budget, &to, err);
    end_step("vm_loader_new_empty");
    if (loader == NULL) {
        return NULL;
    }
    copy(to, wasm);
    enum vm_load_status status;
    do {
        begin_step();
        status = vm_loader_step(loader, LOAD_BYTES, &module, err);
        end_step("vm_loader_step");
    } while (status == VM_LOAD_MORE);
    free_loader(loader);
    return module;
}

static enum ending start(struct vm_store *store, struct vm_module *module, struct err *err)
{
    struct vm_instance *instance = NULL;
    bool is_done = false;
    begin_step();
    bool is_there = vm_instantiate_begin(store, module, NULL, &instance, err);
    end_step("vm_instantiate_begin");
    while (is_there && !is_done) {
        begin_step();
        is_there = vm_instantiate_step(instance, LOAD_BYTES, &is_done, err);
        end_step("vm_instantiate_step");
    }
    struct vm_run *run = is_there ? vm_run_new(store, UINT64_MAX) : NULL;
    if (run == NULL || !vm_run_begin_start(run, instance, err)) {
        return REFUSED;
    }
    enum vm_status status;
    do {
        begin_step();
        status = vm_run_slice(run, SLICE_GAS);
        end_step(status == VM_TRAPPED ? "the slice that traps" : "vm_run_slice");
    } while (status == VM_SUSPENDED);
    begin_step();
    vm_run_free(run);
    end_step("vm_run_free");
    return status == VM_TRAPPED ? TRAPPED : RETURNED;
}

static void free_store(struct vm_store *store)
{
    bool is_released;
    do {
        begin_step();
        is_released = vm_store_release_some(store, RELEASE_BYTES);
        end_step("vm_store_release_some");
    } while (!is_released);
    begin_step();
    vm_store_free(store);
    end_step("vm_store_free");
}

static void unref(struct vm_module *module)
{
    struct arena rest;
    bool is_released;
    vm_module_unref_to(module, &rest);
    do {
        begin_step();
        is_released = arena_release_some(&rest, RELEASE_BYTES);
        end_step("arena_release_some");
    } while (!is_released);
}

/* False, and says so, if it does not end as it is made to. */
static bool measure(const char *what, struct buffer wasm, enum ending expected)
{
    struct budget budget;
    struct err err = {.code = ERR_NONE};
    enum ending ending = REFUSED;
    budget_init(&budget, NULL, (size_t)300 << 20);
    struct vm_module *module = load(buffer_bytes(&wasm), &budget, &err);
    if (module != NULL) {
        struct vm_store *store = vm_store_new(&limits, &budget);
        ending = start(store, module, &err);
        free_store(store);
        unref(module);
    }
    buffer_release(&wasm);
    report(what);
    if (ending != expected) {
        fprintf(stderr, "%s: %s, not %s: %s\n", what, ending_names[ending], ending_names[expected],
                ending == REFUSED ? err.message : "");
    }
    return ending == expected;
}

static const struct {
    const char *name;
    struct buffer (*make)(void);
    enum ending ending;
} programs[] = {
    {"one body of 8 MiB", big_body, RETURNED},
    {"one loop of 8 MiB", big_loop, RETURNED},
    {"8 MiB of loops", empty_loops, RETURNED},
    {"8 MiB of loops with locals", small_loops, RETURNED},
    {"8 MiB of loops in a loop", loops_in_a_loop, RETURNED},
    {"8 MiB of branches", jumps, RETURNED},
    {"jump tables of 60,000", jump_tables, RETURNED},
    {"a straight run of 8 MiB", straight, RETURNED},
    {"a trap after 8 MiB", late_trap, TRAPPED},
    {"a trap after 8 MiB of branches", late_trap_of_branches, TRAPPED},
    {"50,000 locals, 10,000 times", many_locals, RETURNED},
    {"200,000 functions with names", many_functions, RETURNED},
    {"10,000 types of 100", many_types, RETURNED},
    {"10,000 types, falling", falling_types, RETURNED},
    {"100,000 exports", many_exports, RETURNED},
    {"150 exports of 99,000 bytes", long_exports, RETURNED},
    {"1,000,000 elements", elements, RETURNED},
    {"100,000 globals", globals, RETURNED},
    {"a constant of 16 MiB", long_global, REFUSED},
    {"100,000 data segments", data_segments, RETURNED},
    {"16 MiB of data", big_data, RETURNED},
    {"fill of 64 MiB", fill, RETURNED},
    {"touching 64 MiB", touch, RETURNED},
    {"deep recursion", recursion, TRAPPED},
};

int main(int argc, char **argv)
{
    limits = vm_limits_default;
    limits.module_bytes_max = MODULE_BYTES;
    limits.memory_pages_max = 1024;
    limits.memory_pages_total_max = 1024;
    limits.memory_limit_traps = true;
    bool ok = true;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (argc < 2 || strstr(programs[i].name, argv[1]) != NULL) {
            ok = measure(programs[i].name, programs[i].make(), programs[i].ending) && ok;
        }
    }
    return ok ? 0 : 1;
}
