/* crypto.h: every cryptographic operation of the product; the only user of OpenSSL's EVP.
 *
 * Primitives come from OpenSSL 3.0; what is composed here is HPKE (RFC 9180, base mode with export,
 * hpke.c) and the response sealing of RFC 9458 section 4.4 (response.c). Sizes are named constants
 * in the signatures. Everything secret is wiped by the function that ends its life, also on error
 * paths. Open, verify and decrypt fail one way: false, and no detail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include "base/bytes.h"

enum {
    CRYPTO_SHA256_BYTES = 32,
    CRYPTO_SHA384_BYTES = 48,
    CRYPTO_SHA512_BYTES = 64,
    CRYPTO_AEAD_KEY_BYTES = 32, /* AES-256-GCM */
    CRYPTO_AEAD_NONCE_BYTES = 12,
    CRYPTO_AEAD_TAG_BYTES = 16,
    CRYPTO_P256_POINT_BYTES = 65,   /* SEC1, uncompressed: 0x04 X Y */
    CRYPTO_P256_PRIVATE_BYTES = 32, /* big endian */
    CRYPTO_P256_SECRET_BYTES = 32,  /* the shared x coordinate */
    CRYPTO_ED25519_PUBLIC_BYTES = 32,
    CRYPTO_ED25519_SIGNATURE_BYTES = 64,
    CRYPTO_ED25519_SEED_BYTES = 32,
    CRYPTO_SIGNATURE_BYTES_MAX = 144, /* DER of ECDSA P-384 is the longest */
};

/* ---- random, comparison, hashing ---- */

/* Fills with bytes of the operating system's generator. It cannot fail: without randomness the
 * process aborts. */
void crypto_random(void *out, size_t size);
/* Constant time in the contents; different sizes are unequal at once. */
bool crypto_equal(struct bytes a, struct bytes b);

void crypto_sha256(struct bytes in, uint8_t out[static CRYPTO_SHA256_BYTES]);
void crypto_sha384(struct bytes in, uint8_t out[static CRYPTO_SHA384_BYTES]);
void crypto_sha512(struct bytes in, uint8_t out[static CRYPTO_SHA512_BYTES]);
/* SHA-256 of the concatenation. */
void crypto_sha256_parts(const struct bytes *parts, size_t count,
                         uint8_t out[static CRYPTO_SHA256_BYTES]);

/* SHA-256 of what comes in pieces. After `get` comes `begin`, for whoever hashes very much: it is
 * several times as fast as a new one. */
struct crypto_sha256;
struct crypto_sha256 *crypto_sha256_new(void); /* NULL: no memory */
void crypto_sha256_begin(struct crypto_sha256 *hash);
void crypto_sha256_add(struct crypto_sha256 *hash, struct bytes in);
void crypto_sha256_get(struct crypto_sha256 *hash, uint8_t out[static CRYPTO_SHA256_BYTES]);
void crypto_sha256_free(struct crypto_sha256 *hash);

/* ---- HKDF-SHA256 (RFC 5869) and AES-256-GCM ---- */

void crypto_hkdf_extract(struct bytes salt, struct bytes ikm,
                         uint8_t out[static CRYPTO_SHA256_BYTES]);
/* out_size at most 255 * 32, else false. */
bool crypto_hkdf_expand(struct bytes prk, struct bytes info, uint8_t *out,
                        size_t out_size) MUST_CHECK;

/* out holds plaintext.size + CRYPTO_AEAD_TAG_BYTES. False for 2 GiB and more. */
bool crypto_aead_seal(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                      const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES], struct bytes aad,
                      struct bytes plaintext, uint8_t *out) MUST_CHECK;
/* out holds ciphertext.size - CRYPTO_AEAD_TAG_BYTES, and may be ciphertext.ptr; on failure it is
 * wiped. */
bool crypto_aead_open(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                      const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES], struct bytes aad,
                      struct bytes ciphertext, uint8_t *out) MUST_CHECK;

/* The same in pieces: one after the other, then end, which alone says whether any of it is
 * authentic. Until then, and after an end that says no, what came out must not be looked at: the
 * caller wipes it. NULL: no memory, or 2 GiB of aad and more. */
struct crypto_opening;
struct crypto_opening *crypto_aead_open_begin(const uint8_t key[static CRYPTO_AEAD_KEY_BYTES],
                                              const uint8_t nonce[static CRYPTO_AEAD_NONCE_BYTES],
                                              struct bytes aad);
bool crypto_opening_add(struct crypto_opening *opening, struct bytes ciphertext,
                        uint8_t *out) MUST_CHECK;
bool crypto_opening_end(struct crypto_opening *opening,
                        const uint8_t tag[static CRYPTO_AEAD_TAG_BYTES]) MUST_CHECK;
void crypto_opening_free(struct crypto_opening *opening);

/* ---- P-256 Diffie-Hellman keys ---- */

struct crypto_p256_key; /* a private key with its public point; freed memory is wiped */

