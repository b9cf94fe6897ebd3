/* loader.c: from bytes to a module, in steps.
 *
 *   header and sections (decode) -> what is not a body (validate_module) -> each body: validate,
 *   translate
 *
 * A step stops at the first entry of a section, or instruction of a body, after which it has read
 * its bytes; sections are only walked through, bodies are the work. A body counts for more than its
 * bytes if it declares or passes many values. What a module is and how it fails does not depend on
 * the steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

#include <assert.h>
#include <string.h>

enum loader_phase {
    LOADER_DECODE,
    LOADER_CHECK,
    LOADER_BODIES,
    LOADER_VALIDATE,  /* next_func, which has been begun */
    LOADER_TRANSLATE, /* the same */
    LOADER_KEEP,      /* its code */
    LOADER_DONE,
    LOADER_FAILED,
};

struct vm_loader {
    struct budget *budget;
    struct vm_module *module; /* NULL once handed over */
    struct decoder decoder;
    struct module_check check;
    struct validator *validator;
    struct translator *translator;
    enum loader_phase phase;
    uint32_t next_func;
    struct err failure; /* FAILED: told again at each step */
    struct arena rest;  /* of the module, while it is given back */
};

/* The module, in an arena of its own, with room for its bytes. */
static struct vm_module *module_new(size_t size, const struct vm_limits *limits,
                                    struct budget *budget, uint8_t **wasm, struct err *err)
{
    struct arena arena;
    arena_init(&arena, budget);
    struct vm_module *module = ARENA_NEW(&arena, struct vm_module);
    uint8_t *bytes = arena_alloc(&arena, size, 1);
    if (module == NULL || bytes == NULL) {
        arena_release(&arena);
        err_set(err, ERR_NO_MEMORY, "no memory for a module of %zu bytes", size);
        return NULL;
    }
    module->references = 1;
    module->limits = *limits;
    module->wasm = bytes_of(bytes, size);
    module->arena = arena; /* transferred */
    *wasm = bytes;
    return module;
}

struct vm_loader *vm_loader_new_empty(size_t size, const struct vm_limits *limits,
                                      struct budget *budget, uint8_t **wasm, struct err *err)
{
    if (size > limits->module_bytes_max) {
        err_set(err, ERR_LIMIT, "module_bytes_max: %zu is over the limit of %u", size,
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
    loader->module = module_new(size, limits, budget, wasm, err);
    if (loader->module == NULL) {
        vm_loader_free(loader);
        return NULL;
    }
    decoder_init(&loader->decoder, loader->module);
    return loader;
}

struct vm_loader *vm_loader_new(struct bytes wasm, const struct vm_limits *limits,
                                struct budget *budget, struct err *err)
{
    uint8_t *copy;
    struct vm_loader *loader = vm_loader_new_empty(wasm.size, limits, budget, &copy, err);
    if (loader != NULL && wasm.size > 0) {
        memcpy(copy, wasm.ptr, wasm.size);
    }
    return loader;
}

bool vm_loader_release_some(struct vm_loader *loader, size_t bytes)
{
    if (loader == NULL) {
        return true;
    }
    if (loader->module != NULL) {
        vm_module_unref_to(loader->module, &loader->rest);
        loader->module = NULL;
    }
    return translator_release_some(loader->translator, bytes) &&
           arena_release_some(&loader->rest, bytes); /* wiped: it was sent encrypted */
}

void vm_loader_free(struct vm_loader *loader)
{
    if (loader == NULL) {
        return;
    }
    bool is_released = vm_loader_release_some(loader, SIZE_MAX);
    assert(is_released);
    (void)is_released;
    validator_free(loader->validator);
    translator_free(loader->translator);
    budget_release(loader->budget, sizeof *loader);
    heap_free(loader);
}

static bool decode_some(struct vm_loader *loader, size_t *left, struct err *err)
{
    bool is_done;
    if (!decoder_step(&loader->decoder, left, &is_done, err)) {
        return false;
    }
    loader->phase = is_done ? LOADER_CHECK : LOADER_DECODE;
    return true;
}

static bool begin_bodies(struct vm_loader *loader, struct err *err)
{
    loader->validator = validator_new(loader->module, loader->budget);
    loader->translator = translator_new(loader->budget);
    if (loader->validator == NULL || loader->translator == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory to validate and translate a module");
    }
    loader->next_func = loader->module->func_import_count;
    loader->phase = LOADER_BODIES;
    return true;
}

static bool check_some(struct vm_loader *loader, size_t *left, struct err *err)
{
    bool is_done;
    return validate_module(loader->module, &loader->check, left, &is_done, err) &&
           (!is_done || begin_bodies(loader, err));
}

/* What a body costs beside its bytes, which may be none. */
enum { BODY_BYTES = 8, LOCALS_OF_A_BYTE = 16 };

static bool begin_body(struct vm_loader *loader, size_t *left, struct err *err)
{
    const struct vm_module *module = loader->module;
    if (loader->next_func == module->func_count) {
        loader->phase = LOADER_DONE;
        return true;
    }
    size_t bytes = BODY_BYTES + module->funcs[loader->next_func].local_count / LOCALS_OF_A_BYTE;
    module_take(left, bytes);
    loader->phase = LOADER_VALIDATE;
    return validator_begin(loader->validator, loader->next_func, err);
}

static bool validate_some(struct vm_loader *loader, size_t *left, struct err *err)
{
    bool is_done;
    if (!validator_continue(loader->validator, left, &is_done, err)) {
        return false;
    }
    if (!is_done) {
        return true;
    }
    loader->module->funcs[loader->next_func].loop_offset = validator_loop(loader->validator);
    loader->phase = LOADER_TRANSLATE;
    return translator_begin(loader->translator, loader->module, loader->next_func, err) ||
           module_err_in_func(err, loader->next_func);
}

static bool keep_some(struct vm_loader *loader, size_t *left, struct err *err)
{
    bool is_done;
    loader->phase = LOADER_KEEP;
    if (!translator_keep(loader->translator, loader->module, left, &is_done, err)) {
        return module_err_in_func(err, loader->next_func);
    }
    if (is_done) {
        loader->next_func++;
        loader->phase = LOADER_BODIES;
    }
    return true;
}

static bool translate_some(struct vm_loader *loader, size_t *left, struct err *err)
{
    bool is_done;
    if (!translator_continue(loader->translator, left, &is_done, err)) {
        return module_err_in_func(err, loader->next_func);
    }
    return !is_done || keep_some(loader, left, err);
}

/* Goes on until *left bytes have been read, or to the end; does at least something. */
static bool load_some(struct vm_loader *loader, size_t left, struct err *err)
{
    static bool (*const phases[])(struct vm_loader *, size_t *, struct err *) = {
        [LOADER_DECODE] = decode_some,       [LOADER_CHECK] = check_some,
        [LOADER_BODIES] = begin_body,        [LOADER_VALIDATE] = validate_some,
        [LOADER_TRANSLATE] = translate_some, [LOADER_KEEP] = keep_some,
    };
    left += left == 0;
    do {
        if (!phases[loader->phase](loader, &left, err)) {
            return false;
        }
    } while (left > 0 && loader->phase != LOADER_DONE);
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
