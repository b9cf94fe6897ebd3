/* test_config.c: every setting, from every source, and what is said when one is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/config.h"

#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config config;

static void setup(void)
{
    struct err err;
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        char variable[CONFIG_VARIABLE_CHARS_MAX];
        config_variable(i, variable);
        unsetenv(variable);
    }
    setenv("HOME", "/home/someone", 1);
    unsetenv("XDG_DATA_HOME");
    cr_assert(config_init(&config, &err));
}

static void teardown(void)
{
    config_release(&config);
}

TestSuite(config, .init = setup, .fini = teardown);

static bool load(const char *text, struct err *err)
{
    return config_load_text(&config, bytes_of_string(text), "c.yaml", err);
}

/* Loading fails, and the message holds each of the pieces. */
static void expect_refusal(const char *text, const char *where, const char *what)
{
    struct err err = {0};
    cr_assert_not(load(text, &err), "accepted: %s", text);
    cr_expect_eq(err.code, ERR_CONFIG);
    cr_expect(strncmp(err.message, where, strlen(where)) == 0, "%s does not begin with %s",
              err.message, where);
    cr_expect_not_null(strstr(err.message, what), "%s lacks %s", err.message, what);
}

/* A value that is legal and not the default. */
static void other_value(enum config_setting setting, char *out, size_t size)
{
    const struct config_row *row = &config_rows[setting];
    const char *last = strrchr(row->words, '|');
    switch (row->kind) {
    case CONFIG_NUMBER:
        snprintf(out, size, "%llu",
                 (unsigned long long)(strtoull(row->initial, NULL, 10) == row->max ? row->min
                                                                                   : row->max));
        return;
    case CONFIG_SWITCH:
        snprintf(out, size, "%s", strcmp(row->initial, "true") == 0 ? "false" : "true");
        return;
    case CONFIG_TEXT:
        snprintf(out, size, "/some where/else: #1");
        return;
    case CONFIG_WORD:
        snprintf(out, size, "%s", last + 1);
        return;
    }
}

static void yaml_of(enum config_setting setting, const char *value, char *out, size_t size)
{
    const char *path = config_rows[setting].path;
    const char *dot = strchr(path, '.');
    const char *quote = config_rows[setting].kind == CONFIG_TEXT ? "\"" : "";
    if (dot == NULL) {
        snprintf(out, size, "%s: %s%s%s\n", path, quote, value, quote);
    } else {
        snprintf(out, size, "%.*s:\n  %s: %s%s%s\n", (int)(dot - path), path, dot + 1, quote, value,
                 quote);
    }
}

Test(config, every_default_is_legal_and_the_table_agrees_with_itself)
{
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        cr_expect_eq(config.values[i].source, CONFIG_FROM_DEFAULT);
        for (enum config_setting j = 0; j < i; j++) {
            cr_expect_str_neq(config_rows[i].path, config_rows[j].path);
            cr_expect_str_neq(config_rows[i].flag, config_rows[j].flag);
        }
    }
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 3000);
    cr_expect_str_eq(config_text(&config, CONFIG_SERVER_HOST), "127.0.0.1");
    cr_expect_str_eq(config_text(&config, CONFIG_DATA_DIR),
                     "/home/someone/.local/share/wasm-hypervisor");
}

Test(config, every_setting_can_stand_in_the_file)
{
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        char value[64], text[256];
        struct err err;
        other_value(i, value, sizeof value);
        yaml_of(i, value, text, sizeof text);
        cr_assert(load(text, &err), "%s: %s", text, err.message);
        cr_expect_str_eq(config_text(&config, i), value);
        cr_expect_eq(config.values[i].source, CONFIG_FROM_FILE);
        cr_expect_eq(config.values[i].line, strchr(config_rows[i].path, '.') == NULL ? 1 : 2);
    }
}

Test(config, every_setting_can_stand_in_the_environment)
{
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        char value[64], variable[CONFIG_VARIABLE_CHARS_MAX];
        struct err err;
        other_value(i, value, sizeof value);
        config_variable(i, variable);
        setenv(variable, value, 1);
        cr_assert(config_load_environment(&config, &err), "%s: %s", variable, err.message);
        unsetenv(variable);
        cr_expect_str_eq(config_text(&config, i), value);
        cr_expect_eq(config.values[i].source, CONFIG_FROM_ENVIRONMENT);
    }
}

