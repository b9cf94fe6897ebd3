/* run_report.c: what `run` prints: lines for people, or one JSON object for programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "cli/run.h"
#include "cli/values.h"
#include "service/service.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 4096, VALUES_BYTES_MAX = 1 << 20 };

enum err_code run_error_code(const struct run_outcome *outcome)
{
    switch (outcome->end) {
    case RUN_TRAPPED:
        return vm_trap_error_code(outcome->trap.trap);
    case RUN_OUT_OF_GAS:
        return ERR_GAS_EXHAUSTED;
    case RUN_TIMED_OUT:
        return ERR_EXECUTION_TIMEOUT;
    case RUN_REFUSED:
        return outcome->err.code;
    case RUN_RETURNED:
        break;
    }
    assert(false);
    return ERR_INTERNAL;
}

static void function_append(const struct vm_trap_info *trap, struct buffer *out)
{
    if (trap->function_name.size > 0) {
        buffer_append_bytes(out, trap->function_name);
    } else {
        buffer_printf(out, "func[%u]", trap->function_index);
    }
}

void run_error_message(const struct run_outcome *outcome, const struct run_request *request,
                       struct buffer *out)
{
    switch (outcome->end) {
    case RUN_TRAPPED:
        buffer_append_string(out, vm_trap_text(outcome->trap.trap));
        if (outcome->trap.has_location) {
            buffer_append_string(out, " in '");
            function_append(&outcome->trap, out);
            buffer_printf(out, "', at byte 0x%x of the module", outcome->trap.offset);
        }
        return;
    case RUN_OUT_OF_GAS:
        buffer_printf(out, "the program used up its %" PRIu64 " units of gas", request->gas_limit);
        return;
    case RUN_TIMED_OUT:
        buffer_printf(out, "the program was stopped after %" PRIu64 " s", request->timeout_seconds);
        return;
    case RUN_REFUSED:
        buffer_append_string(out, outcome->err.message);
        return;
    case RUN_RETURNED:
        return;
    }
}

static json_t *outputs_json(const struct run_call *call)
{
    json_t *outputs = json_array();
    uint32_t count = call->is_done ? call->function.type.func.result_count : 0;
    for (uint32_t i = 0; outputs != NULL && i < count; i++) {
        json_t *output = service_value_to_json(&call->results[i]);
        if (output == NULL || json_array_append_new(outputs, output) != 0) {
            json_decref(outputs);
            return NULL;
        }
    }
    return outputs;
}

static json_t *calls_json(const struct run_request *request)
{
    json_t *calls = json_array();
    for (uint32_t i = 0; calls != NULL && i < request->call_count; i++) {
        const struct run_call *call = &request->calls[i];
        if (!call->is_done) {
            break;
        }
        json_t *row = json_pack("{s:s%, s:o}", "function", (const char *)call->function.name.ptr,
                                call->function.name.size, "outputs", outputs_json(call));
        if (row == NULL || json_array_append_new(calls, row) != 0) {
            json_decref(calls);
            return NULL;
        }
    }
    return calls;
}

static json_t *error_json(const struct run_request *request, const struct run_outcome *outcome)
{
    if (outcome->end == RUN_RETURNED) {
        return json_null();
    }
    struct buffer message, function;
    buffer_init(&message, TEXT_BYTES_MAX);
    buffer_init(&function, VALUES_BYTES_MAX);
    run_error_message(outcome, request, &message);
    bool is_trap = outcome->end == RUN_TRAPPED;
    bool has_location = is_trap && outcome->trap.has_location;
    if (has_location) {
        function_append(&outcome->trap, &function);
    }
    json_t *error = json_pack(
        "{s:s, s:s%, s:s?, s:o, s:o}", "code", err_code_name(run_error_code(outcome)), "message",
        (const char *)message.ptr, message.size, "trap",
        is_trap ? vm_trap_name(outcome->trap.trap) : NULL, "function",
        has_location ? json_stringn((const char *)function.ptr, function.size) : json_null(),
        "offset", has_location ? json_integer(outcome->trap.offset) : json_null());
    buffer_release(&message);
    buffer_release(&function);
    return error;
}

/* The words of a node's execution_summary. */
static const char *status_name(const struct run_outcome *outcome)
{
    if (outcome->end == RUN_RETURNED) {
        return "success";
    }
    enum err_code code = run_error_code(outcome);
    if (code == ERR_EXECUTION_TIMEOUT) {
        return "timeout";
    }
    bool is_limit =
        code == ERR_GAS_EXHAUSTED || code == ERR_MEMORY_EXCEEDED || code == ERR_STACK_EXHAUSTED;
    return is_limit ? "resource_exhausted" : "error";
}

