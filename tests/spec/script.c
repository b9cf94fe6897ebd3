/* script.c: the commands of a script.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 16 << 20 };
#define SCRIPT_MEMORY_BYTES ((size_t)64 << 30)
#define SCRIPT_GAS ((uint64_t)INT64_MAX)

bool spec_fail(struct spec_script *script, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(script->detail, sizeof script->detail, format, arguments);
    va_end(arguments);
    return false;
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool spec_script_init(struct spec_script *script, const char *folder,
                      const struct spec_options *options)
{
    *script = (struct spec_script){.folder = folder,
                                   .limits = vm_limits_default,
                                   .slice = options->slice,
                                   .on_threads = options->on_threads};
    script->limits.features = options->features;
    budget_init(&script->budget, NULL, SCRIPT_MEMORY_BYTES);
    script->store = vm_store_new(&script->limits, &script->budget);
    return script->store != NULL && spec_host_init(&script->host, script->store);
}

bool spec_script_release(struct spec_script *script)
{
    vm_store_free(script->store);
    return budget_used(&script->budget) == 0;
}

/* ---- Texts ---- */

/* What is said in other words by us, or by another version of the suite. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = {
    {"immutable global", "global is immutable"},
    {"illegal opcode ff", "illegal opcode 0xff"},
};

/* Our messages may put words before the suite's. */
static bool text_matches(const char *expected, const char *actual)
{
    bool matches = strstr(actual, expected) != NULL;
    for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++) {
        matches = matches || (strcmp(synonyms[i].theirs, expected) == 0 &&
                              strstr(actual, synonyms[i].ours) != NULL);
    }
    return matches;
}

/* As the reference interpreter: the trap must begin with what was expected. Only the number that
 * "uninitialized element 2" ends with is not in our text. */
static bool trap_matches(const char *expected, const char *actual)
{
    size_t size = strlen(actual);
    bool is_without_number = strncmp(expected, actual, size) == 0 && expected[size] == ' ' &&
                             isdigit((unsigned char)expected[size + 1]);
    return is_without_number || strncmp(actual, expected, strlen(expected)) == 0;
}

/* ---- Modules ---- */

static bool read_module(struct spec_script *script, const json_t *command, struct buffer *out)
{
    char path[4096];
    const char *name = member(command, "filename");
    if (name == NULL) {
        return spec_fail(script, "no filename");
    }
    (void)snprintf(path, sizeof path, "%s/%s", script->folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return spec_fail(script, "cannot open %s", path);
    }
    uint8_t chunk[4096];
    size_t size;
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        buffer_append(out, chunk, size);
    }
    (void)fclose(file);
    return !out->failed || spec_fail(script, "cannot read %s", path);
}

static bool load_module(struct spec_script *script, const json_t *command, struct vm_module **out,
                        struct err *err)
{
    struct buffer wasm, plain;
    buffer_init(&wasm, FILE_BYTES_MAX);
    buffer_init(&plain, 2 * FILE_BYTES_MAX);
    bool is_loaded = false;
    if (!read_module(script, command, &wasm)) {
        (void)err_set(err, ERR_IO, "%s", script->detail);
    } else {
        spec_expand_imports(buffer_bytes(&wasm), &plain);
        is_loaded =
            vm_module_load(buffer_bytes(&plain), &script->limits, &script->budget, out, err);
    }
    buffer_release(&plain);
    buffer_release(&wasm);
    return is_loaded;
}

static struct vm_extern find_import(struct spec_script *script, const struct vm_import *import)
{
    struct vm_extern found = {VM_EXTERN_FUNC, NULL};
    for (size_t i = 0; i < script->registered_count; i++) {
        const struct spec_name *name = &script->registered[i];
        if (bytes_equal(import->module, bytes_of_string(name->name)) &&
            vm_instance_find_export(name->instance, import->name, &found)) {
            return found;
        }
    }
    return bytes_equal(import->module, bytes_of_string("spectest"))
               ? spec_host_find(&script->host, import)
               : found;
}

static bool instantiate(struct spec_script *script, struct vm_module *module,
                        struct vm_instance **out, struct err *err)
{
    uint32_t count = vm_module_import_count(module);
    struct vm_extern *imports = heap_alloc_array(count, sizeof *imports);
    if (imports == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for imports");
    }
    for (uint32_t i = 0; i < count; i++) {
        struct vm_import import = vm_module_import(module, i);
        imports[i] = find_import(script, &import);
    }
    bool is_done = vm_instantiate(script->store, module, imports, out, err);
    heap_free(imports);
    return is_done;
}

/* ---- Runs ---- */

/* A run changes threads after every slice, once it has become long after THREAD_SLICES. */
enum { THREAD_SLICES = 64 };

struct slices {
    struct vm_run *run;
    uint64_t gas;   /* of each */
    uint64_t count; /* of all that have been */
    uint64_t at_once;
    enum vm_status status;
};

static void *run_slices(void *context)
{
    struct slices *slices = context;
    uint64_t end = slices->count + slices->at_once;
    do {
        slices->status = vm_run_slice(slices->run, slices->gas);
        slices->count++;
    } while (slices->status == VM_SUSPENDED && slices->count < end);
    return NULL;
}

