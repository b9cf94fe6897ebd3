/* inspection.c: see inspection.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/inspection.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void inspection_init(struct inspection *inspection, const struct attest_policy *policy,
                     struct attest_result *result)
{
    memset(result, 0, sizeof *result);
    memset(inspection, 0, sizeof *inspection);
    inspection->policy = policy;
    inspection->result = result;
    arena_init(&inspection->arena, NULL); /* bounded by the limits of the evidence's members */
}

void inspection_release(struct inspection *inspection)
{
    for (size_t i = 0; i < INSPECTION_CERTIFICATES; i++) {
        certificate_free(inspection->certificates[i]);
    }
    arena_release(&inspection->arena);
}

void inspection_run(struct inspection *inspection, const struct inspection_check *checks,
                    size_t count)
{
    struct attest_result *result = inspection->result;
    assert(result->check_count + count <= ATTEST_CHECKS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct attest_check *check = &result->checks[result->check_count++];
        check->name = checks[i].name;
        if ((checks[i].needs & ~inspection->have) != 0) {
            /* Only a failed check withholds something: the result cannot become ok by this. */
            assert(inspection->failed);
            check->outcome = ATTEST_SKIPPED;
            snprintf(check->detail, sizeof check->detail, "an earlier check failed");
        } else if (checks[i].run(inspection, check)) {
            check->outcome = ATTEST_PASSED;
        } else {
            check->outcome = ATTEST_FAILED;
            inspection->failed = true;
        }
    }
}

bool inspection_fail(struct attest_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
    return false;
}

bool inspection_pass(struct attest_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
    return true;
}
