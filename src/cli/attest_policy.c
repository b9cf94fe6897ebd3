/* attest_policy.c: a policy for attestation from YAML.
 *
 * One table a mapping: each key with the function that reads its value, and where it goes. What is
 * not in a table is refused with its line, as a misspelt demand would otherwise be no demand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { POLICY_BYTES_MAX = 256 * 1024, CRL_BYTES_MAX = 128 * 1024, LIST_VALUES_MAX = 1024 };

struct loader {
    struct attest_policy_file *file;
    yaml_document_t *document;
    const char *path;
};

struct row {
    const char *key;
    bool (*read)(struct loader *loader, const struct row *row, const yaml_node_t *value,
                 struct err *err);
    size_t offset;   /* in struct attest_policy */
    uint64_t detail; /* size of a value, maximum, or place; as `read` wants it */
};

static bool refuse(const struct loader *loader, const yaml_node_t *node, struct err *err,
                   const char *format, ...) PRINTF_LIKE(4, 5);

static bool refuse(const struct loader *loader, const yaml_node_t *node, struct err *err,
                   const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return err_set(err, ERR_CONFIG, "%s:%zu: %s", loader->path, node->start_mark.line + 1, what);
}

static void *place_of(struct loader *loader, const struct row *row)
{
    return (uint8_t *)&loader->file->policy + row->offset;
}

static const char *text_of(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length) {
        return NULL;
    }
    return (const char *)node->data.scalar.value;
}

/* ---- Mappings and lists ---- */

static bool load_pair(struct loader *loader, const yaml_node_pair_t *pair, const struct row *rows,
                      size_t count, uint64_t *seen, struct err *err)
{
    const yaml_node_t *key = yaml_document_get_node(loader->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(loader->document, pair->value);
    const char *name = text_of(key);
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (strcmp(name, rows[i].key) == 0) {
            if ((*seen >> i & 1) != 0) {
                return refuse(loader, key, err, "%s is given twice", name);
            }
            *seen |= UINT64_C(1) << i;
            return rows[i].read(loader, &rows[i], value, err);
        }
    }
    struct buffer known;
    buffer_init(&known, 220);
    for (size_t i = 0; i < count; i++) {
        buffer_printf(&known, "%s%s", i > 0 ? ", " : "", rows[i].key);
    }
    buffer_append_u8(&known, 0);
    refuse(loader, key, err, "a policy has no '%.40s' here; known: %s", name != NULL ? name : "?",
           known.failed ? "see docs/attestation.md" : (const char *)known.ptr);
    buffer_release(&known);
    return false;
}

static bool load_mapping(struct loader *loader, const yaml_node_t *node, const struct row *rows,
                         size_t count, struct err *err)
{
    uint64_t seen = 0;
    if (node->type != YAML_MAPPING_NODE) {
        return refuse(loader, node, err, "here go keys with values, one a line");
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        if (!load_pair(loader, pair, rows, count, &seen, err)) {
            return false;
        }
    }
    return true;
}

/* One scalar stands for a list of one. */
static size_t list_count(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? 1
           : node->type == YAML_SEQUENCE_NODE
               ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start)
               : 0;
}

static const yaml_node_t *list_item(struct loader *loader, const yaml_node_t *node, size_t index)
{
    return node->type == YAML_SCALAR_NODE
               ? node
               : yaml_document_get_node(loader->document, node->data.sequence.items.start[index]);
}

static bool list_check(struct loader *loader, const struct row *row, const yaml_node_t *node,
                       struct err *err)
{
    size_t count = list_count(node);
    return (count > 0 && count <= LIST_VALUES_MAX) ||
           refuse(loader, node, err, "%s takes one value or a list of up to %d", row->key,
                  LIST_VALUES_MAX);
}

/* ---- Values ---- */

static bool read_hex_list(struct loader *loader, const struct row *row, const yaml_node_t *node,
                          struct err *err)
{
    size_t size = row->detail;
    if (!list_check(loader, row, node, err)) {
        return false;
    }
    size_t count = list_count(node);
    uint8_t *values = arena_alloc(&loader->file->arena, count * size, 1);
    if (values == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the policy");
    }
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = list_item(loader, node, i);
        const char *text = text_of(item);
        if (text == NULL || !text_hex_decode(text, strlen(text), values + i * size, size)) {
            return refuse(loader, item, err, "%s takes %zu hexadecimal digits", row->key, 2 * size);
        }
    }
    *(struct attest_values *)place_of(loader, row) = (struct attest_values){values, count};
    return true;
}

