/* test_outgoing.c: requests to others, against a receiver of a few lines that misbehaves as told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS_MAX = 16, REQUEST_BYTES_MAX = 8192, BODY_MAX = 1000 };

/* ---- the receiver: one connection after the other ---- */

struct receiver {
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char requests[REQUESTS_MAX][REQUEST_BYTES_MAX];
    size_t count;
    bool is_held; /* answers wait */
};

static void write_all(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Until the receiver's client has enough. */
static void write_endless(int fd, const char *head, const char *piece)
{
    write_all(fd, head);
    while (send(fd, piece, strlen(piece), MSG_NOSIGNAL) > 0) {
    }
}

static void write_sized(int fd, size_t size)
{
    char text[4096];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
    write_all(fd, text);
    memset(text, 'x', size);
    text[size] = 0;
    write_all(fd, text);
}

static void receiver_answer(int fd, const char *request)
{
    const char *path = strchr(request, ' ') + 1;
    int status = 200;
    if (sscanf(path, "/status/%d", &status) == 1) {
        char head[128];
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d X\r\nLocation: /moved\r\nContent-Length: 2\r\n\r\nok", status);
        write_all(fd, head);
    } else if (strncmp(path, "/fits ", 6) == 0) {
        write_sized(fd, BODY_MAX);
    } else if (strncmp(path, "/large ", 7) == 0) {
        write_sized(fd, BODY_MAX + 1);
    } else if (strncmp(path, "/endless ", 9) == 0) {
        write_endless(fd, "HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx");
    } else if (strncmp(path, "/heads ", 7) == 0) {
        write_endless(fd, "HTTP/1.1 200 OK\r\n", "X-More: xxxxxxxxxxxx\r\n");
    } else if (strncmp(path, "/interim ", 9) == 0) {
        write_endless(fd, "", "HTTP/1.1 100 Continue\r\n\r\n");
    } else if (strncmp(path, "/slow ", 6) == 0) {
        char byte;
        write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx");
        (void)!read(fd, &byte, 1); /* until the client gives up */
    } else if (strncmp(path, "/garbage ", 9) == 0) {
        write_all(fd, "220 mail.example ESMTP\r\n");
    }
}

static bool request_is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    size_t size = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    return end != NULL && strlen(end + 4) >= size;
}

static void receiver_serve(struct receiver *receiver, int fd)
{
    char request[REQUEST_BYTES_MAX] = "";
    size_t size = 0;
    while (!request_is_whole(request)) {
        ssize_t got = read(fd, request + size, sizeof request - 1 - size);
        if (got <= 0) {
            return;
        }
        size += (size_t)got;
        request[size] = 0;
    }
    pthread_mutex_lock(&receiver->lock);
    memcpy(receiver->requests[receiver->count++], request, sizeof request);
    pthread_cond_broadcast(&receiver->changed);
    pthread_mutex_unlock(&receiver->lock);
}

/* A connection with /held is answered when is_held ends, beside others. */
static void *receiver_run(void *context)
{
    struct receiver *receiver = context;
    int held = -1;
    for (;;) {
        int fd = accept(receiver->listener, NULL, NULL);
        if (fd < 0) {
            break;
        }
        size_t before = receiver->count;
        receiver_serve(receiver, fd);
        const char *request = receiver->requests[before];
        if (receiver->count > before && strncmp(request, "GET /held", 9) == 0 && held < 0) {
            held = fd;
            continue;
        }
        if (receiver->count > before) {
            receiver_answer(fd, request);
        }
        if (receiver->count > before && strstr(request, "/release") != NULL && held >= 0) {
            write_all(held, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            close(held);
            held = -1;
            write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        close(fd);
    }
    if (held >= 0) {
        close(held);
    }
    return NULL;
}

static void receiver_open(struct receiver *receiver)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    memset(receiver, 0, sizeof *receiver);
    pthread_mutex_init(&receiver->lock, NULL);
    pthread_cond_init(&receiver->changed, NULL);
    receiver->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(receiver->listener, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(receiver->listener, 16), 0);
    cr_assert_eq(getsockname(receiver->listener, (struct sockaddr *)&address, &size), 0);
    receiver->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&receiver->thread, NULL, receiver_run, receiver), 0);
}

static void receiver_close(struct receiver *receiver)
{
    shutdown(receiver->listener, SHUT_RDWR);
    pthread_join(receiver->thread, NULL);
    close(receiver->listener);
}

static void receiver_await(struct receiver *receiver, size_t count)
{
    pthread_mutex_lock(&receiver->lock);
    while (receiver->count < count) {
        pthread_cond_wait(&receiver->changed, &receiver->lock);
    }
    pthread_mutex_unlock(&receiver->lock);
}

