/* verify_control.c: what control entries claim, held against the entries before them.
 *
 * They are rare, so they are read with jansson; their form was checked by audit_leaf_parse. The
 * chain of keys begins with INIT's and goes on with each KEY_ROTATE, which both keys must have
 * signed: so whoever trusts one key of the chain can follow it forwards and backwards.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

/* ---- the chain of keys ---- */

bool audit_chain_init(struct audit_chain *chain, struct err *err)
{
    *chain = (struct audit_chain){
        .keys = heap_alloc_array(AUDIT_CHAIN_KEYS_MAX, sizeof(*chain->keys)),
        .begins = heap_alloc_array(AUDIT_CHAIN_KEYS_MAX, sizeof(*chain->begins)),
    };
    if (chain->keys == NULL || chain->begins == NULL) {
        audit_chain_release(chain);
        return err_set(err, ERR_NO_MEMORY, "no memory for the log's keys");
    }
    return true;
}

void audit_chain_release(struct audit_chain *chain)
{
    heap_free(chain->keys);
    heap_free(chain->begins);
    *chain = (struct audit_chain){0};
}

static bool key_equal(const struct audit_key *a, const struct audit_key *b)
{
    return strcmp(a->name, b->name) == 0 &&
           memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;
}

bool audit_chain_has(const struct audit_chain *chain, const struct audit_key *key)
{
    for (size_t i = 0; i < chain->count; i++) {
        if (key_equal(&chain->keys[i], key)) {
            return true;
        }
    }
    return false;
}

const struct audit_key *audit_chain_at(const struct audit_chain *chain, uint64_t size)
{
    const struct audit_key *key = chain->count == 0 ? NULL : &chain->keys[0];
    for (size_t i = 1; i < chain->count && chain->begins[i] < size; i++) {
        key = &chain->keys[i];
    }
    return key;
}

static bool chain_add(struct audit_chain *chain, const struct audit_key *key, uint64_t begins)
{
    if (chain->count == AUDIT_CHAIN_KEYS_MAX) {
        return false;
    }
    chain->keys[chain->count] = *key;
    chain->begins[chain->count++] = begins;
    return true;
}

/* ---- single control entries ---- */

static bool member_key(const json_t *object, const char *name, struct audit_key *out)
{
    struct err ignored;
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && audit_key_parse(bytes_of_string(text), out, &ignored);
}

static bool member_u64(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool member_time(const json_t *object, const char *name, int64_t *out)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && clock_rfc3339_decode(text, strlen(text), out);
}

static bool member_signed(const json_t *object, const char *name, const struct audit_key *key,
                          struct bytes text)
{
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_BYTES + 2];
    size_t size = 0;
    const char *encoded = json_string_value(json_object_get(object, name));
    return encoded != NULL &&
           strlen(encoded) == text_base64_encoded_size(CRYPTO_ED25519_SIGNATURE_BYTES) &&
           text_base64_decode(encoded, strlen(encoded), signature, &size) &&
           size == CRYPTO_ED25519_SIGNATURE_BYTES &&
           crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                         bytes_of(signature, size));
}

static const char *apply_init(struct audit_control *control, const json_t *object)
{
    struct audit_key key;
    if (json_object_get(object, "vkey") == NULL) {
        return NULL;
    }
    if (!member_key(object, "vkey", &key) || !chain_add(&control->chain, &key, 0)) {
        return "it names no verifier key";
    }
    return NULL;
}

static const char *apply_rotate(struct audit_control *control, const struct audit_leaf *leaf,
                                const json_t *object)
{
    struct audit_chain *chain = &control->chain;
    struct audit_key old;
    struct audit_key new;
    struct buffer text;
    if (!member_key(object, "old_vkey", &old) || !member_key(object, "new_vkey", &new)) {
        return "it names no verifier keys";
    }
    if (chain->count == 0 && !chain_add(chain, &old, 0)) {
        return "it names no verifier keys";
    }
    if (!key_equal(&chain->keys[chain->count - 1], &old)) {
        return "the key that it replaces was not in use";
    }
    buffer_init(&text, 4096);
    buffer_printf(&text, "wasm-hypervisor/1 key rotation\n%s\n%" PRIu64 "\n%s\n%s\n",
                  control->origin, leaf->index,
                  json_string_value(json_object_get(object, "old_vkey")),
                  json_string_value(json_object_get(object, "new_vkey")));
    bool is_signed = !text.failed &&
                     member_signed(object, "old_signature", &old, buffer_bytes(&text)) &&
                     member_signed(object, "new_signature", &new, buffer_bytes(&text));
    control->failed = control->failed || text.failed;
    buffer_release(&text);
    if (!is_signed) {
        return "the old and the new key did not both sign it";
    }
    return chain_add(chain, &new, leaf->index) ? NULL : "it is one key more than can be followed";
}

