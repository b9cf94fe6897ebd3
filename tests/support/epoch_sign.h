/* epoch_sign.h: objects that an epoch signs, for tests that play a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_EPOCH_SIGN_H
#define SUPPORT_EPOCH_SIGN_H

#include "attest/attest.h"
#include "base/json.h"

/* What attest_epoch_sign_text makes of the object's canonical form, parsed; NULL if it has none. */
static inline json_t *epoch_sign(const struct attest_epoch *epoch, const json_t *object)
{
    struct err err;
    struct buffer payload, text;
    json_t *out = NULL;
    buffer_init(&payload, 65536);
    buffer_init(&text, 4 * 65536);
    bool ok = json_canonical(object, &payload, &err) &&
              attest_epoch_sign_text(epoch, buffer_bytes(&payload), &text) &&
              json_text_parse(buffer_bytes(&text), &out, &err);
    buffer_release(&payload);
    buffer_release(&text);
    return ok ? out : NULL;
}

#endif
