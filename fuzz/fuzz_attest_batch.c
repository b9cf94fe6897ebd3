/* fuzz_attest_batch.c: the batch of a fresh proof as a stranger's node sends it. The rest of the
 * evidence is none, so it is never accepted; its own checks look at every byte of it.
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
                                         .nonce = bytes_of("0123456789abcdef", 16),
                                         .nonce_in_report = true};
    struct attest_result result;
    struct err err;
    json_t *batch = NULL;
    if (!json_text_parse(bytes_of(data, size), &batch, &err)) {
        return 0;
    }
    json_t *evidence = json_pack("{s:s, s:s, s:n, s:[], s:o}", "provider", "simulated", "statement",
                                 "{}", "report", "certificates", "batch", batch);
    assert(evidence != NULL);
    attest_evidence_verify(evidence, &policy, &result);
    assert(!result.ok && result.check_count > 0);
    json_decref(evidence);
    return 0;
}