static bool report_json(const struct run_request *request, const struct run_outcome *outcome)
{
    const struct run_call *last = &request->calls[request->call_count - 1];
    json_t *report =
        json_pack("{s:s, s:o, s:o, s:I, s:i, s:I, s:f, s:o}", "status", status_name(outcome),
                  "outputs", outputs_json(last), "calls", calls_json(request), "gas_consumed",
                  (json_int_t)outcome->gas, "gas_schedule", VM_GAS_SCHEDULE, "memory_used_bytes",
                  (json_int_t)outcome->memory_peak_bytes, "execution_time_ms",
                  outcome->milliseconds, "error", error_json(request, outcome));
    return cli_print_json(report);
}

static void report_call(const struct run_call *call)
{
    struct buffer line;
    buffer_init(&line, VALUES_BYTES_MAX);
    buffer_append_bytes(&line, call->function.name);
    buffer_append_u8(&line, ':');
    uint32_t count = call->function.type.func.result_count;
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&line, "%s %s ", i > 0 ? "," : "", vm_type_name(call->results[i].type));
        cli_value_append(&call->results[i], &line);
    }
    buffer_append_string(&line, count == 0 ? " returned\n" : "\n");
    fwrite(line.ptr, 1, line.size, stdout);
    buffer_release(&line);
}

static void report_text(const struct cli_command *command, const struct run_request *request,
                        const struct run_outcome *outcome)
{
    for (uint32_t i = 0; i < request->call_count && request->calls[i].is_done; i++) {
        report_call(&request->calls[i]);
    }
    fflush(stdout);
    if (outcome->end != RUN_RETURNED) {
        struct buffer message;
        buffer_init(&message, TEXT_BYTES_MAX);
        run_error_message(outcome, request, &message);
        buffer_append_u8(&message, '\0');
        cli_complain(command, "%s", message.failed ? "failed" : (const char *)message.ptr);
        buffer_release(&message);
    }
    if (outcome->end != RUN_REFUSED) {
        fprintf(stderr, "gas %" PRIu64 ", memory %" PRIu64 " bytes, %.3f ms\n", outcome->gas,
                outcome->memory_peak_bytes, outcome->milliseconds);
    }
}

/* A refusal that is the user's (no such file, function, argument) is not the program's failure. */
static bool is_usage(const struct run_outcome *outcome)
{
    enum err_code code = outcome->err.code;
    return outcome->end == RUN_REFUSED &&
           (code == ERR_IO || code == ERR_INVALID_ARGUMENTS || code == ERR_FUNCTION_NOT_FOUND);
}

int run_report(const struct cli_command *command, const struct run_request *request,
               const struct run_outcome *outcome)
{
    if (is_usage(outcome)) {
        return cli_complain_err(command, &outcome->err);
    }
    if (!request->json) {
        report_text(command, request, outcome);
    } else if (!report_json(request, outcome)) {
        cli_complain(command, "out of memory");
        return CLI_INTERNAL;
    }
    if (outcome->end == RUN_REFUSED && outcome->err.code == ERR_NO_MEMORY) {
        return CLI_INTERNAL;
    }
    return outcome->end == RUN_RETURNED ? CLI_OK : CLI_PROGRAM_FAILED;
}
