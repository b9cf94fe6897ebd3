/* statement.c: writes and reads the statement of an epoch.
 *
 *   {"build_id":…,"config_digest":hex,"domain":"wasm-hypervisor/1 epoch","epoch":uuid,
 *    "log_origin":…,"log_vkey":…,"node_id":hex,"not_after":RFC 3339,"not_before":RFC 3339,
 *    "previous":hex|null,"provider":…,"signing_key":base64}
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/statement.h"

#include "base/json.h"

#include <string.h>

enum { HEX_CHARS_MAX = 2 * ATTEST_EPOCH_DIGEST_BYTES, KEY_BASE64_CHARS = 44 };

/* ---- Writing ---- */

static json_t *hex_json(const uint8_t *bytes, size_t size)
{
    char text[HEX_CHARS_MAX + 1];
    text_hex_encode(bytes_of(bytes, size), text);
    return json_string(text);
}

static json_t *time_json(int64_t wall_ms)
{
    char text[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(wall_ms, text);
    return json_string(text);
}

static json_t *object_of(const struct attest_statement *statement)
{
    char epoch[TEXT_UUID_CHARS + 1];
    char key[KEY_BASE64_CHARS + 1];
    text_uuid_encode(statement->epoch, epoch);
    text_base64_encode(bytes_of(statement->signing_key, sizeof statement->signing_key), key);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "domain",
        ATTEST_STATEMENT_DOMAIN, "epoch", epoch, "signing_key", key, "provider",
        statement->provider, "log_origin", statement->log_origin, "log_vkey", statement->log_vkey,
        "node_id", statement->node_id, "build_id", statement->build_id, "config_digest",
        hex_json(statement->config_digest, sizeof statement->config_digest), "not_before",
        time_json(statement->not_before_ms), "not_after", time_json(statement->not_after_ms),
        "previous",
        statement->has_previous ? hex_json(statement->previous, sizeof statement->previous)
                                : json_null());
}

bool attest_statement_write(const struct attest_statement *statement, struct buffer *out,
                            struct err *err)
{
    json_t *object = object_of(statement);
    if (object == NULL) {
        return err_set(err, ERR_FORMAT, "the epoch's facts are not UTF-8, or there is no memory");
    }
    bool ok = json_canonical(object, out, err);
    json_decref(object);
    return ok;
}

/* ---- Reading ---- */

/* Every reader takes the member's text without NUL and says whether it is well-formed. */
static bool read_text(const char *text, size_t size, void *out, size_t room)
{
    if (size == 0 || size >= room) {
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

static bool read_domain(const char *text, size_t size, void *out, size_t room)
{
    (void)out;
    (void)room;
    return bytes_equal(bytes_of(text, size), bytes_of_string(ATTEST_STATEMENT_DOMAIN));
}

static bool read_hex(const char *text, size_t size, void *out, size_t room)
{
    return size == 2 * room && text_hex_decode(text, size, out, room);
}

static bool read_key(const char *text, size_t size, void *out, size_t room)
{
    uint8_t key[KEY_BASE64_CHARS / 4 * 3];
    size_t key_size = 0;
    if (size != KEY_BASE64_CHARS || !text_base64_decode(text, size, key, &key_size) ||
        key_size != room) {
        return false;
    }
    memcpy(out, key, key_size);
    return true;
}

static bool read_uuid(const char *text, size_t size, void *out, size_t room)
{
    (void)room;
    return text_uuid_decode(text, size, out);
}

static bool read_time(const char *text, size_t size, void *out, size_t room)
{
    int64_t wall_ms = 0;
    bool ok = clock_rfc3339_decode(text, size, &wall_ms);
    if (ok) {
        memcpy(out, &wall_ms, room);
    }
    return ok;
}

#define MEMBER(name, read)                                                                         \
    {                                                                                              \
#name, offsetof(struct attest_statement, name),                                            \
            sizeof((struct attest_statement *)0)->name, read                                       \
    }
#define MEMBER_TIME(name, member)                                                                  \
    {                                                                                              \
#name, offsetof(struct attest_statement, member), sizeof(int64_t), read_time               \
    }

static const struct {
    const char *name;
    size_t offset;
    size_t room;
    bool (*read)(const char *text, size_t size, void *out, size_t room);
} members[] = {
    {"domain", 0, 0, read_domain},        MEMBER(epoch, read_uuid),
    MEMBER(signing_key, read_key),        MEMBER(provider, read_text),
    MEMBER(log_origin, read_text),        MEMBER(log_vkey, read_text),
    MEMBER(node_id, read_text),           MEMBER(build_id, read_text),
    MEMBER(config_digest, read_hex),      MEMBER_TIME(not_before, not_before_ms),
    MEMBER_TIME(not_after, not_after_ms),
};

static bool read_members(const json_t *object, struct attest_statement *out, struct err *err)
{
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *member = json_object_get(object, members[i].name);
        if (!json_is_string(member) ||
            !members[i].read(json_string_value(member), json_string_length(member),
                             (uint8_t *)out + members[i].offset, members[i].room)) {
            return err_set(err, ERR_FORMAT, "\"%s\" is missing or malformed", members[i].name);
        }
    }
    const json_t *previous = json_object_get(object, "previous");
    out->has_previous = json_is_string(previous);
    if (!json_is_null(previous) &&
        !(out->has_previous && read_hex(json_string_value(previous), json_string_length(previous),
                                        out->previous, sizeof out->previous))) {
        return err_set(err, ERR_FORMAT, "\"previous\" is missing or malformed");
    }
    return true;
}

bool attest_statement_read(struct bytes text, struct attest_statement *out, struct err *err)
{
    json_t *object = NULL;
    if (text.size > ATTEST_STATEMENT_BYTES_MAX) {
        return err_set(err, ERR_FORMAT, "longer than %d bytes", ATTEST_STATEMENT_BYTES_MAX);
    }
    if (!json_text_parse(text, &object, err)) {
        err->code = ERR_FORMAT;
        return false;
    }
    memset(out, 0, sizeof *out);
    bool ok = json_is_object(object) ? read_members(object, out, err)
                                     : err_set(err, ERR_FORMAT, "it is not a JSON object");
    json_decref(object);
    return ok;
}
