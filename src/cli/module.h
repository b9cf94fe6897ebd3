/* module.h: a module file on this machine: read, checked, loaded, and which function is meant.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_MODULE_H
#define CLI_MODULE_H

#include "vm/vm.h"

struct cli_module {
    uint8_t *wasm;
    size_t size;
    struct vm_module *module;
};

/* Reads FILE ("-": standard input) and loads it under `limits`. Fails with IO for the file,
 * INVALID_WASM (text format and the like are named) or what vm_module_load says. */
bool cli_module_open(struct cli_module *module, const char *path, const struct vm_limits *limits,
                     struct err *err) MUST_CHECK;
void cli_module_close(struct cli_module *module);

/* The exported function of that name; NULL: `_start`, else `main`, else the only one there is.
 * Fails with FUNCTION_NOT_FOUND and a list of what is exported. */
bool cli_module_function(const struct vm_module *module, const char *name, struct vm_export *out,
                         struct err *err) MUST_CHECK;

/* "(i32, i64) -> f64" */
void cli_func_type_append(const struct vm_func_type *type, struct buffer *out);

#endif
