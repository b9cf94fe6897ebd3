/* exchange.c: see exchange.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exchange.h"

#include <assert.h>
#include <string.h>

static _Thread_local struct answers *answers_entered;

bool answers_init(struct answers *answers, uv_async_t *wakeup)
{
    list_init(&answers->queue);
    answers->wakeup = wakeup;
    return uv_mutex_init_recursive(&answers->mutex) == 0;
}

void answers_release(struct answers *answers)
{
    assert(list_is_empty(&answers->queue));
    uv_mutex_destroy(&answers->mutex);
}

void answers_take(struct answers *answers, struct list *out)
{
    list_init(out);
    uv_mutex_lock(&answers->mutex);
    struct list *link;
    while ((link = list_pop_front(&answers->queue)) != NULL) {
        list_push_back(out, link);
    }
    uv_mutex_unlock(&answers->mutex);
}

void answers_enter(struct answers *answers)
{
    assert(answers_entered == NULL);
    answers_entered = answers;
}

void answers_leave(void)
{
    answers_entered = NULL;
}

/* The mutex is held over uv_async_send as well: whoever takes this answer then knows that this
 * thread has left the server for good, and may free it. */
static void exchange_respond(struct message_exchange *message, struct message_response *response)
{
    struct exchange *exchange = LIST_ENTRY(message, struct exchange, message);
    struct answers *answers = exchange->answers;
    uv_mutex_lock(&answers->mutex);
    assert(!exchange->answered);
    exchange->answered = true;
    exchange->response = *response;
    bool wake = list_is_empty(&answers->queue) && answers_entered != answers;
    list_push_back(&answers->queue, &exchange->link);
    if (wake) {
        (void)uv_async_send(answers->wakeup);
    }
    uv_mutex_unlock(&answers->mutex);
}

static void exchange_drop_body(struct message_exchange *message)
{
    struct exchange *exchange = LIST_ENTRY(message, struct exchange, message);
    message->request.body = bytes_of(NULL, 0);
    http_body_release(&exchange->body);
}

struct exchange *exchange_new(struct answers *answers, struct conn *conn, const char *peer,
                              size_t bytes_max, struct budget *bodies)
{
    struct exchange *exchange = HEAP_NEW(struct exchange);
    if (exchange == NULL) {
        return NULL;
    }
    exchange->answers = answers;
    exchange->conn = conn;
    list_init(&exchange->link);
    budget_init(&exchange->budget, NULL, bytes_max);
    arena_init(&exchange->message.arena, &exchange->budget);
    message_response_init(&exchange->response, 500);
    http_body_init(&exchange->body, bodies);
    size_t peer_size = strlen(peer) + 1;
    assert(peer_size <= sizeof(exchange->peer));
    (void)memcpy(exchange->peer, peer, peer_size);
    exchange->message.request.peer = exchange->peer;
    exchange->message.respond = exchange_respond;
    exchange->message.drop_body = exchange_drop_body;
    exchange->message.transport = exchange;
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    arena_release(&exchange->response.arena);
    arena_release(&exchange->message.arena);
    http_body_release(&exchange->body);
    heap_free(exchange);
}

void exchange_gone(struct exchange *exchange)
{
    struct message_exchange *message = &exchange->message;
    if (exchange->gone_called || message->gone == NULL) {
        return;
    }
    exchange->gone_called = true;
    uv_mutex_lock(&exchange->answers->mutex);
    if (!exchange->answered) {
        message->gone(message, message->gone_context);
    }
    uv_mutex_unlock(&exchange->answers->mutex);
}
