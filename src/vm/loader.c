/* loader.c: from bytes to a module, in steps.
 *
 *   header and sections (decode) -> what is not a body (validate_module) -> each body: validate,
 *   translate
 *
 * A step stops at the first section or body after which it has read its bytes; sections are only
 * walked through, bodies are the work. A body counts for more than its bytes if it declares or
 * passes many values. What a module is and how it fails does not depend on the steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

#include <assert.h>

enum loader_phase { LOADER_DECODE, LOADER_BODIES, LOADER_DONE, LOADER_FAILED };

struct vm_loader {
    struct budget *budget;
    struct vm_module *module; /* NULL once handed over */
    struct decoder decoder;
    struct validator *validator;
    struct translator *translator;
    enum loader_phase phase;
    uint32_t next_func;
    struct err failure; /* FAILED: told again at each step */
};

/* The module, in an arena of its own, with its copy of the bytes. */
static struct vm_module *module_new(struct bytes wasm, const struct vm_limits *limits,
                                    struct budget *budget, struct err *err)
{
    struct arena arena;
    arena_init(&arena, budget);
    struct vm_module *module = ARENA_NEW(&arena, struct vm_module);
    struct bytes copy = arena_copy(&arena, wasm);
    if (module == NULL || copy.size != wasm.size) {
        arena_release_wiped(&arena); /* somebody's program, sent encrypted */
        err_set(err, ERR_NO_MEMORY, "no memory for a module of %zu bytes", wasm.size);
        return NULL;
    }
    module->references = 1;
    module->limits = *limits;
    module->wasm = copy;
    module->arena = arena; /* transferred */
    return module;
}

struct vm_loader *vm_loader_new(struct bytes wasm, const struct vm_limits *limits,
                                struct budget *budget, struct err *err)
{
    if (wasm.size > limits->module_bytes_max) {
        err_set(err, ERR_LIMIT, "module_bytes_max: %zu is over the limit of %u", wasm.size,
                limits->module_bytes_max);
        return NULL;
    }
    if (!budget_charge(budget, sizeof(struct vm_loader))) {
        err_set(err, ERR_NO_MEMORY, "no memory to load a module");
        return NULL;
    }
    struct vm_loader *loader = HEAP_NEW(struct vm_loader);
    if (loader == NULL) {
        budget_release(budget, sizeof *loader);
        err_set(err, ERR_NO_MEMORY, "no memory to load a module");
        return NULL;
    }
    loader->budget = budget;
    loader->module = module_new(wasm, limits, budget, err);
    if (loader->module == NULL) {
        vm_loader_free(loader);
        return NULL;
    }
    decoder_init(&loader->decoder, loader->module);
    return loader;
}

void vm_loader_free(struct vm_loader *loader)
{
    if (loader == NULL) {
        return;
    }
    validator_free(loader->validator);
    translator_free(loader->translator);
    vm_module_unref(loader->module);
    budget_release(loader->budget, sizeof *loader);
    heap_free(loader);
}

static bool begin_bodies(struct vm_loader *loader, struct err *err)
{
    if (!validate_module(loader->module, err)) {
        return false;
    }
    loader->validator = validator_new(loader->module, loader->budget);
    loader->translator = translator_new(loader->budget);
    if (loader->validator == NULL || loader->translator == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory to validate and translate a module");
    }
    loader->next_func = loader->module->func_import_count;
    loader->phase = LOADER_BODIES;
    return true;
}

static bool load_section(struct vm_loader *loader, size_t *bytes, struct err *err)
{
    bool is_done;
    size_t before = reader_left(&loader->decoder.reader);
    if (!decoder_step(&loader->decoder, &is_done, err)) {
        return false;
    }
    *bytes = before - reader_left(&loader->decoder.reader);
    return !is_done || begin_bodies(loader, err);
}

static bool load_body(struct vm_loader *loader, size_t *bytes, struct err *err)
{
    uint32_t index = loader->next_func;
    *bytes = 0;
    if (index == loader->module->func_count) {
        loader->phase = LOADER_DONE;
        return true;
    }
    if (!validator_func(loader->validator, index, err)) {
        return false;
    }
    loader->module->funcs[index].loop_offset = validator_loop(loader->validator);
    if (!translator_func(loader->translator, loader->module, index, err)) {
        return module_err_in_func(err, index);
    }
    *bytes = validator_effort(loader->validator);
    loader->next_func++;
    return true;
}

/* Unstepped part of a step: goes on until `bytes` have been read, or the end. */
static bool load_some(struct vm_loader *loader, size_t bytes, struct err *err)
{
    size_t total = 0;
    do {
        size_t read;
        bool is_good = loader->phase == LOADER_DECODE ? load_section(loader, &read, err)
                                                      : load_body(loader, &read, err);
        if (!is_good) {
            return false;
        }
        total += read;
    } while (total < bytes && loader->phase != LOADER_DONE);
    return true;
}

enum vm_load_status vm_loader_step(struct vm_loader *loader, size_t bytes,
                                   struct vm_module **module, struct err *err)
{
    assert(loader->phase != LOADER_DONE);
    if (loader->phase != LOADER_FAILED && !load_some(loader, bytes, &loader->failure)) {
        loader->phase = LOADER_FAILED;
    }
    if (loader->phase == LOADER_FAILED) {
        *err = loader->failure;
        return VM_LOAD_FAILED;
    }
    if (loader->phase != LOADER_DONE) {
        return VM_LOAD_MORE;
    }
    *module = loader->module;
    loader->module = NULL; /* transferred */
    return VM_LOAD_DONE;
}

bool vm_module_load(struct bytes wasm, const struct vm_limits *limits, struct budget *budget,
                    struct vm_module **out, struct err *err)
{
    struct vm_loader *loader = vm_loader_new(wasm, limits, budget, err);
    if (loader == NULL) {
        return false;
    }
    enum vm_load_status status = vm_loader_step(loader, SIZE_MAX, out, err);
    assert(status != VM_LOAD_MORE);
    vm_loader_free(loader);
    return status == VM_LOAD_DONE;
}
