/* execute_request.c: one function per member of the body, in the order of the document; and the
 * intake, which goes through a large body in pieces: JSON, then base64 and hash of what is sealed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/execute_request.h"

#include "base/json.h"
#include "service/values.h"

#include <inttypes.h>
#include <string.h>

enum { JSON_SAFE_BITS = 53 };

/* ---- members by type ---- */

/* NULL without *err for an absent optional member; NULL with *err set for a wrong type. */
static const json_t *member_of(const json_t *body, const char *name, json_type type,
                               const char *type_name, bool *ok, struct err *err)
{
    const json_t *value = json_object_get(body, name);
    *ok = value == NULL || json_typeof(value) == type;
    if (!*ok) {
        (void)err_set(err, ERR_MALFORMED_REQUEST, "%s must be %s", name, type_name);
        return NULL;
    }
    return value;
}

static bool required_string(const json_t *body, const char *name, struct bytes *out,
                            struct err *err)
{
    bool ok = true;
    const json_t *value = member_of(body, name, JSON_STRING, "a string", &ok, err);
    if (!ok) {
        return false;
    }
    if (value == NULL) {
        return err_set(err, ERR_MALFORMED_REQUEST, "%s is missing", name);
    }
    *out = bytes_of(json_string_value(value), json_string_length(value));
    return true;
}

bool execute_request_base64(const json_t *object, const char *member, size_t lower, size_t upper,
                            enum err_code too_long, struct arena *arena, struct bytes *out,
                            struct err *err)
{
    bool ok = true;
    const json_t *value = member_of(object, member, JSON_STRING, "a base64 string", &ok, err);
    if (value == NULL) {
        *out = (struct bytes){NULL, 0};
        return ok;
    }
    size_t text_size = json_string_length(value);
    if (text_size / 4 * 3 > upper + 2) {
        return err_set(err, too_long, "%s is longer than %zu bytes", member, upper);
    }
    uint8_t *bytes = arena_alloc(arena, text_size / 4 * 3, 1);
    size_t size = 0;
    if (bytes == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for %s", member);
    }
    if (!text_base64_decode(json_string_value(value), text_size, bytes, &size)) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "%s is not base64 (RFC 4648 section 4, padded, no line breaks)", member);
    }
    if (size > upper) {
        return err_set(err, too_long, "%s is longer than %zu bytes", member, upper);
    }
    if (size < lower) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "%s is %zu bytes, it must be at least %zu",
                       member, size, lower);
    }
    *out = bytes_of(bytes, size);
    return true;
}

bool execute_request_no_others(const json_t *object, const char *const *known, struct err *err)
{
    const char *name;
    json_t *value;
    json_t *walked = (json_t *)(uintptr_t)object; /* jansson's iterators want a mutable object */
    json_object_foreach (walked, name, value) {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], name) != 0) {
            i++;
        }
        if (known[i] == NULL) {
            return err_set(err, ERR_MALFORMED_REQUEST, "unknown member \"%.64s\"", name);
        }
    }
    return true;
}

/* An optional integer in [lower, upper]; *out stays if it is absent. */
static bool optional_integer(const json_t *body, const char *name, uint64_t lower, uint64_t upper,
                             uint64_t *out, struct err *err)
{
    bool ok = true;
    const json_t *value = member_of(body, name, JSON_INTEGER, "an integer", &ok, err);
    if (value == NULL) {
        return ok;
    }
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number < lower || (uint64_t)number > upper) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "%s must be from %" PRIu64 " to %" PRIu64, name,
                       lower, upper);
    }
    *out = (uint64_t)number;
    return true;
}

/* ---- the members ---- */

static bool parse_request_id(const json_t *body, struct execute_request *request, struct err *err)
{
    struct bytes text;
    if (!required_string(body, "request_id", &text, err)) {
        return false;
    }
    if (!text_uuid_decode((const char *)text.ptr, text.size, request->request_id)) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "request_id is not a version 4 UUID as POST /v1/keys gives it");
    }
    text_uuid_encode(request->request_id, request->request_id_text);
    return true;
}

