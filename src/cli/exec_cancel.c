/* exec_cancel.c: Ctrl-C while an execution runs. Its request carries an Idempotency-Key, so the
 * node runs it to its end whoever is connected: who gives up has to say so.
 *
 * The first Ctrl-C ends the waiting and cancels the execution; the second one, while that is under
 * way, ends this program at once. Either way its end is the signal's, as a shell expects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include <signal.h>

enum { CANCEL_SECONDS = 10 };

static volatile sig_atomic_t exec_interrupted;
static bool exec_was_cancelled;

static void interrupt_cb(int number)
{
    (void)number;
    exec_interrupted = 1;
}

/* SA_RESETHAND: the next one does what it always does. */
static void handler_set(void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

void exec_cancel_watch(struct exec *exec)
{
    struct sigaction before;
    sigaction(SIGINT, NULL, &before);
    if (before.sa_handler == SIG_IGN) {
        return; /* in the background of a shell: the terminal's Ctrl-C is for others */
    }
    handler_set(interrupt_cb);
    client_interrupt_on(exec->client, &exec_interrupted);
}

bool exec_cancel_is_due(void)
{
    return exec_interrupted != 0;
}

void exec_cancel(struct exec *exec)
{
    char path[64];
    struct err err;
    struct client_answer answer = {0};
    snprintf(path, sizeof path, "/v1/executions/%s", exec->request_id_text);
    client_interrupt_on(exec->client, NULL);
    exec_was_cancelled = true;
    progress_step(&exec->progress, PROGRESS_NOTE, "interrupted: asking the node to cancel");
    if (!client_delete(exec->client, path, CANCEL_SECONDS, &answer, &err)) {
        progress_step(&exec->progress, PROGRESS_FAILED, "it may still run: %s", err.message);
    } else if (answer.status != 200 && answer.status != 202) {
        progress_step(&exec->progress, PROGRESS_FAILED, "it may still run: the node answered %d",
                      answer.status);
    } else {
        progress_step(&exec->progress, PROGRESS_DONE, "the node has cancelled it, or it had ended");
    }
    json_decref(answer.body);
}

void exec_cancel_end(void)
{
    if (exec_was_cancelled) {
        handler_set(SIG_DFL);
        raise(SIGINT);
    }
}
