/* kernels_peer.c: other engines, as processes.
 *
 * A peer is a program that is called with a module, a function and a number, and prints the result;
 * the last number in what it prints counts. What it takes with 0 rounds is subtracted: that is
 * start-up and loading, and run(0) does next to nothing. Peers come from PATH and from BENCH_PEERS,
 * words of the form name=/path/to/program. A name that is not in the table below is called as
 *
 *   /path/to/program FILE FUNCTION N
 *
 * so a script of two lines makes any engine a peer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernels.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { WORDS_MAX = 10, WORD_BYTES_MAX = 4096, OUTPUT_BYTES_MAX = 4096 };

/* In a command %m is the module, %f the function, %n the number of rounds, %a the module whose only
 * function needs no argument: wabt's interpreter passes none. */
struct invocation {
    const char *name, *program; /* program: looked for in PATH; NULL: only by BENCH_PEERS */
    const char *command[WORDS_MAX];
    bool alone, tells_time;
};

static const struct invocation invocations[] = {
    {"wasm3", "wasm3", {"--func", "%f", "%m", "%n"}, false, false},
    {"iwasm", "iwasm", {"-f", "%f", "%m", "%n"}, false, false},
    {"wasmi", "wasmi_cli", {"--invoke", "%f", "%m", "%n"}, false, false},
    {"toywasm", "toywasm", {"--load", "%m", "--invoke", "%f %n"}, false, false},
    {"wabt", "wasm-interp", {"%a", "--run-all-exports"}, true, false},
    {"v8-liftoff",
     "node",
     {"--liftoff-only", "--no-wasm-lazy-compilation", NODE_KERNEL, "%m", "%f", "%n"},
     false,
     true},
    {"v8-turbofan",
     "node",
     {"--no-liftoff", "--no-wasm-lazy-compilation", NODE_KERNEL, "%m", "%f", "%n"},
     false,
     true},
    {NULL, NULL, {"%m", "%f", "%n"}, false, false},
};

/* ---- Finding them ---- */

static const struct invocation *invocation_of(const char *name)
{
    const struct invocation *invocation = invocations;
    while (invocation->name != NULL && strcmp(invocation->name, name) != 0) {
        invocation++;
    }
    return invocation;
}

static void add(struct peer *peers, size_t *count, const struct invocation *invocation,
                const char *name, const char *program)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(peers[i].name, name) == 0) {
            return; /* BENCH_PEERS comes before PATH */
        }
    }
    if (*count < PEERS_MAX - 1) {
        peers[(*count)++] = (struct peer){.name = heap_strdup(name),
                                          .program = heap_strdup(program),
                                          .command = invocation->command,
                                          .alone = invocation->alone,
                                          .tells_time = invocation->tells_time};
    }
}

static void add_named(struct peer *peers, size_t *count, const char *words)
{
    char name[64], program[WORD_BYTES_MAX];
    int length;
    while (sscanf(words, " %63[^= ]=%4095s%n", name, program, &length) == 2) {
        add(peers, count, invocation_of(name), name, program);
        words += length;
    }
}

static bool find_in_path(const char *program, char out[static WORD_BYTES_MAX])
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        (void)snprintf(out, WORD_BYTES_MAX, "%.*s/%s", (int)length, path, program);
        if (access(out, X_OK) == 0) {
            return true;
        }
        path += length + (path[length] == ':');
    }
    return false;
}

size_t peers_find(struct peer peers[static PEERS_MAX])
{
    char program[WORD_BYTES_MAX];
    size_t count = 1;
    peers[0] = (struct peer){.name = "ours"};
    const char *named = getenv("BENCH_PEERS");
    add_named(peers, &count, named != NULL ? named : "");
    for (const struct invocation *row = invocations; row->name != NULL; row++) {
        if (find_in_path(row->program, program)) {
            add(peers, &count, row, row->name, program);
        }
    }
    peers[count++] = (struct peer){.name = "native"};
    return count;
}

/* ---- Running one ---- */

static void expand(const char *word, const struct kernel *kernel, uint32_t n,
                   char out[static WORD_BYTES_MAX])
{
    size_t used = 0;
    for (; *word != '\0' && used < WORD_BYTES_MAX - 1; word++) {
        size_t room = WORD_BYTES_MAX - used;
        if (word[0] != '%') {
            out[used++] = *word;
            continue;
        }
        word++;
        int written = *word == 'm'   ? snprintf(out + used, room, "%s", kernel->path)
                      : *word == 'a' ? snprintf(out + used, room, "%s", kernel->alone)
                      : *word == 'f' ? snprintf(out + used, room, "%s", kernel->function)
                                     : snprintf(out + used, room, "%u", n);
        used += written > 0 && (size_t)written < room ? (size_t)written : 0;
    }
    out[used] = '\0';
}

struct child {
    pid_t pid;
    int output, errors; /* our ends of its pipes */
};

