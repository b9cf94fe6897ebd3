/* verify.c: GET /v1/verify/{id}: does a commitment match what the log holds? Public: an id is not
 * guessable, and a leaf holds hashes only.
 *
 * The index says where to look; what is compared is the leaf itself, which comes with its proof.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "service/negotiate.h"

#include <inttypes.h>
#include <string.h>

enum { VERIFY_PROOF_BYTES_MAX = 65536 };

enum verify_type { VERIFY_REQUEST, VERIFY_RESULT, VERIFY_COMBINED };

struct verify {
    uint8_t id[TEXT_UUID_BYTES];
    enum verify_type type;
    bool has_hash;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    bool is_found;
    uint64_t admit_index, result_index; /* UINT64_MAX: none */
    uint64_t index;                     /* of the leaf that is shown */
    struct buffer leaf, proof;
};

static const char *const verify_type_names[] = {"request", "result", "combined"};

/* ---- the question ---- */

static const char *query_value(struct api_call *call, const char *name, bool *ok, struct err *err)
{
    bool duplicate = false;
    const char *value =
        message_request_query(&call->exchange->request, name, &call->exchange->arena, &duplicate);
    if (duplicate) {
        *ok = err_set(err, ERR_INVALID_ARGUMENTS, "%s is given twice", name);
    }
    return value;
}

static bool parse_question(struct api_call *call, struct verify *verify, struct err *err)
{
    bool ok = true;
    const char *type = query_value(call, "commitment_type", &ok, err);
    const char *hash = ok ? query_value(call, "hash_value", &ok, err) : NULL;
    if (!ok) {
        return false;
    }
    if (!text_uuid_decode(call->parameter, strlen(call->parameter), verify->id)) {
        return err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
    }
    verify->type = VERIFY_COMBINED;
    if (type != NULL) {
        unsigned i = 0;
        while (i < 3 && strcmp(type, verify_type_names[i]) != 0) {
            i++;
        }
        if (i == 3) {
            return err_set(err, ERR_INVALID_ARGUMENTS,
                           "commitment_type must be request, result or combined");
        }
        verify->type = (enum verify_type)i;
    }
    verify->has_hash = hash != NULL;
    if (hash != NULL && !text_hex_decode(hash, strlen(hash), verify->hash, sizeof(verify->hash))) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "hash_value must be 64 hexadecimal digits");
    }
    return true;
}

/* ---- the record ---- */

/* Under the table's lock. */
static void find_live(void *context, struct session *session)
{
    struct verify *verify = context;
    verify->is_found = true;
    verify->admit_index = session->record.admit_index;
    verify->result_index = session->answer != NULL ? session->record.result_index : UINT64_MAX;
}

static bool find_record(struct api_call *call, struct verify *verify, struct err *err)
{
    struct store_execution row;
    if (!session_table_with(call->service->sessions, verify->id, find_live, verify)) {
        if (!store_get_execution(call->service->parts.store, verify->id, NULL, &row, err)) {
            return err->code == ERR_NOT_FOUND
                       ? err_set(err, ERR_NOT_FOUND, "there is no execution of that id")
                       : false;
        }
        verify->admit_index = row.admit_index;
        verify->result_index = row.result_index;
    }
    verify->index = verify->type == VERIFY_REQUEST ? verify->admit_index : verify->result_index;
    return verify->index != UINT64_MAX ||
           err_set(err, ERR_NOT_FOUND, "the log has no %s of that execution yet",
                   verify->type == VERIFY_REQUEST ? "request" : "result");
}

static bool leaf_hash_member(const json_t *leaf, const char *name,
                             uint8_t out[static CRYPTO_SHA256_BYTES])
{
    const char *text = json_string_value(json_object_get(leaf, name));
    return text != NULL && text_hex_decode(text, strlen(text), out, CRYPTO_SHA256_BYTES);
}

/* The commitment of that type, from the leaf and nowhere else. */
static bool leaf_commitment(const json_t *leaf, enum verify_type type,
                            uint8_t out[static CRYPTO_SHA256_BYTES])
{
    static const char label[] = "wasm-hypervisor/1 combined commitment"; /* with its NUL */
    uint8_t request[CRYPTO_SHA256_BYTES];
    uint8_t result[CRYPTO_SHA256_BYTES];
    if (type != VERIFY_COMBINED) {
        return leaf_hash_member(
            leaf, type == VERIFY_REQUEST ? "request_commitment" : "result_commitment", out);
    }
    if (!leaf_hash_member(leaf, "request_commitment", request) ||
        !leaf_hash_member(leaf, "result_commitment", result)) {
        return false;
    }
    const struct bytes parts[] = {bytes_of(label, sizeof(label)),
                                  bytes_of(request, sizeof(request)),
                                  bytes_of(result, sizeof(result))};
    crypto_sha256_parts(parts, sizeof(parts) / sizeof(parts[0]), out);
    return true;
}

