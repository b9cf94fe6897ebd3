/* witness.c: the node as a witness of other logs: POST /v1/witness/add-checkpoint and what was
 * cosigned last, exactly as c2sp.org/tlog-witness says. What a witness remembers and decides is
 * audit's.
 *
 * Public: who asks is known by the signature on the checkpoint, and only a log that is in the
 * settings makes the node write anything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum { ORIGIN_HASH_CHARS = 2 * CRYPTO_SHA256_BYTES, WITNESS_ANSWER_BYTES_MAX = 1024 };

static bool is_enabled(const struct service *service, struct err *err)
{
    return service->parts.witness != NULL || err_set(err, ERR_NOT_FOUND, "this node is no witness");
}

/* A log that wants two histories cosigned is worth a line. */
static void tell_refusal(enum audit_witness_answer answer,
                         const struct audit_checkpoint *checkpoint, const struct err *err)
{
    char root[2 * AUDIT_HASH_BYTES + 1];
    text_hex_encode(bytes_of(checkpoint->root, AUDIT_HASH_BYTES), root);
    log_event(answer == AUDIT_WITNESS_UNPROVEN ? LOG_WARN : LOG_DEBUG, "not_cosigned",
              LOG_FIELDS(log_text("origin", checkpoint->origin),
                         log_number("size", checkpoint->size), log_text("root", root)),
              "%s", err->message);
}

static void answer_outcome(struct api_call *call, enum audit_witness_answer answer,
                           struct bytes text, const struct err *err)
{
    switch (answer) {
    case AUDIT_WITNESS_COSIGNED:
        api_answer_text(call, 200, "text/plain; charset=utf-8", text);
        return;
    case AUDIT_WITNESS_CONFLICT:
        api_answer_text(call, 409, "text/x.tlog.size", text);
        return;
    case AUDIT_WITNESS_UNPROVEN:
        api_answer_err_as(call, err, 422);
        return;
    case AUDIT_WITNESS_MALFORMED:
    case AUDIT_WITNESS_UNTRUSTED:
    case AUDIT_WITNESS_UNKNOWN_LOG:
    case AUDIT_WITNESS_FAILED:
        api_answer_err(call, err, NULL);
        return;
    }
}

void witness_add(struct api_call *call)
{
    struct service *service = call->service;
    struct audit_checkpoint checkpoint;
    struct buffer out;
    struct err err;
    if (!is_enabled(service, &err)) {
        api_answer_err(call, &err, NULL);
        return;
    }
    buffer_init(&out, WITNESS_ANSWER_BYTES_MAX);
    enum audit_witness_answer answer = audit_witness_add(
        service->parts.witness, call->exchange->request.body, &checkpoint, &out, &err);
    bool is_cosigned = answer == AUDIT_WITNESS_COSIGNED;
    metric_add(is_cosigned ? service->metrics.cosigned : service->metrics.cosign_refused, 1);
    if (!is_cosigned) {
        tell_refusal(answer, &checkpoint, &err);
    }
    answer_outcome(call, answer, buffer_bytes(&out), &err);
    buffer_release(&out);
}

/* "<64 hex digits>/checkpoint" */
static bool latest_read(const struct api_call *call, struct buffer *out)
{
    char hash[ORIGIN_HASH_CHARS + 1];
    size_t size = strcspn(call->parameter, "/");
    if (size != ORIGIN_HASH_CHARS || strcmp(call->parameter + size, "/checkpoint") != 0) {
        return false;
    }
    memcpy(hash, call->parameter, ORIGIN_HASH_CHARS);
    hash[ORIGIN_HASH_CHARS] = '\0';
    return audit_witness_latest(call->service->parts.witness, hash, out);
}

void witness_show(struct api_call *call)
{
    struct buffer note;
    struct err err;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!is_enabled(call->service, &err)) {
        api_answer_err(call, &err, NULL);
    } else if (!latest_read(call, &note)) {
        (void)err_set(&err, ERR_NOT_FOUND, "this witness has cosigned nothing of that log");
        api_answer_err(call, &err, NULL);
    } else {
        api_answer_text(call, 200, "text/plain; charset=utf-8", buffer_bytes(&note));
    }
    buffer_release(&note);
}
