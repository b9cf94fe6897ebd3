/* load_trouble.c: clients that are slow, and clients that go away: what the node pays for them must
 * not be paid by others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const double ns_per_s = 1e9;

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

/* ---- slow connections ---- */

enum {
    SLOW_MAX = 5000,
    SLOW_PER_TICK = 8,
    SLOW_KINDS = 4,
    SLOW_PAIRS = 8, /* of windows, without and with */
};

static const uint64_t slow_byte_ns = 200000000;

enum slow_kind {
    SLOW_IDLE,   /* connects and says nothing */
    SLOW_HEAD,   /* a byte of a head now and then */
    SLOW_BODY,   /* a byte of a body now and then */
    SLOW_READER, /* asks again and again and reads nothing */
};

struct slow {
    struct load_handle handle;
    struct slow_clients *all;
    enum slow_kind kind;
    int fd; /* -1: none */
    size_t sent;
    uint64_t next_ns;
};

struct slow_clients {
    struct load *load;
    struct slow *clients;
    size_t count, cursor;
    char head[512];
    uint64_t closed_by_node;
};

static void slow_close(struct slow *slow)
{
    if (slow->fd >= 0) {
        close(slow->fd);
        slow->fd = -1;
    }
}

static void slow_ready(struct load_handle *handle, uint32_t events)
{
    struct slow *slow = (struct slow *)(void *)handle;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        slow->all->closed_by_node++;
        slow_close(slow); /* and comes again */
    }
}

