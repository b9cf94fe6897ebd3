/* run.c: `run`: a module in this process, without a node, under the same engine and limits.
 *
 * Several --invoke act on one instance in turn, with one gas account. The run is sliced like a
 * node's, so that --timeout can look at the clock; how it is sliced changes neither result nor gas.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/run.h"

#include "base/clock.h"
#include "base/text.h"
#include "cli/values.h"

#include <assert.h>
#include <string.h>

enum run_flag {
    RUN_INVOKE = 1,
    RUN_GAS,
    RUN_TIMEOUT,
    RUN_MEMORY,
    RUN_SLICE,
    RUN_PROFILE,
    RUN_JSON
};

enum { RUN_PROFILE_ROWS = 16 };

static const uint64_t run_slice_gas = 1000000; /* about a millisecond */
static const uint64_t run_memory_bytes = UINT64_C(64) * 1024 * 1024;
static const uint64_t run_page_bytes = 65536;

struct runner {
    const struct run_request *request;
    struct run_outcome *outcome;
    struct arena *arena;
    struct vm_store *store;
    struct vm_instance *instance;
    struct vm_run *run;
    uint64_t deadline_ns;       /* 0: none */
    struct vm_profile *profile; /* NULL: none */
};

/* Runs what has been begun to its end. False: it did not return, and the outcome says why. */
static bool runner_finish(struct runner *runner)
{
    enum vm_status status = VM_SUSPENDED;
    while (status == VM_SUSPENDED) {
        uint64_t gas = runner->request->slice_gas;
        status = runner->profile != NULL ? vm_profile_slice(runner->profile, runner->run, gas)
                                         : vm_run_slice(runner->run, gas);
        if (status == VM_SUSPENDED && runner->deadline_ns > 0 &&
            clock_monotonic_ns(&clock_system) >= runner->deadline_ns) {
            vm_run_interrupt(runner->run);
            runner->outcome->end = RUN_TIMED_OUT;
            return false;
        }
    }
    if (status == VM_TRAPPED) {
        runner->outcome->end = RUN_TRAPPED;
        runner->outcome->trap = vm_run_trap(runner->run);
    } else if (status == VM_OUT_OF_GAS) {
        runner->outcome->end = RUN_OUT_OF_GAS;
    } else if (status == VM_NEEDS_MEMORY) { /* nobody here will give any back */
        vm_run_interrupt(runner->run);
        runner->outcome->end = RUN_REFUSED;
        err_set(&runner->outcome->err, ERR_NO_MEMORY, "out of memory");
    }
    return status == VM_RETURNED;
}

/* "@K": the first result of the K-th call. */
static bool reference_resolve(const struct run_request *request, const char *text, uint32_t current,
                              enum vm_type type, struct vm_value *out, struct err *err)
{
    uint64_t place = 0;
    if (!text_u64_decode(text + 1, strlen(text + 1), &place) || place == 0 || place > current) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "'%s' must name an earlier call, counted from @1", text);
    }
    const struct run_call *call = &request->calls[place - 1];
    if (call->function.type.func.result_count == 0) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "'%s': that call has no result", text);
    }
    if (call->results[0].type != type) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "'%s' is of type %s, the parameter of type %s",
                       text, vm_type_name(call->results[0].type), vm_type_name(type));
    }
    *out = call->results[0];
    return true;
}

static bool call_arguments(struct runner *runner, uint32_t index, struct vm_value **out,
                           struct err *err)
{
    const struct run_call *call = &runner->request->calls[index];
    const struct vm_func_type *type = &call->function.type.func;
    struct vm_value *values = ARENA_ARRAY(runner->arena, struct vm_value, call->arg_count);
    if (values == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < call->arg_count; i++) {
        const char *text = call->args[i];
        bool ok = text[0] == '@' ? reference_resolve(runner->request, text, index, type->types[i],
                                                     &values[i], err)
                                 : cli_value_parse(text, type->types[i], &values[i], err);
        if (!ok) {
            return err_wrap(err, "argument %u of '%.*s'", i + 1, (int)call->function.name.size,
                            (const char *)call->function.name.ptr);
        }
    }
    *out = values;
    return true;
}