static bool parse_function_name(const json_t *body, struct arena *arena,
                                struct execute_request *request, struct err *err)
{
    struct bytes text;
    if (!required_string(body, "function_name", &text, err)) {
        return false;
    }
    if (text.size == 0 || text.size > EXECUTE_FUNCTION_NAME_BYTES_MAX) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "function_name must be 1 to %d bytes long",
                       EXECUTE_FUNCTION_NAME_BYTES_MAX);
    }
    request->function_name = arena_copy(arena, text);
    return request->function_name.ptr != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory for function_name");
}

static bool parse_arguments(const json_t *body, struct budget *budget,
                            struct execute_request *request, struct err *err)
{
    bool ok = true;
    const json_t *arguments = member_of(body, "arguments", JSON_ARRAY, "an array", &ok, err);
    if (!ok) {
        return false;
    }
    if (arguments != NULL && json_object_get(body, "encrypted_arguments") != NULL) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "arguments and encrypted_arguments exclude each other");
    }
    if (arguments != NULL && !values_check_form(arguments, true, err)) {
        return false;
    }
    json_t *kept = arguments == NULL ? json_array() : json_incref((json_t *)(uintptr_t)arguments);
    bool is_set = kept != NULL && execute_request_set_arguments(request, kept, budget);
    if (!is_set) {
        json_decref(kept);
    }
    return is_set || err_set(err, ERR_NO_MEMORY, "no memory for arguments");
}

/* 65 bytes of SEC1, or the 64 bytes after its 0x04. */
static bool parse_public_key(const json_t *body, struct arena *arena,
                             struct execute_request *request, struct err *err)
{
    struct bytes text;
    if (!required_string(body, "public_key", &text, err)) {
        return false;
    }
    struct bytes key;
    if (text.size > 256) {
        return err_set(err, ERR_INVALID_KEY,
                       "public_key must be the 65 bytes of an uncompressed P-256 point");
    }
    if (!execute_request_base64(body, "public_key", 0, 192, ERR_INVALID_KEY, arena, &key, err)) {
        return false;
    }
    size_t bare_size = CRYPTO_P256_POINT_BYTES - 1;
    if (key.size == bare_size) {
        request->enc[0] = 0x04;
        memcpy(request->enc + 1, key.ptr, bare_size);
    } else if (key.size == CRYPTO_P256_POINT_BYTES) {
        memcpy(request->enc, key.ptr, CRYPTO_P256_POINT_BYTES);
    } else {
        return err_set(err, ERR_INVALID_KEY,
                       "public_key is %zu bytes, it must be the 65 bytes of an uncompressed P-256 "
                       "point (or its 64 bytes X and Y)",
                       key.size);
    }
    return crypto_p256_point_is_valid(request->enc) ||
           err_set(err, ERR_INVALID_KEY, "public_key is not a point of P-256");
}

static bool parse_limits(const json_t *body, const struct service_config *config,
                         struct execute_request *request, struct err *err)
{
    uint64_t timeout_seconds = config->execution_seconds_default;
    uint64_t gas_limit = config->gas_max;
    uint64_t memory_limit_bytes = config->memory_max_bytes;
    if (timeout_seconds > config->execution_seconds_max) {
        timeout_seconds = config->execution_seconds_max;
    }
    if (!optional_integer(body, "timeout_seconds", 1, config->execution_seconds_max,
                          &timeout_seconds, err) ||
        !optional_integer(body, "gas_limit", 1, (UINT64_C(1) << JSON_SAFE_BITS) - 1, &gas_limit,
                          err) ||
        !optional_integer(body, "memory_limit_bytes", 0, config->memory_max_bytes,
                          &memory_limit_bytes, err)) {
        return false;
    }
    request->timeout_seconds = (uint32_t)timeout_seconds;
    request->gas_limit = gas_limit < config->gas_max ? gas_limit : config->gas_max;
    request->memory_limit_bytes = (uint32_t)memory_limit_bytes;
    return true;
}