static void slow_open(struct slow *slow)
{
    struct load_http *http = &slow->all->load->http;
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = &slow->handle};
    int small = 4096;
    slow->sent = 0;
    slow->fd = socket(http->address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (slow->fd < 0) {
        return;
    }
    (void)setsockopt(slow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if ((connect(slow->fd, (const struct sockaddr *)http->address, http->address_size) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, slow->fd, &event) != 0) {
        slow_close(slow);
    }
}

static void slow_send(struct slow *slow)
{
    static const char question[] = "GET /openapi.json HTTP/1.1\r\nHost: node\r\n\r\n";
    const char *text = slow->all->head;
    size_t size = strlen(text);
    switch (slow->kind) {
    case SLOW_IDLE:
        return;
    case SLOW_HEAD: /* never whole */
        (void)send(slow->fd, slow->sent < size - 4 ? text + slow->sent : "x", 1, MSG_NOSIGNAL);
        slow->sent++;
        return;
    case SLOW_BODY:
        (void)send(slow->fd, slow->sent == 0 ? text : " ", slow->sent == 0 ? size : 1,
                   MSG_NOSIGNAL);
        slow->sent++;
        return;
    case SLOW_READER:
        (void)send(slow->fd, question, sizeof question - 1, MSG_NOSIGNAL);
        return;
    }
}

/* They have nothing to do with each other: each has its own moment within the time of a byte. */
static void slow_clients_spread(struct slow_clients *all, uint64_t now)
{
    all->cursor = 0;
    for (size_t i = 0; i < all->count; i++) {
        all->clients[i].next_ns = now + slow_byte_ns * i / all->count;
    }
}

/* Some that are due, which are next at the cursor; the moment at which to look again. */
static uint64_t slow_tick(struct load *load, uint64_t now)
{
    struct slow_clients *all = load->tick_context;
    struct slow *slow = &all->clients[all->cursor];
    for (size_t done = 0; done < SLOW_PER_TICK && slow->next_ns <= now; done++) {
        slow->next_ns = now + slow_byte_ns;
        if (slow->fd < 0) {
            slow_open(slow);
        } else {
            slow_send(slow);
        }
        all->cursor = (all->cursor + 1) % all->count;
        slow = &all->clients[all->cursor];
    }
    return slow->next_ns;
}

static bool slow_clients_open(struct slow_clients *all, struct load *load, size_t count,
                              struct err *err)
{
    *all = (struct slow_clients){.load = load, .count = count};
    all->clients = heap_alloc_array(count, sizeof *all->clients);
    if (all->clients == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for slow clients");
    }
    const struct load_node *node = &load->node;
    snprintf(all->head, sizeof all->head,
             "POST /v1/keys HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n"
             "X-API-Key: %s\r\nContent-Length: 4000\r\n\r\n",
             node->host, node->port, node->api_key_count > 0 ? node->api_keys[0] : "none");
    for (size_t i = 0; i < count; i++) {
        all->clients[i] = (struct slow){
            .handle = {slow_ready}, .all = all, .kind = (enum slow_kind)(i % SLOW_KINDS), .fd = -1};
    }
    return true;
}

static void slow_clients_close(struct slow_clients *all)
{
    for (size_t i = 0; i < all->count; i++) {
        slow_close(&all->clients[i]);
    }
}

/* One window, and its p99 in ns; those without begin once the slow ones are gone, those with once
 * they are there. */
static double slow_window(struct load *load, struct slow_clients *all, bool is_beside,
                          double seconds, struct load_tally *tally)
{
    static const double settle_seconds = 0.5;
    struct load_histogram window, before = tally->latency;
    struct load_flow flow;
    struct load_flow *const flows[] = {&flow};
    if (is_beside) {
        load->tick = slow_tick;
        load->tick_context = all;
        slow_clients_spread(all, now_ns());
    } else {
        slow_clients_close(all);
        load->tick = NULL;
    }
    load_flow_init(&flow, load, "small", load_small_job, tally);
    flow.rate = load->options->rate > 0 ? load->options->rate : load->options->is_quick ? 50 : 300;
    flow.is_uniform = load->options->is_uniform;
    flow.next_ns = now_ns();
    flow.measure_ns = flow.next_ns + (uint64_t)(settle_seconds * ns_per_s);
    flow.end_ns = flow.measure_ns + (uint64_t)(seconds * ns_per_s);
    load_flows_run(load, flows, 1);
    window = tally->latency;
    load_histogram_take(&window, &before);
    return (double)load_histogram_at(&window, 0.99);
}

static void slow_report(struct load *load, const struct slow_clients *all,
                        struct load_tally *const tallies[2], double ratio)
{
    load_figure_add(load, "slow and idle connections", (double)all->count, "");
    load_figure_add(load, "of these closed by the node", (double)all->closed_by_node, "");
    load_figure_add(load, "connections of the others", (double)load->http.connections, "");
    load_tally_report(load, "without them", tallies[0]);
    load_tally_report(load, "with them", tallies[1]);
    load_figure_goal(load, "p99 with them over without", ratio, "x", 1.2, false);
}

bool load_slow_clients(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    struct slow_clients all;
    struct load_tally *tallies[2] = {HEAP_NEW(struct load_tally), HEAP_NEW(struct load_tally)};
    size_t count = options->count > 0 ? (size_t)options->count : options->is_quick ? 60 : 500;
    size_t pairs = options->is_quick ? 1 : SLOW_PAIRS;
    double seconds = (options->seconds > 0 ? options->seconds
                      : options->is_quick  ? 1
                                           : 40) /
                     (double)(2 * pairs);
    double ratios[SLOW_PAIRS]; /* a pause of the disk falls into one window, not into all */
    bool ok = tallies[0] != NULL && tallies[1] != NULL;
    if (!ok) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for histograms");
    }
    ok = ok && slow_clients_open(&all, load, count < SLOW_MAX ? count : SLOW_MAX, err);
    if (ok) {
        load_http_warm(&load->http, (unsigned)count);
        for (size_t i = 0; i < pairs; i++) {
            double without = slow_window(load, &all, false, seconds, tallies[0]);
            double with = slow_window(load, &all, true, seconds, tallies[1]);
            ratios[i] = without > 0 ? with / without : 0;
        }
        load->tick = NULL;
        slow_clients_close(&all);
        heap_free(all.clients);
        load_tally_count(load, tallies[0]);
        load_tally_count(load, tallies[1]);
        slow_report(load, &all, tallies, load_median(ratios, pairs));
    }
    heap_free(tallies[0]);
    heap_free(tallies[1]);
    return ok;
}

/* ---- connections that break ---- */

enum stage { /* where */
             STAGE_CONNECTED,
             STAGE_KEY_HEAD,
             STAGE_KEY_BODY,
             STAGE_KEY_SENT,
             STAGE_EXECUTE_BODY,
             STAGE_RUNNING,
             STAGE_ANSWER,
             STAGES
};

static void broken_job(struct load_flow *flow, struct load_job *job)
{
    load_small_job(flow, job);
    if (flow->tally->started % STAGES == STAGE_RUNNING) {
        job->program = LOAD_SPIN;
        job->timeout_seconds = 60;
    }
}

static void broken_started(struct load_flow *flow, struct load_session *session)
{
    static const uint64_t run_ns = 3000000;
    uint64_t number = flow->tally->started - 1;
    struct load_call *call = &session->call;
    call->is_reset = number / STAGES % 2 == 1;
    call->cut_delay_ns = run_ns;
    switch ((enum stage)(number % STAGES)) {
    case STAGE_CONNECTED:
        call->cut = LOAD_CUT_SENDING;
        break;
    case STAGE_KEY_HEAD:
        call->cut = LOAD_CUT_SENDING;
        call->cut_bytes = 20;
        break;
    case STAGE_KEY_BODY:
        call->cut = LOAD_CUT_SENDING;
        call->cut_bytes = call->request.size - 5;
        break;
    case STAGE_KEY_SENT:
        call->cut = LOAD_CUT_SENDING;
        call->cut_bytes = call->request.size;
        break;
    case STAGE_EXECUTE_BODY:
        session->execute_cut = LOAD_CUT_SENDING;
        break;
    case STAGE_RUNNING:
        session->execute_cut = LOAD_CUT_WAITING;
        break;
    case STAGE_ANSWER:
    case STAGES:
        session->execute_cut = LOAD_CUT_ANSWER;
        break;
    }
}

