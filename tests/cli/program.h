/* program.h: runs the built wasm-hypervisor to its end, without a shell, and keeps what it said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include <jansson.h>
#include <sys/types.h>

struct program_result {
    int code; /* exit status; 128 + signal */
    char *out;
    char *err;
};

/* Arguments without argv[0], NULL at the end. */
struct program_result program_run(const char *const *arguments);
void program_result_release(struct program_result *result);
/* Its stdout as one JSON value; the test fails if it is none. A new reference. */
json_t *program_json(const struct program_result *result);

#define PROGRAM_RUN(...) program_run((const char *const[]){__VA_ARGS__, NULL})
#define WASM(name) WH_WASM_DIR "/" name ".wasm"

/* A process that goes on: `serve`. The pipe is its stdout; stderr goes to the file. */
struct program_process {
    pid_t pid;
    int out_fd;
};

struct program_process program_start(const char *const *arguments, const char *stderr_path);
/* Sends the signal (0: none) and waits; the exit status. */
int program_stop(struct program_process *process, int signal_number);

#endif
