/* config.c: one table of settings, one parser for a value's text, four sources.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/config.h"

#include "base/json.h"
#include "base/text.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct config_row config_rows[CONFIG_COUNT] = {
#define SETTING(name, path, flag, kind, initial, min, max, words, argument, help)                  \
    [CONFIG_##name] = {path, flag, CONFIG_##kind, initial, min, max, words, argument, help},
#include "cli/settings.def"
#undef SETTING
};

/* The place of `text` among words like "auto|simulated|none", or -1. */
static int word_find(const char *words, const char *text)
{
    size_t size = strlen(text);
    int place = 0;
    for (const char *word = words; word != NULL; place++) {
        size_t word_size = strcspn(word, "|");
        if (word_size == size && memcmp(word, text, size) == 0) {
            return place;
        }
        word = word[word_size] == '|' ? word + word_size + 1 : NULL;
    }
    return -1;
}

static bool value_parse(const struct config_row *row, const char *text, uint64_t *number,
                        struct err *err)
{
    size_t size = strlen(text);
    int place;
    switch (row->kind) {
    case CONFIG_NUMBER:
        if (text_u64_decode(text, size, number) && *number >= row->min && *number <= row->max) {
            return true;
        }
        return err_set(err, ERR_CONFIG,
                       "%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'", row->path,
                       row->min, row->max, text);
    case CONFIG_SWITCH:
        *number = strcmp(text, "true") == 0 ? 1 : 0;
        return *number == 1 || strcmp(text, "false") == 0 ||
               err_set(err, ERR_CONFIG, "%s must be true or false, not '%s'", row->path, text);
    case CONFIG_TEXT:
        return (size >= row->min && size <= row->max) ||
               err_set(err, ERR_CONFIG, "%s must have %" PRIu64 " to %" PRIu64 " bytes, not %zu",
                       row->path, row->min, row->max, size);
    case CONFIG_WORD:
        place = word_find(row->words, text);
        *number = place >= 0 ? (uint64_t)place : 0;
        return place >= 0 || err_set(err, ERR_CONFIG, "%s must be one of %s, not '%s'", row->path,
                                     row->words, text);
    }
    assert(false);
    return false;
}

bool config_set(struct config *config, enum config_setting setting, const char *text,
                enum config_source source, unsigned line, const char *where, struct err *err)
{
    uint64_t number = 0;
    if (!value_parse(&config_rows[setting], text, &number, err)) {
        return err_wrap(err, "%s", where);
    }
    struct config_value *value = &config->values[setting];
    if (value->source > source) {
        return true;
    }
    const char *copy = arena_strdup(&config->arena, text);
    if (copy == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    *value = (struct config_value){copy, number, source, line};
    return true;
}

/* The table's default is for readers; this is the place meant. Without a home it is empty, and
 * data_dir.c says so. */
static bool data_dir_default(struct config *config, struct err *err)
{
    const char *base = getenv("XDG_DATA_HOME");
    const char *below = "";
    if (base == NULL || base[0] != '/') { /* the XDG rule: a relative path is ignored */
        base = getenv("HOME");
        below = "/.local/share";
    }
    if (base == NULL || base[0] == '\0') {
        config->values[CONFIG_DATA_DIR].text = "";
        return true;
    }
    struct buffer path;
    buffer_init(&path, (size_t)config_rows[CONFIG_DATA_DIR].max);
    buffer_printf(&path, "%s%s/wasm-hypervisor", base, below);
    buffer_append_u8(&path, '\0');
    bool ok = !path.failed;
    if (!ok) {
        err_set(err, ERR_CONFIG, "the home directory's name is too long");
    }
    ok = ok && config_set(config, CONFIG_DATA_DIR, (const char *)path.ptr, CONFIG_FROM_DEFAULT, 0,
                          "default", err);
    buffer_release(&path);
    return ok;
}

bool config_init(struct config *config, struct err *err)
{
    *config = (struct config){0};
    arena_init(&config->arena, NULL);
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        if (!config_set(config, i, config_rows[i].initial, CONFIG_FROM_DEFAULT, 0, "default",
                        err)) {
            config_release(config);
            return false;
        }
    }
    if (!data_dir_default(config, err)) {
        config_release(config);
        return false;
    }
    return true;
}

