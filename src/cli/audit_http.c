/* audit_http.c: reads a log over HTTP: the checkpoint, entry bundles, and tiles for what was
 * pruned.
 *
 * Bundles are asked for ahead, FETCHES_MAX at a time, over connections that are kept; HTTP/2 makes
 * it one. Each fetch has a body of at most one bundle, so memory does not grow with the log. What
 * can pass by itself (no connection, 408, 429, 5xx) is tried again, TRIES_MAX times with growing
 * pauses. A partial bundle may be gone because the log has grown: then the full one has the same
 * entries first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_http.h"

#include "base/arena.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum {
    FETCHES_MAX = 8,
    TRIES_MAX = 5,
    PAUSE_MS = 100, /* then 200, 400, ... */
    URL_CHARS_MAX = 2048,
    PATH_CHARS_MAX = 16 + AUDIT_TILE_PATH_CHARS_MAX,
    CONNECT_SECONDS = 10,
    STALL_SECONDS = 30, /* without a byte */
};

enum fetch_state { FETCH_IDLE, FETCH_RUNNING, FETCH_PAUSED, FETCH_DONE };

struct fetch {
    struct audit_http *http;
    CURL *curl;
    enum fetch_state state;
    struct audit_tile tile;    /* with the width that is asked for */
    char path[PATH_CHARS_MAX]; /* below the log's prefix */
    size_t count;              /* of entries or hashes that are wanted */
    struct buffer body;
    bool is_too_long;
    long status;
    unsigned tries;
    uint64_t due_ns;
    char problem[CURL_ERROR_SIZE];
};

struct audit_http {
    CURLM *multi;
    char prefix[URL_CHARS_MAX];
    char node[URL_CHARS_MAX];
    bool has_node;
    struct fetch fetches[FETCHES_MAX]; /* of bundles, by number */
    struct fetch single;               /* whatever is waited for at once */
    bool has_answered;                 /* whatever: it is there */
    uint64_t size;                     /* of the checkpoint that was read */
    uint64_t next_ahead;               /* the first entry that was not asked for */
};

/* ---- one fetch ---- */

static size_t body_append(char *ptr, size_t size, size_t count, void *context)
{
    struct fetch *fetch = context;
    if (size * count > fetch->body.size_max - fetch->body.size) {
        fetch->is_too_long = true;
        return 0;
    }
    buffer_append(&fetch->body, ptr, size * count);
    return fetch->body.failed ? 0 : size * count;
}

static bool fetch_start(struct fetch *fetch, struct err *err)
{
    char url[URL_CHARS_MAX + PATH_CHARS_MAX];
    (void)snprintf(url, sizeof(url), "%s/%s", fetch->http->prefix, fetch->path);
    fetch->body.size = 0;
    fetch->is_too_long = false;
    fetch->status = 0;
    fetch->problem[0] = '\0';
    fetch->tries++;
    if (fetch->curl == NULL) {
        fetch->curl = curl_easy_init();
    }
    CURL *curl = fetch->curl;
    if (curl == NULL) {
        return err_set(err, ERR_NO_MEMORY, "libcurl cannot be started");
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "wasm-hypervisor/" WH_VERSION);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, fetch->problem);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, fetch);
    if (curl_multi_add_handle(fetch->http->multi, curl) != CURLM_OK) {
        return err_set(err, ERR_NO_MEMORY, "libcurl cannot begin a request");
    }
    fetch->state = FETCH_RUNNING;
    return true;
}

static bool fetch_begin(struct fetch *fetch, struct err *err)
{
    fetch->tries = 0;
    return fetch_start(fetch, err);
}

/* The path of fetch->tile. */
static void fetch_name(struct fetch *fetch)
{
    char path[AUDIT_TILE_PATH_CHARS_MAX + 1];
    audit_tile_format(&fetch->tile, path);
    (void)snprintf(fetch->path, sizeof(fetch->path), "tile/%s", path);
}

/* It may be answered otherwise in a moment. A server that never answered is not waited for. */
static bool fetch_may_pass(const struct fetch *fetch, CURLcode code)
{
    bool is_there = code != CURLE_COULDNT_CONNECT || fetch->http->has_answered;
    return fetch->tries < TRIES_MAX && is_there;
}

