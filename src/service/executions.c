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
    int64_t started_ms, ended_ms; /* 0: not said */
    int64_t expires_ms;           /* of the stored answer or of the key; 0: not said */
    struct bytes answer;
    int answer_status;
    uint32_t queue_position; /* 0: it does not wait */
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
    view->started_ms = atomic_load(&session->started_ms);
    view->ended_ms = session->ended_ms;
    view->answer_status = session->answer_status;
    view->queue_position = scheduler_position(session->service->scheduler, &session->run);
    view->has_ended = session->ended_ms != 0;
    if (session->answer != NULL) {
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
    view->started_ms = row->started_ms;
    view->ended_ms = row->ended_ms;
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

/* Sets a time that is known. */
static bool set_time(json_t *json, const char *name, int64_t time_ms)
{
    char time[CLOCK_RFC3339_CHARS + 1];
    if (time_ms == 0) {
        return true;
    }
    clock_rfc3339_encode(time_ms, time);
    return json_object_set_new(json, name, json_string(time)) == 0;
}

static json_t *view_json(const struct execution_view *view,
                         const uint8_t id[static TEXT_UUID_BYTES])
{
    char id_text[TEXT_UUID_CHARS + 1];
    text_uuid_encode(id, id_text);
    json_t *json = json_pack("{s:s, s:s}", "request_id", id_text, "state", view->state);
    bool ok = json != NULL && set_time(json, "created_at", view->created_ms) &&
              set_time(json, "started_at", view->started_ms) &&
              set_time(json, "ended_at", view->ended_ms) &&
              set_time(json, "expires_at", view->expires_ms);
    if (ok && view->queue_position != 0) {
        ok = json_object_set_new(json, "queue_position", json_integer(view->queue_position)) == 0;
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
    if (!view.has_ended && call->preferences.wait_seconds > 0) {
        if (!accept_wait(call, id, executions_show)) {
            executions_show(call); /* it has ended just now, or has not begun: no second wait */
        }
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

/* ---- asynchronous and repeated requests ---- */

static void answer_accepted(struct api_call *call, const struct execution_view *view,
                            const uint8_t id[static TEXT_UUID_BYTES])
{
    char location[sizeof("/v1/executions/") + TEXT_UUID_CHARS] = "/v1/executions/";
    json_t *json = view_json(view, id);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    struct message_response response;
    text_uuid_encode(id, location + strlen(location));
    message_response_init(&response, 202);
    message_response_header(&response, "Location", location);
    message_response_header(&response, "Preference-Applied", "respond-async");
    message_response_header(&response, "Retry-After", "1");
    message_response_header(&response, "Cache-Control", "no-store");
    if (call->is_replay) {
        message_response_header(&response, "Idempotent-Replayed", "true");
        metric_add(call->service->metrics.replayed, 1);
    }
    if (text == NULL ||
        !message_response_body(&response, "application/json", bytes_of_string(text))) {
        arena_release(&response.arena);
        struct err err;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
        problem_response(&response, &err, 0, NULL, call->service->parts.clock);
    } else {
        metric_add(call->service->metrics.accepted, 1);
    }
    api_answer(call, &response);
    heap_free(text);
    json_decref(json);
}

void executions_accepted(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES])
{
    struct err err;
    struct execution_view view = {.call = call, .arena = &call->exchange->arena};
    if (!view_find(call, id, &view, &err)) {
        api_answer_err(call, &err, NULL);
    } else {
        answer_accepted(call, &view, id);
    }
}

void executions_waited(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES])
{
    struct err err;
    struct execution_view view = {.call = call, .arena = &call->exchange->arena};
    if (!view_find(call, id, &view, &err)) {
        api_answer_err(call, &err, NULL);
    } else if (view.answer.size > 0) {
        answer_send_again(call, view.answer_status, view.answer);
    } else {
        answer_accepted(call, &view, id);
    }
}

bool executions_replay(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                       struct err *err)
{
    struct err ignored;
    struct execution_view view = {.call = call, .arena = &call->exchange->arena};
    bool is_known = view_find(call, id, &view, &ignored);
    call->is_replay = true;
    if (is_known && view.answer.size > 0) {
        answer_send_again(call, view.answer_status, view.answer);
        return true;
    }
    if (is_known && !view.has_ended && call->preferences.respond_async) {
        answer_accepted(call, &view, id);
        return true;
    }
    if (is_known && !view.has_ended) {
        return err_set(err, ERR_IDEMPOTENCY_IN_FLIGHT,
                       "the first request with this Idempotency-Key has not been answered yet");
    }
    return err_set(err, ERR_KEY_ALREADY_USED,
                   "the first request with this Idempotency-Key was admitted, but there is no "
                   "answer to it (this node stopped while it ran); it is not run again: make a new "
                   "key");
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

/* A key that has not been used is given up: it will not be anything else any more. */
static bool cancel_key(const struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                       struct execution_view *view)
{
    struct request_key key;
    struct err ignored;
    if (!request_keys_drop(call->service->keys, id, call->identity.key_id, &key, &ignored)) {
        return false;
    }
    set_state(view, session_state_name(SESSION_CANCELLED));
    view->is_ours = true;
    view->has_ended = true;
    view->created_ms = key.created_ms;
    return true;
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
        ok = cancel_key(call, id, &view) || view_find(call, id, &view, &err);
    }
    if (!ok) {
        api_answer_err(call, &err, NULL);
        return;
    }
    view.answer_status = 0;
    api_answer_json(call, view.has_ended ? 200 : 202, view_json(&view, id));
}
