/* executions.c: looking at an execution, and cancelling it, by its owner or an administrator.
 *
 * A live one is found in the table, an ended one in the store, one that has not begun among the
 * keys. What belongs to another key does not exist.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include <string.h>

enum { EXECUTION_ANSWER_EXTRA_BYTES = 65536 };

struct execution_view {
    const struct api_call *call;
    struct arena *arena;
    bool is_ours;
    bool has_ended;
    char state[20];
    int64_t created_ms;
    int64_t expires_ms; /* of the stored answer or of the key; 0: not said */
    struct bytes answer;
    int answer_status;
};

static bool may_see(const struct api_call *call, const char *owner)
{
    return (call->identity.scopes & STORE_SCOPE_ADMIN) != 0 ||
           (owner[0] != 0 && strcmp(owner, call->identity.key_id) == 0);
}

static bool parse_id(const struct api_call *call, uint8_t id[static TEXT_UUID_BYTES],
                     struct err *err)
{
    return text_uuid_decode(call->parameter, strlen(call->parameter), id) ||
           err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
}

static void set_state(struct execution_view *view, const char *state)
{
    size_t size = strlen(state);
    size = size < sizeof(view->state) - 1 ? size : sizeof(view->state) - 1;
    memcpy(view->state, state, size);
    view->state[size] = 0;
}

static bool state_is_final(const char *state)
{
    return strcmp(state, "CREATED") != 0 && strcmp(state, "KEY_GENERATED") != 0 &&
           strcmp(state, "DECRYPTING") != 0 && strcmp(state, "EXECUTING") != 0;
}

/* Under the table's lock. */
static void view_live(void *context, struct session *session)
{
    struct execution_view *view = context;
    if (!may_see(view->call, session->owner)) {
        return;
    }
    view->is_ours = true;
    set_state(view, session_state_name(session_state(session)));
    view->created_ms = session->created_ms;
    view->answer_status = session->answer_status;
    if (session->answer != NULL) {
        view->has_ended = true;
        view->answer = arena_copy(view->arena, bytes_of(session->answer, session->answer_size));
    }
}

static bool view_stored(struct execution_view *view, const struct store_execution *row)
{
    if (!may_see(view->call, row->api_key_id)) {
        return false;
    }
    view->is_ours = true;
    view->has_ended = true;
    /* Stored without an end and not live: the node stopped while it ran. */
    set_state(view, state_is_final(row->state) ? row->state : "ERROR");
    view->created_ms = row->created_ms;
    view->expires_ms = row->expires_ms;
    view->answer = row->answer;
    view->answer_status = row->answer_status;
    return true;
}

static bool view_find(const struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                      struct execution_view *view, struct err *err)
{
    struct service *service = call->service;
    struct store_execution row;
    struct request_key key;
    if (session_table_with(service->sessions, id, view_live, view)) {
        return view->is_ours || err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
    }
    if (store_get_execution(service->parts.store, id, view->arena, &row, err)) {
        return view_stored(view, &row) ||
               err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
    }
    if (err->code != ERR_NOT_FOUND) {
        return false;
    }
    if (request_keys_peek(service->keys, id, call->identity.key_id, &key, err)) {
        set_state(view, session_state_name(SESSION_KEY_GENERATED));
        view->created_ms = key.created_ms;
        view->expires_ms = key.expires_ms;
        return true;
    }
    return err->code == ERR_KEY_EXPIRED
               ? false
               : err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
}

static json_t *view_json(const struct execution_view *view,
                         const uint8_t id[static TEXT_UUID_BYTES])
{
    char id_text[TEXT_UUID_CHARS + 1];
    char time[CLOCK_RFC3339_CHARS + 1];
    text_uuid_encode(id, id_text);
    clock_rfc3339_encode(view->created_ms, time);
    json_t *json = json_pack("{s:s, s:s, s:s}", "request_id", id_text, "state", view->state,
                             "created_at", time);
    bool ok = json != NULL;
    if (ok && view->expires_ms != 0) {
        clock_rfc3339_encode(view->expires_ms, time);
        ok = json_object_set_new(json, "expires_at", json_string(time)) == 0;
    }
    if (ok && view->answer_status != 0) {
        ok = json_object_set_new(json, "answer_status", json_integer(view->answer_status)) == 0;
    }
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* The stored answer is JSON text already: it is put in as it was sent, byte for byte. */
static void answer_view(struct api_call *call, const struct execution_view *view, json_t *head)
{
    char *text = head == NULL ? NULL : json_dumps(head, JSON_COMPACT);
    struct buffer body;
    buffer_init(&body, view->answer.size + EXECUTION_ANSWER_EXTRA_BYTES);
    if (text != NULL) {
        buffer_append(&body, text, strlen(text) - 1);
        buffer_append_string(&body, ",\"answer\":");
        buffer_append_bytes(&body, view->answer);
        buffer_append_string(&body, "}");
    }
    if (text == NULL || body.failed) {
        struct err err;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
        api_answer_err(call, &err, NULL);
    } else {
        api_answer_text(call, 200, "application/json", buffer_bytes(&body));
    }
    heap_free(text);
    buffer_release(&body);
}

void executions_show(struct api_call *call)
{
    struct err err;
    uint8_t id[TEXT_UUID_BYTES];
    struct execution_view view = {.call = call, .arena = &call->exchange->arena};
    if (!parse_id(call, id, &err) || !view_find(call, id, &view, &err)) {
        api_answer_err(call, &err, NULL);
        return;
    }
    json_t *json = view_json(&view, id);
    if (view.answer.size == 0) {
        api_answer_json(call, 200, json);
        return;
    }
    answer_view(call, &view, json);
    json_decref(json);
}

/* ---- cancelling ---- */

/* Under the table's lock. */
static void cancel_live(void *context, struct session *session)
{
    struct execution_view *view = context;
    view_live(view, session);
    if (view->is_ours) {
        scheduler_stop(session->service->scheduler, &session->run, SCHEDULER_CANCEL);
    }
}

/* 202 while it is being ended, 200 if it had ended before. */
void executions_cancel(struct api_call *call)
{
    struct err err;
    uint8_t id[TEXT_UUID_BYTES];
    struct execution_view view = {.call = call, .arena = &call->exchange->arena};
    bool ok = parse_id(call, id, &err);
    if (ok && session_table_with(call->service->sessions, id, cancel_live, &view)) {
        ok = view.is_ours || err_set(&err, ERR_NOT_FOUND, "there is no execution of that id");
    } else if (ok) {
        ok = view_find(call, id, &view, &err);
        if (ok && !view.is_ours) {
            ok = err_set(&err, ERR_NOT_FOUND, "the key of that id has not been used");
        }
    }
    if (!ok) {
        api_answer_err(call, &err, NULL);
        return;
    }
    view.answer_status = 0;
    api_answer_json(call, view.has_ended ? 200 : 202, view_json(&view, id));
}