/* The place of an optional string among `words` (NULL at the end); *out stays if it is absent. */
static bool parse_word(const json_t *body, const char *name, const char *const *words,
                       const char *choice, unsigned *out, struct err *err)
{
    bool ok = true;
    const json_t *value = member_of(body, name, JSON_STRING, "a string", &ok, err);
    if (value == NULL) {
        return ok;
    }
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], json_string_value(value)) == 0) {
            *out = i;
            return true;
        }
    }
    return err_set(err, ERR_INVALID_ARGUMENTS, "%s must be %s", name, choice);
}

static bool parse_words(const json_t *body, struct execute_request *request, struct err *err)
{
    static const char *const result_types[] = {"values", "bytes", "string", NULL};
    static const char *const modes[] = {"interpreter", NULL};
    unsigned result_type = EXECUTE_VALUES;
    unsigned mode = 0;
    if (!parse_word(body, "result_type", result_types, "\"values\", \"bytes\" or \"string\"",
                    &result_type, err) ||
        !parse_word(body, "mode", modes, "\"interpreter\"", &mode, err)) {
        return false;
    }
    request->result_type = (enum execute_result_type)result_type;
    return true;
}

static bool parse_metadata(const json_t *body, struct arena *arena, struct execute_request *request,
                           struct err *err)
{
    bool ok = true;
    const json_t *metadata =
        member_of(body, "request_metadata", JSON_OBJECT, "an object", &ok, err);
    if (metadata == NULL) {
        return ok;
    }
    char *text = json_dumps(metadata, JSON_COMPACT);
    if (text == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for request_metadata");
    }
    if (strlen(text) > EXECUTE_METADATA_BYTES_MAX) {
        heap_free(text);
        return err_set(err, ERR_INVALID_ARGUMENTS, "request_metadata is longer than %d bytes",
                       EXECUTE_METADATA_BYTES_MAX);
    }
    request->metadata = arena_strdup(arena, text);
    heap_free(text);
    return request->metadata != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory for request_metadata");
}

/* request_hash, if sent, must be what the request commits to. */
static bool check_commitment(const json_t *body, const struct execute_request *request,
                             struct err *err)
{
    if (json_object_get(body, "request_hash") == NULL) {
        return true;
    }
    struct bytes text;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (!required_string(body, "request_hash", &text, err)) {
        return false;
    }
    if (!text_hex_decode((const char *)text.ptr, text.size, hash, sizeof(hash))) {
        return err_set(err, ERR_MALFORMED_REQUEST, "request_hash must be 64 hexadecimal digits");
    }
    return crypto_equal(bytes_of(hash, sizeof(hash)),
                        bytes_of(request->commitment, sizeof(request->commitment))) ||
           err_set(err, ERR_COMMITMENT_MISMATCH,
                   "request_hash is not the commitment to this request");
}

/* All but what is long. */
static bool parse_members(const json_t *body, const struct service_config *config,
                          struct arena *arena, struct execute_request *request, struct err *err)
{
    static const char *const known[] = {
        "request_id",
        "encrypted_wasm",
        "encrypted_arguments",
        "function_name",
        "arguments",
        "public_key",
        "request_hash",
        "timeout_seconds",
        "gas_limit",
        "result_type",
        "mode",
        "memory_limit_bytes",
        "request_metadata",
        NULL,
    };
    struct bytes text;
    return execute_request_no_others(body, known, err) && parse_request_id(body, request, err) &&
           parse_function_name(body, arena, request, err) &&
           parse_arguments(body, arena->budget, request, err) &&
           parse_public_key(body, arena, request, err) &&
           parse_limits(body, config, request, err) && parse_words(body, request, err) &&
           parse_metadata(body, arena, request, err) &&
           required_string(body, "encrypted_wasm", &text, err);
}

/* ---- in pieces ---- */

struct sealed_member { /* a long base64 member while it is decoded */
    const char *name;
    struct bytes text;
    size_t read; /* of the text */
    size_t size; /* decoded so far */
    uint8_t *out;
    struct crypto_sha256 *hash;
};

enum intake_phase { INTAKE_JSON, INTAKE_WASM, INTAKE_ARGUMENTS, INTAKE_COMMITMENT };

