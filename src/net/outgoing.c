/* outgoing.c: requests to others, on libcurl's multi interface and a thread of its own.
 *
 *     send -> waiting (its turn, its time) -> running -> done
 *
 * URLs come from tenants and answers from whoever they name, so everything is bounded, and the
 * process lends nothing of its own: no proxy, cookies, passwords, redirects or kept connections. An
 * address is judged in the moment when a socket for it is made (call_open_socket): whatever a name
 * stood for before, or stands for a moment later, does not count.
 *
 * The lock guards the list of waiting calls; what runs is the thread's alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/net.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/process.h"

#include <assert.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

enum {
    OUTGOING_HEAD_BYTES_MAX = 65536, /* of an answer, interim ones included */
    OUTGOING_POLL_MS = 60000,
    OUTGOING_RUNNING_SHARE = 4, /* a party's: one part in so many */
    OUTGOING_WAITING_SHARE = 2,
};

static const uint64_t outgoing_ns_per_ms = 1000000;

struct call {
    struct list link;
    struct net_outgoing *outgoing;
    struct outgoing_request request; /* its pointers lead into the arena */
    struct arena arena;
    uint64_t due_ns;
    CURL *curl;
    struct curl_slist *headers;
    struct buffer body; /* of the answer */
    size_t head_bytes;
    bool is_too_large;
    bool was_refused, was_allowed; /* an address */
    char problem[CURL_ERROR_SIZE];
};

struct net_outgoing {
    struct net_outgoing_limits limits;
    pthread_t thread;
    bool is_joined;
    CURLM *multi;
    struct list running;
    uint32_t running_count;

    pthread_mutex_t lock; /* of the rest */
    struct list waiting;
    uint32_t waiting_count;
    bool is_stopping;
};

static uint64_t outgoing_now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

/* ---- addresses ---- */

static bool address_of(const struct sockaddr *from, struct address *out)
{
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    if (from->sa_family == AF_INET) {
        static const uint8_t mapped[] = {[10] = 0xff, [11] = 0xff};
        memcpy(&ipv4, from, sizeof ipv4);
        memcpy(out->bytes, mapped, sizeof mapped);
        memcpy(out->bytes + sizeof mapped, &ipv4.sin_addr, sizeof ipv4.sin_addr);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        memcpy(&ipv6, from, sizeof ipv6);
        memcpy(out->bytes, &ipv6.sin6_addr, sizeof out->bytes);
        return true;
    }
    return false;
}

/* libcurl asks for a socket for each address that it is about to connect to. */
static curl_socket_t call_open_socket(void *context, curlsocktype purpose,
                                      struct curl_sockaddr *target)
{
    struct call *call = context;
    struct address address;
    (void)purpose;
    if (!address_of(&target->addr, &address) ||
        (!call->outgoing->limits.allow_private && !address_is_public(&address))) {
        call->was_refused = true;
        return CURL_SOCKET_BAD;
    }
    call->was_allowed = true;
    return socket(target->family, target->socktype | SOCK_CLOEXEC, target->protocol);
}

/* A host that is an address already can be judged at once. */
static bool host_check(const struct net_outgoing *outgoing, const char *host, struct err *err)
{
    struct bytes text = bytes_of_string(host);
    struct address address;
    if (text.size > 2 && host[0] == '[') {
        text = bytes_of(host + 1, text.size - 2);
    }
    return outgoing->limits.allow_private || !address_parse(text, &address) ||
           address_is_public(&address) ||
           err_set(err, ERR_MALFORMED_REQUEST,
                   "the address in the URL is none of the public internet");
}

static bool url_is_plain(const char *url)
{
    size_t size = strlen(url);
    for (size_t i = 0; i < size; i++) {
        if (url[i] <= ' ' || url[i] > '~') {
            return false;
        }
    }
    return size <= OUTGOING_URL_CHARS_MAX;
}

static bool outgoing_check(void *context, const char *url, struct err *err)
{
    const struct net_outgoing *outgoing = context;
    char *scheme = NULL, *host = NULL;
    CURLU *parsed = url_is_plain(url) ? curl_url() : NULL;
    bool ok = parsed != NULL &&
              curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    ok = ok ? host_check(outgoing, host, err)
            : err_set(err, ERR_MALFORMED_REQUEST,
                      "the URL must be an absolute one of http or https, of at most %d printable "
                      "ASCII characters, without user and password",
                      (int)OUTGOING_URL_CHARS_MAX);
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
    return ok;
}

