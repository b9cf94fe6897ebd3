/* bench_crypto.c: what the cryptography of one execution costs a node, and its parts. What an
 * execution costs beyond the sum is ours to lower.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BENCH_MODULE_BYTES = 4096, BENCH_RESULT_BYTES = 600 };

struct bench_crypto {
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES];
    uint8_t module[BENCH_MODULE_BYTES];
    uint8_t sealed[BENCH_MODULE_BYTES + CRYPTO_AEAD_TAG_BYTES];
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    struct crypto_p256_key *key;
    struct crypto_signer *signer;
};

static void check(bool ok)
{
    if (!ok) {
        fprintf(stderr, "bench_crypto: an operation failed\n");
        exit(1);
    }
}

static void generate(void *context)
{
    (void)context;
    struct crypto_p256_key *key = crypto_p256_generate();
    check(key != NULL);
    crypto_p256_free(key);
}

/* Open the request, seal the answer. */
static void open_and_seal(void *context)
{
    struct bench_crypto *bench = context;
    struct crypto_hpke hpke;
    uint8_t plain[BENCH_MODULE_BYTES];
    uint8_t answer[BENCH_RESULT_BYTES + CRYPTO_RESPONSE_OVERHEAD_BYTES];
    struct bytes aad = bytes_of(bench->info, CRYPTO_SHA256_BYTES);
    check(crypto_hpke_receive(&hpke, bench->key, bench->enc,
                              bytes_of(bench->info, sizeof(bench->info))));
    check(crypto_hpke_open(&hpke, aad, bytes_of(bench->sealed, sizeof(bench->sealed)), plain));
    check(
        crypto_response_seal(&hpke, bench->enc, aad, bytes_of(plain, BENCH_RESULT_BYTES), answer));
    crypto_hpke_release(&hpke);
}

static void sign(void *context)
{
    struct bench_crypto *bench = context;
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size;
    check(crypto_signer_sign(bench->signer, bytes_of(bench->module, BENCH_RESULT_BYTES), signature,
                             &size));
}

int main(void)
{
    struct bench_crypto bench = {0};
    uint8_t recipient[CRYPTO_P256_POINT_BYTES];
    struct crypto_hpke client;
    bench.key = crypto_p256_generate();
    bench.signer = crypto_signer_generate(CRYPTO_ED25519);
    check(bench.key != NULL && bench.signer != NULL);
    crypto_random(bench.info, sizeof(bench.info));
    crypto_p256_public(bench.key, recipient);
    check(crypto_hpke_send(&client, recipient, bytes_of(bench.info, sizeof(bench.info)), NULL,
                           bench.enc));
    check(crypto_hpke_seal(&client, bytes_of(bench.info, CRYPTO_SHA256_BYTES),
                           bytes_of(bench.module, sizeof(bench.module)), bench.sealed));
    crypto_hpke_release(&client);

    double parts[] = {bench_median_ns(generate, NULL) / 1e3,
                      bench_median_ns(open_and_seal, &bench) / 1e3,
                      bench_median_ns(sign, &bench) / 1e3};
    bench_print("crypto.p256_generate", parts[0], "us");
    bench_print("crypto.hpke_open_and_response_seal", parts[1], "us");
    bench_print("crypto.ed25519_sign", parts[2], "us");
    /* A key, its binding's signature, the request, the answer, the receipt's signature. */
    bench_print("crypto.execution", parts[0] + parts[1] + 2 * parts[2], "us");
    crypto_p256_free(bench.key);
    crypto_signer_free(bench.signer);
    return 0;
}
