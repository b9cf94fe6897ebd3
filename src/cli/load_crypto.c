/* load_crypto.c: what the cryptography of one execution costs and nothing else: the same
 * operations as the node's, on the same sizes, one after the other in one thread.
 *
 * It is the yardstick for the node's processor time per execution, taken in the same run on the
 * same machine. Which operations: src/service/keys.c, execute.c, result.c, receipt.c, and
 * src/audit/log.c for the log's part.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <string.h>
#include <time.h>

enum {
    BATCH = 64,
    HEADER_BYTES = 200,  /* of the canonical header */
    BINDING_BYTES = 460, /* signed payloads, as they are on the wire */
    RECEIPT_BYTES = 560,
    NOTE_BYTES = 120,
    LEAF_BYTES = 420,
    API_KEY_BYTES = 63,
    OUTPUTS_BYTES = 48,
};

struct bench {
    struct crypto_p256_key *key;
    struct crypto_signer *signer;
    struct crypto_hpke hpke;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES];
    size_t module_bytes, result_bytes;
    uint8_t *module, *sealed, *result, *answer;
    uint8_t text[1024]; /* whatever is hashed or signed */
    uint8_t note[NOTE_BYTES], note_signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t note_signature_size;
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_BYTES];
    bool failed;
};

static void check(struct bench *bench, bool ok)
{
    bench->failed = bench->failed || !ok;
}

static void sha256(struct bench *bench, size_t size)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of(bench->text, size), hash);
    bench->text[0] ^= hash[0];
}

static void sign(struct bench *bench, size_t size)
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t signature_size = 0;
    check(bench, crypto_signer_sign(bench->signer, bytes_of(bench->text, size), signature,
                                    &signature_size));
}

static void op_api_key(struct bench *bench)
{
    sha256(bench, API_KEY_BYTES);
}

/* The request id, its salt, the result's blind. */
static void op_random(struct bench *bench)
{
    crypto_random(bench->text, 16);
    crypto_random(bench->text, CRYPTO_REQUEST_SALT_BYTES);
    crypto_random(bench->text, 32);
}

static void op_generate(struct bench *bench)
{
    struct crypto_p256_key *key = crypto_p256_generate();
    check(bench, key != NULL);
    crypto_p256_free(key);
}

static void op_sign_binding(struct bench *bench)
{
    sign(bench, BINDING_BYTES);
}

static void op_commit_request(struct bench *bench)
{
    uint8_t out[CRYPTO_SHA256_BYTES];
    sha256(bench, HEADER_BYTES);
    crypto_request_commitment(bench->text,
                              bytes_of(bench->sealed, bench->module_bytes + CRYPTO_AEAD_TAG_BYTES),
                              bytes_of(NULL, 0), bench->enc, out);
}

static void op_receive(struct bench *bench)
{
    struct crypto_hpke hpke;
    check(bench, crypto_hpke_receive(&hpke, bench->key, bench->enc,
                                     bytes_of(bench->info, sizeof bench->info)));
    crypto_hpke_release(&hpke);
}

static void op_open(struct bench *bench)
{
    struct crypto_hpke hpke = bench->hpke;
    check(bench,
          crypto_hpke_open(&hpke, bytes_of(bench->info, CRYPTO_SHA256_BYTES),
                           bytes_of(bench->sealed, bench->module_bytes + CRYPTO_AEAD_TAG_BYTES),
                           bench->module));
}

static void op_hash_program(struct bench *bench)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of(bench->module, bench->module_bytes), hash);
}

static void op_commit_result(struct bench *bench)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    sha256(bench, OUTPUTS_BYTES);
    crypto_sha256(bytes_of(bench->result, bench->result_bytes), hash);
}

static void op_seal(struct bench *bench)
{
    check(bench,
          crypto_response_seal(&bench->hpke, bench->enc, bytes_of(bench->info, CRYPTO_SHA256_BYTES),
                               bytes_of(bench->result, bench->result_bytes), bench->answer));
}

static void op_leaf(struct bench *bench)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    audit_leaf_hash(bytes_of(bench->text, LEAF_BYTES), hash);
    audit_node_hash(hash, hash, bench->text);
}

static void op_sign_receipt(struct bench *bench)
{
    sign(bench, RECEIPT_BYTES);
}

static void op_sign_checkpoint(struct bench *bench)
{
    sign(bench, NOTE_BYTES);
}

/* The log publishes no signature that it has not verified. */
static void op_verify_checkpoint(struct bench *bench)
{
    check(bench,
          crypto_verify(CRYPTO_ED25519, bytes_of(bench->public_key, sizeof bench->public_key),
                        bytes_of(bench->note, sizeof bench->note),
                        bytes_of(bench->note_signature, bench->note_signature_size)));
}