static bool number_of(const char *text, uint64_t max, uint64_t *out)
{
    if (text != NULL && strncmp(text, "0x", 2) == 0) {
        size_t digits = strlen(text + 2);
        char *end = NULL;
        *out = strtoull(text + 2, &end, 16);
        return digits > 0 && digits <= 16 && strspn(text + 2, "0123456789abcdefABCDEF") == digits &&
               *out <= max;
    }
    return text != NULL && text_u64_decode(text, strlen(text), out) && *out <= max;
}

static bool read_number(struct loader *loader, const struct row *row, const yaml_node_t *node,
                        uint64_t max, uint64_t *out, struct err *err)
{
    return number_of(text_of(node), max, out) ||
           refuse(loader, node, err, "%s takes a number, at most %llu", row->key,
                  (unsigned long long)max);
}

static bool read_u64(struct loader *loader, const struct row *row, const yaml_node_t *node,
                     struct err *err)
{
    return read_number(loader, row, node, UINT64_MAX, place_of(loader, row), err);
}

static bool read_seconds(struct loader *loader, const struct row *row, const yaml_node_t *node,
                         struct err *err)
{
    uint64_t seconds = 0;
    if (!read_number(loader, row, node, UINT32_MAX, &seconds, err)) {
        return false;
    }
    if (seconds == 0) {
        return refuse(loader, node, err, "%s is 1 at least", row->key);
    }
    *(uint64_t *)place_of(loader, row) = seconds * 1000;
    return true;
}

static bool read_u32(struct loader *loader, const struct row *row, const yaml_node_t *node,
                     struct err *err)
{
    uint64_t number = 0;
    bool ok = read_number(loader, row, node, UINT32_MAX, &number, err);
    if (ok) {
        *(uint32_t *)place_of(loader, row) = (uint32_t)number;
    }
    return ok;
}

static bool read_u8(struct loader *loader, const struct row *row, const yaml_node_t *node,
                    struct err *err)
{
    uint64_t number = 0;
    bool ok = read_number(loader, row, node, UINT8_MAX, &number, err);
    if (ok) {
        *(uint8_t *)place_of(loader, row) = (uint8_t)number;
    }
    return ok;
}

/* "1.55.29" */
static bool read_version(struct loader *loader, const struct row *row, const yaml_node_t *node,
                         struct err *err)
{
    const char *text = text_of(node);
    uint32_t version = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t part = 0;
        size_t size = text == NULL ? 0 : strcspn(text, ".");
        if (text == NULL || !text_u64_decode(text, size, &part) || part > UINT8_MAX ||
            (text[size] == '.') != (i < 2)) {
            return refuse(loader, node, err, "%s takes a version such as 1.55.29", row->key);
        }
        version = version << 8 | (uint32_t)part;
        text += size + 1;
    }
    *(uint32_t *)place_of(loader, row) = version;
    return true;
}

static bool read_products(struct loader *loader, const struct row *row, const yaml_node_t *node,
                          struct err *err)
{
    unsigned *products = place_of(loader, row);
    if (!list_check(loader, row, node, err)) {
        return false;
    }
    for (size_t i = 0; i < list_count(node); i++) {
        const yaml_node_t *item = list_item(loader, node, i);
        const char *text = text_of(item);
        unsigned line = 0;
        while (line < ATTEST_LINE_COUNT &&
               (text == NULL || strcmp(text, attest_line_name((enum attest_line)line)) != 0)) {
            line++;
        }
        if (line == ATTEST_LINE_COUNT) {
            return refuse(loader, item, err, "%s takes Milan, Genoa and Turin", row->key);
        }
        *products |= 1U << line;
    }
    return true;
}

static bool read_vmpls(struct loader *loader, const struct row *row, const yaml_node_t *node,
                       struct err *err)
{
    unsigned *vmpls = place_of(loader, row);
    if (!list_check(loader, row, node, err)) {
        return false;
    }
    for (size_t i = 0; i < list_count(node); i++) {
        uint64_t vmpl = 0;
        if (!read_number(loader, row, list_item(loader, node, i), 3, &vmpl, err)) {
            return false;
        }
        *vmpls |= 1U << vmpl;
    }
    return true;
}

