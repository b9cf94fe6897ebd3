/* fuzz_vm_decode.c: foreign bytes are refused with a reason or loaded, and all memory comes back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/vm.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_limits limits = vm_limits_default;
    limits.nesting_max = 64;
    limits.locals_max = 1000;
    struct budget budget;
    budget_init(&budget, NULL, 16 << 20);
    struct vm_module *module = NULL;
    struct err err = {.code = ERR_NONE};
    bool is_loaded = vm_module_load(bytes_of(data, size), &limits, &budget, &module, &err);
    vm_module_unref(module);
    if (budget_used(&budget) != 0 || is_loaded == (err.code != ERR_NONE)) {
        abort();
    }
    return 0;
}
