/* node.h: a node: all parts opened in order, connected, run, and closed in reverse. Private to cli.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_NODE_H
#define CLI_NODE_H

#include "cli/config.h"
#include "cli/data_dir.h"
#include "cli/sealing.h"
#include "net/net.h"
#include "service/service.h"

/* SERVING -> DRAINING (SIGTERM) -> CANCELLED (time is up, or a second signal) -> CLOSING.
 * Every step may be skipped, none is taken back. */
enum node_phase { NODE_SERVING, NODE_DRAINING, NODE_CANCELLED, NODE_CLOSING };

enum { NODE_SIGNAL_COUNT = 4, NODE_ID_BYTES = 16, NODE_BUILD_ID_CHARS_MAX = 128 };

struct node {
    const struct config *config;
    struct data_dir directory;
    char node_id[2 * NODE_ID_BYTES + 1];
    char build_id[NODE_BUILD_ID_CHARS_MAX];
    uint8_t config_digest[CRYPTO_SHA256_BYTES];

    uv_loop_t loop;
    uv_timer_t tick;
    uv_timer_t patience; /* runs while draining */
    uv_async_t wake;     /* from other threads: look at the flags below */
    uv_signal_t signals[NODE_SIGNAL_COUNT];

    struct audit_log *log;
    struct audit_recovery recovery;
    struct store *store;
    struct buffer tee_certificates; /* the operator's; the tee has them borrowed */
    struct tee tee;
    struct sealing sealing;
    struct net_outgoing *webhooks;     /* NULL: off */
    struct net_outgoing *to_witnesses; /* NULL: it has none, as the next */
    struct service_witnesses *witnesses;
    struct audit_witness *witness; /* NULL: this node is none */
    struct service_memory memory;
    struct service *service;
    struct net_server *net;

    enum node_phase phase;
    bool net_drained;
    _Atomic bool service_drained;
    _Atomic bool log_died;
    struct err log_err; /* valid once log_died is set */
    bool failed;        /* ended by something else than a signal */
};

/* Opens everything but the sockets' port: audit log (made on the first start), store, tee, service,
 * then listens. On failure nothing is left open. `config` outlives the node. */
bool node_open(struct node *node, const struct config *config, struct err *err) MUST_CHECK;
/* Serves until a signal or a dead log ends it. False: the log died, *err says of what. */
bool node_run(struct node *node, struct err *err) MUST_CHECK;
void node_close(struct node *node);

/* node_parts.c: what lies under the loop. parts_close takes parts that were never opened. */
bool node_parts_open(struct node *node, struct err *err) MUST_CHECK;
void node_parts_close(struct node *node);
/* The service alone, before the rest. */
void node_service_close(struct node *node);

#endif