static bool bits_read(struct loader *loader, const struct row *row, const yaml_node_t *node,
                      const struct attest_bit *bits, struct err *err)
{
    uint64_t *out = place_of(loader, row);
    if (!list_check(loader, row, node, err)) {
        return false;
    }
    for (size_t i = 0; i < list_count(node); i++) {
        const yaml_node_t *item = list_item(loader, node, i);
        const char *text = text_of(item);
        const struct attest_bit *bit = bits;
        while (bit->name != NULL && (text == NULL || strcmp(text, bit->name) != 0)) {
            bit++;
        }
        if (bit->name == NULL) {
            return refuse(loader, item, err,
                          "there is no bit '%.40s' here; 'attest show' lists "
                          "them",
                          text != NULL ? text : "?");
        }
        *out |= UINT64_C(1) << bit->bit;
    }
    return true;
}

static bool read_guest_bits(struct loader *loader, const struct row *row, const yaml_node_t *node,
                            struct err *err)
{
    return bits_read(loader, row, node, attest_guest_policy_bits, err);
}

static bool read_platform_bits(struct loader *loader, const struct row *row,
                               const yaml_node_t *node, struct err *err)
{
    return bits_read(loader, row, node, attest_platform_bits, err);
}

static bool read_allow(struct loader *loader, const struct row *row, const yaml_node_t *node,
                       struct err *err)
{
    struct attest_policy *policy = &loader->file->policy;
    const struct {
        const char *word;
        bool *place;
    } words[] = {{"debug", &policy->allow_debug},
                 {"migration", &policy->allow_migration},
                 {"provisional_firmware", &policy->allow_provisional}};
    if (!list_check(loader, row, node, err)) {
        return false;
    }
    for (size_t i = 0; i < list_count(node); i++) {
        const yaml_node_t *item = list_item(loader, node, i);
        const char *text = text_of(item);
        size_t word = 0;
        while (word < 3 && (text == NULL || strcmp(text, words[word].word) != 0)) {
            word++;
        }
        if (word == 3) {
            return refuse(loader, item, err, "%s takes debug, migration, provisional_firmware",
                          row->key);
        }
        *words[word].place = true;
    }
    return true;
}

/* ---- The revocation list ---- */

static bool read_revocation(struct loader *loader, const struct row *row, const yaml_node_t *node,
                            struct err *err)
{
    const char *text = text_of(node);
    bool required = text != NULL && strcmp(text, "required") == 0;
    if (!required && (text == NULL || strcmp(text, "optional") != 0)) {
        return refuse(loader, node, err, "%s takes required or optional", row->key);
    }
    loader->file->policy.crl_required = required;
    return true;
}

