/* sign.h: a signer from inside, for sign.c and sign_file.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include "crypto/native.h"

struct crypto_signer {
    enum crypto_signature_algorithm algorithm;
    EVP_PKEY *native;
    /* Copied for each signature and never changed after it is made, so threads share it. NULL: it
     * signs no messages. */
    EVP_MD_CTX *prepared;
};

/* Takes over `native`, which may be NULL; NULL when it is none of our algorithms. */
struct crypto_signer *crypto_signer_of(EVP_PKEY *native);

#endif
