/* exchange.c: see exchange.h.
 *
 * The loop is woken through an eventfd of ours. uv_async_send would do the same, but until it has
 * returned the loop waits for it in a spin that yields the processor (libuv 1.44): where the loop
 * takes it over from the very thread that wakes it, and others burn what is left, that costs
 * milliseconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exchange.h"

#include <assert.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Thread_local struct answers *answers_entered;

bool answers_init(struct answers *answers)
{
    list_init(&answers->queue);
    atomic_init(&answers->wakers, 0);
    answers->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (answers->wake_fd < 0) {
        return false;
    }
    if (uv_mutex_init_recursive(&answers->mutex) != 0) {
        (void)close(answers->wake_fd);
        return false;
    }
    return true;
}

/* Who has handed in the last answer may not be out of answers_wake yet. */
void answers_release(struct answers *answers)
{
    assert(list_is_empty(&answers->queue));
    while (atomic_load(&answers->wakers) > 0) {
        (void)sched_yield();
    }
    uv_mutex_destroy(&answers->mutex);
    (void)close(answers->wake_fd);
}

/* It cannot fail: nobody writes 2^64 times without the loop's reading it. */
static void answers_wake(struct answers *answers)
{
    const uint64_t one = 1;
    (void)!write(answers->wake_fd, &one, sizeof(one));
    atomic_fetch_sub(&answers->wakers, 1);
}

void answers_awake(struct answers *answers)
{
    uint64_t count;
    (void)!read(answers->wake_fd, &count, sizeof(count));
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

/* The mutex is not held while the loop is woken, which needs it at once. */
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
        atomic_fetch_add(&answers->wakers, 1);
    }
    uv_mutex_unlock(&answers->mutex);
    if (wake) {
        answers_wake(answers);
    }
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
