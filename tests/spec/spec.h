/* spec.h: runs the official test scripts, as wabt's wast2json writes them.
 *
 * A script is one JSON file: commands that load modules, call them and say what must come of it.
 * Everything of a script lives in one store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H

#include "vm/vm.h"

#include <jansson.h>

enum { SPEC_NAMES_MAX = 64, SPEC_VALUES_MAX = 64, SPEC_DETAIL_BYTES = 1024 };

struct spec_counts {
    uint64_t passed, failed, skipped;
};

struct spec_name { /* what a script calls a module, or registers it as */
    const char *name;
    struct vm_instance *instance;
};

struct spec_host { /* the module "spectest" */
    struct vm_store *store;
    struct vm_table *table, *table64;
    struct vm_memory *memory;
    struct vm_global *globals[4];
};

struct spec_script {
    const char *folder; /* of the JSON file: the modules lie beside it */
    struct vm_limits limits;
    uint64_t slice;  /* gas of a slice */
    bool on_threads; /* each slice in a thread of its own */
    struct budget budget;
    struct vm_store *store;
    struct spec_host host;
    struct vm_instance *current; /* the last module, or NULL if it failed */
    struct spec_name named[SPEC_NAMES_MAX], registered[SPEC_NAMES_MAX];
    size_t named_count, registered_count;
    char detail[SPEC_DETAIL_BYTES]; /* why the last command failed */
};

enum spec_outcome { SPEC_PASSED, SPEC_FAILED, SPEC_SKIPPED };

/* script.c */
struct spec_options {
    struct vm_features features;
    uint64_t slice;
    bool on_threads;
};
bool spec_script_init(struct spec_script *script, const char *folder,
                      const struct spec_options *options);
enum spec_outcome spec_script_command(struct spec_script *script, const json_t *command);
/* False when memory is still charged after everything has been freed. */
bool spec_script_release(struct spec_script *script);
bool spec_fail(struct spec_script *script, const char *format, ...) PRINTF_LIKE(2, 3);

/* skipped.c: why a command is not run; NULL if it is. */
const char *spec_skipped(const char *path, const char *name, int line);

/* imports.c: the module with its imports one by one. */
void spec_expand_imports(struct bytes wasm, struct buffer *out);

/* values.c */
bool spec_value_parse(const json_t *json, struct vm_value *out);
bool spec_value_matches(const json_t *expected, const struct vm_value *value);
void spec_value_text(const struct vm_value *value, char *out, size_t size);

/* host.c */
bool spec_host_init(struct spec_host *host, struct vm_store *store);
/* object NULL if "spectest" has nothing of that name. */
struct vm_extern spec_host_find(struct spec_host *host, const struct vm_import *import);

#endif