void config_release(struct config *config)
{
    arena_release(&config->arena);
}

void config_variable(enum config_setting setting, char out[static CONFIG_VARIABLE_CHARS_MAX])
{
    int size =
        snprintf(out, CONFIG_VARIABLE_CHARS_MAX, "WASM_HYPERVISOR_%s", config_rows[setting].path);
    assert(size > 0 && size < CONFIG_VARIABLE_CHARS_MAX);
    (void)size;
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    }
}

bool config_load_variable(struct config *config, enum config_setting setting, struct err *err)
{
    char variable[CONFIG_VARIABLE_CHARS_MAX];
    config_variable(setting, variable);
    const char *text = getenv(variable);
    return text == NULL ||
           config_set(config, setting, text, CONFIG_FROM_ENVIRONMENT, 0, variable, err);
}

bool config_load_environment(struct config *config, struct err *err)
{
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        if (!config_load_variable(config, i, err)) {
            return false;
        }
    }
    return true;
}

uint64_t config_number(const struct config *config, enum config_setting setting)
{
    assert(config_rows[setting].kind != CONFIG_TEXT);
    return config->values[setting].number;
}

const char *config_text(const struct config *config, enum config_setting setting)
{
    return config->values[setting].text;
}

static void source_print(const struct config *config, enum config_setting setting, FILE *out)
{
    const struct config_value *value = &config->values[setting];
    char variable[CONFIG_VARIABLE_CHARS_MAX];
    switch (value->source) {
    case CONFIG_FROM_DEFAULT:
        fputs("  # default\n", out);
        return;
    case CONFIG_FROM_FILE:
        fprintf(out, "  # file, line %u\n", value->line);
        return;
    case CONFIG_FROM_ENVIRONMENT:
        config_variable(setting, variable);
        fprintf(out, "  # environment, %s\n", variable);
        return;
    case CONFIG_FROM_FLAG:
        fprintf(out, "  # flag, --%s\n", config_rows[setting].flag);
        return;
    }
}

/* A YAML scalar: numbers, words and switches bare, text between double quotes. */
static void value_print(const struct config *config, enum config_setting setting, FILE *out)
{
    const char *text = config->values[setting].text;
    if (config_rows[setting].kind != CONFIG_TEXT) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        } else {
            fprintf(out, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    fputc('"', out);
}

void config_print(const struct config *config, FILE *out)
{
    const char *section = "";
    size_t section_size = 0;
    for (enum config_setting i = 0; i < CONFIG_COUNT; i++) {
        const char *path = config_rows[i].path;
        const char *dot = strchr(path, '.');
        size_t size = dot != NULL ? (size_t)(dot - path) : 0;
        if (size > 0 && (size != section_size || memcmp(path, section, size) != 0)) {
            fprintf(out, "%.*s:\n", (int)size, path);
            section = path;
            section_size = size;
        }
        fprintf(out, "%s%s: ", dot != NULL ? "  " : "", dot != NULL ? dot + 1 : path);
        value_print(config, i, out);
        source_print(config, i, out);
    }
}

bool config_digest(const struct config *config, uint8_t out[static CRYPTO_SHA256_BYTES],
                   struct err *err)
{
    json_t *object = json_object();
    struct buffer canonical;
    buffer_init(&canonical, 256 * 1024);
    bool ok = object != NULL;
    for (enum config_setting i = 0; ok && i < CONFIG_COUNT; i++) {
        ok = json_object_set_new(object, config_rows[i].path,
                                 json_string(config->values[i].text)) == 0;
    }
    if (!ok) {
        err_set(err, ERR_CONFIG, "a setting is not valid UTF-8");
    }
    ok = ok && json_canonical(object, &canonical, err);
    if (ok) {
        crypto_sha256(buffer_bytes(&canonical), out);
    }
    buffer_release(&canonical);
    json_decref(object);
    return ok;
}