struct crypto_p256_key *crypto_p256_generate(void); /* NULL when there is no memory */
/* NULL unless 1 <= scalar < n. */
struct crypto_p256_key *
crypto_p256_from_private(const uint8_t scalar[static CRYPTO_P256_PRIVATE_BYTES]);
void crypto_p256_free(struct crypto_p256_key *key);
void crypto_p256_public(const struct crypto_p256_key *key,
                        uint8_t out[static CRYPTO_P256_POINT_BYTES]);
/* False for anything that is not a point of the curve (wrong prefix, compressed, off the curve,
 * infinity). */
bool crypto_p256_point_is_valid(const uint8_t point[static CRYPTO_P256_POINT_BYTES]) MUST_CHECK;
bool crypto_p256_ecdh(const struct crypto_p256_key *key,
                      const uint8_t peer[static CRYPTO_P256_POINT_BYTES],
                      uint8_t out[static CRYPTO_P256_SECRET_BYTES]) MUST_CHECK;

/* ---- HPKE base mode: DHKEM(P-256, HKDF-SHA256) 0x0010, HKDF-SHA256 0x0001, AES-256-GCM 0x0002
 * (RFC 9180) ---- */

enum {
    CRYPTO_HPKE_KEM = 0x0010,
    CRYPTO_HPKE_KDF = 0x0001,
    CRYPTO_HPKE_AEAD = 0x0002,
};

/* Caller's storage; secret; wipe with crypto_hpke_release. */
struct crypto_hpke {
    uint8_t key[CRYPTO_AEAD_KEY_BYTES];
    uint8_t base_nonce[CRYPTO_AEAD_NONCE_BYTES];
    uint8_t exporter_secret[CRYPTO_SHA256_BYTES];
    uint64_t sequence; /* of the next message; seal and open fail rather than wrap */
};

/* enc: the sender's ephemeral point, 65 bytes. */
bool crypto_hpke_receive(struct crypto_hpke *hpke, const struct crypto_p256_key *key,
                         const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                         struct bytes info) MUST_CHECK;
/* ephemeral NULL: a fresh one (tests hand in the vectors'). enc_out receives its point. */
bool crypto_hpke_send(struct crypto_hpke *hpke,
                      const uint8_t recipient[static CRYPTO_P256_POINT_BYTES], struct bytes info,
                      const struct crypto_p256_key *ephemeral,
                      uint8_t enc_out[static CRYPTO_P256_POINT_BYTES]) MUST_CHECK;
bool crypto_hpke_seal(struct crypto_hpke *hpke, struct bytes aad, struct bytes plaintext,
                      uint8_t *out) MUST_CHECK;
bool crypto_hpke_open(struct crypto_hpke *hpke, struct bytes aad, struct bytes ciphertext,
                      uint8_t *out) MUST_CHECK;
/* The next message in pieces: as crypto_aead_open_begin, whose end has to be told by hpke_opened if
 * it was authentic. NULL also when there can be no more messages. */
struct crypto_opening *crypto_hpke_open_begin(const struct crypto_hpke *hpke, struct bytes aad);
void crypto_hpke_opened(struct crypto_hpke *hpke);
bool crypto_hpke_export(const struct crypto_hpke *hpke, struct bytes context, uint8_t *out,
                        size_t size) MUST_CHECK;
void crypto_hpke_release(struct crypto_hpke *hpke);

/* ---- Response sealing (docs/protocol.md section 10; RFC 9458 section 4.4 with our label) ---- */

enum {
    CRYPTO_RESPONSE_NONCE_BYTES = 32,
    CRYPTO_RESPONSE_OVERHEAD_BYTES = CRYPTO_RESPONSE_NONCE_BYTES + CRYPTO_AEAD_TAG_BYTES,
};

/* Either side of an HPKE context seals or opens: out = response_nonce || AES-256-GCM(plaintext);
 * out holds plaintext.size + CRYPTO_RESPONSE_OVERHEAD_BYTES. A fresh random nonce each time. */
bool crypto_response_seal(const struct crypto_hpke *hpke,
                          const uint8_t enc[static CRYPTO_P256_POINT_BYTES], struct bytes aad,
                          struct bytes plaintext, uint8_t *out) MUST_CHECK;
bool crypto_response_open(const struct crypto_hpke *hpke,
                          const uint8_t enc[static CRYPTO_P256_POINT_BYTES], struct bytes aad,
                          struct bytes sealed, uint8_t *out) MUST_CHECK;

/* ---- Signatures ---- */

enum crypto_signature_algorithm {
    CRYPTO_ED25519,
    CRYPTO_ECDSA_P256_SHA256,
    CRYPTO_ECDSA_P384_SHA384,
    /* For certificates only (attest): generate, save, load and native; sign and public refuse it.
     */
    CRYPTO_RSA_4096
};

struct crypto_signer; /* a private signing key; thread-safe to use, wiped when freed */

struct crypto_signer *crypto_signer_generate(enum crypto_signature_algorithm algorithm);
/* PKCS#8 PEM, unencrypted. Load fails with FORMAT or IO, and refuses (FORBIDDEN) a file that its
 * group may write or that others may read or write. Save is file_create (base/file.h): whole,
 * durable, 0600, and never in the place of another. */
