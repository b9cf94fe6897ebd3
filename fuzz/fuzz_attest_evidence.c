/* fuzz_attest_evidence.c: evidence as a stranger's node sends it, alone or with a key: JSON,
 * base64, statement, certificates, report, and what was signed. It may be refused in any way, but
 * never accepted without a pinned root.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"
#include "base/json.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct attest_policy policy = {.now_ms = INT64_C(1795219200000),
                                         .nonce = bytes_of("a nonce.", 8)};
    struct attest_result result;
    struct err err;
    json_t *evidence = NULL;
    if (json_text_parse(bytes_of(data, size), &evidence, &err)) {
        attest_evidence_verify(evidence, &policy, &result);
        assert(!result.ok && result.check_count > 0);
        json_decref(evidence);
    }
    return 0;
}
