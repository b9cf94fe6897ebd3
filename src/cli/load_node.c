/* load_node.c: the node under load: where it is, or one of our own from start to end; and what its
 * process has used of the machine.
 *
 * A spawned node is this program with `serve`, on a free port, in a directory that goes away with
 * it. It ends with us, however we end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/data_dir.h"
#include "cli/load.h"

#include "base/clock.h"
#include "service/service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = 128,
    READY_SECONDS = 120, /* the simulator's keys take their time */
    LINE_CHARS_MAX = 512,
    SHOWN_LINES_MAX = 200,
    SAID_BYTES_MAX = 16 * 1024 * 1024,
    METRICS_BYTES_MAX = 4 * 1024 * 1024,
};

#define NODE_STDERR "stderr.log"

bool load_node_address(struct load_node *node, const char *url, struct err *err)
{
    static const char scheme[] = "http://";
    const char *host = url + sizeof scheme - 1;
    bool ok = strncmp(url, scheme, sizeof scheme - 1) == 0;
    bool is_v6 = ok && host[0] == '[';
    const char *end = !ok ? NULL : is_v6 ? strchr(host, ']') : strchr(host, ':');
    ok = ok && end != NULL && (size_t)(end - host) < sizeof node->host;
    const char *port = ok ? end + (is_v6 ? 1 : 0) : "";
    size_t digits = ok && port[0] == ':' ? strspn(port + 1, "0123456789") : 0;
    if (digits == 0 || digits > 5 || strspn(port + 1 + digits, "/") != strlen(port + 1 + digits)) {
        return err_set(err, ERR_USAGE,
                       "'%s' is not the address of a node, as in http://127.0.0.1:3000", url);
    }
    host += is_v6 ? 1 : 0;
    snprintf(node->host, sizeof node->host, "%.*s", (int)(end - host), host);
    snprintf(node->port, sizeof node->port, "%.*s", (int)digits, port + 1);
    return true;
}

/* ---- starting ---- */

static bool keys_make(struct load_node *node, size_t count, struct err *err)
{
    struct data_dir directory;
    struct store *store = NULL;
    bool created = false;
    if (!data_dir_find(node->directory, &directory, err) ||
        !store_open(directory.store, &clock_system, &store, &created, err)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct store_api_key key;
        char secret[SERVICE_API_KEY_CHARS + 1];
        service_api_key_new("load", STORE_SCOPE_EXECUTE | STORE_SCOPE_METRICS, 0, &clock_system,
                            &key, secret);
        node->api_keys[i] = arena_strdup(&node->arena, secret);
        ok = node->api_keys[i] != NULL || err_set(err, ERR_NO_MEMORY, "no memory for API keys");
        ok = ok && store_add_api_key(store, &key, err);
    }
    store_close(store);
    node->api_key_count = count;
    return ok;
}

