/* gate.h: a gate before which a thread of what is tested stands until the test lets it pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_GATE_H
#define SUPPORT_GATE_H

#include <pthread.h>
#include <stdbool.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_closed;
    int waiting;
};

static inline void gate_init(struct gate *gate, bool is_closed)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    gate->is_closed = is_closed;
    gate->waiting = 0;
}

static inline void gate_set(struct gate *gate, bool is_closed)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_closed = is_closed;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static inline void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->is_closed) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

/* Until somebody stands before it. */
static inline void gate_wait(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting == 0) {
        pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
}

#endif