static const char *apply_close(struct audit_control *control, const struct audit_leaf *leaf,
                               const json_t *object)
{
    uint64_t size = 0;
    control->segment_count++;
    return member_u64(object, "size", &size) && size == leaf->index
               ? NULL
               : "it closes a segment at another size";
}

static const char *apply_prune(struct audit_control *control, const struct audit_leaf *leaf,
                               const json_t *object)
{
    uint64_t from = 0;
    uint64_t to = 0;
    if (!member_u64(object, "from", &from) || !member_u64(object, "to", &to) || from >= to ||
        to > leaf->index) {
        return "it prunes what cannot be pruned";
    }
    if (from <= control->prune_claimed && to > control->prune_claimed) {
        control->prune_claimed = to;
    }
    return NULL;
}

/* The reasons' counts add up to the whole. The entry's own time may lie before to_time: a clock can
 * be set back in between, and that makes no log a bad one. */
static const char *apply_failures(json_t *object)
{
    int64_t from = 0;
    int64_t to = 0;
    uint64_t count = 0;
    uint64_t sum = 0;
    const char *name;
    json_t *value;
    if (!member_time(object, "from_time", &from) || !member_time(object, "to_time", &to) ||
        from > to) {
        return "it counts failures of a time that cannot be";
    }
    json_object_foreach (object, name, value) {
        bool is_own = strcmp(name, "v") == 0 || strcmp(name, "index") == 0;
        if (is_own || !json_is_integer(value) || json_integer_value(value) < 0) {
            continue;
        }
        if (strcmp(name, "count") == 0) {
            count = (uint64_t)json_integer_value(value);
        } else {
            sum += (uint64_t)json_integer_value(value);
        }
    }
    return count > 0 && sum == count ? NULL : "its counts do not add up";
}

static inline bool type_is(const struct audit_leaf *leaf, const char *name)
{
    size_t size = strlen(name); /* known when this is compiled */
    return leaf->type.size == size && memcmp(leaf->type.ptr, name, size) == 0;
}

bool audit_leaf_is_control(const struct audit_leaf *leaf)
{
    return !type_is(leaf, "ADMIT") && !type_is(leaf, "RESULT");
}

const char *audit_control_apply(struct audit_control *control, const struct audit_leaf *leaf,
                                struct bytes bytes)
{
    struct err err;
    json_t *object = NULL;
    const char *why = NULL;
    if (!json_text_parse(bytes, &object, &err)) {
        control->failed = control->failed || err.code == ERR_NO_MEMORY;
        return "it is not JSON"; /* what is inside strings, the quick scanner does not look at */
    }
    if (type_is(leaf, "INIT")) {
        why = leaf->index == 0 ? apply_init(control, object) : "only entry 0 can be an INIT";
    } else if (type_is(leaf, "KEY_ROTATE")) {
        why = apply_rotate(control, leaf, object);
    } else if (type_is(leaf, "SEGMENT_CLOSE")) {
        why = apply_close(control, leaf, object);
    } else if (type_is(leaf, "PRUNE")) {
        why = apply_prune(control, leaf, object);
    } else if (type_is(leaf, "AUTH_FAILURES")) {
        why = apply_failures(object);
    }
    json_decref(object);
    return why;
}

/* Read without jansson, and so without memory. Inside of a string a quote is escaped, so the
 * member's name with its quotes and colon occurs once. */
bool audit_control_closes(const struct audit_leaf *leaf, struct bytes bytes,
                          uint8_t root[static AUDIT_HASH_BYTES])
{
    static const char name[] = "\"root\":\"";
    const size_t name_size = sizeof(name) - 1;
    const size_t hex_size = (size_t)2 * AUDIT_HASH_BYTES;
    if (!type_is(leaf, "SEGMENT_CLOSE")) {
        return false;
    }
    const uint8_t *member = memmem(bytes.ptr, bytes.size, name, name_size);
    size_t left = member == NULL ? 0 : bytes.size - (size_t)(member - bytes.ptr) - name_size;
    if (left <= hex_size || member[name_size + hex_size] != '"' ||
        !text_hex_decode((const char *)member + name_size, hex_size, root, AUDIT_HASH_BYTES)) {
        memset(root, 0, AUDIT_HASH_BYTES); /* the root of no tree */
    }
    return true;
}