static const struct {
    const char *name;
    void (*run)(struct bench *bench);
    double count; /* 0: as many as checkpoints were signed */
} operations[] = {
    {"API key hash", op_api_key, 2},
    {"random id, salt, blind", op_random, 1},
    {"P-256 key pair", op_generate, 1},
    {"Ed25519 signature of the key", op_sign_binding, 1},
    {"request commitment", op_commit_request, 1},
    {"ECDH and HKDF", op_receive, 1},
    {"AES-256-GCM opening", op_open, 1},
    {"program hash", op_hash_program, 1},
    {"output and result hashes", op_commit_result, 1},
    {"response sealing", op_seal, 1},
    {"log leaf and node hash", op_leaf, 2},
    {"Ed25519 signature of the receipt", op_sign_receipt, 1},
    {"Ed25519 signature of a checkpoint", op_sign_checkpoint, 0},
    {"the log's check of that signature", op_verify_checkpoint, 0},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };
static_assert((int)OPERATIONS <= (int)LOAD_CRYPTO_OPERATIONS_MAX, "every operation has a row");

static double thread_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The middle of some batches: what interrupts a batch does not count. */
static double operation_us(struct bench *bench, void (*run)(struct bench *bench))
{
    enum { BATCHES = 15 };
    double us[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        double begin = thread_us();
        for (int j = 0; j < BATCH; j++) {
            run(bench);
        }
        double taken = (thread_us() - begin) / (double)BATCH;
        int at = i;
        for (; at > 0 && us[at - 1] > taken; at--) {
            us[at] = us[at - 1];
        }
        us[at] = taken;
    }
    return us[BATCHES / 2];
}

static bool bench_open(struct bench *bench, struct err *err)
{
    uint8_t recipient[CRYPTO_P256_POINT_BYTES];
    bench->key = crypto_p256_generate();
    bench->signer = crypto_signer_generate(CRYPTO_ED25519);
    bench->module = heap_alloc(bench->module_bytes + 1);
    bench->sealed = heap_alloc(bench->module_bytes + CRYPTO_AEAD_TAG_BYTES);
    bench->result = heap_alloc(bench->result_bytes + 1);
    bench->answer = heap_alloc(bench->result_bytes + CRYPTO_RESPONSE_OVERHEAD_BYTES);
    bool ok = bench->key != NULL && bench->signer != NULL && bench->module != NULL &&
              bench->sealed != NULL && bench->result != NULL && bench->answer != NULL;
    if (!ok) {
        return err_set(err, ERR_NO_MEMORY, "no memory for measuring cryptography");
    }
    crypto_random(bench->info, sizeof bench->info);
    crypto_p256_public(bench->key, recipient);
    struct crypto_hpke sender;
    ok = crypto_hpke_send(&sender, recipient, bytes_of(bench->info, sizeof bench->info), NULL,
                          bench->enc) &&
         crypto_hpke_seal(&sender, bytes_of(bench->info, CRYPTO_SHA256_BYTES),
                          bytes_of(bench->module, bench->module_bytes), bench->sealed) &&
         crypto_hpke_receive(&bench->hpke, bench->key, bench->enc,
                             bytes_of(bench->info, sizeof bench->info));
    crypto_hpke_release(&sender);
    if (ok) {
        (void)crypto_signer_public(bench->signer, bench->public_key);
        ok = crypto_signer_sign(bench->signer, bytes_of(bench->note, sizeof bench->note),
                                bench->note_signature, &bench->note_signature_size);
    }
    return ok || err_set(err, ERR_CRYPTO, "cryptography cannot be measured");
}

static void bench_release(struct bench *bench)
{
    crypto_hpke_release(&bench->hpke);
    crypto_p256_free(bench->key);
    crypto_signer_free(bench->signer);
    heap_free(bench->module);
    heap_free(bench->sealed);
    heap_free(bench->result);
    heap_free(bench->answer);
}

bool load_crypto_measure(size_t module_bytes, size_t result_bytes, double checkpoints,
                         struct load_crypto *out, struct err *err)
{
    struct bench bench = {.module_bytes = module_bytes, .result_bytes = result_bytes};
    bool ok = bench_open(&bench, err);
    *out = (struct load_crypto){0};
    for (size_t i = 0; ok && i < OPERATIONS; i++) {
        double count = operations[i].count > 0 ? operations[i].count : checkpoints;
        double us = operation_us(&bench, operations[i].run);
        out->rows[out->count++] = (struct load_crypto_row){operations[i].name, us, count};
        out->total_us += us * count;
    }
    ok = ok && (!bench.failed || err_set(err, ERR_CRYPTO, "a cryptographic operation failed"));
    bench_release(&bench);
    return ok;
}
