/* seal.h: kept answers, encrypted in the file.
 *
 *     nonce (12, random) || AES-256-GCM(answer)
 *     key = HKDF-Expand(the store's key, label || request id)
 *     associated data = label || request id || HTTP status (u32 big endian)
 *     label = "wasm-hypervisor/1 kept answer" || 0x00
 *
 * A key for each row, so that no number of rows wears one out, and none can stand in for another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "crypto/crypto.h"
#include "store/store.h"

enum { STORE_SEAL_OVERHEAD_BYTES = CRYPTO_AEAD_NONCE_BYTES + CRYPTO_AEAD_TAG_BYTES };

/* What stands in answer_form. */
enum store_answer_form { STORE_ANSWER_PLAIN, STORE_ANSWER_SEALED };

/* out holds answer.size + STORE_SEAL_OVERHEAD_BYTES. False for 2 GiB and more. */
bool store_answer_seal(const uint8_t key[static STORE_KEY_BYTES],
                       const struct store_execution *execution, uint8_t *out) MUST_CHECK;
/* `execution` names the row; out holds sealed.size - STORE_SEAL_OVERHEAD_BYTES, and may be where
 * the ciphertext lies: at sealed.ptr + CRYPTO_AEAD_NONCE_BYTES. */
bool store_answer_open(const uint8_t key[static STORE_KEY_BYTES],
                       const struct store_execution *execution, struct bytes sealed,
                       uint8_t *out) MUST_CHECK;

#endif
