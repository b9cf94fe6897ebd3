/* tee_hardware.h: what both providers of real hardware share: the paths that they use, and what has
 * to be true of every report before it is handed on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_TEE_HARDWARE_H
#define ATTEST_TEE_HARDWARE_H

#include "attest/report.h"

#define TEE_CONFIGFS_ROOT "/sys/kernel/config/tsm/report"
#define TEE_SEV_GUEST_DEVICE "/dev/sev-guest"

/* Takes a report that is one and echoes `user_data`. Fails with TAMPERED or FORMAT. */
bool tee_hardware_read(const uint8_t user_data[static ATTEST_USER_DATA_BYTES], struct bytes report,
                       struct report *out, struct err *err) MUST_CHECK;
/* Accepts what the kernel gave: a report that is one and echoes `user_data`, and the host's
 * certificate table, of which the whole chain is appended; of `own` (chain.h), if the table has no
 * leaf. Fails with TAMPERED or FORMAT. */
bool tee_hardware_accept(const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                         struct bytes report, struct bytes table, struct bytes own, uint8_t *out,
                         struct buffer *certificates, struct err *err) MUST_CHECK;

/* `own` is kept. */
bool tee_configfs_new(struct bytes own, struct tee *out, struct err *err) MUST_CHECK;
bool tee_sev_guest_new(struct bytes own, struct tee *out, struct err *err) MUST_CHECK;

#endif