/* ---- what came back ---- */

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;
    struct {
        enum outgoing_outcome outcome;
        int status;
        char body[BODY_MAX + 1];
        char problem[256];
        int order;
    } answers[REQUESTS_MAX];
};

struct ear { /* one request's */
    struct heard *heard;
    size_t index;
};

static void heard_init(struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    pthread_mutex_init(&heard->lock, NULL);
    pthread_cond_init(&heard->changed, NULL);
}

static void heard_cb(void *context, const struct outgoing_answer *answer)
{
    struct ear *ear = context;
    struct heard *heard = ear->heard;
    pthread_mutex_lock(&heard->lock);
    heard->answers[ear->index].outcome = answer->outcome;
    heard->answers[ear->index].status = answer->status;
    if (answer->body.size > 0) {
        memcpy(heard->answers[ear->index].body, answer->body.ptr, answer->body.size);
    }
    snprintf(heard->answers[ear->index].problem, 256, "%s", answer->problem);
    heard->answers[ear->index].order = (int)++heard->count;
    pthread_cond_broadcast(&heard->changed);
    pthread_mutex_unlock(&heard->lock);
}

static void heard_await(struct heard *heard, size_t count)
{
    pthread_mutex_lock(&heard->lock);
    while (heard->count < count) {
        pthread_cond_wait(&heard->changed, &heard->lock);
    }
    pthread_mutex_unlock(&heard->lock);
}

/* ---- the fixture ---- */

static struct receiver receiver;
static struct heard heard;
static struct ear ears[REQUESTS_MAX];
static struct net_outgoing *outgoing;
static struct outgoing api;

static void open_with(uint32_t running_max, uint32_t waiting_max, bool allow_private)
{
    struct net_outgoing_limits limits = {running_max, waiting_max, allow_private};
    struct err err;
    receiver_open(&receiver);
    heard_init(&heard);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        ears[i] = (struct ear){&heard, i};
    }
    cr_assert(net_outgoing_open(&limits, &outgoing, &err), "%s", err.message);
    api = net_outgoing_of(outgoing);
}

static void close_all(void)
{
    net_outgoing_close(outgoing);
    receiver_close(&receiver);
}

static const char *url_of(const char *host, const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "http://%s:%u%s", host, receiver.port, path);
    return url;
}

static struct outgoing_request request_of(const char *path, size_t index)
{
    return (struct outgoing_request){.url = url_of("127.0.0.1", path),
                                     .connect_ms_max = 30000,
                                     .total_ms_max = 30000,
                                     .answer_bytes_max = BODY_MAX,
                                     .done = heard_cb,
                                     .context = &ears[index]};
}

static void send_ok(const struct outgoing_request *request)
{
    struct err err;
    cr_assert(api.send(api.context, request, &err), "%s", err.message);
}

static void send_fails(const struct outgoing_request *request, enum err_code code)
{
    struct err err;
    cr_assert_not(api.send(api.context, request, &err));
    cr_expect_eq(err.code, code, "%s", err.message);
}

static void get(const char *path, size_t index)
{
    struct outgoing_request request = request_of(path, index);
    send_ok(&request);
}

/* ---- tests ---- */

Test(net_outgoing, posts_headers_and_body_and_hears_the_answer)
{
    static const struct message_header headers[] = {{"Content-Type", "application/json"},
                                                    {"X-One", "two"}};
    open_with(4, 8, true);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* heeded, nothing would arrive */
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    struct outgoing_request request = request_of("/status/202", 0);
    request.headers = headers;
    request.header_count = 2;
    request.body = bytes_of_string("{\"a\":1}");
    send_ok(&request);
    heard_await(&heard, 1);
    cr_expect_eq(heard.answers[0].outcome, OUTGOING_ANSWERED);
    cr_expect_eq(heard.answers[0].status, 202);
    cr_expect_str_eq(heard.answers[0].body, "ok");
    cr_expect_str_eq(heard.answers[0].problem, "");
    const char *got = receiver.requests[0];
    cr_expect_eq(strncmp(got, "POST /status/202 HTTP/1.1\r\n", 27), 0, "%s", got);
    cr_expect_not_null(strstr(got, "\r\nContent-Type: application/json\r\n"));
    cr_expect_not_null(strstr(got, "\r\nX-One: two\r\n"));
    cr_expect_not_null(strstr(got, "\r\nUser-Agent: wasm-hypervisor/"));
    cr_expect_null(strstr(got, "Expect"));
    cr_expect_str_eq(strstr(got, "\r\n\r\n") + 4, "{\"a\":1}");
    close_all();
}

