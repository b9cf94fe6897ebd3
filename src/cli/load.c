/* load.c: `load`: many clients of the real protocol against a node, and what they saw.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum load_flag {
    LOAD_SCENARIO = 1,
    LOAD_LIST,
    LOAD_SPAWN,
    LOAD_NODE,
    LOAD_API_KEY,
    LOAD_PID,
    LOAD_DATA_DIR,
    LOAD_RATE,
    LOAD_UNIFORM,
    LOAD_CONCURRENCY,
    LOAD_DURATION,
    LOAD_WARMUP,
    LOAD_COUNT,
    LOAD_CONNECTIONS,
    LOAD_SEED,
    LOAD_CHECK_EVERY,
    LOAD_QUICK,
    LOAD_STRICT,
    LOAD_JSON,
};

enum { API_KEYS = 10, CONNECTIONS_DEFAULT = 1000 };

/* ---- flags ---- */

/* A decimal such as 0.5, in (0, max]. */
static bool take_real(const struct cli_command *command, const char *flag, const char *text,
                      double max, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    bool ok = end != text && *end == '\0' && value > 0 && value <= max;
    if (!ok) {
        cli_complain_usage(command, "--%s must be a number above 0 and at most %g, not '%s'", flag,
                           max, text);
    } else {
        *out = value;
    }
    return ok;
}

static bool scenarios_exist(const struct cli_command *command, const char *names)
{
    for (const char *at = names;;) {
        size_t size = strcspn(at, ",");
        if (load_scenario_find(at, size) == NULL && strcmp(names, "all") != 0) {
            cli_complain_usage(command, "there is no scenario '%.*s'; --list tells which",
                               (int)size, at);
            return false;
        }
        if (at[size] == '\0') {
            return true;
        }
        at += size + 1;
    }
}

static bool take_number(const struct cli_options *flags, struct load_options *options, int id,
                        const char *text)
{
    switch (id) {
    case LOAD_PID:
        return cli_options_number(flags, "pid", text, 1, INT32_MAX, &options->pid);
    case LOAD_CONCURRENCY:
        return cli_options_number(flags, "concurrency", text, 1, 100000, &options->concurrency);
    case LOAD_COUNT:
        return cli_options_number(flags, "count", text, 1, 1000000, &options->count);
    case LOAD_CONNECTIONS:
        return cli_options_number(flags, "connections", text, 1, 60000, &options->connections);
    case LOAD_SEED:
        return cli_options_number(flags, "seed", text, 0, UINT64_MAX, &options->seed);
    case LOAD_CHECK_EVERY:
        return cli_options_number(flags, "check-every", text, 1, 1000000, &options->check_every);
    case LOAD_RATE:
        return take_real(flags->command, "rate", text, 1e6, &options->rate);
    case LOAD_DURATION:
        return take_real(flags->command, "duration", text, 86400, &options->seconds);
    default:
        return take_real(flags->command, "warmup", text, 86400, &options->warmup_seconds);
    }
}

static bool take_option(const struct cli_options *flags, struct load_options *options, int id,
                        const char *text)
{
    switch (id) {
    case LOAD_SCENARIO:
        options->scenarios = text;
        return scenarios_exist(flags->command, text);
    case LOAD_LIST:
        options->is_list = true;
        return true;
    case LOAD_SPAWN:
        options->is_spawned = true;
        return true;
    case LOAD_NODE:
        options->url = text;
        return true;
    case LOAD_API_KEY:
        options->api_key = text;
        return true;
    case LOAD_DATA_DIR:
        options->data_dir = text;
        return true;
    case LOAD_UNIFORM:
        options->is_uniform = true;
        return true;
    case LOAD_QUICK:
        options->is_quick = true;
        return true;
    case LOAD_STRICT:
        options->is_strict = true;
        return true;
    case LOAD_JSON:
        options->json_path = text;
        return true;
    default:
        return take_number(flags, options, id, text);
    }
}

static int contradictions(const struct cli_command *command, const struct load_options *options)
{
    if (options->is_list || options->is_spawned != (options->url != NULL)) {
        bool has_spare = !options->is_spawned && !options->is_list &&
                         (options->node_argument_count > 0 || options->data_dir != NULL);
        return !has_spare ? -1
                          : cli_complain_usage(command, "--data-dir and settings after '--' are "
                                                        "for a node of its own: --spawn");
    }
    return cli_complain_usage(command, options->is_spawned
                                           ? "--spawn and --node exclude each other"
                                           : "which node? --spawn starts one, --node names one");
}

