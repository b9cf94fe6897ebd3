/* seal.h: keys kept in files that only this image on this processor opens again.
 *
 * A sealer holds what the firmware derived for this guest (struct tee_derived). That never encrypts
 * by itself: HKDF-SHA256 makes one AES-256-GCM key of it for each purpose. What is sealed is always
 * a secret of 32 bytes; the file says in the clear what it is bound to, so that a refusal can say
 * what has changed:
 *
 *   {"ciphertext":base64,"domain":"wasm-hypervisor/1 sealed key","guest_field_select":9,
 *    "guest_policy":hex,"measurement":hex,"nonce":base64,"purpose":"log key","root_key":"vcek"}
 *
 * in canonical JSON and a newline. Everything but the ciphertext is the cipher's associated data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_SEAL_H
#define ATTEST_SEAL_H

#include "attest/attest.h"

enum {
    SEAL_FIELDS = TEE_BIND_MEASUREMENT | TEE_BIND_POLICY,
    SEAL_POLICY_CHARS = 16,
};

struct sealed { /* a file, read */
    enum attest_seal_purpose purpose;
    char root_key[16];
    uint64_t fields;
    uint64_t guest_policy;
    uint8_t measurement[CRYPTO_SHA384_BYTES];
    uint8_t nonce[CRYPTO_AEAD_NONCE_BYTES];
    uint8_t ciphertext[ATTEST_SEALED_SECRET_BYTES + CRYPTO_AEAD_TAG_BYTES];
};

/* FORMAT: it is no such file, to the byte. */
bool sealed_read(struct bytes file, struct sealed *out, struct err *err) MUST_CHECK;
/* Appends the file. */
void sealed_write(const struct sealed *sealed, struct buffer *out);
/* Appends the same object without the ciphertext. */
void sealed_associated(const struct sealed *sealed, struct buffer *out);
const char *seal_purpose_name(enum attest_seal_purpose purpose);

#endif
