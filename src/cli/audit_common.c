/* audit_common.c: see audit_common.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"

#include <stdlib.h>
#include <string.h>

static const char default_url[] = "http://127.0.0.1:3000";

int audit_exit_of(enum audit_verdict verdict)
{
    static const int codes[] = {
        [AUDIT_OK] = CLI_OK,
        [AUDIT_PENDING] = AUDIT_EXIT_PENDING,
        [AUDIT_PRUNED] = AUDIT_EXIT_PRUNED,
        [AUDIT_NOT_FOUND] = AUDIT_EXIT_NOT_FOUND,
        [AUDIT_TAMPERED] = AUDIT_EXIT_TAMPERED,
        [AUDIT_TRUNCATED] = AUDIT_EXIT_TRUNCATED,
        [AUDIT_ROLLED_BACK] = AUDIT_EXIT_ROLLED_BACK,
        [AUDIT_FORKED] = AUDIT_EXIT_FORKED,
        [AUDIT_UNVERIFIABLE] = AUDIT_EXIT_UNVERIFIABLE,
    };
    return codes[verdict];
}

/* ---- flags ---- */

static int take_word(const struct cli_command *command, struct audit_request *request,
                     const char *text, size_t words_max)
{
    if (request->word_count == words_max) {
        return cli_complain_usage(command, "one argument too many: '%s'", text);
    }
    request->words[request->word_count++] = text;
    return -1;
}

static int take_vkey(const struct cli_command *command, struct audit_request *request,
                     const char *text)
{
    if (request->vkey_count == AUDIT_KEYS_MAX) {
        return cli_complain_usage(command, "more than %d keys", AUDIT_KEYS_MAX);
    }
    request->vkeys[request->vkey_count++] = text;
    return -1;
}

static int take_number(const struct cli_options *options, const char *flag, const char *text,
                       uint64_t *out)
{
    return cli_options_number(options, flag, text, 0, INT64_MAX, out) ? -1 : CLI_USAGE;
}

static int take_flag(const struct cli_options *options, int id, const char *text,
                     struct audit_request *request)
{
    switch (id) {
    case AUDIT_VKEY:
        return take_vkey(options->command, request, text);
    case AUDIT_SINCE:
        request->since = text;
        return -1;
    case AUDIT_ORIGIN:
        request->origin = text;
        return -1;
    case AUDIT_POLICY:
        request->policy = text;
        return -1;
    case AUDIT_FORMAT:
        request->format = text;
        return -1;
    case AUDIT_TYPE:
        request->type = text;
        return -1;
    case AUDIT_OUT:
        request->out = text;
        return -1;
    case AUDIT_BEFORE:
        request->before = text;
        return -1;
    case AUDIT_REASON:
        request->reason = text;
        return -1;
    case AUDIT_SEGMENTS:
        return cli_options_number(options, "segments", text, 1, 65536, &request->segments)
                   ? -1
                   : CLI_USAGE;
    case AUDIT_FROM:
        return take_number(options, "from", text, &request->from);
    case AUDIT_TO:
        return take_number(options, "to", text, &request->to);
    case AUDIT_REQUEST:
        request->wants_request = true;
        return -1;
    case AUDIT_KEY:
        request->wants_key = true;
        return -1;
    default: /* AUDIT_JSON: the tables hold no other */
        request->json = true;
        return -1;
    }
}

int audit_request_read(const struct cli_command *command, int argc, char **argv, size_t words_max,
                       const char *missing, struct audit_request *request)
{
    struct cli_options options;
    const char *text;
    int id;
    *request = (struct audit_request){.to = UINT64_MAX};
    cli_options_init(&options, command, argc, argv);
    while ((id = cli_options_next(&options, &text)) != CLI_OPTION_END) {
        if (id == CLI_OPTION_HELP) {
            return CLI_OK;
        }
        if (id == CLI_OPTION_BAD) {
            return CLI_USAGE;
        }
        int code = id == CLI_OPTION_POSITIONAL ? take_word(command, request, text, words_max)
                                               : take_flag(&options, id, text, request);
        if (code >= 0) {
            return code;
        }
    }
    if (missing != NULL && request->word_count == 0) {
        return cli_complain_usage(command, "%s", missing);
    }
    return -1;
}

/* ---- the log ---- */

bool audit_target_open(const char *name, struct audit_target *target, struct err *err)
{
    const char *set = getenv("WASM_HYPERVISOR_URL");
    *target = (struct audit_target){.name = name};
    if (name == NULL) {
        target->name = set != NULL && set[0] != '\0' ? set : default_url;
    }
    if (strstr(target->name, "://") != NULL) {
        return audit_http_open(target->name, &target->http, &target->source, err);
    }
    return audit_directory_open(target->name, &target->directory, &target->source, err);
}

void audit_target_close(struct audit_target *target)
{
    audit_http_close(target->http);
    audit_directory_close(target->directory);
}

int audit_target_complain(const struct cli_command *command, const struct audit_target *target,
                          const struct err *err)
{
    if (target->http == NULL && target->directory != NULL) {
        cli_complain(command, "%s: %s", target->name, err->message); /* names are relative to it */
    } else {
        cli_complain(command, "%s", err->message);
    }
    bool is_open = target->http != NULL || target->directory != NULL;
    if (err->code == ERR_NO_MEMORY) {
        return CLI_INTERNAL;
    }
    if (err->code == ERR_TAMPERED) {
        return AUDIT_EXIT_TAMPERED;
    }
    if (err->code == ERR_NOT_FOUND && is_open) {
        return AUDIT_EXIT_NOT_FOUND;
    }
    return target->http != NULL && err->code != ERR_USAGE ? CLI_NETWORK : CLI_USAGE;
}
