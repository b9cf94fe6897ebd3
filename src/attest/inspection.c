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

static void outcome_note(struct inspection *inspection, struct attest_check *check, bool ok)
{
    struct attest_result *result = inspection->result;
    if (ok) {
        return; /* passed, or passed by */
    }
    check->outcome = ATTEST_FAILED;
    if (!inspection->failed || check->class < result->failure) {
        result->failure = check->class;
    }
    inspection->failed = true;
}

void inspection_run(struct inspection *inspection, const struct inspection_check *checks,
                    size_t count)
{
    struct attest_result *result = inspection->result;
    assert(result->check_count + count <= ATTEST_CHECKS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct attest_check *check = &result->checks[result->check_count++];
        check->name = checks[i].name;
        check->class = checks[i].class;
        check->outcome = ATTEST_PASSED;
        if ((checks[i].needs & ~inspection->have) != 0) {
            /* Only a failed check withholds something: the result cannot become ok by this. */
            assert(inspection->failed);
            check->outcome = ATTEST_SKIPPED;
            snprintf(check->detail, sizeof check->detail, "an earlier check failed");
            continue;
        }
        outcome_note(inspection, check, checks[i].run(inspection, check));
        assert(check->detail[0] != '\0');
    }
}

const char *attest_outcome_name(enum attest_check_outcome outcome)
{
    static const char *const names[] = {
        [ATTEST_PASSED] = "passed",
        [ATTEST_FAILED] = "failed",
        [ATTEST_SKIPPED] = "skipped",
        [ATTEST_NOT_APPLICABLE] = "not applicable",
    };
    return names[outcome];
}

const char *attest_class_name(enum attest_check_class class)
{
    static const char *const names[] = {
        [ATTEST_FORMAT] = "format",
        [ATTEST_CRYPTOGRAPHY] = "cryptography",
        [ATTEST_POLICY] = "policy",
    };
    return names[class];
}

const char *attest_check_name(size_t index)
{
    const struct inspection_table tables[INSPECTION_TABLES] = {
        inspection_table_first(), inspection_table_report(), inspection_table_policy(),
        inspection_table_last()};
    for (size_t i = 0; i < INSPECTION_TABLES; i++) {
        if (index < tables[i].count) {
            return tables[i].checks[index].name;
        }
        index -= tables[i].count;
    }
    return NULL;
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

bool inspection_pass_by(struct attest_check *check, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
    check->outcome = ATTEST_NOT_APPLICABLE;
    return true;
}

bool inspection_base64(struct inspection *inspection, const json_t *member, size_t size_max,
                       struct bytes *out)
{
    size_t chars = json_string_length(member), size = 0;
    if (!json_is_string(member) || chars > text_base64_encoded_size(size_max)) {
        return false;
    }
    uint8_t *bytes = arena_alloc(&inspection->arena, chars / 4 * 3 + 1, 1);
    if (bytes == NULL || !text_base64_decode(json_string_value(member), chars, bytes, &size) ||
        size > size_max) {
        return false;
    }
    *out = bytes_of(bytes, size);
    return true;
}