static bool fetch_is_bad(const struct fetch *fetch, CURLcode code)
{
    return code != CURLE_OK || fetch->status == 408 || fetch->status == 429 || fetch->status >= 500;
}

/* Done, paused before another try, or begun anew for something else. */
static bool fetch_end(struct fetch *fetch, CURLcode code, struct err *err)
{
    curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &fetch->status);
    curl_multi_remove_handle(fetch->http->multi, fetch->curl);
    fetch->state = FETCH_DONE;
    if (fetch->body.failed) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    if (fetch->is_too_long) {
        return true;
    }
    fetch->http->has_answered = fetch->http->has_answered || code == CURLE_OK;
    if (fetch_is_bad(fetch, code)) {
        if (fetch_may_pass(fetch, code)) {
            uint64_t pause_ns = (uint64_t)PAUSE_MS * 1000000 << (fetch->tries - 1);
            fetch->state = FETCH_PAUSED;
            fetch->due_ns = clock_monotonic_ns(&clock_system) + pause_ns;
            return true;
        }
        if (code != CURLE_OK) {
            return err_set(err, ERR_IO, "%s/%s: %s", fetch->http->prefix, fetch->path,
                           fetch->problem[0] != '\0' ? fetch->problem : curl_easy_strerror(code));
        }
        return err_set(err, ERR_IO, "%s/%s: the server answered %ld, %u times", fetch->http->prefix,
                       fetch->path, fetch->status, fetch->tries);
    }
    bool is_partial = fetch->tile.width > 0 && fetch->tile.width < AUDIT_TILE_WIDTH;
    if (fetch->status == 404 && is_partial) {
        fetch->tile.width = AUDIT_TILE_WIDTH;
        fetch_name(fetch);
        return fetch_begin(fetch, err);
    }
    if (fetch->status == 410 && fetch->tile.is_entries) {
        fetch->tile.is_entries = false;
        fetch->tile.width = (unsigned)fetch->count;
        fetch_name(fetch);
        return fetch_begin(fetch, err);
    }
    return true;
}

/* ---- waiting ---- */

/* Begins again what has paused long enough; *wait_ms becomes the time to the next one. */
static bool resume(struct fetch *fetch, uint64_t now_ns, int *wait_ms, struct err *err)
{
    if (fetch->state != FETCH_PAUSED) {
        return true;
    }
    if (fetch->due_ns <= now_ns) {
        return fetch_start(fetch, err);
    }
    int left_ms = (int)((fetch->due_ns - now_ns) / 1000000) + 1;
    *wait_ms = left_ms < *wait_ms ? left_ms : *wait_ms;
    return true;
}

static bool http_turn(struct audit_http *http, struct err *err)
{
    int running = 0;
    int left = 0;
    int wait_ms = 1000;
    uint64_t now_ns = clock_monotonic_ns(&clock_system);
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        if (!resume(&http->fetches[i], now_ns, &wait_ms, err)) {
            return false;
        }
    }
    if (!resume(&http->single, now_ns, &wait_ms, err)) {
        return false;
    }
    if (curl_multi_perform(http->multi, &running) != CURLM_OK) {
        return err_set(err, ERR_IO, "libcurl failed");
    }
    const CURLMsg *message;
    bool ended = false;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct fetch *fetch = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        if (!fetch_end(fetch, code, err)) {
            return false;
        }
        ended = true;
    }
    if (!ended && curl_multi_poll(http->multi, NULL, 0, wait_ms, NULL) != CURLM_OK) {
        return err_set(err, ERR_IO, "libcurl failed");
    }
    return true;
}

static bool http_wait(struct audit_http *http, const struct fetch *fetch, struct err *err)
{
    while (fetch->state != FETCH_DONE) {
        if (!http_turn(http, err)) {
            return false;
        }
    }
    return true;
}

/* ---- the source ---- */

