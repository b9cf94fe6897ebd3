/* key.c: `key new`, `key list`, `key revoke`: API keys in the store of a data directory, also
 * beside a running node, which notices within a second or two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/data_dir.h"
#include "service/service.h"

#include <assert.h>
#include <string.h>

enum key_flag { KEY_DATA_DIR = 1, KEY_NAME, KEY_SCOPES, KEY_EXPIRES, KEY_JSON };

struct key_request {
    const char *data_dir; /* NULL: environment, else the default */
    const char *name;
    const char *scopes;
    const char *positional;
    uint64_t expires_days; /* 0: never */
    bool json;
};

static const struct {
    const char *name;
    uint32_t bit;
} key_scopes[] = {{"execute", STORE_SCOPE_EXECUTE},
                  {"metrics", STORE_SCOPE_METRICS},
                  {"admin", STORE_SCOPE_ADMIN}};
enum { KEY_SCOPE_COUNT = sizeof key_scopes / sizeof key_scopes[0], SCOPES_CHARS_MAX = 32 };

static bool scopes_parse(const char *text, uint32_t *out)
{
    *out = 0;
    for (;;) {
        size_t size = strcspn(text, ",");
        uint32_t bit = 0;
        for (size_t i = 0; i < KEY_SCOPE_COUNT; i++) {
            if (strlen(key_scopes[i].name) == size && memcmp(key_scopes[i].name, text, size) == 0) {
                bit = key_scopes[i].bit;
            }
        }
        if (bit == 0) {
            return false;
        }
        *out |= bit;
        if (text[size] == '\0') {
            return true;
        }
        text += size + 1;
    }
}

static void scopes_text(uint32_t scopes, char out[static SCOPES_CHARS_MAX])
{
    int size = 0;
    out[0] = '\0';
    for (size_t i = 0; i < KEY_SCOPE_COUNT; i++) {
        if ((scopes & key_scopes[i].bit) != 0) {
            size += snprintf(out + size, SCOPES_CHARS_MAX - (size_t)size, "%s%s",
                             size > 0 ? "," : "", key_scopes[i].name);
        }
    }
}

/* The flags of all three commands; the command's table decides which exist. */
static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct key_request *request = context;
    switch (id) {
    case KEY_DATA_DIR:
        request->data_dir = text;
        return true;
    case KEY_NAME:
        request->name = text;
        return true;
    case KEY_SCOPES:
        request->scopes = text;
        return true;
    case KEY_EXPIRES:
        return cli_options_number(options, "expires", text, 1, 36500, &request->expires_days);
    case KEY_JSON:
        request->json = true;
        return true;
    default:
        return cli_options_word(options, text, &request->positional);
    }
}

static bool key_store_open(const struct key_request *request, struct store **out, struct err *err)
{
    struct data_dir directory;
    if (!data_dir_find(request->data_dir, &directory, err) ||
        !cli_directory_make(directory.path, 0700, err)) {
        return false;
    }
    bool created = false;
    return store_open(directory.store, &clock_system, out, &created, err);
}

static int key_new(const struct cli_command *command, int argc, char **argv)
{
    struct key_request request = {.name = "", .scopes = "execute"};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    struct store_api_key key;
    uint32_t scopes = 0;
    if (request.positional != NULL) {
        return cli_complain_usage(command, "unexpected argument '%s'", request.positional);
    }
    if (!scopes_parse(request.scopes, &scopes)) {
        return cli_complain_usage(command,
                                  "--scopes takes execute, metrics and admin, separated by "
                                  "commas, not '%s'",
                                  request.scopes);
    }
    if (strlen(request.name) >= sizeof key.name) {
        return cli_complain_usage(command, "--name has at most %zu bytes", sizeof key.name - 1);
    }
    int64_t expires_ms =
        request.expires_days == 0
            ? 0
            : clock_wall_ms(&clock_system) + (int64_t)request.expires_days * 86400 * 1000;
    char secret[SERVICE_API_KEY_CHARS + 1];
    struct store *store = NULL;
    struct err err;
    if (!key_store_open(&request, &store, &err)) {
        return cli_complain_err(command, &err);
    }
    service_api_key_new(request.name, scopes, expires_ms, &clock_system, &key, secret);
    bool ok = store_add_api_key(store, &key, &err);
    store_close(store);
    if (ok) {
        printf("%s\n", secret);
        fprintf(stderr, "This is the only time it is shown. Its id, for 'key revoke': %s\n",
                key.id);
    }
    memory_wipe(secret, sizeof secret);
    return ok ? CLI_OK : cli_complain_err(command, &err);
}

static void time_text(int64_t ms, const char *never, char out[static CLOCK_RFC3339_CHARS + 1])
{
    if (ms == 0) {
        snprintf(out, CLOCK_RFC3339_CHARS + 1, "%s", never);
    } else {
        clock_rfc3339_encode(ms, out);
    }
}

static const char *key_state(const struct store_api_key *key)
{
    if (key->revoked_ms != 0) {
        return "revoked";
    }
    bool is_over = key->expires_ms != 0 && key->expires_ms <= clock_wall_ms(&clock_system);
    return is_over ? "expired" : "valid";
}

static void key_print(const struct store_api_key *key)
{
    char scopes[SCOPES_CHARS_MAX], created[CLOCK_RFC3339_CHARS + 1],
        expires[CLOCK_RFC3339_CHARS + 1];
    scopes_text(key->scopes, scopes);
    time_text(key->created_ms, "-", created);
    time_text(key->expires_ms, "never", expires);
    printf("%-16s  %-7s  %-21s  %-24s  %-24s  %s\n", key->id, key_state(key), scopes, created,
           expires, key->name);
}

