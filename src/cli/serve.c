/* serve.c: `serve`: settings from file, environment and flags, then a node until a signal comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/node.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum serve_flag { SERVE_CONFIG = 1, SERVE_CHECK, SERVE_SETTING }; /* + enum config_setting */
enum serve_log_format { SERVE_LOG_AUTO, SERVE_LOG_JSON, SERVE_LOG_TEXT }; /* as in settings.def */

struct serve_request {
    const char *config_path;
    bool check_only;
};

/* Memory holds keys and programs of others: it must not end up in a file. */
static bool no_core_dumps(struct err *err)
{
    struct rlimit none = {0, 0};
    return (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0) ||
           err_set(err, ERR_IO, "cannot turn core dumps off");
}

static bool log_setup(const struct config *config, struct err *err)
{
    const char *path = config_text(config, CONFIG_LOGGING_FILE);
    uint64_t format = config_number(config, CONFIG_LOGGING_FORMAT);
    bool is_terminal = path[0] == '\0' && isatty(STDERR_FILENO) == 1;
    bool json = format == SERVE_LOG_JSON || (format == SERVE_LOG_AUTO && !is_terminal);
    enum log_level level = LOG_INFO;
    if (!log_level_parse(config_text(config, CONFIG_LOGGING_LEVEL), &level)) {
        return err_set(err, ERR_CONFIG, "unknown log level");
    }
    return log_open(path[0] != '\0' ? path : NULL, level, json, err);
}

/* Flags straight into the settings. -1: go on. */
static int serve_read(const struct cli_command *command, int argc, char **argv,
                      struct config *config, struct serve_request *request)
{
    struct cli_options options;
    cli_options_init(&options, command, argc, argv);
    const char *text;
    int id;
    struct err err;
    while ((id = cli_options_next(&options, &text)) != CLI_OPTION_END) {
        switch (id) {
        case CLI_OPTION_HELP:
            return CLI_OK;
        case CLI_OPTION_BAD:
            return CLI_USAGE;
        case CLI_OPTION_POSITIONAL:
            return cli_complain_usage(command, "unexpected argument '%s'", text);
        case SERVE_CONFIG:
            request->config_path = text;
            break;
        case SERVE_CHECK:
            request->check_only = true;
            break;
        default: {
            enum config_setting setting = (enum config_setting)(id - SERVE_SETTING);
            char where[64];
            snprintf(where, sizeof where, "--%s", config_rows[setting].flag);
            if (!config_set(config, setting, text, CONFIG_FROM_FLAG, 0, where, &err)) {
                return cli_complain_usage(command, "%s", err.message);
            }
        }
        }
    }
    return -1;
}

static int node_serve(const struct cli_command *command, const struct config *config)
{
    static struct node node;
    struct err err;
    heap_tune();
    if (!no_core_dumps(&err) || !log_setup(config, &err)) {
        return cli_complain_err(command, &err);
    }
    if (!node_open(&node, config, &err)) {
        log_close();
        return cli_complain_err(command, &err);
    }
    const char *host = config_text(config, CONFIG_SERVER_HOST);
    bool is_v6 = strchr(host, ':') != NULL;
    printf("listening on http://%s%s%s:%u\n", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
           (unsigned)net_server_port(node.net));
    fflush(stdout);
    bool ok = node_run(&node, &err);
    node_close(&node);
    log_write(LOG_INFO, "stopped", NULL, "%s", ok ? "everything is closed" : "stopped by an error");
    log_close();
    if (!ok) {
        cli_complain(command, "the audit log failed, nothing can be served: %s", err.message);
        return CLI_INTERNAL;
    }
    return CLI_OK;
}

static int serve_main(const struct cli_command *command, int argc, char **argv)
{
    struct serve_request request = {.config_path = getenv("WASM_HYPERVISOR_CONFIG")};
    struct config config;
    struct err err;
    if (!config_init(&config, &err)) {
        return cli_complain_err(command, &err);
    }
    int code = serve_read(command, argc, argv, &config, &request);
    if (code < 0 &&
        ((request.config_path != NULL && !config_load_file(&config, request.config_path, &err)) ||
         !config_load_environment(&config, &err))) {
        code = cli_complain_err(command, &err);
    }
    if (code < 0 && request.check_only) {
        config_print(&config, stdout);
        code = CLI_OK;
    }
    if (code < 0) {
        code = node_serve(command, &config);
    }
    config_release(&config);
    return code;
}

static const struct cli_option serve_options[] = {
    {SERVE_CONFIG, "config", "FILE", "read settings from FILE (default: $WASM_HYPERVISOR_CONFIG)"},
    {SERVE_CHECK, "check-config", NULL,
     "print the effective settings as YAML, with where each came from, and exit"},
#define SETTING(name, path, flag, kind, initial, min, max, words, argument, help)                  \
    {SERVE_SETTING + (int)CONFIG_##name, flag, argument, help "\n[" path ", \"" initial "\"]"},
#include "cli/settings.def"
#undef SETTING
};

const struct cli_command cli_command_serve = {
    .name = "serve",
    .synopsis = "[--config FILE] [OPTIONS]",
    .summary = "run a node",
    .description =
        "  Runs a node: takes encrypted programs over HTTP, runs them, answers so that only the\n"
        "  client can read it, and commits request and result to the audit log.\n\n"
        "  It works without any setting: on http://127.0.0.1:3000, with everything that lasts in\n"
        "  the data directory. The first start makes the audit log and one API key, which is\n"
        "  printed once. When it is ready it prints one line: listening on http://HOST:PORT\n\n"
        "  Every setting can stand in config.yaml, in the environment and in a flag; a flag wins\n"
        "  over the environment, that over the file, that over the default. In brackets below:\n"
        "  the key in config.yaml, and the default. The environment variable is the key in\n"
        "  capitals, WASM_HYPERVISOR_SERVER_PORT for server.port.\n",
    .options = serve_options,
    .option_count = sizeof serve_options / sizeof serve_options[0],
    .notes =
        "SIGNALS\n"
        "  SIGTERM, SIGINT  no new programs; those that run may end (server.drain_seconds), then\n"
        "                   exit 0. A second one cancels them.\n"
        "  SIGHUP           open the log file anew, after rotation\n"
        "  SIGUSR1          end the audit log's segment and begin the next\n\n"
        "EXIT STATUS\n"
        "  0 stopped by a signal, 2 wrong settings, or something that they name cannot be used\n"
        "  (port taken, data directory in use), 4 the audit log was tampered with, 70 the audit\n"
        "  log could not be written, or another internal error\n\n"
        "EXAMPLES\n"
        "  wasm-hypervisor serve\n"
        "  wasm-hypervisor serve --config /etc/wasm-hypervisor/config.yaml --check-config\n"
        "  wasm-hypervisor serve --port 0 --data-dir ./data --tee simulated\n",
    .run = serve_main,
};