struct gauges { /* what has to come back to where it was */
    double running, queued, entries;
    struct load_usage usage;
};

static bool gauges_read(struct load *load, struct gauges *gauges)
{
    struct buffer text;
    buffer_init(&text, 4 * 1024 * 1024);
    bool ok =
        load_metrics_fetch(load, &text) &&
        load_metric_find(buffer_bytes(&text), "wasm_hypervisor_executions_running",
                         &gauges->running) &&
        load_metric_find(buffer_bytes(&text), "wasm_hypervisor_executions_queued",
                         &gauges->queued) &&
        load_metric_find(buffer_bytes(&text), "wasm_hypervisor_log_entries", &gauges->entries);
    buffer_release(&text);
    load_usage_read(load, &gauges->usage);
    return ok;
}

/* Waits until nothing runs any more and what was open is closed; for a while. */
static bool quiet_wait(struct load *load, const struct gauges *before, struct gauges *after)
{
    double patience_seconds = load->options->is_quick ? 5 : 20;
    uint64_t end_ns = now_ns() + (uint64_t)(patience_seconds * ns_per_s);
    for (;;) {
        load_http_cool(&load->http);
        bool is_told = gauges_read(load, after);
        bool is_quiet = is_told && after->running <= 0 && after->queued <= 0 &&
                        after->usage.descriptors <= before->usage.descriptors;
        if (is_quiet || now_ns() > end_ns) {
            return is_told;
        }
        uint64_t until_ns = now_ns() + 50000000;
        while (now_ns() < until_ns) {
            load_http_step(&load->http, until_ns);
        }
    }
}

static void broken_report(struct load *load, const struct load_tally *tally,
                          const struct gauges *before, const struct gauges *after)
{
    static const double mib = 1024 * 1024;
    load_figure_add(load, "connections broken", (double)tally->cut, "");
    load_figure_add(load, "answers that were there first", (double)tally->right, "");
    load_figure_add(load, "log entries written", after->entries - before->entries, "");
    load_figure_goal(load, "executions left running or waiting", after->running + after->queued, "",
                     0, false);
    if (before->usage.descriptors > 0) {
        load_figure_goal(load, "descriptors left open",
                         (double)after->usage.descriptors - (double)before->usage.descriptors, "",
                         0, false);
    }
    if (before->usage.rss_bytes > 0) {
        load_figure_add(load, "node's memory before", (double)before->usage.rss_bytes / mib, "MiB");
        load_figure_add(load, "node's memory after", (double)after->usage.rss_bytes / mib, "MiB");
    }
}

/* The first rounds are for what a node takes once and keeps. */
static bool broken_run(struct load *load, uint64_t count, struct load_tally *tally)
{
    struct load_flow flow;
    struct load_flow *const flows[] = {&flow};
    struct gauges before = {0}, after = {0};
    bool is_told = quiet_wait(load, &(struct gauges){.usage.descriptors = UINT64_MAX}, &before);
    load_flow_init(&flow, load, "broken", broken_job, tally);
    flow.started = broken_started;
    flow.allowed |= UINT64_C(1) << ERR_EXECUTION_TIMEOUT;
    flow.concurrency = 32;
    flow.count_max = count;
    load_flows_run(load, flows, 1);
    is_told = quiet_wait(load, &before, &after) && is_told;
    if (is_told) {
        broken_report(load, tally, &before, &after);
    }
    return is_told;
}

bool load_disconnects(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    uint64_t count = options->count > 0 ? options->count : options->is_quick ? 210 : 10000;
    struct load_tally *tally = HEAP_NEW(struct load_tally);
    if (tally == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for histograms");
    }
    if (!load_afterwards(load, err)) { /* what a node takes once and keeps, it takes before */
        heap_free(tally);
        return false;
    }
    bool is_told = broken_run(load, count, tally);
    load_tally_count(load, tally);
    heap_free(tally);
    if (!is_told) {
        return err_set(err, ERR_IO,
                       "the node does not tell its metrics: an API key with the scope "
                       "metrics is needed");
    }
    return load_afterwards(load, err);
}
