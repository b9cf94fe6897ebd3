/* simulated_make.h: a certificate chain for a simulated VCEK.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_SIMULATED_MAKE_H
#define ATTEST_SIMULATED_MAKE_H

#include "attest/simulated_files.h"

/* Appends leaf, intermediate and root (chain.h) for the leaf's key. Takes seconds. */
bool simulated_make(const struct crypto_signer *leaf, int64_t now_ms, struct buffer *chain,
                    struct err *err) MUST_CHECK;

#endif