static bool head_read(struct audit_http *http, const char *name, struct buffer *out,
                      struct err *err)
{
    struct fetch *fetch = &http->single;
    struct audit_checkpoint checkpoint;
    fetch->tile = (struct audit_tile){0};
    (void)snprintf(fetch->path, sizeof(fetch->path), "%s", name);
    if (!fetch_begin(fetch, err) || !http_wait(http, fetch, err)) {
        return false;
    }
    if (fetch->is_too_long || fetch->body.size > AUDIT_CHECKPOINT_BYTES_MAX) {
        return err_set(err, ERR_FORMAT, "%s/%s: it is too long", http->prefix, name);
    }
    if (fetch->status == 404 || fetch->status == 410) {
        return err_set(err, ERR_NOT_FOUND, "%s/%s: the server answered %ld", http->prefix, name,
                       fetch->status);
    }
    if (fetch->status != 200) {
        return err_set(err, ERR_IO, "%s/%s: the server answered %ld", http->prefix, name,
                       fetch->status);
    }
    if (audit_checkpoint_verify(buffer_bytes(&fetch->body), "", &checkpoint) != AUDIT_TAMPERED) {
        http->size = checkpoint.size;
    }
    buffer_append_bytes(out, buffer_bytes(&fetch->body));
    return !out->failed || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool http_checkpoint(void *context, struct buffer *out, struct err *err)
{
    return head_read(context, "checkpoint", out, err);
}

/* Where our nodes have it; tlog-tiles knows one checkpoint for each prefix. */
static bool http_cosigned(void *context, struct buffer *out, struct err *err)
{
    return head_read(context, "witnessed/checkpoint", out, err);
}

static struct fetch *fetch_of(struct audit_http *http, uint64_t first)
{
    return &http->fetches[first / AUDIT_TILE_WIDTH % FETCHES_MAX];
}

static bool ask_for(struct audit_http *http, uint64_t first, size_t count, struct err *err)
{
    struct fetch *fetch = fetch_of(http, first);
    if (fetch->state == FETCH_RUNNING) {
        curl_multi_remove_handle(http->multi, fetch->curl);
    }
    fetch->count = count;
    fetch->tile = (struct audit_tile){
        .is_entries = true, .number = first / AUDIT_TILE_WIDTH, .width = (unsigned)count};
    fetch_name(fetch);
    return fetch_begin(fetch, err);
}

/* Asks for the bundles from `first` on that are not on their way yet. */
static bool ask_ahead(struct audit_http *http, uint64_t first, size_t count, struct err *err)
{
    uint64_t end = first + (uint64_t)FETCHES_MAX * AUDIT_TILE_WIDTH;
    bool goes_on = first < http->next_ahead && http->next_ahead <= end;
    if (!goes_on) {
        http->next_ahead = first;
    }
    while (http->next_ahead < end && http->next_ahead < http->size) {
        uint64_t left = http->size - http->next_ahead;
        size_t width = left < AUDIT_TILE_WIDTH ? (size_t)left : AUDIT_TILE_WIDTH;
        width = http->next_ahead == first ? count : width;
        if (!ask_for(http, http->next_ahead, width, err)) {
            return false;
        }
        http->next_ahead += AUDIT_TILE_WIDTH;
    }
    return true;
}

/* The first `count` entries of a bundle that may hold more. */
static struct bytes entries_cut(struct bytes body, size_t count)
{
    struct reader reader = reader_of(body);
    struct bytes leaf;
    uint16_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (!reader_u16be(&reader, &size) || !reader_take(&reader, size, &leaf)) {
            return body;
        }
    }
    return bytes_of(body.ptr, body.size - reader_left(&reader));
}

