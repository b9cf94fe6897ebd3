/* stress_net_outgoing: several threads send, callbacks send again, and the sender is stopped while
 * they do: whatever was taken is called back once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 16, THREADS = 4, SENDS = 64 };

static struct outgoing api;
static _Atomic unsigned taken, told;

static struct outgoing_request request_to_nobody(void (*done)(void *,
                                                              const struct outgoing_answer *))
{
    return (struct outgoing_request){.url = "http://127.0.0.1:1/",
                                     .body = {(const uint8_t *)"{}", 2},
                                     .connect_ms_max = 30000,
                                     .total_ms_max = 30000,
                                     .answer_bytes_max = 64,
                                     .done = done};
}

static void again_cb(void *context, const struct outgoing_answer *answer)
{
    (void)context;
    (void)answer;
    atomic_fetch_add(&told, 1);
}

static void told_cb(void *context, const struct outgoing_answer *answer)
{
    struct outgoing_request request = request_to_nobody(again_cb);
    struct err err;
    again_cb(context, answer);
    request.delay_ms = 1;
    if (api.send(api.context, &request, &err)) {
        atomic_fetch_add(&taken, 1);
    }
}

static void *sender_run(void *context)
{
    struct outgoing_request request = request_to_nobody(told_cb);
    struct err err;
    request.party = context;
    for (int i = 0; i < SENDS; i++) {
        request.delay_ms = (uint64_t)(i % 3);
        if (api.send(api.context, &request, &err)) {
            atomic_fetch_add(&taken, 1);
        } else if (err.code != ERR_OVERLOADED && err.code != ERR_CLOSED) {
            abort();
        }
    }
    return NULL;
}

static bool round_run(int round)
{
    static char *parties[THREADS] = {"a", "b", "c", NULL};
    const struct net_outgoing_limits limits = {8, 128, true};
    struct net_outgoing *outgoing = NULL;
    pthread_t threads[THREADS];
    struct err err;
    atomic_store(&taken, 0);
    atomic_store(&told, 0);
    if (!net_outgoing_open(&limits, &outgoing, &err)) {
        return false;
    }
    api = net_outgoing_of(outgoing);
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, sender_run, parties[i]) != 0) {
            abort();
        }
    }
    if (round % 2 == 0) {
        api.stop(api.context); /* beside the senders */
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    net_outgoing_close(outgoing);
    if (atomic_load(&taken) != atomic_load(&told)) {
        printf("round %d: %u taken, %u told\n", round, atomic_load(&taken), atomic_load(&told));
        return false;
    }
    return true;
}

int main(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        if (!round_run(round)) {
            return 1;
        }
    }
    return 0;
}
