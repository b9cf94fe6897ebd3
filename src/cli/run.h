/* run.h: one local run: the calls that were asked for, and what became of them. Private to cli.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/cli.h"
#include "cli/module.h"

enum { RUN_CALLS_MAX = 64, RUN_ARGS_MAX = 1000 };

struct run_call {
    const char *name;  /* as asked for; NULL: the default function */
    const char **args; /* inside the request's args */
    uint32_t arg_count;
    struct vm_export function; /* resolved */
    bool is_done;
    struct vm_value *results; /* result_count of the function's type, in the arena */
};

enum run_end { RUN_RETURNED, RUN_TRAPPED, RUN_OUT_OF_GAS, RUN_TIMED_OUT, RUN_REFUSED };

struct run_outcome {
    enum run_end end;
    struct vm_trap_info trap; /* TRAPPED; its bytes live as long as the module */
    struct err err;           /* REFUSED: the module could not be loaded, linked or called */
    uint64_t gas;
    uint64_t memory_peak_bytes;
    double milliseconds;
};

struct run_request {
    const char *path;
    struct run_call calls[RUN_CALLS_MAX];
    uint32_t call_count;
    const char *args[RUN_ARGS_MAX]; /* of all calls, in order */
    uint32_t arg_count;
    uint64_t gas_limit;
    uint64_t timeout_seconds; /* 0: none */
    uint64_t memory_bytes_max;
    uint64_t slice_gas;
    bool profile;
    bool json;
};

/* The code and one sentence for everything but RUN_RETURNED. */
enum err_code run_error_code(const struct run_outcome *outcome);
void run_error_message(const struct run_outcome *outcome, const struct run_request *request,
                       struct buffer *out);

/* run_report.c: prints the outcome; returns the exit code. */
int run_report(const struct cli_command *command, const struct run_request *request,
               const struct run_outcome *outcome);

#endif
