/* policy.c: what a submitted program may be and use.
 *
 * The engine links anything; that a submitted program may import nothing is decided here, before
 * it is instantiated. Growing past a limit ends the run instead of returning -1, so that a program
 * that ignores a failed allocation cannot go on with wrong results.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

enum { WASM_PAGE_BYTES = 65536 };

struct vm_limits policy_limits(const struct session *session)
{
    struct vm_limits limits = vm_limits_default;
    limits.module_bytes_max = (uint32_t)session->service->config.module_bytes_max;
    limits.memory_pages_max = session->request.memory_limit_bytes / WASM_PAGE_BYTES;
    limits.memory_pages_total_max = limits.memory_pages_max;
    limits.memory_limit_traps = true;
    return limits;
}

bool policy_check(const struct vm_module *module, struct err *err)
{
    if (vm_module_import_count(module) == 0) {
        return true;
    }
    struct vm_import import = vm_module_import(module, 0);
    return err_set(
        err, ERR_POLICY_VIOLATION,
        "the program imports \"%.*s\" \"%.*s\"; programs may not import anything",
        (int)(import.module.size < 100 ? import.module.size : 100), (const char *)import.module.ptr,
        (int)(import.name.size < 100 ? import.name.size : 100), (const char *)import.name.ptr);
}

bool policy_memory_error(const struct session *session, struct err *err)
{
    if (err->code == ERR_NO_MEMORY && budget_refusal(&session->budget) != BUDGET_REFUSED_HERE) {
        return err_set(err, ERR_OVERLOADED, "this node has no memory left for the execution");
    }
    return err_set(err, ERR_MEMORY_EXCEEDED, "the program needs more than its %llu bytes of memory",
                   (unsigned long long)session->request.memory_limit_bytes);
}