static bool call_keep_results(struct runner *runner, struct run_call *call, struct err *err)
{
    uint32_t count = 0;
    const struct vm_value *results = vm_run_results(runner->run, &count);
    call->results = ARENA_ARRAY(runner->arena, struct vm_value, count);
    if (call->results == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    if (count > 0) {
        memcpy(call->results, results, count * sizeof *results);
    }
    call->is_done = true;
    return true;
}

/* Instantiates, starts, and makes the calls. False: err is set and the outcome is a refusal. A run
 * that ended otherwise is true. */
static bool runner_go(struct runner *runner, struct run_request *request, struct vm_module *module,
                      struct err *err)
{
    if (!vm_instantiate(runner->store, module, NULL, &runner->instance, err) ||
        !vm_run_begin_start(runner->run, runner->instance, err)) {
        return false;
    }
    bool returned = runner_finish(runner);
    for (uint32_t i = 0; returned && i < request->call_count; i++) {
        struct run_call *call = &request->calls[i];
        struct vm_value *args = NULL;
        struct vm_extern function;
        if (!vm_instance_find_export(runner->instance, call->function.name, &function)) {
            return err_set(err, ERR_INTERNAL, "an export has vanished");
        }
        if (!call_arguments(runner, i, &args, err) ||
            !vm_run_begin_call(runner->run, function.object, args, call->arg_count, err)) {
            return false;
        }
        returned = runner_finish(runner);
        if (returned && !call_keep_results(runner, call, err)) {
            return false;
        }
    }
    return true;
}

static bool refuse_imports(const struct vm_module *module, struct err *err)
{
    if (vm_module_import_count(module) == 0) {
        return true;
    }
    struct vm_import import = vm_module_import(module, 0);
    return err_set(err, ERR_POLICY_VIOLATION,
                   "the module imports '%.*s.%.*s', and a program here gets nothing from outside; "
                   "'wasm-hypervisor inspect' lists all imports",
                   (int)import.module.size, (const char *)import.module.ptr, (int)import.name.size,
                   (const char *)import.name.ptr);
}

/* Names and argument counts of all calls are checked before anything runs. */
static bool resolve_calls(struct run_request *request, const struct vm_module *module,
                          struct err *err)
{
    for (uint32_t i = 0; i < request->call_count; i++) {
        struct run_call *call = &request->calls[i];
        if (!cli_module_function(module, call->name, &call->function, err)) {
            return false;
        }
        const struct vm_func_type *type = &call->function.type.func;
        if (type->param_count != call->arg_count) {
            struct buffer text;
            buffer_init(&text, 4096);
            cli_func_type_append(type, &text);
            buffer_append_u8(&text, '\0');
            err_set(err, ERR_INVALID_ARGUMENTS, "'%.*s' takes %u argument%s, got %u: %s",
                    (int)call->function.name.size, (const char *)call->function.name.ptr,
                    type->param_count, type->param_count == 1 ? "" : "s", call->arg_count,
                    text.failed ? "" : (const char *)text.ptr);
            buffer_release(&text);
            return false;
        }
    }
    return true;
}

static void run_module(struct run_request *request, const struct cli_module *module,
                       const struct vm_limits *limits, struct arena *arena,
                       struct vm_profile *profile, struct run_outcome *outcome)
{
    struct budget budget;
    budget_init(&budget, NULL,
                (size_t)request->memory_bytes_max + limits->stack_bytes_max + (64U << 20));
    uint64_t begin_ns = clock_monotonic_ns(&clock_system);
    struct runner runner = {
        .request = request,
        .outcome = outcome,
        .arena = arena,
        .profile = profile,
        .store = vm_store_new(limits, &budget),
        .deadline_ns = request->timeout_seconds > 0
                           ? begin_ns + request->timeout_seconds * UINT64_C(1000000000)
                           : 0,
    };
    runner.run = runner.store != NULL ? vm_run_new(runner.store, request->gas_limit) : NULL;
    if (runner.run == NULL) {
        outcome->end = RUN_REFUSED;
        err_set(&outcome->err, ERR_NO_MEMORY, "out of memory");
    } else {
        if (!runner_go(&runner, request, module->module, &outcome->err)) {
            outcome->end = RUN_REFUSED;
        }
        outcome->gas = vm_run_gas_consumed(runner.run);
        outcome->memory_peak_bytes = vm_store_memory_peak(runner.store);
    }
    outcome->milliseconds = (double)(clock_monotonic_ns(&clock_system) - begin_ns) / 1e6;
    vm_run_free(runner.run);
    vm_store_free(runner.store);
}

static int run_file(const struct cli_command *command, struct run_request *request)
{
    struct vm_limits limits = vm_limits_default;
    limits.memory_pages_max = (uint32_t)(request->memory_bytes_max / run_page_bytes);
    limits.memory_pages_total_max = limits.memory_pages_max;
    limits.memory_limit_traps = true;
    struct cli_module module;
    struct run_outcome outcome = {.end = RUN_RETURNED};
    struct arena arena;
    arena_init(&arena, NULL);
    int code;
    struct vm_profile *profile = request->profile ? vm_profile_new() : NULL;
    if (!cli_module_open(&module, request->path, &limits, &outcome.err) ||
        !refuse_imports(module.module, &outcome.err) ||
        !resolve_calls(request, module.module, &outcome.err)) {
        outcome.end = RUN_REFUSED;
    } else {
        run_module(request, &module, &limits, &arena, profile, &outcome);
    }
    code = run_report(command, request, &outcome);
    if (request->profile && outcome.end != RUN_REFUSED &&
        (profile == NULL || !vm_profile_print(profile, RUN_PROFILE_ROWS, stderr))) {
        cli_complain(command, "out of memory for the profile");
        code = CLI_INTERNAL;
    }
    vm_profile_free(profile);
    cli_module_close(&module);
    arena_release(&arena);
    return code;
}

static bool add_call(const struct cli_command *command, struct run_request *request,
                     const char *name)
{
    if (request->call_count > 0 && request->calls[0].name == NULL) {
        cli_complain_usage(command, "put the arguments of '%s' after --invoke %s", name, name);
        return false;
    }
    if (request->call_count == RUN_CALLS_MAX) {
        cli_complain_usage(command, "more than %d calls", RUN_CALLS_MAX);
        return false;
    }
    request->calls[request->call_count++] =
        (struct run_call){.name = name, .args = &request->args[request->arg_count]};
    return true;
}

/* A positional: the file, then arguments of the call that is open. */
static bool add_positional(const struct cli_command *command, struct run_request *request,
                           const char *text)
{
    if (request->path == NULL) {
        request->path = text;
        return true;
    }
    if (request->call_count == 0 && !add_call(command, request, NULL)) {
        return false;
    }
    if (request->arg_count == RUN_ARGS_MAX) {
        cli_complain_usage(command, "more than %d arguments", RUN_ARGS_MAX);
        return false;
    }
    request->args[request->arg_count++] = text;
    request->calls[request->call_count - 1].arg_count++;
    return true;
}

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct run_request *request = context;
    switch (id) {
    case RUN_INVOKE:
        return add_call(options->command, request, text);
    case RUN_GAS:
        return cli_options_number(options, "gas", text, 0, INT64_MAX, &request->gas_limit);
    case RUN_TIMEOUT:
        return cli_options_number(options, "timeout", text, 1, 86400, &request->timeout_seconds);
    case RUN_MEMORY:
        return cli_options_number(options, "memory", text, 0, UINT64_C(1) << 32,
                                  &request->memory_bytes_max);
    case RUN_SLICE:
        return cli_options_number(options, "slice", text, 1, INT64_MAX, &request->slice_gas);
    case RUN_PROFILE:
        request->profile = true;
        return true;
    case RUN_JSON:
        request->json = true;
        return true;
    default:
        assert(id == CLI_OPTION_POSITIONAL);
        return add_positional(options->command, request, text);
    }
}

