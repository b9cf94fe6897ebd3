/* fuzz_attest_report.c: a report from anywhere, behind it the bytes of a host's certificate table:
 * described, and verified. Nothing made up is ever accepted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A time at which all of the corpus has expired: what is accepted then was made up. */
    const struct attest_policy policy = {.now_ms = INT64_C(4102444800000), .age_ms_max = 1};
    struct attest_result result;
    struct buffer text, chain;
    struct err err;
    size_t report_size = size < ATTEST_REPORT_BYTES ? size : ATTEST_REPORT_BYTES;
    buffer_init(&text, 65536);
    buffer_init(&chain, 65536);
    bool described = attest_report_describe(bytes_of(data, report_size), &text, &err);
    assert(described == (report_size == ATTEST_REPORT_BYTES));
    if (!attest_certificates_add(bytes_of(data + report_size, size - report_size), &chain, &err)) {
        buffer_release(&chain);
    }
    attest_report_verify_collected("sev-guest", bytes_of(data, report_size), buffer_bytes(&chain),
                                   &policy, &result);
    assert(!result.ok);
    buffer_release(&text);
    buffer_release(&chain);
    return 0;
}
