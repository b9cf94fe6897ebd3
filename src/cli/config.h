/* config.h: the settings of a node, from four places: flag over environment over file over default.
 *
 * Every value is kept as the text it came as and its number, together with where it came from, so
 * that messages can name the line. settings.def is the only list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/arena.h"
#include "crypto/crypto.h"

#include <stdio.h>

enum config_setting {
#define SETTING(name, path, flag, kind, initial, min, max, words, argument, help) CONFIG_##name,
#include "cli/settings.def"
#undef SETTING
    CONFIG_COUNT
};

enum config_kind { CONFIG_NUMBER, CONFIG_SWITCH, CONFIG_TEXT, CONFIG_WORD };

struct config_row {
    const char *path;
    const char *flag;
    enum config_kind kind;
    const char *initial;
    uint64_t min, max;
    const char *words;
    const char *argument;
    const char *help;
};

extern const struct config_row config_rows[CONFIG_COUNT];

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG
};

struct config_value {
    const char *text; /* in the arena */
    uint64_t number;  /* NUMBER; SWITCH: 0 or 1; WORD: its place among the words */
    enum config_source source;
    unsigned line; /* FROM_FILE */
};

struct config {
    struct arena arena;
    struct config_value values[CONFIG_COUNT];
};

/* The defaults; data_dir is ${XDG_DATA_HOME:-~/.local/share}/wasm-hypervisor, or empty if there is
 * no home to put it in. */
bool config_init(struct config *config, struct err *err) MUST_CHECK;
void config_release(struct config *config);

/* A source of lower rank leaves a value of higher rank alone (but is checked all the same), so the
 * order of the calls does not matter. `where` begins the message: "config.yaml:4". */
bool config_set(struct config *config, enum config_setting setting, const char *text,
                enum config_source source, unsigned line, const char *where,
                struct err *err) MUST_CHECK;
/* Fails with CONFIG for an unknown key, a key given twice, or a bad value: "FILE:LINE: …". */
bool config_load_file(struct config *config, const char *path, struct err *err) MUST_CHECK;
/* The same for text that is already there (tests); `path` is for messages. */
bool config_load_text(struct config *config, struct bytes text, const char *path,
                      struct err *err) MUST_CHECK;
/* One setting from its environment variable, or all. */
bool config_load_variable(struct config *config, enum config_setting setting,
                          struct err *err) MUST_CHECK;
bool config_load_environment(struct config *config, struct err *err) MUST_CHECK;

/* "WASM_HYPERVISOR_SERVER_PORT" */
enum { CONFIG_VARIABLE_CHARS_MAX = 96 };
void config_variable(enum config_setting setting, char out[static CONFIG_VARIABLE_CHARS_MAX]);

uint64_t config_number(const struct config *config, enum config_setting setting);
const char *config_text(const struct config *config, enum config_setting setting);

/* The effective settings as YAML, each with where it came from as a comment. */
void config_print(const struct config *config, FILE *out);
/* SHA-256 of the effective settings as canonical JSON, {"path": text}: what a statement binds. */
bool config_digest(const struct config *config, uint8_t out[static CRYPTO_SHA256_BYTES],
                   struct err *err) MUST_CHECK;

#endif