Test(net_outgoing, a_redirect_is_an_answer_and_is_not_followed)
{
    static const int codes[] = {301, 302, 303, 307, 308};
    open_with(1, 8, true);
    for (size_t i = 0; i < 5; i++) {
        char path[32];
        snprintf(path, sizeof path, "/status/%d", codes[i]);
        get(path, i);
    }
    heard_await(&heard, 5);
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(heard.answers[i].outcome, OUTGOING_ANSWERED);
        cr_expect_eq(heard.answers[i].status, codes[i]);
    }
    cr_expect_eq(receiver.count, 5);
    close_all();
}

Test(net_outgoing, answers_are_bounded)
{
    open_with(1, 8, true);
    get("/fits", 0);
    get("/large", 1);
    get("/endless", 2);
    get("/heads", 3);
    get("/interim", 4);
    heard_await(&heard, 5);
    cr_expect_eq(heard.answers[0].outcome, OUTGOING_ANSWERED);
    cr_expect_eq(strlen(heard.answers[0].body), BODY_MAX);
    for (size_t i = 1; i < 5; i++) {
        cr_expect_eq(heard.answers[i].outcome, OUTGOING_TOO_LARGE, "%zu: %s", i,
                     heard.answers[i].problem);
    }
    close_all();
}

Test(net_outgoing, time_is_bounded_and_what_is_no_http_is_no_answer)
{
    open_with(1, 8, true);
    struct outgoing_request request = request_of("/slow", 0);
    request.total_ms_max = 100;
    send_ok(&request);
    get("/garbage", 1);
    request = request_of("/", 2);
    request.url = "http://name.invalid/";
    send_ok(&request);
    heard_await(&heard, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(heard.answers[i].outcome, OUTGOING_UNREACHABLE);
        cr_expect_neq(heard.answers[i].problem[0], 0);
    }
    close_all();
}

Test(net_outgoing, only_public_addresses_are_connected_to)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost",          "2130706433",
                                        "127.1",     "[::ffff:127.0.0.1]", "0.0.0.0"};
    open_with(2, 8, false);
    for (size_t i = 0; i < 6; i++) {
        struct outgoing_request request = request_of("/", i);
        request.url = url_of(hosts[i], "/");
        send_ok(&request);
    }
    heard_await(&heard, 6);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_eq(heard.answers[i].outcome, OUTGOING_REFUSED, "%s: %s", hosts[i],
                     heard.answers[i].problem);
    }
    cr_expect_eq(receiver.count, 0);
    close_all();
}

Test(net_outgoing, checks_urls)
{
    static const struct {
        const char *url;
        bool is_ok, is_ok_privately;
    } rows[] = {
        {"http://example.org", true, true},
        {"https://example.org:8443/a?b=c#d", true, true},
        {"HTTPS://EXAMPLE.ORG/", true, true},
        {"http://1.1.1.1/", true, true},
        {"http://[2606:4700::1111]/", true, true},
        {"http://localhost/", true, true}, /* a name: judged when it is connected to */
        {"http://127.0.0.1/", false, true},
        {"http://127.1/", false, true},
        {"http://2130706433/", false, true},
        {"http://0x7f000001/", false, true},
        {"http://0177.0.0.1/", false, true},
        {"http://169.254.169.254/latest", false, true},
        {"http://[::1]:80/", false, true},
        {"http://[::ffff:10.0.0.1]/", false, true},
        {"http://[64:ff9b::a00:1]/", false, true},
        {"", false, false},
        {"example.org", false, false},
        {"//example.org/", false, false},
        {"/path", false, false},
        {"http://", false, false},
        {"ftp://example.org/", false, false},
        {"file:///etc/passwd", false, false},
        {"gopher://example.org/", false, false},
        {"http://user@example.org/", false, false},
        {"http://user:password@example.org/", false, false},
        {"http://example.org:99999/", false, false},
        {"http://exam ple.org/", false, false},
        {"http://example.org/a b", false, false},
        {"http://example.org/\r\nX: y", false, false},
        {"http://example.org/\x7f", false, false},
        {"http://ex\xc3\xa4mple.org/", false, false},
    };
    for (int private = 0; private < 2; private ++) {
        open_with(1, 1, private == 1);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct err err = {.code = ERR_NONE};
            bool is_ok = private == 1 ? rows[i].is_ok_privately : rows[i].is_ok;
            cr_expect_eq(api.check(api.context, rows[i].url, &err), is_ok, "%s", rows[i].url);
            cr_expect_eq(err.code, is_ok ? ERR_NONE : ERR_MALFORMED_REQUEST, "%s", rows[i].url);
        }
        close_all();
    }
}