Test(config, a_variable_is_the_path_in_capitals)
{
    char variable[CONFIG_VARIABLE_CHARS_MAX];
    config_variable(CONFIG_SERVER_PORT, variable);
    cr_expect_str_eq(variable, "WASM_HYPERVISOR_SERVER_PORT");
    config_variable(CONFIG_DATA_DIR, variable);
    cr_expect_str_eq(variable, "WASM_HYPERVISOR_DATA_DIR");
}

Test(config, a_bad_variable_is_named)
{
    struct err err = {0};
    setenv("WASM_HYPERVISOR_SERVER_PORT", "x", 1);
    cr_assert_not(config_load_environment(&config, &err));
    cr_expect_not_null(strstr(err.message, "WASM_HYPERVISOR_SERVER_PORT: server.port must be"));
}

Test(config, flag_wins_over_environment_over_file_over_default_in_any_order)
{
    struct err err;
    setenv("WASM_HYPERVISOR_SERVER_PORT", "2", 1);
    cr_assert(load("server:\n  port: 1\n  workers: 1\n", &err));
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 1);
    cr_assert(config_load_environment(&config, &err));
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 2);
    cr_assert(config_set(&config, CONFIG_SERVER_PORT, "3", CONFIG_FROM_FLAG, 0, "--port", &err));
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 3);
    cr_assert(config_load_environment(&config, &err));
    cr_assert(load("server:\n  port: 1\n", &err));
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 3);
    cr_expect_eq(config_number(&config, CONFIG_SERVER_WORKERS), 1);
    cr_expect_eq(config.values[CONFIG_WASM_MEMORY].source, CONFIG_FROM_DEFAULT);
}

Test(config, a_file_as_people_write_it_is_read)
{
    struct err err;
    cr_assert(load("# config.yaml\n"
                   "server:\n  host: \"0.0.0.0\"\n  port: 3000\n  workers: 4\n\n"
                   "wasm:\n  max_memory_mb: 64\n  max_execution_time_seconds: 10\n"
                   "  max_concurrent_executions: 100\n\n"
                   "crypto:\n  key_rotation_hours: 1\n  commitment_retention_days: 7\n\n"
                   "logging:\n  level: \"info\"\n  file: \"/var/log/hypervisor.log\"\n",
                   &err),
              "%s", err.message);
    cr_expect_str_eq(config_text(&config, CONFIG_SERVER_HOST), "0.0.0.0");
    cr_expect_eq(config_number(&config, CONFIG_WASM_SECONDS), 10);
    cr_expect_str_eq(config_text(&config, CONFIG_LOGGING_FILE), "/var/log/hypervisor.log");
}

Test(config, nothing_in_the_file_is_fine)
{
    struct err err;
    cr_expect(load("", &err));
    cr_expect(load("# only a comment\n", &err));
}

Test(config, an_unknown_key_is_named_with_its_line)
{
    expect_refusal("server:\n  host: \"h\"\n  prot: 3\n", "c.yaml:3: ", "'server.prot'");
    expect_refusal("server:\n  prot: 3\n", "c.yaml:2: ", "host, port, workers");
    expect_refusal("\n\nsevrer:\n  port: 3\n", "c.yaml:3: ", "'sevrer'");
    expect_refusal("sevrer: 1\n",
                   "c.yaml:1: ", "data_dir, tee, tee_certificates, seal, server, wasm");
    expect_refusal("server.port: 1\n", "c.yaml:1: ", "'server.port'");
    expect_refusal("? [a, b]\n: 1\n", "c.yaml:1: ", "'?'");
    expect_refusal("server:\n  ? [a]\n  : 1\n", "c.yaml:2: ", "'server.?'");
}

Test(config, a_key_given_twice_is_named_with_both_lines)
{
    expect_refusal("server:\n  port: 1\n  workers: 1\n  port: 2\n",
                   "c.yaml:4: ", "first on line 2");
    expect_refusal("tee: none\ntee: none\n", "c.yaml:2: ", "first on line 1");
}

