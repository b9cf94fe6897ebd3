/* rebuild.c: the store's index is brought up to the log at start: after a crash the last
 * executions, after the loss of the file all of them.
 *
 * A row that is there already knows more than the log (its owner, the answer), so only what is
 * missing is added. Doing it twice changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "base/log.h"

#include <string.h>

struct rebuild {
    struct service *service;
    uint64_t added;
    bool ok;
    struct err *err;
};

static bool hash_member(const json_t *leaf, const char *name, uint8_t *out)
{
    const char *text = json_string_value(json_object_get(leaf, name));
    return text != NULL && text_hex_decode(text, strlen(text), out, STORE_HASH_BYTES);
}

static void set_state(struct store_execution *row, enum session_state state)
{
    const char *name = session_state_name(state);
    memcpy(row->state, name, strlen(name) + 1);
}

static enum session_state state_of_status(const char *status)
{
    static const struct {
        const char *status;
        enum session_state state;
    } states[] = {{"success", SESSION_COMPLETED},
                  {"timeout", SESSION_TIMEOUT},
                  {"cancelled", SESSION_CANCELLED},
                  {"resource_exhausted", SESSION_EXEC_ERROR}};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].status, status) == 0) {
            return states[i].state;
        }
    }
    return SESSION_ERROR;
}

/* Puts into the row what the leaf knows better. False if there is nothing. */
static bool row_update(struct store_execution *row, bool is_result, uint64_t index,
                       const json_t *leaf)
{
    if (!is_result) {
        if (row->admit_index == index) {
            return false;
        }
        const char *time = json_string_value(json_object_get(leaf, "time"));
        row->admit_index = index;
        set_state(row, SESSION_ERROR); /* until its RESULT says otherwise */
        return time != NULL && clock_rfc3339_decode(time, strlen(time), &row->created_ms) &&
               hash_member(leaf, "request_commitment", row->request_commitment);
    }
    const char *status = json_string_value(json_object_get(leaf, "status"));
    if (row->result_index == index || status == NULL) {
        return false;
    }
    row->result_index = index;
    set_state(row, state_of_status(status));
    return hash_member(leaf, "result_commitment", row->result_commitment);
}

static bool rebuild_leaf(struct rebuild *rebuild, uint64_t index, const json_t *leaf)
{
    const char *type = json_string_value(json_object_get(leaf, "type"));
    const char *id = json_string_value(json_object_get(leaf, "request_id"));
    bool is_result = type != NULL && strcmp(type, "RESULT") == 0;
    struct store *store = rebuild->service->parts.store;
    struct store_execution row = {.admit_index = UINT64_MAX, .result_index = UINT64_MAX};
    struct arena arena;
    struct err err;
    if (type == NULL || id == NULL || (!is_result && strcmp(type, "ADMIT") != 0) ||
        !text_uuid_decode(id, strlen(id), row.request_id)) {
        return true; /* of no execution */
    }
    arena_init(&arena, NULL);
    uint8_t request_id[TEXT_UUID_BYTES];
    memcpy(request_id, row.request_id, sizeof(request_id));
    bool ok = true;
    if (!store_get_execution(store, request_id, &arena, &row, &err) && err.code != ERR_NOT_FOUND) {
        *rebuild->err = err;
        ok = false;
    } else if (row_update(&row, is_result, index, leaf)) {
        rebuild->added++;
        ok = store_put_execution(store, &row, NULL, NULL, rebuild->err);
    }
    arena_release(&arena);
    return ok;
}

static bool rebuild_visit(void *context, uint64_t index, struct bytes text)
{
    struct rebuild *rebuild = context;
    json_t *leaf = NULL;
    if (!json_text_parse(text, &leaf, rebuild->err)) {
        rebuild->ok = false;
        return false;
    }
    rebuild->ok = rebuild_leaf(rebuild, index, leaf);
    json_decref(leaf);
    return rebuild->ok;
}

bool rebuild_index(struct service *service, struct err *err)
{
    struct rebuild rebuild = {.service = service, .ok = true, .err = err};
    uint64_t first = 0;
    uint64_t size = audit_log_size(service->parts.log);
    if (!store_indexed_size(service->parts.store, &first, err)) {
        return false;
    }
    if (first < size &&
        (!audit_log_each(service->parts.log, first, rebuild_visit, &rebuild, err) || !rebuild.ok)) {
        return err_wrap(err, "bringing the index up to the log");
    }
    if (rebuild.added > 0) {
        log_write(LOG_INFO, "index_rebuilt", NULL, "%llu entries were added from the log",
                  (unsigned long long)rebuild.added);
    }
    return store_set_indexed_size(service->parts.store, size, err);
}
