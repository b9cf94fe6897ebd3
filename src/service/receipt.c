/* receipt.c: the node's signed word on one execution (docs/protocol.md section 7).
 *
 * It is signed by the epoch that vouched for the request's key, so the evidence that the client
 * has is the one it needs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

enum { RECEIPT_BYTES_MAX = 4096 };

/* Canonical: the names are in order. */
static void receipt_put(const struct session *session, struct buffer *out)
{
    char completed_at[CLOCK_RFC3339_CHARS + 1];
    const struct execute_request *request = &session->request;
    const struct session_outcome *outcome = &session->outcome;
    clock_rfc3339_encode(session->record.time_ms, completed_at);
    json_put_open(out);
    json_put_string(out, "completed_at", completed_at);
    json_put_string(out, "domain", "wasm-hypervisor/1 receipt");
    if (outcome->err.code != ERR_NONE) {
        json_put_string(out, "error_code", err_code_name(outcome->err.code));
    }
    json_put_integer(out, "gas_consumed", (int64_t)outcome->gas_consumed);
    json_put_integer(out, "gas_schedule", VM_GAS_SCHEDULE);
    json_put_integer(out, "leaf_index", (int64_t)session->record.result_index);
    json_put_name(out, "limits");
    json_put_open(out);
    json_put_integer(out, "gas", (int64_t)request->gas_limit);
    json_put_integer(out, "memory_bytes", request->memory_limit_bytes);
    json_put_integer(out, "timeout_seconds", request->timeout_seconds);
    json_put_close(out);
    json_put_string(out, "log_origin", audit_log_origin(session->service->parts.log));
    json_put_hex(out, "request_commitment", bytes_of(request->commitment, CRYPTO_SHA256_BYTES));
    json_put_string(out, "request_id", request->request_id_text);
    json_put_hex(out, "result_commitment",
                 bytes_of(session->result_commitment, CRYPTO_SHA256_BYTES));
    json_put_string(out, "status", result_status(session));
    json_put_close(out);
}

bool receipt_sign(const struct session *session, struct buffer *out)
{
    struct buffer receipt;
    buffer_init(&receipt, RECEIPT_BYTES_MAX);
    buffer_expect(&receipt, RECEIPT_BYTES_MAX / 4);
    receipt_put(session, &receipt);
    bool ok = !receipt.failed &&
              attest_epoch_sign_text(session->key.epoch->attest, buffer_bytes(&receipt), out);
    buffer_release(&receipt);
    return ok;
}
