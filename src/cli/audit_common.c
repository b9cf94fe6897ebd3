/* audit_common.c: see audit_common.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_common.h"

#include "cli/client.h"

#include <string.h>

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

static bool take_word(const struct cli_command *command, struct audit_request *request,
                      const char *text)
{
    if (request->word_count == request->words_max) {
        cli_complain_usage(command, "one argument too many: '%s'", text);
        return false;
    }
    request->words[request->word_count++] = text;
    return true;
}

static bool take_vkey(const struct cli_command *command, struct audit_request *request,
                      const char *text)
{
    if (request->vkey_count == AUDIT_KEYS_MAX) {
        cli_complain_usage(command, "more than %d keys", AUDIT_KEYS_MAX);
        return false;
    }
    request->vkeys[request->vkey_count++] = text;
    return true;
}

static bool take_flag(const struct cli_options *options, int id, const char *text, void *context)
{
    struct audit_request *request = context;
    switch (id) {
    case CLI_OPTION_POSITIONAL:
        return take_word(options->command, request, text);
    case AUDIT_VKEY:
        return take_vkey(options->command, request, text);
    case AUDIT_SINCE:
        request->since = text;
        return true;
    case AUDIT_ORIGIN:
        request->origin = text;
        return true;
    case AUDIT_POLICY:
        request->policy = text;
        return true;
    case AUDIT_FORMAT:
        request->format = text;
        return true;
    case AUDIT_TYPE:
        request->type = text;
        return true;
    case AUDIT_OUT:
        request->out = text;
        return true;
    case AUDIT_BEFORE:
        request->before = text;
        return true;
    case AUDIT_REASON:
        request->reason = text;
        return true;
    case AUDIT_SEAL:
        request->seal = text;
        return true;
    case AUDIT_TEE:
        request->tee = text;
        return true;
    case AUDIT_SEGMENTS:
        return cli_options_number(options, "segments", text, 1, 65536, &request->segments);
    case AUDIT_FROM:
        return cli_options_number(options, "from", text, 0, INT64_MAX, &request->from);
    case AUDIT_TO:
        return cli_options_number(options, "to", text, 0, INT64_MAX, &request->to);
    case AUDIT_REQUEST:
        request->wants_request = true;
        return true;
    case AUDIT_KEY:
        request->wants_key = true;
        return true;
    default: /* AUDIT_JSON: the tables hold no other */
        request->json = true;
        return true;
    }
}

int audit_request_read(const struct cli_command *command, int argc, char **argv, size_t words_max,
                       const char *missing, struct audit_request *request)
{
    *request = (struct audit_request){.to = UINT64_MAX, .words_max = words_max};
    int code = cli_options_read(command, argc, argv, request, take_flag);
    if (code >= 0) {
        return code;
    }
    if (missing != NULL && request->word_count == 0) {
        return cli_complain_usage(command, "%s", missing);
    }
    return -1;
}

/* ---- the log ---- */

bool audit_target_open(const char *name, struct audit_target *target, struct err *err)
{
    *target = (struct audit_target){.name = name != NULL ? name : client_url(NULL)};
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
