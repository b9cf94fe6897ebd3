/* simulated_files.h: the simulated signer's key and certificates, and the directory that keeps
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_SIMULATED_FILES_H
#define ATTEST_SIMULATED_FILES_H

#include "attest/report.h"

/* The firmware that the simulated processor, a Genoa, claims to run: bytes as in a report's TCB. */
#define SIMULATED_TCB UINT64_C(0x5417000000000A04)
#define SIMULATED_PRODUCT "Genoa"
enum { SIMULATED_CPU_FAMILY = 0x19, SIMULATED_CPU_MODEL = 0x11, SIMULATED_CPU_STEPPING = 1 };

struct simulated_files {
    struct crypto_signer *key;  /* of the VCEK */
    struct buffer certificates; /* chain.h: VCEK, ASK, ARK */
    uint8_t chip_id[64];        /* from the VCEK */
};

/* Loads what is in the directory, or makes it; an exclusive lock makes two processes take turns.
 * What is loaded is parsed, not verified. */
bool simulated_files_open(struct simulated_files *files, const char *directory, int64_t now_ms,
                          struct err *err) MUST_CHECK;
/* What the simulated processor derives keys from; made on first use. Secret. */
enum { SIMULATED_SECRET_BYTES = 32 };
bool simulated_secret_open(const char *directory, uint8_t out[static SIMULATED_SECRET_BYTES],
                           struct err *err) MUST_CHECK;
void simulated_files_release(struct simulated_files *files);

#endif