Test(config, a_value_of_the_wrong_type_is_named_with_its_line)
{
    expect_refusal("server:\n  port: abc\n",
                   "c.yaml:2: ", "server.port must be a number from 0 to 65535, not 'abc'");
    expect_refusal("server:\n  port:\n", "c.yaml:2: ", "not ''");
    expect_refusal("server:\n  port: 1.5\n", "c.yaml:2: ", "not '1.5'");
    expect_refusal("server:\n  port: -1\n", "c.yaml:2: ", "not '-1'");
    expect_refusal("server:\n  port: [1]\n", "c.yaml:2: ", "must be a single value");
    expect_refusal("server:\n  port:\n    x: 1\n", "c.yaml:3: ", "must be a single value");
    expect_refusal("server: 3000\n", "c.yaml:1: ", "'server' must hold settings");
    expect_refusal("server:\n  - port\n", "c.yaml:2: ", "'server' must hold settings");
    expect_refusal("data_dir:\n  x: 1\n", "c.yaml:2: ", "data_dir must be a single value");
    expect_refusal("server:\n  require_api_key: yes\n", "c.yaml:2: ", "must be true or false");
    expect_refusal("logging:\n  level: loud\n", "c.yaml:2: ", "one of debug|info|warn|error");
    expect_refusal("tee: auto|simulated\n",
                   "c.yaml:1: ", "one of auto|configfs-tsm|sev-guest|simulated|none");
    expect_refusal("server:\n  host: \"\"\n", "c.yaml:2: ", "must have 1 to 255 bytes");
    expect_refusal("server:\n  host: \"a\\0b\"\n", "c.yaml:2: ", "must be a single value");
    expect_refusal("- server\n", "c.yaml:1: ", "must hold settings");
    expect_refusal("server\n", "c.yaml:1: ", "must hold settings");
}

Test(config, what_is_not_yaml_is_refused_with_its_line)
{
    expect_refusal("server:\n\tport: 1\n", "c.yaml:2: ", "not YAML");
    expect_refusal("server:\n  port: \"1\n", "c.yaml:", "not YAML");
    expect_refusal("tee: none\n---\ntee: none\n", "c.yaml:3: ", "second document");
    expect_refusal("tee: none\n---\n\t[\n", "c.yaml:", "not YAML");
}

Test(config, numbers_are_checked_at_below_and_above_their_bounds)
{
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind != CONFIG_NUMBER) {
            continue;
        }
        struct err err;
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)row->min);
        cr_expect(config_set(&config, i, text, CONFIG_FROM_FLAG, 0, "--f", &err), "%s", row->path);
        snprintf(text, sizeof text, "%llu", (unsigned long long)row->max);
        cr_expect(config_set(&config, i, text, CONFIG_FROM_FLAG, 0, "--f", &err), "%s", row->path);
        snprintf(text, sizeof text, "%llu", (unsigned long long)row->max + 1);
        cr_expect_not(config_set(&config, i, text, CONFIG_FROM_FLAG, 0, "--f", &err), "%s",
                      row->path);
        snprintf(text, sizeof text, "%lld", (long long)row->min - 1);
        cr_expect_not(config_set(&config, i, text, CONFIG_FROM_FLAG, 0, "--f", &err), "%s",
                      row->path);
    }
}

Test(config, the_data_directory_follows_xdg_only_when_it_is_absolute)
{
    struct err err;
    struct config other;
    setenv("XDG_DATA_HOME", "/data", 1);
    cr_assert(config_init(&other, &err));
    cr_expect_str_eq(config_text(&other, CONFIG_DATA_DIR), "/data/wasm-hypervisor");
    config_release(&other);
    setenv("XDG_DATA_HOME", "relative", 1);
    cr_assert(config_init(&other, &err));
    cr_expect_str_eq(config_text(&other, CONFIG_DATA_DIR),
                     "/home/someone/.local/share/wasm-hypervisor");
    config_release(&other);
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    cr_assert(config_init(&other, &err));
    cr_expect_str_eq(config_text(&other, CONFIG_DATA_DIR), "");
    config_release(&other);
}

