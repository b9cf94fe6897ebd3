/* receipt.c: the node's signed word on one execution (docs/protocol.md section 7).
 *
 * It is signed by the epoch that vouched for the request's key, so the evidence that the client
 * has is the one it needs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

json_t *receipt_sign(const struct session *session)
{
    char request_commitment[2 * CRYPTO_SHA256_BYTES + 1];
    char result_commitment[2 * CRYPTO_SHA256_BYTES + 1];
    char completed_at[CLOCK_RFC3339_CHARS + 1];
    const struct execute_request *request = &session->request;
    const struct session_outcome *outcome = &session->outcome;
    text_hex_encode(bytes_of(request->commitment, CRYPTO_SHA256_BYTES), request_commitment);
    text_hex_encode(bytes_of(session->result_commitment, CRYPTO_SHA256_BYTES), result_commitment);
    clock_rfc3339_encode(session->record.time_ms, completed_at);
    json_t *receipt = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:{s:I, s:I, s:I}, s:s, s:I, s:s}", "domain",
        "wasm-hypervisor/1 receipt", "request_id", request->request_id_text, "request_commitment",
        request_commitment, "result_commitment", result_commitment, "status",
        result_status(session), "gas_consumed", (json_int_t)outcome->gas_consumed, "gas_schedule",
        VM_GAS_SCHEDULE, "limits", "gas", (json_int_t)request->gas_limit, "memory_bytes",
        (json_int_t)request->memory_limit_bytes, "timeout_seconds",
        (json_int_t)request->timeout_seconds, "log_origin",
        audit_log_origin(session->service->parts.log), "leaf_index",
        (json_int_t)session->record.result_index, "completed_at", completed_at);
    bool ok = receipt != NULL;
    if (ok && outcome->err.code != ERR_NONE) {
        ok = json_object_set_new(receipt, "error_code",
                                 json_string(err_code_name(outcome->err.code))) == 0;
    }
    json_t *signed_receipt = ok ? attest_epoch_sign(session->key.epoch->attest, receipt) : NULL;
    json_decref(receipt);
    return signed_receipt;
}