static int run_main(const struct cli_command *command, int argc, char **argv)
{
    struct run_request request = {
        .gas_limit = INT64_MAX, .memory_bytes_max = run_memory_bytes, .slice_gas = run_slice_gas};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.path == NULL) {
        return cli_complain_usage(command, "which module? name a .wasm file, or - for standard "
                                           "input");
    }
    if (request.call_count == 0 && !add_call(command, &request, NULL)) {
        return CLI_USAGE;
    }
    return run_file(command, &request);
}

static const struct cli_option run_options[] = {
    {RUN_INVOKE, "invoke", "FN",
     "call the exported function FN with the ARGs up to the next --invoke.\n"
     "Without it: _start, else main, else the only exported function"},
    {RUN_GAS, "gas", "N", "stop after exactly N units of gas (default: no limit)"},
    {RUN_TIMEOUT, "timeout", "S", "stop after S seconds (default: never)"},
    {RUN_MEMORY, "memory", "BYTES", "linear memory the program may have (default 67108864)"},
    {RUN_SLICE, "slice", "N", "run in slices of N gas (default 1000000); the result is the same"},
    {RUN_PROFILE, "profile", NULL,
     "print to stderr what the run consisted of: straight runs, instructions,\n"
     "pairs and triples, of internal code and of WebAssembly; a few times slower"},
    {RUN_JSON, "json", NULL, "print one JSON object instead of text"},
};