/* ---- a call's memory ---- */

static void call_free(struct call *call)
{
    if (call == NULL) {
        return;
    }
    curl_slist_free_all(call->headers);
    buffer_release(&call->body);
    arena_release(&call->arena);
    heap_free(call);
}

static bool call_add_header(struct call *call, const char *name, const char *value)
{
    struct buffer line;
    assert(strpbrk(value, "\r\n") == NULL);
    buffer_init(&line, 16384);
    buffer_printf(&line, "%s: %s", name, value);
    buffer_append_u8(&line, 0);
    struct curl_slist *longer =
        line.failed ? NULL : curl_slist_append(call->headers, (const char *)line.ptr);
    buffer_release(&line);
    if (longer != NULL) {
        call->headers = longer;
    }
    return longer != NULL;
}

static bool call_copy(struct call *call, const struct outgoing_request *request)
{
    struct outgoing_request *own = &call->request;
    *own = *request;
    own->url = arena_strdup(&call->arena, request->url);
    own->body = arena_copy(&call->arena, request->body);
    own->party = request->party == NULL ? NULL : arena_strdup(&call->arena, request->party);
    bool ok = own->url != NULL && (own->body.ptr != NULL) == (request->body.ptr != NULL) &&
              (own->party != NULL) == (request->party != NULL);
    for (size_t i = 0; i < request->header_count && ok; i++) {
        ok = call_add_header(call, request->headers[i].name, request->headers[i].value);
    }
    return ok && call_add_header(call, "User-Agent", "wasm-hypervisor/" WH_VERSION);
}

static struct call *call_new(struct net_outgoing *outgoing, const struct outgoing_request *request)
{
    struct call *call = HEAP_NEW(struct call);
    if (call == NULL) {
        return NULL;
    }
    list_init(&call->link);
    call->outgoing = outgoing;
    arena_init(&call->arena, NULL);
    buffer_init(&call->body, request->answer_bytes_max);
    call->due_ns = outgoing_now_ns() + request->delay_ms * outgoing_ns_per_ms;
    if (!call_copy(call, request)) {
        call_free(call);
        return NULL;
    }
    return call;
}

/* ---- a call that runs ---- */

static size_t call_head(char *ptr, size_t size, size_t count, void *context)
{
    struct call *call = context;
    (void)ptr;
    call->head_bytes += size * count;
    call->is_too_large = call->is_too_large || call->head_bytes > OUTGOING_HEAD_BYTES_MAX;
    return call->is_too_large ? 0 : size * count;
}

static size_t call_body(char *ptr, size_t size, size_t count, void *context)
{
    struct call *call = context;
    buffer_append(&call->body, ptr, size * count);
    call->is_too_large = call->is_too_large || call->body.failed;
    return call->is_too_large ? 0 : size * count;
}

/* What each call has in common. An option that fails here fails for a lack of memory, and then so
 * does the call. */
static void call_set_rules(struct call *call)
{
    CURL *curl = call->curl;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* not what the environment says either */
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* a name server that is slow delays nobody */
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, call_open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, call_head);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, call_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->problem);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, (void *)call);
}