static bool bundle_take(struct fetch *fetch, struct audit_bundle *out, struct err *err)
{
    struct bytes body = buffer_bytes(&fetch->body);
    if (fetch->is_too_long) {
        out->problem = "its bundle is longer than a bundle can be";
        return true;
    }
    if (fetch->status == 404) {
        return true;
    }
    if (fetch->status != 200) {
        return err_set(err, ERR_IO, "%s/%s: the server answered %ld", fetch->http->prefix,
                       fetch->path, fetch->status);
    }
    if (!fetch->tile.is_entries) {
        size_t hashes = body.size / AUDIT_HASH_BYTES;
        out->pruned_count = hashes < fetch->count ? hashes : fetch->count;
        memcpy(out->pruned_hashes, body.ptr, out->pruned_count * AUDIT_HASH_BYTES);
        return true;
    }
    if (fetch->tile.width > fetch->count) {
        body = entries_cut(body, fetch->count);
    }
    buffer_append_bytes(&out->entries, body);
    return !out->entries.failed || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool http_bundle(void *context, uint64_t first, size_t count, struct audit_bundle *out,
                        struct err *err)
{
    struct audit_http *http = context;
    struct fetch *fetch = fetch_of(http, first);
    return ask_ahead(http, first, count, err) && http_wait(http, fetch, err) &&
           bundle_take(fetch, out, err);
}

static bool http_tile(void *context, const struct audit_tile *tile, struct buffer *out,
                      struct err *err)
{
    struct audit_http *http = context;
    struct fetch *fetch = &http->single;
    fetch->tile = *tile;
    fetch->count = tile->width;
    fetch_name(fetch);
    if (!fetch_begin(fetch, err) || !http_wait(http, fetch, err)) {
        return false;
    }
    if (fetch->status != 200 || fetch->body.size < (size_t)tile->width * AUDIT_HASH_BYTES) {
        return err_set(err, fetch->status == 404 ? ERR_NOT_FOUND : ERR_IO,
                       "%s/%s: the server answered %ld with %zu bytes", http->prefix, fetch->path,
                       fetch->status, fetch->body.size);
    }
    buffer_append_bytes(out, buffer_bytes(&fetch->body));
    return !out->failed || err_set(err, ERR_NO_MEMORY, "out of memory");
}

/* ---- opening ---- */

static bool ends_with(const char *text, size_t size, const char *tail)
{
    size_t tail_size = strlen(tail);
    return size >= tail_size && memcmp(text + size - tail_size, tail, tail_size) == 0;
}

static bool url_read(struct audit_http *http, const char *url, struct err *err)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    char *path = NULL;
    size_t size = strlen(url);
    bool ok = parsed != NULL && size < URL_CHARS_MAX - 16 && strpbrk(url, "?#") == NULL &&
              curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (ok) {
        while (size > 0 && url[size - 1] == '/') {
            size--;
        }
        bool is_node = strcmp(path, "/") == 0;
        size_t tail = ends_with(url, size, "/v1/log") ? 7 : ends_with(url, size, "/log") ? 4 : 0;
        (void)snprintf(http->prefix, sizeof(http->prefix), "%.*s%s", (int)size, url,
                       is_node ? "/v1/log" : "");
        (void)snprintf(http->node, sizeof(http->node), "%.*s", (int)(size - tail), url);
        http->has_node = is_node || tail > 0;
    }
    curl_free(scheme);
    curl_free(path);
    curl_url_cleanup(parsed);
    return ok || err_set(err, ERR_USAGE,
                         "'%s' is not the address of a node or of a log, as in "
                         "http://127.0.0.1:3000",
                         url);
}

bool audit_http_open(const char *url, struct audit_http **out, struct audit_source *source,
                     struct err *err)
{
    struct audit_http *http = HEAP_NEW(struct audit_http);
    if (http == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        http->fetches[i].http = http;
        buffer_init(&http->fetches[i].body, AUDIT_TILE_BYTES_MAX);
    }
    http->single.http = http;
    buffer_init(&http->single.body, AUDIT_TILE_BYTES_MAX);
    http->multi = curl_multi_init();
    if (http->multi == NULL) {
        audit_http_close(http);
        return err_set(err, ERR_NO_MEMORY, "libcurl cannot be started");
    }
    if (!url_read(http, url, err)) {
        audit_http_close(http);
        return false;
    }
    *source = (struct audit_source){
        .context = http,
        .checkpoint = http_checkpoint,
        .cosigned = http_cosigned,
        .bundle = http_bundle,
        .tile = http_tile,
    };
    *out = http;
    return true;
}

static void fetch_release(struct fetch *fetch)
{
    if (fetch->curl != NULL) {
        curl_multi_remove_handle(fetch->http->multi, fetch->curl);
        curl_easy_cleanup(fetch->curl);
    }
    buffer_release(&fetch->body);
}

void audit_http_close(struct audit_http *http)
{
    if (http == NULL) {
        return;
    }
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        fetch_release(&http->fetches[i]);
    }
    fetch_release(&http->single);
    if (http->multi != NULL) {
        curl_multi_cleanup(http->multi);
    }
    heap_free(http);
}

const char *audit_http_node(const struct audit_http *http)
{
    return http->has_node ? http->node : NULL;
}
