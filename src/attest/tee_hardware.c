/* tee_hardware.c: choosing the hardware's interface, and what every report of it must show.
 *
 * The kernel's drivers have answered with reports of zeros, and with those of somebody else's data:
 * so both are looked at here, before anything is signed under such a report. Whether it verifies is
 * the epoch's question.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/tee_hardware.h"

#include "attest/certificate_table.h"
#include "attest/chain.h"

#include <string.h>

/* The host's table, and if it has no leaf, what the node's operator has put in its place. */
static bool chain_append_whole(struct bytes table, struct bytes own, struct buffer *certificates,
                               struct err *err)
{
    struct buffer given;
    struct bytes split[CHAIN_CERTIFICATES_MAX], chain[3];
    size_t count = 0;
    buffer_init(&given, ATTEST_CERTIFICATES_BYTES_MAX + 4 * CHAIN_CERTIFICATES_MAX);
    bool ok = (certificate_table_read(table, &given) && !given.failed &&
               chain_split(buffer_bytes(&given), split, &count)) ||
              err_set(err, ERR_FORMAT, "the host's certificate table is malformed");
    ok = ok && (chain_complete(split, count, chain) ||
                (chain_split(own, split, &count) && chain_complete(split, count, chain)) ||
                err_set(err, ERR_FORMAT,
                        "the host gives no certificate of this processor (VCEK or VLEK): have its "
                        "operator put it into the host's certificate table, or name its file in "
                        "tee_certificates"));
    for (size_t i = 0; ok && i < 3; i++) {
        chain_append(certificates, chain[i]);
    }
    buffer_release(&given);
    return ok &&
           (!certificates->failed || err_set(err, ERR_LIMIT, "the certificates are too large"));
}

bool tee_hardware_read(const uint8_t user_data[static ATTEST_USER_DATA_BYTES], struct bytes report,
                       struct report *out, struct err *err)
{
    if (report.size != ATTEST_REPORT_BYTES) {
        return err_set(err, ERR_FORMAT, "the firmware's report has %zu bytes, not %d", report.size,
                       ATTEST_REPORT_BYTES);
    }
    report_parse(report.ptr, out);
    if (out->version == 0) {
        return err_set(err, ERR_TAMPERED, "the firmware's report is empty");
    }
    return memcmp(out->report_data, user_data, sizeof out->report_data) == 0 ||
           err_set(err, ERR_TAMPERED, "the firmware's report is about other data than asked for");
}

bool tee_hardware_accept(const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                         struct bytes report, struct bytes table, struct bytes own, uint8_t *out,
                         struct buffer *certificates, struct err *err)
{
    struct report fields;
    if (!tee_hardware_read(user_data, report, &fields, err) ||
        !chain_append_whole(table, own, certificates, err)) {
        return false;
    }
    memcpy(out, report.ptr, ATTEST_REPORT_BYTES);
    return true;
}

bool tee_hardware_new(enum tee_interface interface, struct bytes certificates, struct tee *out,
                      struct err *err)
{
    struct err ignored;
    switch (interface) {
    case TEE_CONFIGFS:
        return tee_configfs_new(certificates, out, err);
    case TEE_SEV_GUEST:
        return tee_sev_guest_new(certificates, out, err);
    case TEE_ANY:
        break;
    }
    if (!tee_configfs_new(certificates, out, &ignored) &&
        !tee_sev_guest_new(certificates, out, &ignored)) {
        tee_none_new(out);
    }
    return true;
}