static bool call_start(struct call *call)
{
    const struct outgoing_request *request = &call->request;
    call->curl = curl_easy_init();
    if (call->curl == NULL) {
        return false;
    }
    call_set_rules(call);
    curl_easy_setopt(call->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms_max);
    curl_easy_setopt(call->curl, CURLOPT_TIMEOUT_MS, (long)request->total_ms_max);
    curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, call->headers);
    if (request->body.ptr != NULL) {
        curl_easy_setopt(call->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, request->body.ptr);
        curl_easy_setopt(call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    }
    return curl_easy_setopt(call->curl, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_multi_add_handle(call->outgoing->multi, call->curl) == CURLM_OK;
}

static struct outgoing_answer call_answer(const struct call *call, CURLcode code)
{
    struct outgoing_answer answer = {.outcome = OUTGOING_UNREACHABLE, .problem = call->problem};
    long status = 0;
    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = (int)status;
    if (code == CURLE_OK) {
        answer.outcome = OUTGOING_ANSWERED;
        answer.body = buffer_bytes(&call->body);
        answer.problem = "";
    } else if (call->is_too_large) {
        answer.outcome = OUTGOING_TOO_LARGE;
        answer.problem = "the answer is too large";
    } else if (call->was_refused && !call->was_allowed) {
        answer.outcome = OUTGOING_REFUSED;
        answer.problem = "its address is none of the public internet";
    } else if (call->problem[0] == 0) {
        answer.problem = curl_easy_strerror(code);
    }
    return answer;
}

/* The call must be in no list. */
static void call_end(struct call *call, const struct outgoing_answer *answer)
{
    call->request.done(call->request.context, answer);
    if (call->curl != NULL) {
        (void)curl_multi_remove_handle(call->outgoing->multi, call->curl);
        curl_easy_cleanup(call->curl);
    }
    call_free(call);
}

/* ---- the thread ---- */

static uint32_t count_of(const struct list *calls, const char *party)
{
    uint32_t count = 0;
    for (struct list *link = calls->next; link != calls; link = link->next) {
        const struct call *call = LIST_ENTRY(link, struct call, link);
        count += call->request.party != NULL && strcmp(call->request.party, party) == 0;
    }
    return count;
}

static bool has_turn(const struct net_outgoing *outgoing, const struct call *call)
{
    uint32_t share = outgoing->limits.running_max / OUTGOING_RUNNING_SHARE;
    return outgoing->running_count < outgoing->limits.running_max &&
           (call->request.party == NULL ||
            count_of(&outgoing->running, call->request.party) < (share > 0 ? share : 1));
}

/* Moves one whose time and turn have come to the running ones; NULL: none. *wait_ms is how long to
 * sleep if nothing else happens. */
static struct call *outgoing_take(struct net_outgoing *outgoing, int *wait_ms)
{
    uint64_t now_ns = outgoing_now_ns();
    struct call *taken = NULL;
    *wait_ms = OUTGOING_POLL_MS;
    pthread_mutex_lock(&outgoing->lock);
    for (struct list *link = outgoing->waiting.next; link != &outgoing->waiting && taken == NULL;
         link = link->next) {
        struct call *call = LIST_ENTRY(link, struct call, link);
        if (call->due_ns > now_ns) {
            uint64_t left_ms = (call->due_ns - now_ns) / outgoing_ns_per_ms + 1;
            *wait_ms = left_ms < (uint64_t)*wait_ms ? (int)left_ms : *wait_ms;
        } else if (has_turn(outgoing, call)) {
            taken = call;
        }
    }
    if (taken != NULL) {
        list_remove(&taken->link);
        outgoing->waiting_count--;
        list_push_back(&outgoing->running, &taken->link);
        outgoing->running_count++;
    }
    pthread_mutex_unlock(&outgoing->lock);
    return taken;
}

static void outgoing_finish(struct net_outgoing *outgoing, struct call *call,
                            const struct outgoing_answer *answer)
{
    list_remove(&call->link);
    outgoing->running_count--;
    call_end(call, answer);
}

static void outgoing_start(struct net_outgoing *outgoing, int *wait_ms)
{
    struct call *call;
    while ((call = outgoing_take(outgoing, wait_ms)) != NULL) {
        if (!call_start(call)) {
            struct outgoing_answer answer = {.outcome = OUTGOING_UNREACHABLE,
                                             .problem = "no memory for the request"};
            outgoing_finish(outgoing, call, &answer);
        }
    }
}

/* True: some have ended, and others may begin. */
static bool outgoing_step(struct net_outgoing *outgoing)
{
    int count = 0;
    bool has_ended = false;
    (void)curl_multi_perform(outgoing->multi, &count); /* what failed is in the messages */
    const CURLMsg *message;
    while ((message = curl_multi_info_read(outgoing->multi, &count)) != NULL) {
        char *call = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        struct outgoing_answer answer = call_answer((struct call *)(void *)call, code);
        outgoing_finish(outgoing, (struct call *)(void *)call, &answer);
        has_ended = true;
    }
    return has_ended;
}

static bool outgoing_is_stopping(struct net_outgoing *outgoing)
{
    pthread_mutex_lock(&outgoing->lock);
    bool is_stopping = outgoing->is_stopping;
    pthread_mutex_unlock(&outgoing->lock);
    return is_stopping;
}

/* Nothing can be added any more. */
static void outgoing_end_all(struct net_outgoing *outgoing)
{
    struct list *link;
    struct outgoing_answer answer = {.outcome = OUTGOING_STOPPED,
                                     .problem = "the node is shutting down"};
    while ((link = list_pop_front(&outgoing->running)) != NULL ||
           (link = list_pop_front(&outgoing->waiting)) != NULL) {
        call_end(LIST_ENTRY(link, struct call, link), &answer);
    }
}

static void *outgoing_run(void *context)
{
    struct net_outgoing *outgoing = context;
    process_thread_name("outgoing");
    while (!outgoing_is_stopping(outgoing)) {
        int wait_ms = 0;
        outgoing_start(outgoing, &wait_ms);
        if (!outgoing_step(outgoing)) {
            (void)curl_multi_poll(outgoing->multi, NULL, 0, wait_ms, NULL);
        }
    }
    outgoing_end_all(outgoing);
    return NULL;
}

/* ---- what its user calls ---- */

static bool room_check(const struct net_outgoing *outgoing, const char *party, struct err *err)
{
    uint32_t count_max = outgoing->limits.waiting_max;
    if (outgoing->is_stopping) {
        return err_set(err, ERR_CLOSED, "nothing is sent any more");
    }
    if (outgoing->waiting_count >= count_max) {
        return err_set(err, ERR_OVERLOADED, "%u requests to others wait already", count_max);
    }
    return party == NULL ||
           count_of(&outgoing->waiting, party) < (count_max + 1) / OUTGOING_WAITING_SHARE ||
           err_set(err, ERR_OVERLOADED, "half of the room for requests to others is taken by one");
}

static bool outgoing_send(void *context, const struct outgoing_request *request, struct err *err)
{
    struct net_outgoing *outgoing = context;
    struct call *call = call_new(outgoing, request);
    if (call == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a request to '%s'", request->url);
    }
    pthread_mutex_lock(&outgoing->lock);
    bool ok = room_check(outgoing, request->party, err);
    if (ok) {
        list_push_back(&outgoing->waiting, &call->link);
        outgoing->waiting_count++;
    }
    pthread_mutex_unlock(&outgoing->lock);
    if (!ok) {
        call_free(call);
        return false;
    }
    (void)curl_multi_wakeup(outgoing->multi);
    return true;
}

static void outgoing_stop(void *context)
{
    struct net_outgoing *outgoing = context;
    if (outgoing->is_joined) {
        return;
    }
    pthread_mutex_lock(&outgoing->lock);
    outgoing->is_stopping = true;
    pthread_mutex_unlock(&outgoing->lock);
    (void)curl_multi_wakeup(outgoing->multi);
    pthread_join(outgoing->thread, NULL);
    outgoing->is_joined = true;
}

struct outgoing net_outgoing_of(struct net_outgoing *outgoing)
{
    return (struct outgoing){outgoing_check, outgoing_send, outgoing_stop, outgoing};
}

/* ---- opening and closing ---- */

static void outgoing_free(struct net_outgoing *outgoing)
{
    (void)curl_multi_cleanup(outgoing->multi); /* takes NULL */
    pthread_mutex_destroy(&outgoing->lock);
    heap_free(outgoing);
}

bool net_outgoing_open(const struct net_outgoing_limits *limits, struct net_outgoing **out,
                       struct err *err)
{
    struct net_outgoing *outgoing = HEAP_NEW(struct net_outgoing);
    if (outgoing == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for requests to others");
    }
    outgoing->limits = *limits;
    list_init(&outgoing->running);
    list_init(&outgoing->waiting);
    pthread_mutex_init(&outgoing->lock, NULL);
    outgoing->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (outgoing->multi == NULL) {
        outgoing_free(outgoing);
        return err_set(err, ERR_IO, "libcurl cannot be started");
    }
    int code = pthread_create(&outgoing->thread, NULL, outgoing_run, outgoing);
    if (code != 0) {
        outgoing_free(outgoing);
        return err_set(err, ERR_IO, "the thread of requests to others: %s", strerror(code));
    }
    *out = outgoing;
    return true;
}

void net_outgoing_close(struct net_outgoing *outgoing)
{
    if (outgoing != NULL) {
        outgoing_stop(outgoing);
        outgoing_free(outgoing);
    }
}
