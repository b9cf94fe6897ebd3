/* audit_policy.c: reads a policy with libyaml's document tree (audit_policy.h has the form).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_policy.h"

#include "base/text.h"
#include "cli/cli.h"

#include <string.h>
#include <yaml.h>

enum { POLICY_BYTES_MAX = 64 * 1024, POLICY_MEMORY_MAX = 512 * 1024 };

struct loader {
    struct audit_policy_file *policy;
    yaml_document_t *document;
    const char *path;
};

static bool refuse(const struct loader *loader, const yaml_node_t *node, struct err *err,
                   const char *what)
{
    return err_set(err, ERR_CONFIG, "%s:%zu: %s", loader->path, node->start_mark.line + 1, what);
}

/* A scalar's text in the policy's arena; NULL with *err if it is none. */
static const char *take_text(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0 ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length) {
        refuse(loader, node, err, "a text is wanted here");
        return NULL;
    }
    const char *text = arena_strdup(&loader->policy->arena, (const char *)node->data.scalar.value);
    if (text == NULL) {
        err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    return text;
}

static bool take_number(struct loader *loader, const yaml_node_t *node, uint64_t max, uint64_t *out,
                        struct err *err)
{
    const char *text = take_text(loader, node, err);
    if (text == NULL) {
        return false;
    }
    if (!text_u64_decode(text, strlen(text), out) || *out == 0 || *out > max) {
        return refuse(loader, node, err, "a number from 1 on is wanted here");
    }
    return true;
}

typedef bool (*take_cb)(struct loader *loader, const yaml_node_t *node, struct err *err);

static bool take_list(struct loader *loader, const yaml_node_t *node, take_cb take, struct err *err)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        return refuse(loader, node, err, "a list is wanted here, each line with '- '");
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        if (!take(loader, yaml_document_get_node(loader->document, *item), err)) {
            return false;
        }
    }
    return true;
}

struct member {
    const char *name;
    take_cb take;
};

static bool take_mapping(struct loader *loader, const yaml_node_t *node,
                         const struct member *members, size_t count, struct err *err)
{
    unsigned seen = 0;
    if (node->type != YAML_MAPPING_NODE) {
        return refuse(loader, node, err, "names and values are wanted here, as in 'origin: …'");
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
        const char *name = take_text(loader, key, err);
        size_t i = 0;
        if (name == NULL) {
            return false;
        }
        while (i < count && strcmp(members[i].name, name) != 0) {
            i++;
        }
        if (i == count) {
            return refuse(loader, key, err, "a policy says nothing of that name");
        }
        if ((seen >> i & 1) != 0) {
            return refuse(loader, key, err, "it is given twice");
        }
        seen |= 1U << i;
        if (!members[i].take(loader, yaml_document_get_node(loader->document, pair->value), err)) {
            return false;
        }
    }
    return true;
}

/* ---- the members ---- */

static bool take_origin(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    loader->policy->origin = take_text(loader, node, err);
    return loader->policy->origin != NULL;
}

static bool take_age(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    uint64_t seconds = 0;
    if (!take_number(loader, node, INT32_MAX, &seconds, err)) {
        return false;
    }
    loader->policy->age_ms_max = seconds * 1000;
    return true;
}

static bool take_key(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    struct audit_policy_file *policy = loader->policy;
    const char *text = take_text(loader, node, err);
    if (text == NULL) {
        return false;
    }
    if (policy->key_count == AUDIT_POLICY_KEYS_MAX) {
        return refuse(loader, node, err, "one key too many");
    }
    policy->keys[policy->key_count++] = text;
    return true;
}

static bool take_keys(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    return take_list(loader, node, take_key, err);
}

static bool take_threshold(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    uint64_t threshold = 0;
    if (!take_number(loader, node, AUDIT_WITNESSES_MAX, &threshold, err)) {
        return false;
    }
    loader->policy->witnesses.threshold = (size_t)threshold;
    return true;
}

static bool take_cosigner(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    struct audit_policy_file *policy = loader->policy;
    const char *text = take_text(loader, node, err);
    struct err why;
    if (text == NULL) {
        return false;
    }
    if (policy->witnesses.count == AUDIT_WITNESSES_MAX) {
        return refuse(loader, node, err, "one witness too many");
    }
    if (!audit_cosigner_parse(bytes_of_string(text), &policy->cosigners[policy->witnesses.count],
                              &why)) {
        return refuse(loader, node, err, why.message);
    }
    policy->witnesses.count++;
    return true;
}

static bool take_cosigners(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    return take_list(loader, node, take_cosigner, err);
}

static bool take_witnesses(struct loader *loader, const yaml_node_t *node, struct err *err)
{
    static const struct member members[] = {{"threshold", take_threshold},
                                            {"keys", take_cosigners}};
    struct audit_policy *witnesses = &loader->policy->witnesses;
    if (!take_mapping(loader, node, members, sizeof members / sizeof members[0], err)) {
        return false;
    }
    if (witnesses->threshold == 0 || witnesses->threshold > witnesses->count) {
        return refuse(loader, node, err, "the threshold is a number from 1 to that of the keys");
    }
    loader->policy->has_witnesses = true;
    return true;
}

static bool load_root(struct loader *loader, const yaml_node_t *root, struct err *err)
{
    static const struct member members[] = {{"origin", take_origin},
                                            {"keys", take_keys},
                                            {"max_age_seconds", take_age},
                                            {"witnesses", take_witnesses}};
    return take_mapping(loader, root, members, sizeof members / sizeof members[0], err);
}

static bool load_text(struct audit_policy_file *policy, struct bytes text, const char *path,
                      struct err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool ok;
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    yaml_parser_set_input_string(&parser, text.size > 0 ? text.ptr : (const uint8_t *)"",
                                 text.size);
    if (!yaml_parser_load(&parser, &document)) {
        ok = err_set(err, ERR_CONFIG, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "unreadable");
    } else {
        struct loader loader = {.policy = policy, .document = &document, .path = path};
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        ok = root != NULL ? load_root(&loader, root, err)
                          : err_set(err, ERR_CONFIG, "%s: the policy is empty", path);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return ok;
}

bool audit_policy_load(struct audit_policy_file *policy, const char *path, struct err *err)
{
    uint8_t *content = NULL;
    size_t size = 0;
    *policy = (struct audit_policy_file){.has_witnesses = false};
    budget_init(&policy->budget, NULL, POLICY_MEMORY_MAX);
    arena_init(&policy->arena, &policy->budget);
    policy->witnesses.cosigners = policy->cosigners;
    if (!cli_file_read(path, POLICY_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = load_text(policy, bytes_of(content, size), path, err);
    heap_free(content);
    return ok;
}

void audit_policy_release(struct audit_policy_file *policy)
{
    arena_release(&policy->arena);
}
