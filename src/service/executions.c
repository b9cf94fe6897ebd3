/* executions.c: looking at an execution, and cancelling it, by its owner or an administrator.
 *
 * A live one is found in the table, an ended one in the store, one that has not begun among the
 * keys. What belongs to another key does not exist.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include <string.h>

/* Its answer, if that is asked for, and what is made of it are charged to the share of answers,
 * unless they are small. */
struct execution_view {
    const struct api_call *call;
    struct arena arena;
    bool wants_answer;
    bool lacks_memory; /* the answer is there, but no room for a copy */
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

static void view_init(struct execution_view *view, const struct api_call *call, bool wants_answer)
{
    *view = (struct execution_view){.call = call, .wants_answer = wants_answer};
    arena_init(&view->arena, NULL);
}

/* The call may have been answered. */
static void view_release(struct execution_view *view)
{
    arena_release(&view->arena);
}

/* Before an answer of that size is copied. */
static void view_charge(struct execution_view *view, size_t size)
{
    if (size > ANSWER_FREE_BYTES) {
        arena_init(&view->arena, &view->call->service->parts.memory->answers);
    }
}

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
    if (view->wants_answer && session->answer_size > 0) {
        view_charge(view, session->answer_size);
        view->answer = arena_copy(&view->arena, bytes_of(session->answer, session->answer_size));
        view->lacks_memory = view->answer.ptr == NULL;
    }
}

static bool view_stored_answer(struct execution_view *view,
                               const uint8_t id[static TEXT_UUID_BYTES], struct err *err)
{
    struct store_execution row;
    if (!store_get_execution(view->call->service->parts.store, id, &view->arena, &row, err)) {
        view->lacks_memory = err->code == ERR_NO_MEMORY;
        return view->lacks_memory;
    }
    view->answer = row.answer;
    view->answer_status = row.answer_status;
    return true;
}

static bool view_stored(struct execution_view *view, const struct store_execution *row,
                        struct err *err)
{
    if (!may_see(view->call, row->api_key_id)) {
        return true;
    }
    view->is_ours = true;
    view->has_ended = true;
    /* Stored without an end and not live: the node stopped while it ran. */
    set_state(view, state_is_final(row->state) ? row->state : "ERROR");
    view->created_ms = row->created_ms;
    view->started_ms = row->started_ms;
    view->ended_ms = row->ended_ms;
    view->expires_ms = row->expires_ms;
    view->answer_status = row->answer_status;
    if (!view->wants_answer || row->kept_bytes == 0) {
        return true;
    }
    view_charge(view, row->kept_bytes);
    return view_stored_answer(view, row->request_id, err);
}

/* Of one that was found. */
static bool view_check(const struct execution_view *view, struct err *err)
{
    if (!view->is_ours) {
        return err_set(err, ERR_NOT_FOUND, "there is no execution of that id");
    }
    return !view->lacks_memory ||
           err_set(err, ERR_OVERLOADED, "this node has no memory left for the answer");
}

static bool view_find(const struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                      struct execution_view *view, struct err *err)
{
    struct service *service = call->service;
    struct store_execution row;
    struct request_key key;
    if (session_table_with(service->sessions, id, view_live, view)) {
        return view_check(view, err);
    }
    if (store_get_execution(service->parts.store, id, NULL, &row, err)) {
        return view_stored(view, &row, err) && view_check(view, err);
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
static struct bytes view_text(struct execution_view *view, const char *head)
{
    static const char member[] = ",\"answer\":";
    size_t head_size = strlen(head) - 1; /* without its brace */
    size_t size = head_size + strlen(member) + view->answer.size + 1;
    char *text = arena_alloc(&view->arena, size, 1);
    if (text == NULL) {
        return bytes_of(NULL, 0);
    }
    memcpy(text, head, head_size);
    memcpy(text + head_size, member, strlen(member));
    memcpy(text + size - 1 - view->answer.size, view->answer.ptr, view->answer.size);
    text[size - 1] = '}';
    return bytes_of(text, size);
}

static void answer_view(struct api_call *call, struct execution_view *view,
                        const uint8_t id[static TEXT_UUID_BYTES])
{
    json_t *json = view_json(view, id);
    if (view->answer.size == 0) {
        api_answer_json(call, 200, json);
        return;
    }
    char *head = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    struct bytes body = head == NULL ? bytes_of(NULL, 0) : view_text(view, head);
    if (body.size == 0) {
        api_answer_no_memory(call);
    } else {
        api_answer_text(call, 200, "application/json", body);
    }
    heap_free(head);
    json_decref(json);
}

void executions_show(struct api_call *call)
{
    struct err err;
    uint8_t id[TEXT_UUID_BYTES];
    struct execution_view view;
    view_init(&view, call, true);
    if (!parse_id(call, id, &err) || !view_find(call, id, &view, &err)) {
        api_answer_err(call, &err, NULL);
    } else if (view.has_ended || call->preferences.wait_seconds == 0) {
        answer_view(call, &view, id);
    } else if (!accept_wait(call, id, executions_show)) {
        executions_show(call); /* it has ended just now, or has not begun: no second wait */
    }
    view_release(&view);
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
    }
    if (text == NULL ||
        !message_response_body(&response, "application/json", bytes_of_string(text))) {
        arena_release(&response.arena);
        api_answer_no_memory(call);
    } else {
        if (call->is_replay) {
            metric_add(call->service->metrics.replayed, 1);
        }
        metric_add(call->service->metrics.accepted, 1);
        api_answer(call, &response);
    }
    heap_free(text);
    json_decref(json);
}

void executions_accepted(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES])
{
    struct err err;
    struct execution_view view;
    view_init(&view, call, false);
    if (!view_find(call, id, &view, &err)) {
        api_answer_err(call, &err, NULL);
    } else {
        answer_accepted(call, &view, id);
    }
    view_release(&view);
}

void executions_waited(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES])
{
    struct err err;
    struct execution_view view;
    view_init(&view, call, true);
    /* It has run: who finds no room for its answer is told where it is. */
    if (!view_find(call, id, &view, &err) && !view.lacks_memory) {
        api_answer_err(call, &err, NULL);
    } else if (view.answer.size > 0) {
        answer_send_again(call, view.answer_status, view.answer);
    } else {
        answer_accepted(call, &view, id);
    }
    view_release(&view);
}

static bool replay_view(struct api_call *call, const struct execution_view *view,
                        const uint8_t id[static TEXT_UUID_BYTES], struct err *err)
{
    if (view->answer.size > 0) {
        answer_send_again(call, view->answer_status, view->answer);
        return true;
    }
    if (view->has_ended) {
        return err_set(err, ERR_KEY_ALREADY_USED,
                       "the first request with this Idempotency-Key was admitted, but there is no "
                       "answer to it (this node stopped while it ran); it is not run again: make a "
                       "new key");
    }
    if (call->preferences.respond_async) {
        answer_accepted(call, view, id);
        return true;
    }
    return err_set(err, ERR_IDEMPOTENCY_IN_FLIGHT,
                   "the first request with this Idempotency-Key has not been answered yet");
}

bool executions_replay(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                       struct err *err)
{
    struct execution_view view;
    view_init(&view, call, true);
    call->is_replay = true;
    bool is_found = view_find(call, id, &view, err);
    if (!is_found && (err->code == ERR_NOT_FOUND || err->code == ERR_KEY_EXPIRED)) {
        view.has_ended = is_found = true; /* without a trace */
    }
    bool is_answered = is_found && replay_view(call, &view, id, err);
    view_release(&view);
    return is_answered;
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
    struct execution_view view;
    view_init(&view, call, false); /* and so it has nothing to release */
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
