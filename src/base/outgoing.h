/* outgoing.h: a request to somebody else's server as plain data: what service asks for and net
 * sends (net/outgoing.c).
 *
 * Whoever has something to tell others (webhooks, witnesses) is handed a struct outgoing and knows
 * no sockets. Each has one of its own, so that none takes the others' room or their permissions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_OUTGOING_H
#define BASE_OUTGOING_H

#include "base/message.h"

enum outgoing_outcome {
    OUTGOING_ANSWERED,    /* whole, within all limits */
    OUTGOING_UNREACHABLE, /* no name, no connection, no TLS, no answer in time */
    OUTGOING_REFUSED,     /* all its addresses are private, and this node calls only public ones */
    OUTGOING_TOO_LARGE,   /* the answer was longer than it may be */
    OUTGOING_STOPPED,     /* by `stop` */
};

struct outgoing_answer {
    enum outgoing_outcome outcome;
    int status;          /* of HTTP; 0: none came. 3xx is an answer like others: not followed */
    struct bytes body;   /* when ANSWERED; valid for the call */
    const char *problem; /* for the operator; "" when ANSWERED; valid for the call */
};

struct outgoing_request {
    const char *url; /* one that `check` accepts */
    const struct message_header *headers;
    size_t header_count;
    struct bytes body;       /* POSTed; ptr NULL: GET */
    uint32_t connect_ms_max; /* for the name, the connection and TLS */
    uint32_t total_ms_max;   /* from there to the answer's last byte, all included */
    size_t answer_bytes_max; /* of its body; its head may have 64 KiB */
    uint64_t delay_ms;       /* not before so long from now */
    const char *party;       /* whose doing it is: one party gets a share of the room. NULL: all */
    /* Exactly once if `send` was true, on the sender's thread, which nobody else's requests leave
     * meanwhile: it must not block. It may send again. */
    void (*done)(void *context, const struct outgoing_answer *answer);
    void *context;
};

struct outgoing {
    /* Any thread. MALFORMED_REQUEST, with what is wrong, for what is no absolute http or https URL
     * of at most OUTGOING_URL_CHARS_MAX characters, has a user or a password in it, or names a
     * refused address by number. Names are looked up when it is sent, and every address is checked
     * when it is connected to. */
    bool (*check)(void *context, const char *url, struct err *err);
    /* Any thread. Copies everything. OVERLOADED: no room, or not for this party; CLOSED: after
     * `stop`; NO_MEMORY. */
    bool (*send)(void *context, const struct outgoing_request *request, struct err *err);
    /* Ends what is under way; when it returns all have been called back, and nobody will be. */
    void (*stop)(void *context);
    void *context;
};

enum { OUTGOING_URL_CHARS_MAX = 2048 };

#endif