/* ---- the answer ---- */

static bool set_index(json_t *object, const char *name, uint64_t index)
{
    return index == UINT64_MAX ||
           json_object_set_new(object, name, json_integer((json_int_t)index)) == 0;
}

static bool copy_members(json_t *to, json_t *leaf)
{
    static const char *const names[] = {"type",   "time",       "request_commitment",
                                        "status", "error_code", "result_commitment"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *value = json_object_get(leaf, names[i]);
        if (value != NULL && json_object_set(to, names[i], value) != 0) {
            return false;
        }
    }
    return true;
}

static json_t *record_json(const struct verify *verify, const char *origin, json_t *leaf)
{
    json_t *record =
        json_pack("{s:o, s:s}", "record_id", json_sprintf("%s/%" PRIu64, origin, verify->index),
                  "log_origin", origin);
    if (record == NULL || !set_index(record, "admit_index", verify->admit_index) ||
        !set_index(record, "leaf_index", verify->index) || !copy_members(record, leaf)) {
        json_decref(record);
        return NULL;
    }
    return record;
}

static json_t *verify_json(struct api_call *call, const struct verify *verify, json_t *leaf,
                           const uint8_t commitment[static CRYPTO_SHA256_BYTES])
{
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    char leaf_hash_text[2 * AUDIT_HASH_BYTES + 1];
    char commitment_text[2 * CRYPTO_SHA256_BYTES + 1];
    char id[TEXT_UUID_CHARS + 1];
    struct audit_log *log = call->service->parts.log;
    audit_leaf_hash(buffer_bytes(&verify->leaf), leaf_hash);
    text_hex_encode(bytes_of(leaf_hash, sizeof(leaf_hash)), leaf_hash_text);
    text_hex_encode(bytes_of(commitment, CRYPTO_SHA256_BYTES), commitment_text);
    text_uuid_encode(verify->id, id);
    bool matches = crypto_equal(bytes_of(commitment, CRYPTO_SHA256_BYTES),
                                bytes_of(verify->hash, sizeof(verify->hash)));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s%, s:s, s:s%, s:s}", "request_id", id,
                     "commitment_type", verify_type_names[verify->type], "commitment",
                     commitment_text, "matches",
                     verify->has_hash ? json_boolean(matches) : json_null(), "record",
                     record_json(verify, audit_log_origin(log), leaf), "leaf", verify->leaf.ptr,
                     verify->leaf.size, "leaf_hash", leaf_hash_text, "tlog_proof",
                     verify->proof.ptr, verify->proof.size, "log_vkey", audit_log_vkey(log));
}

static bool wants_text(const struct message_request *request)
{
    static const char *const types[] = {"application/json", "text/plain"};
    return negotiate_type(request, types, 2) == 1;
}

/* Fills leaf and proof; answers on success, and that the entry was pruned. */
static bool verify_answer(struct api_call *call, struct verify *verify, struct err *err)
{
    json_t *leaf = NULL;
    uint8_t commitment[CRYPTO_SHA256_BYTES];
    char id[TEXT_UUID_CHARS + 1];
    text_uuid_encode(verify->id, id);
    struct audit_log *log = call->service->parts.log;
    if (!audit_log_prove(log, verify->index, &verify->leaf, &verify->proof, err)) {
        bool is_pruned = verify->index < audit_log_first(log);
        if (is_pruned) {
            api_answer_err_as(call, err, 410);
        }
        return is_pruned;
    }
    if (!json_text_parse(buffer_bytes(&verify->leaf), &leaf, err)) {
        err->code = ERR_FORMAT;
        return false;
    }
    const char *leaf_id = json_string_value(json_object_get(leaf, "request_id"));
    bool ok = leaf_id != NULL && strcmp(leaf_id, id) == 0 &&
              leaf_commitment(leaf, verify->type, commitment);
    if (!ok) {
        (void)err_set(err, ERR_TAMPERED, "the index leads to leaf %" PRIu64 ", which is another's",
                      verify->index);
    } else if (wants_text(&call->exchange->request)) {
        api_answer_text(call, 200, "text/plain; charset=utf-8", buffer_bytes(&verify->proof));
    } else {
        api_answer_json(call, 200, verify_json(call, verify, leaf, commitment));
    }
    json_decref(leaf);
    return ok;
}

void verify_show(struct api_call *call)
{
    struct err err;
    struct verify verify = {.admit_index = UINT64_MAX, .result_index = UINT64_MAX};
    buffer_init(&verify.leaf, AUDIT_LEAF_BYTES_MAX);
    buffer_init(&verify.proof, VERIFY_PROOF_BYTES_MAX);
    if (!parse_question(call, &verify, &err) || !find_record(call, &verify, &err) ||
        !verify_answer(call, &verify, &err)) {
        api_answer_err(call, &err, NULL);
    }
    buffer_release(&verify.leaf);
    buffer_release(&verify.proof);
}