struct execute_intake {
    const struct service_config *config;
    struct arena *arena;
    struct execute_request *out;
    struct execute_request request; /* what becomes of it */
    enum intake_phase phase;
    struct json_parser *parser;
    const json_t *body;
    struct sealed_member member;
    uint8_t wasm_hash[CRYPTO_SHA256_BYTES];
    uint8_t arguments_hash[CRYPTO_SHA256_BYTES];
};

/* An absent one is empty. */
static bool member_begin(struct execute_intake *intake, const char *name, size_t upper,
                         struct err *err)
{
    bool ok = true;
    struct sealed_member *member = &intake->member;
    const json_t *value = member_of(intake->body, name, JSON_STRING, "a base64 string", &ok, err);
    if (!ok) {
        return false;
    }
    *member = (struct sealed_member){.name = name, .hash = crypto_sha256_new()};
    if (value != NULL) {
        member->text = json_parser_string(intake->parser, value);
    }
    if (member->text.size / 4 * 3 > upper + 2) {
        return err_set(err, ERR_PAYLOAD_TOO_LARGE, "%s is longer than %zu bytes", name, upper);
    }
    member->out =
        value == NULL ? NULL : arena_alloc(&intake->request.sealed, member->text.size / 4 * 3, 1);
    return (member->hash != NULL && (value == NULL || member->out != NULL)) ||
           err_set(err, ERR_NO_MEMORY, "no memory for %s", name);
}

/* Decodes and hashes a piece; *is_done when there is no more. */
static bool member_step(struct execute_intake *intake, size_t bytes, bool *is_done, struct err *err)
{
    struct sealed_member *member = &intake->member;
    size_t left = member->text.size - member->read;
    size_t piece = bytes < left ? (bytes + 3) & ~(size_t)3 : left;
    piece = piece < left ? piece : left;
    *is_done = piece == left;
    if (piece == 0) {
        return true;
    }
    size_t size = 0;
    uint8_t *out = member->out + member->size;
    bool ok = text_base64_decode((const char *)member->text.ptr + member->read, piece, out, &size);
    if (!ok || (!*is_done && size != piece / 4 * 3)) { /* padding only at the end */
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "%s is not base64 (RFC 4648 section 4, padded, no line breaks)",
                       member->name);
    }
    crypto_sha256_add(member->hash, bytes_of(out, size));
    member->read += piece;
    member->size += size;
    return true;
}

static bool member_end(struct execute_intake *intake, size_t upper, struct bytes *out,
                       uint8_t hash[static CRYPTO_SHA256_BYTES], struct err *err)
{
    struct sealed_member *member = &intake->member;
    size_t size = member->size;
    crypto_sha256_get(member->hash, hash);
    crypto_sha256_free(member->hash);
    member->hash = NULL;
    if (size > upper) {
        return err_set(err, ERR_PAYLOAD_TOO_LARGE, "%s is longer than %zu bytes", member->name,
                       upper);
    }
    if (member->out != NULL && size < CRYPTO_AEAD_TAG_BYTES) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "%s is %zu bytes, it must be at least %d",
                       member->name, size, CRYPTO_AEAD_TAG_BYTES);
    }
    *out = bytes_of(member->out, size);
    return true;
}

static size_t wasm_bytes_max(const struct execute_intake *intake)
{
    return intake->config->module_bytes_max + CRYPTO_AEAD_TAG_BYTES;
}

enum { ARGUMENTS_MAX = EXECUTE_ARGUMENTS_BYTES_MAX + CRYPTO_AEAD_TAG_BYTES };

static bool intake_json(struct execute_intake *intake, size_t bytes, struct err *err)
{
    bool is_done;
    if (!json_parser_step(intake->parser, bytes, &is_done, err)) {
        return false;
    }
    if (!is_done) {
        return true;
    }
    intake->body = json_parser_value(intake->parser);
    intake->phase = INTAKE_WASM;
    return (json_is_object(intake->body) ||
            err_set(err, ERR_MALFORMED_REQUEST, "the body must be a JSON object")) &&
           parse_members(intake->body, intake->config, intake->arena, &intake->request, err) &&
           member_begin(intake, "encrypted_wasm", wasm_bytes_max(intake), err);
}