const struct cli_command cli_command_run = {
    .name = "run",
    .synopsis = "FILE [ARG...] [--invoke FN [ARG...]]... [OPTIONS]",
    .summary = "run a module on this machine",
    .description =
        "  Loads FILE (- is standard input), a WebAssembly binary, and calls one of its exported\n"
        "  functions. Nothing is sent anywhere, and the program gets nothing from this machine:\n"
        "  modules with imports are refused, as a node refuses them.\n\n"
        "  Several --invoke act on one instance in turn and share one gas account. As an "
        "argument,\n"
        "  @K stands for the first result of the K-th call (counted from 1).\n\n"
        "  An ARG is read by the type of its parameter: 42, -1, 0xff; 1.5, 0x1.8p3, inf, -inf, "
        "nan,\n"
        "  nan:0x1; 32 hexadecimal digits for a v128. 'i64:5' says the type as well. What looks "
        "like\n"
        "  a flag but is an argument goes after '--'.\n",
    .options = run_options,
    .option_count = sizeof run_options / sizeof run_options[0],
    .notes =
        "OUTPUT\n"
        "  One line for each call on stdout, 'add: i32 42'; what it cost on stderr.\n"
        "  --json: {status, outputs: [{type, value}], calls, gas_consumed, memory_used_bytes,\n"
        "  execution_time_ms, error}. status is success, timeout, resource_exhausted or error; "
        "error is\n"
        "  null or {code, message, trap, function, offset}; i64 values, NaN and infinities are\n"
        "  strings.\n\n"
        "EXIT STATUS\n"
        "  0 the calls returned, 1 the program failed (not valid, trap, gas, memory, timeout),\n"
        "  2 wrong usage or unreadable file, 70 internal error\n\n"
        "EXAMPLES\n"
        "  wasm-hypervisor run fac.wasm --invoke fac 20\n"
        "  wasm-hypervisor run counter.wasm --invoke add 5 --invoke add @1 --json\n",
    .run = run_main,
};