Test(config, a_home_that_is_too_long_is_refused)
{
    struct err err = {0};
    struct config other;
    static char home[5000];
    memset(home, 'a', sizeof home - 1);
    home[0] = '/';
    setenv("HOME", home, 1);
    cr_assert_not(config_init(&other, &err));
    cr_expect_eq(err.code, ERR_CONFIG);
}

static char *printed(const struct config *which)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(which, out);
    fclose(out);
    return text;
}

Test(config, what_is_printed_reads_back_as_the_same_settings)
{
    struct err err;
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        char value[64];
        other_value(i, value, sizeof value);
        cr_assert(config_set(&config, i, value, CONFIG_FROM_FLAG, 0, "--f", &err));
    }
    cr_assert(
        config_set(&config, CONFIG_DATA_DIR, "a\"b\\c\n#d", CONFIG_FROM_FLAG, 0, "--f", &err));
    char *text = printed(&config);
    struct config other;
    cr_assert(config_init(&other, &err));
    cr_assert(config_load_text(&other, bytes_of_string(text), "p", &err), "%s\n%s", err.message,
              text);
    uint8_t first[CRYPTO_SHA256_BYTES], second[CRYPTO_SHA256_BYTES];
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        cr_expect_str_eq(config_text(&other, i), config_text(&config, i));
    }
    cr_assert(config_digest(&config, first, &err) && config_digest(&other, second, &err));
    cr_expect_arr_eq(first, second, sizeof first);
    config_release(&other);
    heap_free(text);
}

Test(config, the_digest_changes_with_every_setting)
{
    struct err err;
    uint8_t before[CRYPTO_SHA256_BYTES], after[CRYPTO_SHA256_BYTES];
    cr_assert(config_digest(&config, before, &err));
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        char value[64];
        other_value(i, value, sizeof value);
        cr_assert(config_set(&config, i, value, CONFIG_FROM_FLAG, 0, "--f", &err));
        cr_assert(config_digest(&config, after, &err));
        cr_expect_arr_neq(before, after, sizeof before);
        memcpy(before, after, sizeof before);
    }
}

Test(config, the_digest_refuses_what_json_cannot_hold)
{
    struct err err = {0};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    cr_assert(config_set(&config, CONFIG_DATA_DIR, "\xff", CONFIG_FROM_FLAG, 0, "--f", &err));
    cr_expect_not(config_digest(&config, digest, &err));
    cr_expect_eq(err.code, ERR_CONFIG);
}

Test(config, a_file_that_is_not_there_or_too_large_is_refused)
{
    struct err err = {0};
    struct temporary directory;
    temporary_make(&directory);
    cr_expect_not(config_load_file(&config, temporary_file(&directory, "no.yaml"), &err));
    cr_expect_eq(err.code, ERR_IO);
    cr_expect_not_null(strstr(err.message, "no.yaml"));
    static char large[256 * 1024 + 2];
    memset(large, '#', sizeof large - 1);
    const char *path = temporary_write(&directory, "large.yaml", large);
    cr_expect_not(config_load_file(&config, path, &err));
    cr_expect_eq(err.code, ERR_LIMIT);
    path = temporary_write(&directory, "c.yaml", "server:\n  port: 99\n");
    cr_expect(config_load_file(&config, path, &err));
    cr_expect_eq(config_number(&config, CONFIG_SERVER_PORT), 99);
    temporary_remove(&directory);
}

/* docs/configuration.md is a promise: it names every setting, variable, flag and default. */
Test(config, the_page_names_every_setting)
{
    FILE *file = fopen(WH_SOURCE_DIR "/docs/configuration.md", "r");
    cr_assert_not_null(file);
    static char page[64 * 1024];
    size_t size = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    cr_assert_lt(size, sizeof page - 1);
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        char cell[256];
        snprintf(cell, sizeof cell, "| `%s` | `--%s` | ", row->path, row->flag);
        const char *line = strstr(page, cell);
        cr_expect_not_null(line, "docs/configuration.md lacks: %s", cell);
        if (line != NULL && row->initial[0] != '\0') {
            snprintf(cell, sizeof cell, "`%s`", row->initial);
            const char *found = strstr(line, cell);
            cr_expect(found != NULL && found < strchr(line, '\n'), "%s: default %s", row->path,
                      cell);
        }
    }
}