/* -1: go on. What follows "--" is the node's. */
static int options_read(const struct cli_command *command, int argc, char **argv,
                        struct load_options *options)
{
    struct cli_options flags;
    const char *text;
    int id;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            options->node_arguments = argv + i + 1;
            options->node_argument_count = (size_t)(argc - i - 1);
            argc = i;
        }
    }
    cli_options_init(&flags, command, argc, argv);
    while ((id = cli_options_next(&flags, &text)) != CLI_OPTION_END) {
        if (id == CLI_OPTION_HELP) {
            return CLI_OK;
        }
        if (id == CLI_OPTION_POSITIONAL) {
            return cli_complain_usage(command, "unexpected argument '%s'", text);
        }
        if (id == CLI_OPTION_BAD || !take_option(&flags, options, id, text)) {
            return CLI_USAGE;
        }
    }
    return contradictions(command, options);
}

/* ---- the order of things ---- */

static bool address_find(struct load *load, struct err *err)
{
    static struct sockaddr_storage address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int status = getaddrinfo(load->node.host, load->node.port, &hints, &found);
    if (status != 0) {
        return err_set(err, ERR_IO, "%s: %s", load->node.host, gai_strerror(status));
    }
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    load->http.address = &address;
    load->http.address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool node_open(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    struct load_node *node = &load->node;
    arena_init(&node->arena, NULL);
    if (options->is_spawned) {
        if (!load_node_spawn(node, options->data_dir, API_KEYS, options->node_arguments,
                             options->node_argument_count, err)) {
            return false;
        }
        progress_step(&load->progress, PROGRESS_DONE, "a node of its own at port %s", node->port);
    } else {
        if (!load_node_address(node, options->url, err)) {
            return false;
        }
        node->pid = (pid_t)options->pid;
        node->api_keys[0] = options->api_key;
        node->api_key_count = options->api_key != NULL ? 1 : 0;
    }
    return address_find(load, err) &&
           load_http_open(
               &load->http,
               (unsigned)(options->connections > 0 ? options->connections : CONNECTIONS_DEFAULT),
               err);
}

static bool scenarios_run(struct load *load, struct err *err)
{
    const char *names = load->options->scenarios;
    bool is_all = strcmp(names, "all") == 0;
    for (size_t i = 0; is_all && i < load_scenario_count; i++) {
        load->scenario = load_scenarios[i].name;
        if (!load_scenarios[i].run(load, err)) {
            return false;
        }
        progress_step(&load->progress, PROGRESS_DONE, "%s", load->scenario);
    }
    for (const char *at = names; !is_all && *at != '\0';) {
        size_t size = strcspn(at, ",");
        const struct load_scenario *scenario = load_scenario_find(at, size);
        load->scenario = scenario->name;
        if (!scenario->run(load, err)) {
            return false;
        }
        progress_step(&load->progress, PROGRESS_DONE, "%s", load->scenario);
        at += size + (at[size] == ',' ? 1 : 0);
    }
    return true;
}

static bool node_end(struct load *load, struct err *err)
{
    char said[160];
    if (!load->node.is_spawned) {
        return true;
    }
    if (!load_node_stop(&load->node, said, sizeof said, err)) {
        return false;
    }
    progress_step(&load->progress, PROGRESS_DONE, "%s", said);
    return true;
}

static int verdict(const struct load *load)
{
    if (load->wrong > 0 || load->early > 0) {
        return CLI_UNVERIFIED;
    }
    if (load->lost > 0) {
        return CLI_NETWORK;
    }
    return load->options->is_strict && load->goals_missed ? CLI_PROGRAM_FAILED : CLI_OK;
}

static int load_complain(const struct cli_command *command, const struct err *err)
{
    int code = cli_complain_err(command, err);
    return err->code == ERR_IO ? CLI_NETWORK : code;
}

static int load_go(const struct cli_command *command, struct load *load)
{
    struct err err;
    int code = CLI_OK;
    bool is_open = node_open(load, &err);
    load->scenario = "";
    bool ok = is_open && load_preflight(load, &err) && scenarios_run(load, &err);
    if (is_open) {
        load_http_close(&load->http);
    }
    ok = ok && load_report(load, &err) && node_end(load, &err);
    code = ok ? verdict(load) : load_complain(command, &err);
    load_trust_release(&load->trust);
    load_node_release(&load->node);
    return code;
}

static int load_main(const struct cli_command *command, int argc, char **argv)
{
    static struct load load;
    struct load_options options = {.scenarios = "steady", .check_every = 1, .seed = 1};
    options.api_key = getenv("WASM_HYPERVISOR_API_KEY");
    int code = options_read(command, argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    for (size_t i = 0; options.is_list && i < load_scenario_count; i++) {
        printf("%-14s %s\n", load_scenarios[i].name, load_scenarios[i].summary);
    }
    if (options.is_list) {
        return CLI_OK;
    }
    load.options = &options;
    load.random.state = options.seed;
    load.trust.check_every = options.check_every;
    buffer_init(&load.trust.note, AUDIT_CHECKPOINT_BYTES_MAX);
    progress_init(&load.progress, false);
    return load_go(command, &load);
}

static const struct cli_option load_flags[] = {
    {LOAD_SCENARIO, "scenario", "NAMES",
     "what to show: names of --list separated by commas, or all\n(default: steady)"},
    {LOAD_LIST, "list", NULL, "list the scenarios"},
    {LOAD_SPAWN, "spawn", NULL,
     "start a node for it, in a temporary directory, with settings after\n'--'; end it and "
     "verify its log"},
    {LOAD_NODE, "node", "URL", "use the node at http://HOST:PORT"},
    {LOAD_API_KEY, "api-key", "KEY", "the API key for --node (default: $WASM_HYPERVISOR_API_KEY)"},
    {LOAD_PID, "pid", "PID", "the process of --node: its processor time and memory are reported"},
    {LOAD_DATA_DIR, "data-dir", "DIR", "for --spawn: this directory, which stays"},
    {LOAD_RATE, "rate", "R", "executions started a second (steady: 1500)"},
    {LOAD_UNIFORM, "uniform", NULL, "start them at equal distances (default: at random, Poisson)"},
    {LOAD_CONCURRENCY, "concurrency", "N",
     "steady: instead of a rate, so many at once, each begun when another ended"},
    {LOAD_DURATION, "duration", "S", "seconds that are measured (default: the scenario's own)"},
    {LOAD_WARMUP, "warmup", "S", "seconds before that (steady: 2)"},
    {LOAD_COUNT, "count", "N", "how many at once, or in all (default: the scenario's own)"},
    {LOAD_CONNECTIONS, "connections", "N", "connections at most (default: 1000)"},
    {LOAD_SEED, "seed", "N", "the same seed, the same arrivals and programs (default: 1)"},
    {LOAD_CHECK_EVERY, "check-every", "N",
     "verify signatures and proofs of every Nth execution (default: 1);\nresults and "
     "commitments are checked of all"},
    {LOAD_QUICK, "quick", NULL, "everything smaller, to see that it works"},
    {LOAD_STRICT, "strict", NULL, "a missed goal is a failure"},
    {LOAD_JSON, "json", "FILE", "write the report as JSON"},
};

const struct cli_command cli_command_load = {
    .name = "load",
    .synopsis = "(--spawn | --node URL) [OPTIONS] [-- SETTINGS]",
    .summary = "put a node under load, check every answer, and measure",
    .description =
        "  Speaks the whole protocol as many clients at once: keys, encryption, execution, "
        "opening\n"
        "  and checking of each answer against the right one, its commitments, its entry and "
        "proof\n"
        "  in the log, and its receipt. Reports throughput, latency, how far deadlines were\n"
        "  overrun, errors by code, and the node's processor time per execution beside the bare\n"
        "  cost of its cryptography, each with the figure that it ought to reach.\n\n"
        "  With a rate, executions start when they should, however late the answers are, and\n"
        "  latency counts from that moment. A live line on stderr, the report on stdout.\n",
    .options = load_flags,
    .option_count = sizeof load_flags / sizeof load_flags[0],
    .notes =
        "EXIT STATUS\n"
        "  0 every answer was right, or a refusal that the scenario provokes; 1 a goal was missed\n"
        "  (with --strict), 2 wrong usage, 3 the node cannot be reached, or answers were lost, 4 "
        "an\n"
        "  answer was wrong or did not verify, or an execution ended before its deadline, 70\n"
        "  internal error\n\n"
        "EXAMPLES\n"
        "  wasm-hypervisor load --spawn\n"
        "  wasm-hypervisor load --spawn --scenario all --json report.json -- --workers 2\n"
        "  wasm-hypervisor load --node http://127.0.0.1:3000 --rate 200 --duration 60\n",
    .run = load_main,
};