static void close_all(const int fds[static 4])
{
    for (int i = 0; i < 4; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

static bool start(const struct peer *peer, const struct kernel *kernel, uint32_t n,
                  struct child *out)
{
    static char words[WORDS_MAX][WORD_BYTES_MAX];
    char *argv[WORDS_MAX + 2] = {words[0]};
    int fds[4] = {-1, -1, -1, -1}; /* output: read, write; errors: read, write */
    (void)snprintf(words[0], WORD_BYTES_MAX, "%s", peer->program);
    for (size_t i = 0; i + 1 < WORDS_MAX && peer->command[i] != NULL; i++) {
        expand(peer->command[i], kernel, n, words[i + 1]);
        argv[i + 1] = words[i + 1];
    }
    if (pipe2(fds, O_CLOEXEC) != 0 || pipe2(fds + 2, O_CLOEXEC) != 0) {
        close_all(fds);
        return false;
    }
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[3], STDERR_FILENO);
    bool started = posix_spawn(&out->pid, peer->program, &actions, NULL, argv, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    if (started) {
        out->output = fds[0];
        out->errors = fds[2];
        fds[0] = fds[2] = -1;
    }
    close_all(fds);
    return started;
}

/* Keeps the end of what was printed, without the last line feeds. */
static void read_output(int fd, char out[static OUTPUT_BYTES_MAX])
{
    size_t used = 0;
    ssize_t count;
    while ((count = read(fd, out + used, OUTPUT_BYTES_MAX - 1 - used)) > 0 ||
           (count < 0 && errno == EINTR)) {
        used += count > 0 ? (size_t)count : 0;
        if (used > OUTPUT_BYTES_MAX / 2) {
            memmove(out, out + used - OUTPUT_BYTES_MAX / 4, OUTPUT_BYTES_MAX / 4);
            used = OUTPUT_BYTES_MAX / 4;
        }
    }
    while (used > 0 && (out[used - 1] == '\n' || out[used - 1] == '\r')) {
        used--;
    }
    out[used] = '\0';
    (void)close(fd);
}

static const char *last_line(const char *output)
{
    const char *feed = strrchr(output, '\n');
    return feed != NULL ? feed + 1 : output;
}

/* "Result: 7", "run(i32:3) => i32:7", "0x7:i32", "7", and "7 1200" of a peer that tells its time.
 */
static bool parse(const char *line, bool tells_time, struct kernel_sample *out)
{
    if (tells_time) {
        return sscanf(line, "%u %lf", &out->checksum, &out->ns) == 2;
    }
    size_t length = strlen(line);
    if (length > 4 && strcmp(line + length - 4, ":i32") == 0) {
        length -= 4;
    }
    while (length > 0 && strchr("0123456789abcdefx-", line[length - 1]) != NULL) {
        length--;
    }
    char *end;
    out->checksum = (uint32_t)strtoll(line + length, &end, 0);
    return end != line + length;
}

static double seconds_ns(struct timeval time)
{
    return (double)time.tv_sec * 1e9 + (double)time.tv_usec * 1e3;
}

static bool run_process(const struct peer *peer, const struct kernel *kernel, uint32_t n,
                        struct kernel_sample *out, struct err *err)
{
    char output[OUTPUT_BYTES_MAX], errors[OUTPUT_BYTES_MAX];
    struct rusage used;
    struct child child;
    int status;
    if (!start(peer, kernel, n, &child)) {
        return err_set(err, ERR_IO, "cannot start %s", peer->program);
    }
    read_output(child.output, output); /* errors are few and wait in their pipe */
    read_output(child.errors, errors);
    if (wait4(child.pid, &status, 0, &used) != child.pid) {
        return err_set(err, ERR_IO, "cannot wait for %s", peer->program);
    }
    out->ns = seconds_ns(used.ru_utime) + seconds_ns(used.ru_stime);
    out->gas = 0;
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
            parse(last_line(output[0] != '\0' ? output : errors), peer->tells_time, out)) ||
           err_set(err, ERR_IO, "%s", last_line(errors[0] != '\0' ? errors : output));
}

bool peer_run(const struct peer *peer, const struct kernel *kernel, uint32_t n,
              struct kernel_sample *out, struct err *err)
{
    if (strcmp(peer->name, "ours") == 0) {
        return kernel_run_ours(kernel, n, out, err);
    }
    if (strcmp(peer->name, "native") == 0) {
        return kernel_run_native(kernel, n, out, err);
    }
    struct kernel_sample nothing = {0};
    if (peer->alone && kernel->alone == NULL) {
        return err_set(err, ERR_NOT_FOUND, "it passes no arguments");
    }
    if (!peer->alone && !peer->tells_time && !run_process(peer, kernel, 0, &nothing, err)) {
        return false;
    }
    if (!run_process(peer, kernel, n, out, err)) {
        return false;
    }
    out->ns -= nothing.ns;
    return true;
}
