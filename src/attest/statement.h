/* statement.h: what an epoch's report vouches for: canonical JSON whose SHA-512 is the report's
 * user data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_STATEMENT_H
#define ATTEST_STATEMENT_H

#include "attest/attest.h"
#include "base/text.h"

#define ATTEST_STATEMENT_DOMAIN "wasm-hypervisor/1 epoch"

enum {
    ATTEST_STATEMENT_BYTES_MAX = 4096,
    ATTEST_PROVIDER_BYTES_MAX = 24,
    ATTEST_BUILD_ID_BYTES_MAX = 128,
    ATTEST_CONFIG_DIGEST_BYTES = 32,
};

struct attest_statement {
    uint8_t epoch[TEXT_UUID_BYTES];
    uint8_t signing_key[CRYPTO_ED25519_PUBLIC_BYTES];
    char log_origin[201];
    char log_vkey[320];
    char node_id[65];
    char build_id[ATTEST_BUILD_ID_BYTES_MAX];
    uint8_t config_digest[ATTEST_CONFIG_DIGEST_BYTES];
    int64_t not_before_ms;
    int64_t not_after_ms;
    bool has_previous;
    uint8_t previous[ATTEST_EPOCH_DIGEST_BYTES];
    char provider[ATTEST_PROVIDER_BYTES_MAX];
};

/* Appends the canonical text. */
bool attest_statement_write(const struct attest_statement *statement, struct buffer *out,
                            struct err *err) MUST_CHECK;
/* FORMAT names the member that is missing or malformed; members that are not known are ignored. */
bool attest_statement_read(struct bytes text, struct attest_statement *out,
                           struct err *err) MUST_CHECK;

#endif