bool crypto_signer_load(const char *path, struct crypto_signer **out, struct err *err) MUST_CHECK;
bool crypto_signer_save(const struct crypto_signer *signer, const char *path,
                        struct err *err) MUST_CHECK;
/* An Ed25519 key as its seed (RFC 8032 section 5.1.5), which is secret; the other way, NULL: no
 * memory. */
void crypto_signer_seed(const struct crypto_signer *signer,
                        uint8_t out[static CRYPTO_ED25519_SEED_BYTES]);
struct crypto_signer *crypto_signer_from_seed(const uint8_t seed[static CRYPTO_ED25519_SEED_BYTES]);
enum crypto_signature_algorithm crypto_signer_algorithm(const struct crypto_signer *signer);
/* Ed25519: 32 raw bytes. ECDSA: SEC1 uncompressed point. Returns the size; out holds at least 97.
 */
size_t crypto_signer_public(const struct crypto_signer *signer, uint8_t *out);
/* Ed25519: 64 raw bytes. ECDSA: DER. *signature_size is set. */
bool crypto_signer_sign(const struct crypto_signer *signer, struct bytes message,
                        uint8_t signature[static CRYPTO_SIGNATURE_BYTES_MAX],
                        size_t *signature_size) MUST_CHECK;
/* ECDSA: R || S, fixed width (IEEE P1363), 64 or 96 bytes; other algorithms are refused. */
bool crypto_signer_sign_p1363(const struct crypto_signer *signer, struct bytes message,
                              uint8_t signature[static CRYPTO_SIGNATURE_BYTES_MAX],
                              size_t *signature_size) MUST_CHECK;
void crypto_signer_free(struct crypto_signer *signer);
/* The EVP_PKEY inside, for building certificates in attest (as void * so that EVP stays out of this
 * header). Borrowed. */
void *crypto_signer_native(const struct crypto_signer *signer);
/* An EVP_MD_CTX for X509_sign_ctx, with the algorithm's digest; RSA signs as AMD does: PSS,
 * SHA-384, salt of 48 bytes. NULL when there is no memory. */
void *crypto_signer_native_context(const struct crypto_signer *signer);
void crypto_signer_native_context_free(void *context);

/* public_key as crypto_signer_public writes it. ECDSA signatures are DER. */
bool crypto_verify(enum crypto_signature_algorithm algorithm, struct bytes public_key,
                   struct bytes message, struct bytes signature) MUST_CHECK;
/* ECDSA signature as R || S, fixed width (IEEE P1363). */
bool crypto_verify_p1363(enum crypto_signature_algorithm algorithm, struct bytes public_key,
                         struct bytes message, struct bytes signature) MUST_CHECK;

/* ---- Commitments (docs/protocol.md section 10) ---- */

/* SHA-256("wasm-hypervisor/1 request commitment" || 0x00 || header_hash || SHA-256(encrypted_wasm)
 * || SHA-256(encrypted_arguments, empty if absent) || enc). */
void crypto_request_commitment(const uint8_t header_hash[static CRYPTO_SHA256_BYTES],
                               struct bytes encrypted_wasm, struct bytes encrypted_arguments,
                               const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                               uint8_t out[static CRYPTO_SHA256_BYTES]);
/* The same where the SHA-256 of both is known. */
void crypto_request_commitment_of(const uint8_t header_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t wasm_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t arguments_hash[static CRYPTO_SHA256_BYTES],
                                  const uint8_t enc[static CRYPTO_P256_POINT_BYTES],
                                  uint8_t out[static CRYPTO_SHA256_BYTES]);

/* ---- What both sides of an execution compute from the same request (protocol.c; docs/protocol.md
 * section 10) ---- */

struct json_t;

/* HPKE `info` = "wasm-hypervisor/1 request" || 0x00 || request_id || kem || kdf || aead (2 bytes
 * each, big endian) || salt. */
enum { CRYPTO_REQUEST_INFO_BYTES = 25 + 1 + 16 + 6 + 32, CRYPTO_REQUEST_SALT_BYTES = 32 };
void crypto_request_info(const uint8_t request_id[static 16],
                         const uint8_t salt[static CRYPTO_REQUEST_SALT_BYTES],
                         uint8_t out[static CRYPTO_REQUEST_INFO_BYTES]);
/* SHA-256 of the canonical header: the JCS form of the members `arguments`, `function_name`,
 * `gas_limit`, `memory_limit_bytes`, `mode`, `request_id`, `result_type`, `timeout_seconds` of the
 * request body, as sent; absent ones stay absent. Fails with MALFORMED_REQUEST (not an object, or a
 * number without canonical form), LIMIT or NO_MEMORY. */
bool crypto_request_header_hash(const struct json_t *body, uint8_t out[static CRYPTO_SHA256_BYTES],
                                struct err *err) MUST_CHECK;
/* HPKE message labels: what Export is called with. */
#define CRYPTO_RESPONSE_LABEL "wasm-hypervisor/1 response"

#endif