static void run_slices_on_thread(struct slices *slices)
{
    pthread_t thread;
    slices->at_once = slices->count < THREAD_SLICES ? 1 : THREAD_SLICES;
    if (pthread_create(&thread, NULL, run_slices, slices) != 0 || pthread_join(thread, NULL) != 0) {
        (void)fputs("no thread for a slice\n", stderr);
        abort();
    }
}

static enum vm_status finish_run(const struct spec_script *script, struct vm_run *run)
{
    struct slices slices = {.run = run, .gas = script->slice, .at_once = UINT64_MAX};
    do {
        if (script->on_threads) {
            run_slices_on_thread(&slices);
        } else {
            (void)run_slices(&slices);
        }
    } while (slices.status == VM_SUSPENDED);
    return slices.status;
}

/* Runs what has been begun; NULL, or the text of what stopped it. */
static const char *run_text(const struct spec_script *script, struct vm_run *run)
{
    switch (finish_run(script, run)) {
    case VM_RETURNED:
        return NULL;
    case VM_TRAPPED:
        return vm_trap_text(vm_run_trap(run).trap);
    case VM_OUT_OF_GAS:
        return "out of gas";
    case VM_NEEDS_MEMORY:
        return "out of memory";
    case VM_SUSPENDED:
        break;
    }
    return "suspended";
}

/* Segments and start function; NULL, or what stopped them. */
static const char *start_instance(struct spec_script *script, struct vm_instance *instance)
{
    struct err err;
    struct vm_run *run = vm_run_new(script->store, SCRIPT_GAS);
    const char *text = "no memory for a run";
    if (run != NULL && vm_run_begin_start(run, instance, &err)) {
        text = run_text(script, run);
    }
    vm_run_free(run);
    return text;
}

static bool command_module(struct spec_script *script, const json_t *command)
{
    struct vm_module *module;
    struct vm_instance *instance;
    struct err err;
    const char *name = member(command, "name");
    script->current = NULL;
    if (!load_module(script, command, &module, &err)) {
        return spec_fail(script, "%s", err.message);
    }
    bool is_made = instantiate(script, module, &instance, &err);
    vm_module_unref(module);
    if (!is_made) {
        return spec_fail(script, "%s", err.message);
    }
    const char *trap = start_instance(script, instance);
    if (trap != NULL) {
        return spec_fail(script, "%s", trap);
    }
    script->current = instance;
    if (name != NULL) {
        if (script->named_count == SPEC_NAMES_MAX) {
            return spec_fail(script, "too many names");
        }
        script->named[script->named_count++] = (struct spec_name){name, instance};
    }
    return true;
}

static struct vm_instance *find_named(const struct spec_script *script, const char *name)
{
    if (name == NULL) {
        return script->current;
    }
    for (size_t i = script->named_count; i > 0; i--) { /* the latest of a name */
        if (strcmp(script->named[i - 1].name, name) == 0) {
            return script->named[i - 1].instance;
        }
    }
    return NULL;
}

static bool command_register(struct spec_script *script, const json_t *command)
{
    struct vm_instance *instance = find_named(script, member(command, "name"));
    if (instance == NULL || script->registered_count == SPEC_NAMES_MAX) {
        return spec_fail(script, "nothing to register, or too much");
    }
    script->registered[script->registered_count++] =
        (struct spec_name){member(command, "as"), instance};
    return true;
}

/* ---- Actions ---- */

struct action_result {
    const char *trap; /* NULL: it returned */
    uint32_t count;
    struct vm_value values[SPEC_VALUES_MAX];
};

static bool invoke(struct spec_script *script, const struct vm_func *func, const json_t *args,
                   struct action_result *out)
{
    struct vm_value values[SPEC_VALUES_MAX];
    size_t count = json_array_size(args);
    struct err err;
    for (size_t i = 0; i < count; i++) {
        if (i == SPEC_VALUES_MAX || !spec_value_parse(json_array_get(args, i), &values[i])) {
            return spec_fail(script, "argument %zu is not understood", i);
        }
    }
    struct vm_run *run = vm_run_new(script->store, SCRIPT_GAS);
    if (run == NULL || !vm_run_begin_call(run, func, values, (uint32_t)count, &err)) {
        vm_run_free(run);
        return spec_fail(script, "the call cannot begin");
    }
    out->trap = run_text(script, run);
    if (out->trap == NULL) {
        const struct vm_value *results = vm_run_results(run, &out->count);
        out->count = out->count < SPEC_VALUES_MAX ? out->count : SPEC_VALUES_MAX;
        for (uint32_t i = 0; i < out->count; i++) {
            out->values[i] = results[i];
        }
    }
    vm_run_free(run);
    return true;
}

