/* client.c: see client.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/client.h"

#include "base/arena.h"
#include "base/json.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENT_ANSWER_BYTES_MAX = 64 * 1024 * 1024,
    CLIENT_URL_CHARS_MAX = 2048,
    CLIENT_CONNECT_SECONDS = 10,
};

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char base[CLIENT_URL_CHARS_MAX]; /* without a final slash */
    char problem[CURL_ERROR_SIZE];
    bool is_exposed;
    const volatile sig_atomic_t *interrupt; /* NULL: never */
    struct buffer answer;
};

static bool host_is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static bool url_check(struct client *client, const char *url, struct err *err)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL;
    bool ok = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/') {
        size--;
    }
    ok = ok && size < sizeof client->base && strpbrk(url, "?#") == NULL;
    if (ok) {
        memcpy(client->base, url, size);
        client->base[size] = '\0';
        client->is_exposed = strcmp(scheme, "http") == 0 && !host_is_loopback(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parsed);
    return ok || err_set(err, ERR_USAGE,
                         "'%s' is not the address of a node, as in http://127.0.0.1:3000", url);
}

static bool header_add(struct client *client, const char *line)
{
    struct curl_slist *longer = curl_slist_append(client->headers, line);
    if (longer != NULL) {
        client->headers = longer;
    }
    return longer != NULL;
}

bool client_add_header(struct client *client, const char *name, const char *value, struct err *err)
{
    if (strpbrk(value, "\r\n") != NULL) {
        return err_set(err, ERR_IO, "the %s holds a line break", name);
    }
    struct buffer line;
    buffer_init(&line, 8192);
    buffer_printf(&line, "%s: %s", name, value);
    buffer_append_u8(&line, '\0');
    bool ok = !line.failed && header_add(client, (const char *)line.ptr);
    buffer_release_wiped(&line);
    return ok || err_set(err, ERR_NO_MEMORY, "out of memory, or the %s is too long", name);
}

static bool headers_make(struct client *client, const char *api_key, struct err *err)
{
    if (api_key != NULL && strpbrk(api_key, "\r\n") != NULL) {
        return err_set(err, ERR_USAGE, "the API key holds a line break");
    }
    bool ok = header_add(client, "Content-Type: application/json") &&
              header_add(client, "Accept: application/json") && header_add(client, "Expect:");
    if (!ok) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    return api_key == NULL || client_add_header(client, "X-API-Key", api_key, err);
}

static bool is_given(const char *url)
{
    return url != NULL && url[0] != '\0';
}

const char *client_url(const char *given)
{
    const char *set = getenv("WASM_HYPERVISOR_URL");
    return is_given(given) ? given : is_given(set) ? set : "http://127.0.0.1:3000";
}

bool client_open(const char *url, const char *api_key, struct client **out, struct err *err)
{
    struct client *client = HEAP_NEW(struct client);
    if (client == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    buffer_init(&client->answer, CLIENT_ANSWER_BYTES_MAX);
    client->curl = curl_easy_init();
    if (client->curl == NULL) {
        err_set(err, ERR_NO_MEMORY, "libcurl cannot be started");
        client_close(client);
        return false;
    }
    if (!url_check(client, url, err) || !headers_make(client, api_key, err)) {
        client_close(client);
        return false;
    }
    *out = client;
    return true;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    curl_slist_free_all(client->headers);
    curl_easy_cleanup(client->curl);
    buffer_release(&client->answer);
    heap_free(client);
}

bool client_is_exposed(const struct client *client)
{
    return client->is_exposed;
}

static size_t answer_append(char *ptr, size_t size, size_t count, void *context)
{
    struct client *client = context;
    buffer_append(&client->answer, ptr, size * count);
    return client->answer.failed ? 0 : size * count;
}

void client_interrupt_on(struct client *client, const volatile sig_atomic_t *flag)
{
    client->interrupt = flag;
}

static bool is_interrupted(const struct client *client)
{
    return client->interrupt != NULL && *client->interrupt != 0;
}

/* libcurl asks at least once a second, and when a signal has come. */
static int progress_cb(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return is_interrupted(context);
}

/* The same for every call; a failure of these is a lack of memory at worst, which perform tells. */
static void request_prepare(struct client *client, const char *method, const char *url,
                            const char *body, unsigned timeout_seconds)
{
    CURL *curl = client->curl;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CLIENT_CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout_seconds);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "wasm-hypervisor/" WH_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress_cb);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
}

static bool answer_read(struct client *client, const char *url, struct client_answer *answer,
                        struct err *err)
{
    long status = 0;
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *body = NULL;
    if (!json_text_parse(buffer_bytes(&client->answer), &body, err)) {
        err_wrap(err, "%s answered %ld and not with JSON", url, status);
        err->code = ERR_IO;
        return false;
    }
    if (!json_is_object(body)) {
        json_decref(body);
        return err_set(err, ERR_IO, "%s answered %ld and not with a JSON object", url, status);
    }
    *answer = (struct client_answer){(int)status, body};
    return true;
}

static bool call(struct client *client, const char *method, const char *path, const json_t *body,
                 unsigned timeout_seconds, struct client_answer *answer, struct err *err)
{
    char url[2 * CLIENT_URL_CHARS_MAX];
    snprintf(url, sizeof url, "%s%s", client->base, path);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body != NULL && text == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    client->problem[0] = '\0';
    buffer_release(&client->answer);
    request_prepare(client, method, url, text, timeout_seconds);
    CURLcode code = curl_easy_perform(client->curl);
    heap_free(text);
    if (is_interrupted(client)) {
        return err_set(err, ERR_CANCELLED, "interrupted");
    }
    if (client->answer.failed) {
        return err_set(err, ERR_LIMIT, "%s answered with more than %d bytes", url,
                       (int)CLIENT_ANSWER_BYTES_MAX);
    }
    if (code != CURLE_OK) {
        return err_set(err, ERR_IO, "%s: %s", url,
                       client->problem[0] != '\0' ? client->problem : curl_easy_strerror(code));
    }
    return answer_read(client, url, answer, err);
}

bool client_call(struct client *client, const char *path, const json_t *body,
                 unsigned timeout_seconds, struct client_answer *answer, struct err *err)
{
    return call(client, body != NULL ? "POST" : "GET", path, body, timeout_seconds, answer, err);
}

bool client_delete(struct client *client, const char *path, unsigned timeout_seconds,
                   struct client_answer *answer, struct err *err)
{
    return call(client, "DELETE", path, NULL, timeout_seconds, answer, err);
}