static bool read_revocation_list(struct loader *loader, const struct row *row,
                                 const yaml_node_t *node, struct err *err)
{
    const char *name = text_of(node);
    char path[4096];
    uint8_t *content = NULL, *der = NULL;
    size_t size = 0, der_size = 0;
    const char *slash = strrchr(loader->path, '/');
    if (name == NULL || name[0] == '\0') {
        return refuse(loader, node, err, "%s takes the name of a file", row->key);
    }
    int length = slash == NULL || name[0] == '/'
                     ? snprintf(path, sizeof path, "%s", name)
                     : snprintf(path, sizeof path, "%.*s/%s", (int)(slash - loader->path),
                                loader->path, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return refuse(loader, node, err, "the name is too long");
    }
    if (!cli_file_read(path, CRL_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = attest_crl_read(bytes_of(content, size), &der, &der_size, err);
    heap_free(content);
    if (!ok) {
        return refuse(loader, node, err, "%s holds no revocation list", path);
    }
    loader->file->policy.crl = arena_copy(&loader->file->arena, bytes_of(der, der_size));
    heap_free(der);
    return loader->file->policy.crl.ptr != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory for the revocation list");
}

/* ---- The tables ---- */

#define ROWS(rows) rows, sizeof rows / sizeof rows[0]
#define AT(member) offsetof(struct attest_policy, member)

static bool read_guest_policy(struct loader *loader, const struct row *row, const yaml_node_t *node,
                              struct err *err)
{
    static const struct row rows[] = {
        {"required", read_guest_bits, AT(guest_policy_required), 0},
        {"forbidden", read_guest_bits, AT(guest_policy_forbidden), 0},
    };
    (void)row;
    return load_mapping(loader, node, ROWS(rows), err);
}

static bool read_platform(struct loader *loader, const struct row *row, const yaml_node_t *node,
                          struct err *err)
{
    static const struct row rows[] = {
        {"required", read_platform_bits, AT(platform_required), 0},
        {"forbidden", read_platform_bits, AT(platform_forbidden), 0},
    };
    (void)row;
    return load_mapping(loader, node, ROWS(rows), err);
}

static bool read_tcb(struct loader *loader, const struct row *row, const yaml_node_t *node,
                     struct err *err)
{
    const struct row rows[] = {
        {"bootloader", read_u8, row->offset + ATTEST_TCB_BOOTLOADER, 0},
        {"tee", read_u8, row->offset + ATTEST_TCB_TEE, 0},
        {"snp", read_u8, row->offset + ATTEST_TCB_SNP, 0},
        {"microcode", read_u8, row->offset + ATTEST_TCB_MICROCODE, 0},
        {"fmc", read_u8, row->offset + ATTEST_TCB_FMC, 0},
    };
    bool has_fmc = row->offset == AT(tcb_min[ATTEST_TURIN]);
    return load_mapping(loader, node, rows, has_fmc ? 5 : 4, err);
}

static bool read_minimum(struct loader *loader, const struct row *row, const yaml_node_t *node,
                         struct err *err)
{
    static const struct row rows[] = {
        {"guest_svn", read_u32, AT(guest_svn_min), 0},
        {"firmware", read_version, AT(firmware_min), 0},
        {"Milan", read_tcb, AT(tcb_min[ATTEST_MILAN]), 0},
        {"Genoa", read_tcb, AT(tcb_min[ATTEST_GENOA]), 0},
        {"Turin", read_tcb, AT(tcb_min[ATTEST_TURIN]), 0},
    };
    (void)row;
    return load_mapping(loader, node, ROWS(rows), err);
}

static const struct row policy_rows[] = {
    {"measurements", read_hex_list, AT(measurements), 48},
    {"host_data", read_hex_list, AT(host_data), 32},
    {"id_keys", read_hex_list, AT(id_keys), 48},
    {"author_keys", read_hex_list, AT(author_keys), 48},
    {"family_ids", read_hex_list, AT(family_ids), 16},
    {"image_ids", read_hex_list, AT(image_ids), 16},
    {"report_data", read_hex_list, AT(report_data), 64},
    {"chips", read_hex_list, AT(chips), 64},
    {"chips_refused", read_hex_list, AT(chips_refused), 64},
    {"products", read_products, AT(products), 0},
    {"vmpl", read_vmpls, AT(vmpls), 0},
    {"guest_policy", read_guest_policy, 0, 0},
    {"platform", read_platform, 0, 0},
    {"mitigations", read_u64, AT(mitigations_required), 0},
    {"minimum", read_minimum, 0, 0},
    {"max_age_seconds", read_seconds, AT(age_ms_max), 0},
    {"revocation", read_revocation, 0, 0},
    {"revocation_list", read_revocation_list, 0, 0},
    {"allow", read_allow, 0, 0},
};

/* ---- Files ---- */

void attest_policy_file_init(struct attest_policy_file *file)
{
    *file = (struct attest_policy_file){0};
    arena_init(&file->arena, NULL); /* bounded by the file's size */
}

void attest_policy_file_release(struct attest_policy_file *file)
{
    arena_release(&file->arena);
}

static bool load_document(struct loader *loader, yaml_parser_t *parser, struct err *err)
{
    yaml_document_t document, more;
    if (!yaml_parser_load(parser, &document)) {
        return err_set(err, ERR_CONFIG, "%s:%zu: not YAML: %s", loader->path,
                       parser->problem_mark.line + 1,
                       parser->problem != NULL ? parser->problem : "unreadable");
    }
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    loader->document = &document;
    bool ok = root == NULL || load_mapping(loader, root, ROWS(policy_rows), err);
    yaml_document_delete(&document);
    if (!ok || root == NULL) {
        return ok; /* an empty file asks for nothing more */
    }
    ok = yaml_parser_load(parser, &more) != 0 && yaml_document_get_root_node(&more) == NULL;
    if (parser->error == YAML_NO_ERROR) {
        yaml_document_delete(&more);
    }
    return ok || err_set(err, ERR_CONFIG, "%s: one file holds one policy", loader->path);
}

bool attest_policy_file_load_text(struct attest_policy_file *file, struct bytes text,
                                  const char *path, struct err *err)
{
    yaml_parser_t parser;
    struct loader loader = {.file = file, .path = path};
    if (!yaml_parser_initialize(&parser)) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    yaml_parser_set_input_string(&parser, text.ptr != NULL ? text.ptr : (const uint8_t *)"",
                                 text.size);
    bool ok = load_document(&loader, &parser, err);
    yaml_parser_delete(&parser);
    return ok;
}

bool attest_policy_file_load(struct attest_policy_file *file, const char *path, struct err *err)
{
    uint8_t *content = NULL;
    size_t size = 0;
    if (!cli_file_read(path, POLICY_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = attest_policy_file_load_text(file, bytes_of(content, size), path, err);
    heap_free(content);
    return ok;
}
