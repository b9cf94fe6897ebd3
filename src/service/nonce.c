/* nonce.c: what a client sends to see it signed, or in a report: so it was made for this client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <assert.h>
#include <string.h>

static_assert((int)NONCE_BYTES_MAX == (int)ATTEST_NONCE_BYTES_MAX, "one limit for all nonces");

bool nonce_of_body(struct api_call *call, size_t bytes_min, struct nonce *out, struct err *err)
{
    static const char *const known[] = {"nonce", NULL};
    struct arena *arena = &call->exchange->arena;
    struct bytes body = call->exchange->request.body;
    json_t *object = NULL;
    *out = (struct nonce){.text = NULL};
    if (body.size == 0) {
        return true;
    }
    if (!json_text_parse(body, &object, err)) {
        return false;
    }
    bool ok = json_is_object(object) ||
              err_set(err, ERR_MALFORMED_REQUEST, "the body must be a JSON object");
    ok = ok && execute_request_no_others(object, known, err) &&
         execute_request_base64(object, "nonce", bytes_min, NONCE_BYTES_MAX, ERR_INVALID_ARGUMENTS,
                                arena, &out->bytes, err);
    const json_t *text = ok ? json_object_get(object, "nonce") : NULL;
    if (text != NULL) {
        out->text = arena_strdup(arena, json_string_value(text));
        ok = out->text != NULL || err_set(err, ERR_NO_MEMORY, "no memory for nonce");
    }
    json_decref(object);
    return ok;
}

bool nonce_of_query(struct api_call *call, const char **text, struct err *err)
{
    bool duplicate = false;
    uint8_t decoded[NONCE_BYTES_MAX + 2];
    size_t size = 0;
    *text = message_request_query(&call->exchange->request, "nonce", &call->exchange->arena,
                                  &duplicate);
    bool ok = *text == NULL || (!duplicate && strlen(*text) / 4 * 3 <= sizeof(decoded) &&
                                text_base64_decode(*text, strlen(*text), decoded, &size) &&
                                size >= NONCE_BYTES_MIN && size <= NONCE_BYTES_MAX);
    return ok || err_set(err, ERR_INVALID_ARGUMENTS,
                         "nonce must be base64 (percent-encoded) of %d to %d bytes",
                         NONCE_BYTES_MIN, NONCE_BYTES_MAX);
}