static bool perform(struct spec_script *script, const json_t *action, struct action_result *out)
{
    const char *field = member(action, "field");
    struct vm_instance *instance = find_named(script, member(action, "module"));
    struct vm_extern found;
    *out = (struct action_result){.trap = NULL};
    if (instance == NULL || field == NULL) {
        return spec_fail(script, "no such module");
    }
    size_t size = json_string_length(json_object_get(action, "field"));
    if (!vm_instance_find_export(instance, bytes_of(field, size), &found)) {
        return spec_fail(script, "no export %s", field);
    }
    if (found.kind == VM_EXTERN_FUNC) {
        return invoke(script, found.object, json_object_get(action, "args"), out);
    }
    if (found.kind == VM_EXTERN_GLOBAL) {
        out->count = 1;
        out->values[0] = vm_global_get(found.object);
        return true;
    }
    return spec_fail(script, "export %s is neither a function nor a global", field);
}

static bool command_action(struct spec_script *script, const json_t *command)
{
    struct action_result result;
    return perform(script, json_object_get(command, "action"), &result) &&
           (result.trap == NULL || spec_fail(script, "%s", result.trap));
}

static bool command_assert_return(struct spec_script *script, const json_t *command)
{
    struct action_result result;
    const json_t *expected = json_object_get(command, "expected");
    if (!perform(script, json_object_get(command, "action"), &result)) {
        return false;
    }
    if (result.trap != NULL) {
        return spec_fail(script, "%s", result.trap);
    }
    if (result.count != json_array_size(expected)) {
        return spec_fail(script, "%u results", result.count);
    }
    for (uint32_t i = 0; i < result.count; i++) {
        if (!spec_value_matches(json_array_get(expected, i), &result.values[i])) {
            char text[64];
            spec_value_text(&result.values[i], text, sizeof text);
            return spec_fail(script, "result %u is %s", i, text);
        }
    }
    return true;
}

static bool check_trap(struct spec_script *script, const json_t *command, const char *trap)
{
    const char *text = member(command, "text");
    if (trap == NULL) {
        return spec_fail(script, "no trap, expected \"%s\"", text);
    }
    return trap_matches(text, trap) ||
           spec_fail(script, "trap \"%s\", expected \"%s\"", trap, text);
}

static bool command_assert_trap(struct spec_script *script, const json_t *command)
{
    struct action_result result;
    return perform(script, json_object_get(command, "action"), &result) &&
           check_trap(script, command, result.trap);
}

/* ---- Modules that must fail ---- */

static bool check_error(struct spec_script *script, const json_t *command, enum err_code code,
                        const struct err *err)
{
    const char *text = member(command, "text");
    return (err->code == code && text_matches(text, err->message)) ||
           spec_fail(script, "%s: %s, expected \"%s\"", err_code_name(err->code), err->message,
                     text);
}

/* assert_invalid and assert_malformed. */
static bool command_assert_refused(struct spec_script *script, const json_t *command)
{
    struct vm_module *module;
    struct err err;
    if (load_module(script, command, &module, &err)) {
        vm_module_unref(module);
        return spec_fail(script, "loaded, expected \"%s\"", member(command, "text"));
    }
    return check_error(script, command, ERR_INVALID_WASM, &err);
}

static bool command_assert_unlinkable(struct spec_script *script, const json_t *command)
{
    struct vm_module *module;
    struct vm_instance *instance;
    struct err err;
    if (!load_module(script, command, &module, &err)) {
        return spec_fail(script, "%s", err.message);
    }
    bool is_made = instantiate(script, module, &instance, &err);
    vm_module_unref(module);
    return is_made ? spec_fail(script, "linked, expected \"%s\"", member(command, "text"))
                   : check_error(script, command, ERR_UNLINKABLE, &err);
}

static bool command_assert_uninstantiable(struct spec_script *script, const json_t *command)
{
    struct vm_module *module;
    struct vm_instance *instance;
    struct err err;
    if (!load_module(script, command, &module, &err)) {
        return spec_fail(script, "%s", err.message);
    }
    bool is_made = instantiate(script, module, &instance, &err);
    vm_module_unref(module);
    return is_made ? check_trap(script, command, start_instance(script, instance))
                   : spec_fail(script, "%s", err.message);
}

enum spec_outcome spec_script_command(struct spec_script *script, const json_t *command)
{
    static const struct {
        const char *type;
        bool (*run)(struct spec_script *script, const json_t *command);
    } rows[] = {
        {"module", command_module},
        {"register", command_register},
        {"action", command_action},
        {"assert_return", command_assert_return},
        {"assert_trap", command_assert_trap},
        {"assert_exhaustion", command_assert_trap},
        {"assert_invalid", command_assert_refused},
        {"assert_malformed", command_assert_refused},
        {"assert_unlinkable", command_assert_unlinkable},
        {"assert_uninstantiable", command_assert_uninstantiable},
    };
    const char *type = member(command, "type");
    const char *module_type = member(command, "module_type");
    if (module_type != NULL && strcmp(module_type, "text") == 0) {
        return SPEC_SKIPPED; /* no reader of the text format */
    }
    for (size_t i = 0; type != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].type, type) == 0) {
            return rows[i].run(script, command) ? SPEC_PASSED : SPEC_FAILED;
        }
    }
    (void)spec_fail(script, "a command of an unknown type");
    return SPEC_FAILED;
}
