/* commit.c: an execution's two leaves. ADMIT is durable before anything is decrypted, RESULT before
 * anything is answered; a failed execution has a RESULT like a successful one.
 *
 * The callbacks come on the log's writer thread and do nothing but hand the session on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"

#include <string.h>

static json_t *hash_text(const uint8_t hash[static CRYPTO_SHA256_BYTES])
{
    char text[2 * CRYPTO_SHA256_BYTES + 1];
    text_hex_encode(bytes_of(hash, CRYPTO_SHA256_BYTES), text);
    return json_string(text);
}

/* ---- ADMIT ---- */

static void commit_unadmitted_job(void *context)
{
    struct err err;
    (void)err_set(&err, ERR_CLOSED, "the audit log has failed: the request has not been run");
    answer_unadmitted(context, &err);
}

static void commit_admit_cb(void *context, const struct audit_commit *commit)
{
    struct session *session = context;
    struct service *service = session->service;
    if (!commit->ok) {
        atomic_store(&service->log_is_dead, true);
        session->job = (struct scheduler_job){.run = commit_unadmitted_job, .context = session};
        scheduler_post(service->scheduler, &session->job);
        return;
    }
    session_table_admitted(service->sessions, session, commit->index);
    if (session->outlives_client) {
        accept_session(session);
    } else {
        scheduler_add(service->scheduler, &session->run);
    }
}

bool commit_admit(struct session *session, struct err *err)
{
    json_t *fields = json_pack("{s:s, s:o}", "request_id", session->request.request_id_text,
                               "request_commitment", hash_text(session->request.commitment));
    bool ok = fields != NULL ? audit_log_submit(session->service->parts.log, AUDIT_ADMIT, fields,
                                                commit_admit_cb, session, err)
                             : err_set(err, ERR_NO_MEMORY, "no memory for a leaf");
    json_decref(fields);
    return ok;
}

/* ---- RESULT ---- */

static void commit_answer_job(void *context)
{
    answer_finish(context);
}

static char *text_copy(struct bytes text)
{
    struct buffer copy;
    size_t size = 0;
    buffer_init(&copy, text.size + 1);
    buffer_append_bytes(&copy, text);
    return (char *)buffer_detach(&copy, &size);
}

static void commit_result_cb(void *context, const struct audit_commit *commit)
{
    struct session *session = context;
    struct session_record *record = &session->record;
    if (commit->ok) {
        record->result_index = commit->index;
        record->time_ms = commit->time_ms;
        memcpy(record->leaf_hash, commit->leaf_hash, sizeof(record->leaf_hash));
        record->leaf = text_copy(commit->leaf);
        record->tlog_proof = text_copy(commit->tlog_proof);
        record->is_committed = record->leaf != NULL && record->tlog_proof != NULL;
    } else {
        atomic_store(&session->service->log_is_dead, true);
    }
    session->job = (struct scheduler_job){.run = commit_answer_job, .context = session};
    scheduler_post(session->service->scheduler, &session->job);
}

static json_t *result_fields(const struct session *session)
{
    const struct session_outcome *outcome = &session->outcome;
    json_t *fields = json_pack(
        "{s:I, s:s, s:o, s:o, s:s, s:I, s:i}", "admit", (json_int_t)session->record.admit_index,
        "request_id", session->request.request_id_text, "request_commitment",
        hash_text(session->request.commitment), "result_commitment",
        hash_text(session->result_commitment), "status", result_status(session), "gas_consumed",
        (json_int_t)outcome->gas_consumed, "gas_schedule", VM_GAS_SCHEDULE);
    if (fields != NULL && outcome->err.code != ERR_NONE &&
        json_object_set_new(fields, "error_code", json_string(err_code_name(outcome->err.code))) !=
            0) {
        json_decref(fields);
        return NULL;
    }
    return fields;
}

void commit_result(struct session *session)
{
    struct err err;
    json_t *fields = result_fields(session);
    bool ok = fields != NULL ? audit_log_submit(session->service->parts.log, AUDIT_RESULT, fields,
                                                commit_result_cb, session, &err)
                             : err_set(&err, ERR_NO_MEMORY, "no memory for a leaf");
    json_decref(fields);
    if (ok) {
        return; /* the session is the log's now */
    }
    log_write(LOG_ERROR, "result_not_committed", session->request.request_id_text, "%s",
              err.message);
    answer_finish(session);
}
