/* client.h: one HTTP conversation with a node, over libcurl, JSON in and out.
 *
 * Everything is bounded: the answer's size, the time to connect, the time of the whole call.
 * Redirects are not followed (a key would travel to whoever answers), and only http and https are
 * spoken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/bytes.h"

#include <jansson.h>
#include <signal.h>

/* The node that is meant: the one given, or $WASM_HYPERVISOR_URL, or the one of this machine. NULL
 * and "" are none. */
const char *client_url(const char *given);

struct client;

struct client_answer {
    int status;
    json_t *body; /* owned by the caller; an object */
};

/* url: "http://127.0.0.1:3000", a path and a final slash are fine. api_key NULL: none is sent.
 * Fails with USAGE for a URL that is none. */
bool client_open(const char *url, const char *api_key, struct client **out,
                 struct err *err) MUST_CHECK;
void client_close(struct client *client);

/* POSTs `body` (NULL: GETs) and reads a JSON object. Fails with IO (no connection, timeout, or an
 * answer that is no JSON object) and LIMIT (a larger one). HTTP errors are answers. */
bool client_call(struct client *client, const char *path, const json_t *body,
                 unsigned timeout_seconds, struct client_answer *answer,
                 struct err *err) MUST_CHECK;

/* The same for DELETE. */
bool client_delete(struct client *client, const char *path, unsigned timeout_seconds,
                   struct client_answer *answer, struct err *err) MUST_CHECK;

/* From now on a call ends with CANCELLED when *flag is not 0 any more, which a signal's handler may
 * cause; NULL: none does. */
void client_interrupt_on(struct client *client, const volatile sig_atomic_t *flag);

/* Sends `name: value` with every call from now on. Fails with IO for a value that is no header's.
 */
bool client_add_header(struct client *client, const char *name, const char *value,
                       struct err *err) MUST_CHECK;

/* True if the API key would travel unencrypted to another machine. */
bool client_is_exposed(const struct client *client);

#endif
