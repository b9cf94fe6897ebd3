/* config_file.c: config.yaml, read with libyaml's document tree because every node of it knows its
 * line.
 *
 * The file is a mapping of two levels, section and key; nothing else has a meaning, so everything
 * else is refused with its line. Values are scalars and keep their text: config.c parses them, as
 * it does those of the environment and of flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/config.h"

#include <string.h>
#include <yaml.h>

enum { CONFIG_FILE_BYTES_MAX = 256 * 1024, CONFIG_WHERE_CHARS_MAX = 300 };

struct loader {
    struct config *config;
    yaml_document_t *document;
    const char *path;
    unsigned seen[CONFIG_COUNT]; /* line, 0: not yet */
};

static unsigned node_line(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static bool refuse(const struct loader *loader, const yaml_node_t *node, struct err *err,
                   const char *what)
{
    return err_set(err, ERR_CONFIG, "%s:%u: %s", loader->path, node_line(node), what);
}

/* A scalar's text without NUL inside, or NULL. */
static const char *node_text(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length) {
        return NULL;
    }
    return (const char *)node->data.scalar.value;
}

static int setting_find(const char *path)
{
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (strcmp(config_rows[i].path, path) == 0) {
            return i;
        }
    }
    return -1;
}

static bool section_exists(const char *name)
{
    size_t size = strlen(name);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (strncmp(config_rows[i].path, name, size) == 0 && config_rows[i].path[size] == '.') {
            return true;
        }
    }
    return false;
}

/* What would have been right: the keys of this section, or at the top ("") all that may stand
 * there. */
static void known_append(const char *section, struct buffer *known)
{
    size_t section_size = strlen(section);
    const char *previous = "";
    for (int i = 0; i < CONFIG_COUNT; i++) {
        const char *path = config_rows[i].path;
        size_t head = strcspn(path, ".");
        if (section_size == 0) {
            if (strncmp(previous, path, head + 1) != 0) {
                buffer_printf(known, "%s%.*s", known->size > 0 ? ", " : "", (int)head, path);
            }
            previous = path;
        } else if (head == section_size && strncmp(path, section, head) == 0) {
            buffer_printf(known, "%s%s", known->size > 0 ? ", " : "", path + head + 1);
        }
    }
    buffer_append_u8(known, '\0');
}

static bool refuse_unknown(const struct loader *loader, const yaml_node_t *key, const char *section,
                           struct err *err)
{
    struct buffer known;
    buffer_init(&known, ERR_MESSAGE_BYTES_MAX);
    known_append(section, &known);
    const char *text = node_text(key);
    err_set(err, ERR_CONFIG, "%s:%u: there is no setting '%s%s%s'; known here: %s", loader->path,
            node_line(key), section, section[0] != '\0' ? "." : "", text != NULL ? text : "?",
            known.failed ? "" : (const char *)known.ptr);
    buffer_release(&known);
    return false;
}

static bool load_value(struct loader *loader, int setting, const yaml_node_t *key,
                       const yaml_node_t *value, struct err *err)
{
    if (loader->seen[setting] != 0) {
        return err_set(err, ERR_CONFIG, "%s:%u: %s is given twice, first on line %u", loader->path,
                       node_line(key), config_rows[setting].path, loader->seen[setting]);
    }
    loader->seen[setting] = node_line(key);
    const char *text = node_text(value);
    if (text == NULL) {
        return err_set(err, ERR_CONFIG, "%s:%u: %s must be a single value", loader->path,
                       node_line(value), config_rows[setting].path);
    }
    char where[CONFIG_WHERE_CHARS_MAX];
    snprintf(where, sizeof where, "%s:%u", loader->path, node_line(value));
    return config_set(loader->config, (enum config_setting)setting, text, CONFIG_FROM_FILE,
                      node_line(value), where, err);
}

static bool load_section(struct loader *loader, const char *section, const yaml_node_t *node,
                         struct err *err)
{
    if (node->type != YAML_MAPPING_NODE) {
        return err_set(err, ERR_CONFIG, "%s:%u: '%s' must hold settings, one per line, indented",
                       loader->path, node_line(node), section);
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
        const char *name = node_text(key);
        char path[128];
        int size = name != NULL ? snprintf(path, sizeof path, "%s.%s", section, name) : -1;
        int setting = size > 0 && (size_t)size < sizeof path ? setting_find(path) : -1;
        if (setting < 0) {
            return refuse_unknown(loader, key, section, err);
        }
        if (!load_value(loader, setting, key, value, err)) {
            return false;
        }
    }
    return true;
}

static bool load_root(struct loader *loader, struct err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(loader->document);
    if (root == NULL) {
        return true; /* an empty file says nothing */
    }
    if (root->type != YAML_MAPPING_NODE) {
        return refuse(loader, root, err, "the file must hold settings, as in 'server:'");
    }
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
        const char *name = node_text(key);
        if (name == NULL || strchr(name, '.') != NULL) {
            return refuse_unknown(loader, key, "", err);
        }
        int setting = setting_find(name);
        if (setting < 0 && !section_exists(name)) {
            return refuse_unknown(loader, key, "", err);
        }
        if (setting >= 0 ? !load_value(loader, setting, key, value, err)
                         : !load_section(loader, name, value, err)) {
            return false;
        }
    }
    return true;
}

/* A second document in the stream would be ignored silently: refuse it. */
static bool check_end(yaml_parser_t *parser, const char *path, struct err *err)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        return err_set(err, ERR_CONFIG, "%s:%zu: not YAML: %s", path, parser->problem_mark.line + 1,
                       parser->problem);
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    bool ok = root == NULL;
    if (!ok) {
        err_set(err, ERR_CONFIG, "%s:%u: a second document; one file holds one", path,
                node_line(root));
    }
    yaml_document_delete(&document);
    return ok;
}

bool config_load_text(struct config *config, struct bytes text, const char *path, struct err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    yaml_parser_set_input_string(&parser, text.ptr != NULL ? text.ptr : (const uint8_t *)"",
                                 text.size);
    bool ok;
    if (!yaml_parser_load(&parser, &document)) {
        ok = err_set(err, ERR_CONFIG, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "unreadable");
    } else {
        struct loader loader = {.config = config, .document = &document, .path = path};
        bool is_empty = yaml_document_get_root_node(&document) == NULL;
        ok = load_root(&loader, err);
        yaml_document_delete(&document);
        ok = ok && (is_empty || check_end(&parser, path, err));
    }
    yaml_parser_delete(&parser);
    return ok;
}

bool config_load_file(struct config *config, const char *path, struct err *err)
{
    uint8_t *content = NULL;
    size_t size = 0;
    if (!cli_file_read(path, CONFIG_FILE_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = config_load_text(config, bytes_of(content, size), path, err);
    heap_free(content);
    return ok;
}