static bool directory_make(struct load_node *node, const char *directory, struct err *err)
{
    const char *temporary = getenv("TMPDIR");
    if (directory != NULL) {
        snprintf(node->directory, sizeof node->directory, "%s", directory);
        return cli_directory_make(directory, 0700, err);
    }
    snprintf(node->directory, sizeof node->directory, "%s/wasm-hypervisor-load-XXXXXX",
             temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
    node->is_temporary = mkdtemp(node->directory) != NULL;
    return node->is_temporary || err_set(err, ERR_IO, "%s: %s", node->directory, strerror(errno));
}

static void child_run(const struct load_node *node, char **arguments, int out_fd, pid_t parent)
{
    char path[LOAD_PATH_CHARS_MAX + 32];
    snprintf(path, sizeof path, "%s/" NODE_STDERR, node->directory);
    int err_fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (err_fd < 0 || dup2(err_fd, STDERR_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(CLI_INTERNAL);
    }
    (void)execv("/proc/self/exe", arguments);
    _exit(CLI_INTERNAL);
}

/* Its own settings come last, so they win. */
static bool child_start(struct load_node *node, char *const *extra, size_t extra_count,
                        struct err *err)
{
    char *arguments[ARGUMENTS_MAX] = {"wasm-hypervisor", "serve",      "--port",       "0", "--tee",
                                      "simulated",       "--data-dir", node->directory};
    int pipe_fds[2];
    size_t count = 8;
    if (extra_count + count >= ARGUMENTS_MAX) {
        return err_set(err, ERR_USAGE, "too many settings for the node");
    }
    for (size_t i = 0; i < extra_count; i++) {
        arguments[count++] = extra[i];
    }
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        child_run(node, arguments, pipe_fds[1], parent);
    }
    close(pipe_fds[1]);
    node->out_fd = pipe_fds[0];
    if (pid < 0) {
        return err_set(err, ERR_IO, "fork: %s", strerror(errno));
    }
    node->pid = pid;
    node->is_spawned = true;
    return true;
}

/* The last of what the node said on stderr. */
static void stderr_tail(const struct load_node *node, char *out, size_t out_size)
{
    char path[LOAD_PATH_CHARS_MAX + 32];
    uint8_t *text = NULL;
    size_t size = 0;
    struct err ignored;
    snprintf(path, sizeof path, "%s/" NODE_STDERR, node->directory);
    out[0] = '\0';
    if (cli_file_read(path, SAID_BYTES_MAX, &text, &size, &ignored)) {
        size_t shown = size < out_size - 1 ? size : out_size - 1;
        memcpy(out, text + size - shown, shown);
        out[shown] = '\0';
    }
    heap_free(text);
}

/* What is no line of its log: a sanitizer's report, an assertion. */
static void stderr_show(const struct load_node *node)
{
    char path[LOAD_PATH_CHARS_MAX + 32], line[LINE_CHARS_MAX];
    snprintf(path, sizeof path, "%s/" NODE_STDERR, node->directory);
    FILE *file = fopen(path, "re");
    for (int shown = 0;
         file != NULL && shown < SHOWN_LINES_MAX && fgets(line, sizeof line, file);) {
        if (line[0] != '{') {
            fputs(line, stderr);
            shown++;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static bool ready_wait(struct load_node *node, struct err *err)
{
    char line[LINE_CHARS_MAX];
    size_t size = 0;
    char tail[ERR_MESSAGE_BYTES_MAX / 2];
    struct pollfd poll_fd = {.fd = node->out_fd, .events = POLLIN};
    static const char words[] = "listening on ";
    while (size < sizeof line - 1 && poll(&poll_fd, 1, READY_SECONDS * 1000) == 1 &&
           read(node->out_fd, line + size, 1) == 1) {
        if (line[size++] != '\n') {
            continue;
        }
        line[size - 1] = '\0';
        size = 0;
        if (strncmp(line, words, sizeof words - 1) == 0) {
            return load_node_address(node, line + sizeof words - 1, err);
        }
    }
    stderr_tail(node, tail, sizeof tail);
    return err_set(err, ERR_IO, "the node did not start: %s", tail);
}

bool load_node_spawn(struct load_node *node, const char *directory, size_t api_keys,
                     char *const *arguments, size_t argument_count, struct err *err)
{
    return directory_make(node, directory, err) && keys_make(node, api_keys, err) &&
           child_start(node, arguments, argument_count, err) && ready_wait(node, err);
}

/* ---- ending ---- */

static bool child_wait(struct load_node *node, struct err *err)
{
    int status = 0;
    char tail[ERR_MESSAGE_BYTES_MAX / 2];
    while (waitpid(node->pid, &status, 0) < 0 && errno == EINTR) {
    }
    node->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    stderr_show(node);
    stderr_tail(node, tail, sizeof tail);
    return err_set(err, ERR_IO, "the node ended with %s %d: %s",
                   WIFEXITED(status) ? "status" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), tail);
}

bool load_node_stop(struct load_node *node, char *said, size_t said_size, struct err *err)
{
    struct data_dir directory;
    struct audit_report report;
    (void)kill(node->pid, SIGTERM);
    if (!child_wait(node, err) || !data_dir_find(node->directory, &directory, err) ||
        !audit_verify_directory(directory.audit, NULL, bytes_of(NULL, 0), NULL, NULL, &report,
                                err)) {
        return false;
    }
    if (report.verdict != AUDIT_OK || report.unanswered_count != 0) {
        return err_set(err, ERR_TAMPERED, "the node's log: %s: %s (%" PRIu64 " without a result)",
                       audit_verdict_name(report.verdict), report.detail, report.unanswered_count);
    }
    snprintf(said, said_size,
             "the node ended in good order; its log verifies: %" PRIu64
             " entries, every admitted execution has its result",
             report.size);
    return true;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    (void)facts;
    (void)kind;
    (void)walk;
    return remove(path);
}

void load_node_release(struct load_node *node)
{
    struct err ignored;
    if (node->is_spawned && node->pid != 0) {
        (void)kill(node->pid, SIGKILL);
        (void)child_wait(node, &ignored);
    }
    if (node->is_spawned) {
        close(node->out_fd);
    }
    if (node->is_temporary) {
        (void)nftw(node->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    arena_release_wiped(&node->arena);
}

/* ---- what it uses ---- */

static uint64_t status_bytes(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line != NULL ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

/* 0 where we may not look. */
static uint64_t entries_count(const char *path)
{
    DIR *directory = opendir(path);
    uint64_t count = 0;
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return count > 2 ? count - 2 : 0; /* . and .. */
}

/* ---- its metrics ---- */

static void metrics_done(struct load_call *call)
{
    call->done = NULL;
}

bool load_metrics_fetch(struct load *load, struct buffer *out)
{
    struct load_call call;
    load_call_init(&call, &load->http, metrics_done);
    call.can_repeat = true;
    buffer_printf(&call.request, "GET /metrics HTTP/1.1\r\nHost: %s:%s\r\n", load->node.host,
                  load->node.port);
    if (load->node.api_key_count > 0) {
        buffer_printf(&call.request, "X-API-Key: %s\r\n", load->node.api_keys[0]);
    }
    buffer_append_string(&call.request, "\r\n");
    load_call_submit(&call);
    uint64_t end_ns = clock_monotonic_ns(&clock_system) + UINT64_C(10000000000);
    while (call.done != NULL) {
        if (clock_monotonic_ns(&clock_system) > end_ns) {
            load_http_abandon(&load->http);
        } else {
            load_http_step(&load->http, end_ns);
        }
    }
    bool ok = call.status == 200;
    if (ok) {
        out->size = 0;
        buffer_append_bytes(out, buffer_bytes(&call.answer));
        buffer_append_u8(out, '\0');
    }
    load_call_release(&call);
    return ok && !out->failed;
}

bool load_metric_find(struct bytes text, const char *name, double *out)
{
    size_t size = strlen(name);
    const char *line = (const char *)text.ptr;
    while (line != NULL) {
        if (strncmp(line, name, size) == 0 && line[size] == ' ') {
            *out = strtod(line + size, NULL);
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

static void usage_of_metrics(struct load *load, struct load_usage *usage)
{
    struct buffer text;
    double rss = 0, descriptors = 0;
    buffer_init(&text, METRICS_BYTES_MAX);
    if (load_metrics_fetch(load, &text)) {
        struct bytes metrics = buffer_bytes(&text);
        (void)(load_metric_find(metrics, "process_cpu_seconds_total", &usage->cpu_seconds) &&
               load_metric_find(metrics, "process_resident_memory_bytes", &rss) &&
               load_metric_find(metrics, "process_open_fds", &descriptors));
        usage->rss_bytes = (uint64_t)rss;
        usage->descriptors = (uint64_t)descriptors;
    }
    buffer_release(&text);
}

static void usage_of_process(const struct load_node *node, struct load_usage *usage)
{
    char path[64], text[4096];
    clockid_t clock = 0;
    struct timespec used = {0};
    if (clock_getcpuclockid(node->pid, &clock) == 0 && clock_gettime(clock, &used) == 0) {
        usage->cpu_seconds = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    }
    snprintf(path, sizeof path, "/proc/%d/status", (int)node->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[size > 0 ? size : 0] = '\0';
    usage->rss_bytes = status_bytes(text, "VmRSS:");
    usage->rss_peak_bytes = status_bytes(text, "VmHWM:");
    snprintf(path, sizeof path, "/proc/%d/fd", (int)node->pid);
    usage->descriptors = entries_count(path);
}

void load_usage_read(struct load *load, struct load_usage *usage)
{
    *usage = (struct load_usage){0};
    if (load->node.pid != 0) {
        usage_of_process(&load->node, usage);
    } else {
        usage_of_metrics(load, usage);
    }
}
