/* program.c: see program.h. stdout and stderr go to unnamed files, so that no pipe can fill up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/program.h"

#include "base/arena.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 200 };

static pid_t spawn(const char *const *arguments, int out_fd, int err_fd)
{
    char *argv[ARGUMENTS_MAX + 2] = {(char *)WH_PROGRAM};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        cr_assert_lt(i, ARGUMENTS_MAX);
        argv[i + 1] = (char *)arguments[i];
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    pid_t pid = 0;
    cr_assert_eq(posix_spawn(&pid, WH_PROGRAM, &actions, NULL, argv, environ), 0,
                 "cannot start " WH_PROGRAM);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *content_of(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = heap_alloc((size_t)size + 1);
    cr_assert_not_null(text);
    cr_assert_eq(pread(fd, text, (size_t)size, 0), size);
    close(fd);
    return text;
}

struct program_result program_run(const char *const *arguments)
{
    int out_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int err_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    cr_assert(out_fd >= 0 && err_fd >= 0);
    struct program_result result = {.code = wait_for(spawn(arguments, out_fd, err_fd))};
    result.out = content_of(out_fd);
    result.err = content_of(err_fd);
    return result;
}

void program_result_release(struct program_result *result)
{
    heap_free(result->out);
    heap_free(result->err);
}

json_t *program_json(const struct program_result *result)
{
    json_error_t error;
    json_t *value = json_loads(result->out, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(value, "not JSON (%s): %s%s", error.text, result->out, result->err);
    return value;
}

struct program_process program_start(const char *const *arguments, const char *stderr_path)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    int err_fd = open(stderr_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(err_fd, 0);
    struct program_process process = {.pid = spawn(arguments, ends[1], err_fd), .out_fd = ends[0]};
    close(ends[1]);
    close(err_fd);
    return process;
}

int program_stop(struct program_process *process, int signal_number)
{
    if (signal_number != 0) {
        kill(process->pid, signal_number);
    }
    int code = wait_for(process->pid);
    close(process->out_fd);
    return code;
}