static bool intake_wasm(struct execute_intake *intake, size_t bytes, struct err *err)
{
    bool is_done;
    if (!member_step(intake, bytes, &is_done, err)) {
        return false;
    }
    if (!is_done) {
        return true;
    }
    intake->phase = INTAKE_ARGUMENTS;
    return member_end(intake, wasm_bytes_max(intake), &intake->request.encrypted_wasm,
                      intake->wasm_hash, err) &&
           member_begin(intake, "encrypted_arguments", ARGUMENTS_MAX, err);
}

static bool intake_arguments(struct execute_intake *intake, size_t bytes, struct err *err)
{
    bool is_done;
    if (!member_step(intake, bytes, &is_done, err)) {
        return false;
    }
    if (!is_done) {
        return true;
    }
    intake->phase = INTAKE_COMMITMENT;
    return member_end(intake, ARGUMENTS_MAX, &intake->request.encrypted_arguments,
                      intake->arguments_hash, err);
}

static bool intake_commitment(struct execute_intake *intake, bool *is_done, struct err *err)
{
    struct execute_request *request = &intake->request;
    if (!crypto_request_header_hash(intake->body, request->header_hash, err)) {
        return false;
    }
    crypto_request_commitment_of(request->header_hash, intake->wasm_hash, intake->arguments_hash,
                                 request->enc, request->commitment);
    if (!check_commitment(intake->body, request, err)) {
        return false;
    }
    *intake->out = *request;
    *request = (struct execute_request){0}; /* transferred */
    *is_done = true;
    return true;
}

struct execute_intake *execute_intake_new(struct bytes body, const struct service_config *config,
                                          struct arena *arena, struct execute_request *out)
{
    struct execute_intake *intake = HEAP_NEW(struct execute_intake);
    if (intake == NULL) {
        return NULL;
    }
    *intake = (struct execute_intake){.config = config,
                                      .arena = arena,
                                      .out = out,
                                      .parser = json_parser_new(body, JSON_LONG_MEMBERS)};
    arena_init(&intake->request.sealed, arena->budget);
    if (intake->parser == NULL) {
        heap_free(intake);
        return NULL;
    }
    return intake;
}

bool execute_intake_step(struct execute_intake *intake, size_t bytes, bool *is_done,
                         struct err *err)
{
    *is_done = false;
    switch (intake->phase) {
    case INTAKE_JSON:
        return intake_json(intake, bytes, err);
    case INTAKE_WASM:
        return intake_wasm(intake, bytes, err);
    case INTAKE_ARGUMENTS:
        return intake_arguments(intake, bytes, err);
    case INTAKE_COMMITMENT:
        break;
    }
    return intake_commitment(intake, is_done, err);
}

void execute_intake_free(struct execute_intake *intake)
{
    if (intake != NULL) {
        execute_request_release(&intake->request);
        crypto_sha256_free(intake->member.hash);
        json_parser_free(intake->parser);
        heap_free(intake);
    }
}

static void release_arguments(struct execute_request *request)
{
    json_decref(request->arguments);
    request->arguments = NULL;
    if (request->arguments_budget != NULL) {
        budget_release(request->arguments_budget, request->arguments_bytes);
        request->arguments_budget = NULL;
    }
}

bool execute_request_set_arguments(struct execute_request *request, json_t *arguments,
                                   struct budget *budget)
{
    size_t bytes = json_memory(arguments);
    if (budget != NULL && !budget_charge(budget, bytes)) {
        return false;
    }
    release_arguments(request);
    request->arguments = arguments;
    request->arguments_budget = budget;
    request->arguments_bytes = bytes;
    return true;
}

void execute_request_release(struct execute_request *request)
{
    arena_release_wiped(&request->sealed);
    request->encrypted_wasm = (struct bytes){NULL, 0};
    request->encrypted_arguments = (struct bytes){NULL, 0};
    release_arguments(request);
}
