/* tee_none.c: the provider of a node without trusted hardware, which says so instead of pretending.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    (void)context;
    (void)user_data;
    (void)out;
    (void)certificates;
    return err_set(err, ERR_CONFIG, "the provider \"none\" makes no reports");
}

static bool derived_key(void *context, uint64_t fields, struct tee_derived *out, struct err *err)
{
    (void)context;
    (void)fields;
    (void)out;
    return err_set(err, ERR_CONFIG, "the provider \"none\" derives no keys");
}

static void release(void *context)
{
    (void)context;
}

void tee_none_new(struct tee *out)
{
    *out = (struct tee){.name = "none",
                        .report = report,
                        .derived_key = derived_key,
                        .free = release,
                        .context = NULL};
}