static json_t *key_json(const struct store_api_key *key)
{
    char scopes[SCOPES_CHARS_MAX], created[CLOCK_RFC3339_CHARS + 1],
        expires[CLOCK_RFC3339_CHARS + 1];
    scopes_text(key->scopes, scopes);
    time_text(key->created_ms, "-", created);
    time_text(key->expires_ms, "never", expires);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "id", key->id, "name", key->name, "state",
                     key_state(key), "scopes", scopes, "created_at", created, "expires_at",
                     key->expires_ms != 0 ? expires : NULL);
}

static bool keys_print(const struct store_api_key *keys, size_t count, bool json)
{
    if (!json) {
        printf("%-16s  %-7s  %-21s  %-24s  %-24s  %s\n", "ID", "STATE", "SCOPES", "CREATED",
               "EXPIRES", "NAME");
    }
    json_t *array = json ? json_array() : NULL;
    bool ok = !json || array != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        if (json) {
            ok = json_array_append_new(array, key_json(&keys[i])) == 0;
        } else {
            key_print(&keys[i]);
        }
    }
    if (json && ok) {
        return cli_print_json(array);
    }
    json_decref(array);
    return ok;
}

static int key_list(const struct cli_command *command, int argc, char **argv)
{
    struct key_request request = {0};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.positional != NULL) {
        return cli_complain_usage(command, "unexpected argument '%s'", request.positional);
    }
    struct store *store = NULL;
    struct err err;
    if (!key_store_open(&request, &store, &err)) {
        return cli_complain_err(command, &err);
    }
    struct arena arena;
    arena_init(&arena, NULL);
    struct store_api_key *keys = NULL;
    size_t count = 0;
    bool ok = store_list_api_keys(store, &arena, &keys, &count, &err);
    code = ok ? CLI_OK : cli_complain_err(command, &err);
    if (ok && !keys_print(keys, count, request.json)) {
        cli_complain(command, "out of memory");
        code = CLI_INTERNAL;
    }
    arena_release(&arena);
    store_close(store);
    return code;
}

static int key_revoke(const struct cli_command *command, int argc, char **argv)
{
    struct key_request request = {0};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.positional == NULL) {
        return cli_complain_usage(command, "which key? 'wasm-hypervisor key list' shows the ids");
    }
    struct store *store = NULL;
    struct err err;
    if (!key_store_open(&request, &store, &err)) {
        return cli_complain_err(command, &err);
    }
    bool ok = store_revoke_api_key(store, request.positional, &err);
    store_close(store);
    if (!ok && err.code == ERR_NOT_FOUND) {
        cli_complain(command,
                     "there is no key with the id '%s'; 'wasm-hypervisor key list' shows "
                     "the ids",
                     request.positional);
        return CLI_USAGE;
    }
    if (!ok) {
        return cli_complain_err(command, &err);
    }
    printf("revoked %s\n", request.positional);
    return CLI_OK;
}

#define DATA_DIR_HELP                                                                              \
    "the node's data directory (default: $WASM_HYPERVISOR_DATA_DIR,\n"                             \
    "else ${XDG_DATA_HOME:-~/.local/share}/wasm-hypervisor)"
#define EXIT_NOTES                                                                                 \
    "EXIT STATUS\n  0 done, 2 wrong usage or no such key or store, 70 internal error\n"

static const struct cli_option key_new_options[] = {
    {KEY_NAME, "name", "NAME", "a word to remember its owner by, at most 64 bytes"},
    {KEY_SCOPES, "scopes", "LIST",
     "what it may do, separated by commas: execute, metrics, admin\n(default: execute)"},
    {KEY_EXPIRES, "expires", "DAYS", "it ends after that many days (default: never)"},
    {KEY_DATA_DIR, "data-dir", "DIR", DATA_DIR_HELP},
};

const struct cli_command cli_command_key_new = {
    .name = "key new",
    .synopsis = "[--name NAME] [--scopes LIST] [--expires DAYS] [--data-dir DIR]",
    .summary = "make an API key",
    .description =
        "  Makes an API key and prints its secret on stdout, once: only a hash is kept. A node\n"
        "  that is running on the same data directory takes it within a second or two.\n",
    .options = key_new_options,
    .option_count = sizeof key_new_options / sizeof key_new_options[0],
    .notes =
        EXIT_NOTES "\nEXAMPLE\n"
                   "  export WASM_HYPERVISOR_API_KEY=$(wasm-hypervisor key new --name laptop)\n",
    .run = key_new,
};

static const struct cli_option key_list_options[] = {
    {KEY_JSON, "json", NULL, "print a JSON array instead of a table"},
    {KEY_DATA_DIR, "data-dir", "DIR", DATA_DIR_HELP},
};

const struct cli_command cli_command_key_list = {
    .name = "key list",
    .synopsis = "[--json] [--data-dir DIR]",
    .summary = "list the API keys",
    .description =
        "  Lists id, state (valid, expired, revoked), scopes, times and name of every key, the\n"
        "  oldest first. Secrets are not kept and cannot be shown.\n",
    .options = key_list_options,
    .option_count = sizeof key_list_options / sizeof key_list_options[0],
    .notes = EXIT_NOTES,
    .run = key_list,
};

static const struct cli_option key_revoke_options[] = {
    {KEY_DATA_DIR, "data-dir", "DIR", DATA_DIR_HELP},
};

const struct cli_command cli_command_key_revoke = {
    .name = "key revoke",
    .synopsis = "ID [--data-dir DIR]",
    .summary = "end an API key",
    .description = "  Ends the key with that id for good. A node that is running refuses it within "
                   "a second or\n"
                   "  two; programs that it has started go on.\n",
    .options = key_revoke_options,
    .option_count = sizeof key_revoke_options / sizeof key_revoke_options[0],
    .notes = EXIT_NOTES,
    .run = key_revoke,
};