Test(net_outgoing, urls_have_a_longest)
{
    char url[OUTGOING_URL_CHARS_MAX + 2];
    struct err err;
    open_with(1, 1, false);
    memset(url, 'a', sizeof url);
    memcpy(url, "http://example.org/", 19);
    url[OUTGOING_URL_CHARS_MAX] = 0;
    cr_expect(api.check(api.context, url, &err));
    url[OUTGOING_URL_CHARS_MAX] = 'a';
    url[OUTGOING_URL_CHARS_MAX + 1] = 0;
    cr_expect_not(api.check(api.context, url, &err));
    close_all();
}

Test(net_outgoing, what_is_delayed_lets_others_pass)
{
    open_with(1, 8, true);
    struct outgoing_request request = request_of("/status/200", 0);
    request.delay_ms = 50;
    send_ok(&request);
    get("/status/200", 1);
    heard_await(&heard, 2);
    cr_expect_eq(heard.answers[1].order, 1);
    cr_expect_eq(heard.answers[0].order, 2);
    close_all();
}

Test(net_outgoing, room_is_bounded_and_one_party_has_half)
{
    open_with(4, 4, true);
    struct outgoing_request request = request_of("/", 0);
    request.delay_ms = 3600 * 1000;
    request.party = "a";
    send_ok(&request);
    request.context = &ears[1];
    send_ok(&request);
    send_fails(&request, ERR_OVERLOADED);
    request.party = "b";
    request.context = &ears[2];
    send_ok(&request);
    request.party = NULL;
    request.context = &ears[3];
    send_ok(&request);
    request.party = "b";
    send_fails(&request, ERR_OVERLOADED);
    cr_expect_eq(heard.count, 0);
    api.stop(api.context); /* all are told, and nobody twice */
    cr_expect_eq(heard.count, 4);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(heard.answers[i].outcome, OUTGOING_STOPPED);
    }
    send_fails(&request, ERR_CLOSED);
    close_all();
    cr_expect_eq(heard.count, 4);
}

Test(net_outgoing, one_party_has_a_quarter_of_what_runs)
{
    open_with(4, 8, true);
    struct outgoing_request request = request_of("/held", 0);
    request.party = "a";
    send_ok(&request);
    receiver_await(&receiver, 1);
    request.url = url_of("127.0.0.1", "/status/200");
    request.context = &ears[1];
    send_ok(&request);
    request.party = "b";
    request.context = &ears[2];
    send_ok(&request);
    heard_await(&heard, 1);
    cr_expect_eq(heard.answers[2].order, 1, "another party waits for the first");
    get("/release", 3);
    heard_await(&heard, 4);
    cr_expect_eq(heard.answers[1].outcome, OUTGOING_ANSWERED);
    cr_expect_eq(receiver.count, 4);
    close_all();
}

Test(net_outgoing, stop_ends_what_runs)
{
    open_with(1, 8, true);
    get("/held", 0);
    receiver_await(&receiver, 1);
    get("/status/200", 1);
    api.stop(api.context);
    cr_expect_eq(heard.count, 2);
    cr_expect_eq(heard.answers[0].outcome, OUTGOING_STOPPED);
    cr_expect_eq(heard.answers[1].outcome, OUTGOING_STOPPED);
    close_all();
}

static struct outgoing_request again; /* what again_cb sends */

static void again_cb(void *context, const struct outgoing_answer *answer)
{
    struct err err;
    cr_assert(api.send(api.context, &again, &err), "%s", err.message);
    heard_cb(context, answer);
}

Test(net_outgoing, a_callback_may_send_again)
{
    open_with(1, 1, true);
    struct outgoing_request request = request_of("/status/500", 0);
    again = request_of("/status/200", 1);
    again.url = "http://127.0.0.1:1/";
    request.url = url_of("127.0.0.1", "/status/500");
    request.done = again_cb;
    send_ok(&request);
    heard_await(&heard, 2);
    cr_expect_eq(heard.answers[0].status, 500);
    cr_expect_eq(heard.answers[1].outcome, OUTGOING_UNREACHABLE);
    close_all();
}

Test(net_outgoing, a_lack_of_memory_is_told)
{
    static const struct message_header headers[] = {{"X-One", "two"}};
    size_t failures = 0;
    open_with(1, 8, true);
    struct outgoing_request request = request_of("/status/200", 0);
    request.headers = headers;
    request.header_count = 1;
    request.body = bytes_of_string("{}");
    request.party = "a";
    for (bool ok = false; !ok;) {
        struct err err;
        heap_fail_after(failures + 1);
        ok = api.send(api.context, &request, &err);
        heap_fail_after(0);
        cr_assert(ok || err.code == ERR_NO_MEMORY, "%s", err.message);
        failures += !ok;
    }
    cr_expect_gt(failures, 2);
    heard_await(&heard, 1);
    close_all();
}
