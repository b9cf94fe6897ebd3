/* note.c: signed notes and verifier keys (note.h has the grammar).
 *
 * A verifier ignores signatures by keys that it does not know, even under a known name; a signature
 * by the known name and id must be good, or the whole note is bad.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char signature_prefix[] = "\xe2\x80\x94 "; /* U+2014 and a space */

/* Unicode's White_Space beyond ASCII, in UTF-8. */
static bool contains_unicode_space(struct bytes name)
{
    static const char *const spaces[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
        "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
        "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        if (memmem(name.ptr, name.size, spaces[i], strlen(spaces[i])) != NULL) {
            return true;
        }
    }
    return false;
}

bool audit_name_is_valid(struct bytes name)
{
    if (name.size == 0 || name.size > AUDIT_ORIGIN_CHARS_MAX || !text_is_utf8(name)) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] == '+' || name.ptr[i] == 0x7f) {
            return false;
        }
    }
    return !contains_unicode_space(name);
}

void audit_key_init_typed(struct audit_key *key, uint8_t type, const char *name,
                          const uint8_t public_key[static CRYPTO_ED25519_PUBLIC_BYTES])
{
    const uint8_t separator[2] = {'\n', type};
    uint8_t hash[CRYPTO_SHA256_BYTES];
    const struct bytes parts[] = {
        bytes_of_string(name),
        bytes_of(separator, sizeof(separator)),
        bytes_of(public_key, CRYPTO_ED25519_PUBLIC_BYTES),
    };
    assert(audit_name_is_valid(parts[0]));
    crypto_sha256_parts(parts, 3, hash);
    memcpy(key->name, name, strlen(name) + 1);
    memcpy(key->id, hash, sizeof(key->id));
    memcpy(key->public_key, public_key, sizeof(key->public_key));
    key->type = type;
}

void audit_key_init(struct audit_key *key, const char *name,
                    const uint8_t public_key[static CRYPTO_ED25519_PUBLIC_BYTES])
{
    audit_key_init_typed(key, AUDIT_KEY_TYPE_ED25519, name, public_key);
}

void audit_key_format(const struct audit_key *key, char out[static AUDIT_VKEY_CHARS_MAX + 1])
{
    uint8_t typed[1 + CRYPTO_ED25519_PUBLIC_BYTES] = {key->type};
    char id[2 * AUDIT_KEY_ID_BYTES + 1];
    char encoded[44 + 1];
    memcpy(typed + 1, key->public_key, sizeof(key->public_key));
    text_hex_encode(bytes_of(key->id, sizeof(key->id)), id);
    text_base64_encode(bytes_of(typed, sizeof(typed)), encoded);
    (void)snprintf(out, AUDIT_VKEY_CHARS_MAX + 1, "%s+%s+%s", key->name, id, encoded);
}

bool audit_key_parse_typed(struct bytes vkey, uint8_t type, struct audit_key *out, struct err *err)
{
    uint8_t typed[AUDIT_VKEY_CHARS_MAX];
    size_t typed_size = 0;
    char name[AUDIT_ORIGIN_CHARS_MAX + 1];
    uint8_t id[AUDIT_KEY_ID_BYTES];
    struct audit_key key;
    const char *text = (const char *)vkey.ptr;
    if (vkey.size == 0 || vkey.size > AUDIT_VKEY_CHARS_MAX) {
        return err_set(err, ERR_FORMAT, "a verifier key is name+id+key");
    }
    const char *plus = memchr(text, '+', vkey.size);
    size_t name_size = plus == NULL ? 0 : (size_t)(plus - text);
    if (plus == NULL || vkey.size - name_size < 1 + 8 + 1 || plus[9] != '+' ||
        !audit_name_is_valid(bytes_of(text, name_size)) ||
        !text_hex_decode(plus + 1, 8, id, sizeof(id))) {
        return err_set(err, ERR_FORMAT, "a verifier key is name+id+key");
    }
    if (!text_base64_decode(plus + 10, vkey.size - name_size - 10, typed, &typed_size) ||
        typed_size != 1 + CRYPTO_ED25519_PUBLIC_BYTES || typed[0] != type) {
        return err_set(err, ERR_FORMAT, "the verifier key is not an Ed25519 key%s",
                       type == AUDIT_KEY_TYPE_COSIGNATURE ? " of a witness" : "");
    }
    memcpy(name, text, name_size);
    name[name_size] = '\0';
    audit_key_init_typed(&key, type, name, typed + 1);
    if (memcmp(key.id, id, sizeof(id)) != 0) {
        return err_set(err, ERR_FORMAT, "the verifier key's id does not fit name and key");
    }
    *out = key;
    return true;
}

bool audit_key_parse(struct bytes vkey, struct audit_key *out, struct err *err)
{
    return audit_key_parse_typed(vkey, AUDIT_KEY_TYPE_ED25519, out, err);
}

static bool note_characters_are_valid(struct bytes note)
{
    for (size_t i = 0; i < note.size; i++) {
        if (note.ptr[i] < ' ' && note.ptr[i] != '\n') {
            return false;
        }
    }
    return text_is_utf8(note);
}

/* The signatures begin after the last empty line. */
bool audit_note_split(struct bytes note, struct bytes *text, struct bytes *lines)
{
    if (note.size < 2 || note.ptr[note.size - 1] != '\n' || !note_characters_are_valid(note)) {
        return false;
    }
    for (size_t i = note.size - 1; i > 0; i--) {
        if (note.ptr[i] == '\n' && note.ptr[i - 1] == '\n') {
            *text = bytes_of(note.ptr, i);
            *lines = bytes_of(note.ptr + i + 1, note.size - i - 1);
            return lines->size > 0;
        }
    }
    return false;
}

bool audit_signature_take(struct bytes *lines, struct audit_signature *out)
{
    uint8_t decoded[sizeof(out->value)];
    size_t decoded_size = 0;
    struct bytes line;
    const size_t prefix_size = sizeof(signature_prefix) - 1;
    if (!audit_line_take(lines, &line) || line.size < prefix_size ||
        memcmp(line.ptr, signature_prefix, prefix_size) != 0) {
        return false;
    }
    const uint8_t *name = line.ptr + prefix_size;
    const uint8_t *space = memchr(name, ' ', line.size - prefix_size);
    if (space == NULL || !audit_name_is_valid(bytes_of(name, (size_t)(space - name)))) {
        return false;
    }
    const char *encoded = (const char *)space + 1;
    size_t encoded_size = (size_t)(line.ptr + line.size - space) - 1;
    if (encoded_size > AUDIT_SIGNATURE_BASE64_CHARS_MAX ||
        !text_base64_decode(encoded, encoded_size, decoded, &decoded_size) ||
        decoded_size <= AUDIT_KEY_ID_BYTES) {
        return false;
    }
    out->name = bytes_of(name, (size_t)(space - name));
    memcpy(out->id, decoded, AUDIT_KEY_ID_BYTES);
    out->value_size = decoded_size - AUDIT_KEY_ID_BYTES;
    memcpy(out->value, decoded + AUDIT_KEY_ID_BYTES, out->value_size);
    return true;
}

bool audit_signature_is_by(const struct audit_signature *signature, const struct audit_key *key)
{
    return bytes_equal(signature->name, bytes_of_string(key->name)) &&
           memcmp(signature->id, key->id, AUDIT_KEY_ID_BYTES) == 0;
}

void audit_signature_append(const struct audit_key *key, struct bytes value, struct buffer *out)
{
    uint8_t payload[AUDIT_KEY_ID_BYTES + CRYPTO_SIGNATURE_BYTES_MAX];
    char encoded[(AUDIT_KEY_ID_BYTES + CRYPTO_SIGNATURE_BYTES_MAX + 2) / 3 * 4 + 1];
    assert(value.size <= CRYPTO_SIGNATURE_BYTES_MAX);
    memcpy(payload, key->id, AUDIT_KEY_ID_BYTES);
    memcpy(payload + AUDIT_KEY_ID_BYTES, value.ptr, value.size);
    text_base64_encode(bytes_of(payload, AUDIT_KEY_ID_BYTES + value.size), encoded);
    buffer_append_string(out, signature_prefix);
    buffer_append_string(out, key->name);
    buffer_append_string(out, " ");
    buffer_append_string(out, encoded);
    buffer_append_string(out, "\n");
}

static bool signature_holds(const struct audit_signature *signature, struct bytes text,
                            const struct audit_key *key)
{
    return signature->value_size == CRYPTO_ED25519_SIGNATURE_BYTES &&
           crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                         bytes_of(signature->value, signature->value_size));
}

enum audit_verdict audit_note_verify(struct bytes note, const struct audit_key *key,
                                     struct bytes *text)
{
    struct bytes body;
    struct bytes lines;
    struct audit_signature signature;
    bool verified = false;
    bool refuted = false;
    if (!audit_note_split(note, &body, &lines)) {
        return AUDIT_TAMPERED;
    }
    for (size_t count = 0; lines.size > 0; count++) {
        if (count == AUDIT_SIGNATURE_LINES_MAX || !audit_signature_take(&lines, &signature)) {
            return AUDIT_TAMPERED;
        }
        if (audit_signature_is_by(&signature, key)) {
            bool good = signature_holds(&signature, body, key);
            verified = verified || good;
            refuted = refuted || !good;
        }
    }
    *text = body;
    if (refuted) {
        return AUDIT_TAMPERED;
    }
    return verified ? AUDIT_OK : AUDIT_UNVERIFIABLE;
}

bool audit_sign(struct bytes text, const struct audit_key *key, const struct crypto_signer *signer,
                uint8_t out[static CRYPTO_ED25519_SIGNATURE_BYTES])
{
    uint8_t value[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    if (!crypto_signer_sign(signer, text, value, &size) || size != CRYPTO_ED25519_SIGNATURE_BYTES ||
        !crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                       bytes_of(value, size))) {
        return false;
    }
    memcpy(out, value, size);
    return true;
}

bool audit_note_sign(struct bytes text, const struct audit_key *key,
                     const struct crypto_signer *signer, struct buffer *out, struct err *err)
{
    uint8_t value[CRYPTO_ED25519_SIGNATURE_BYTES];
    assert(text.size > 0 && text.ptr[text.size - 1] == '\n');
    if (!audit_sign(text, key, signer, value)) {
        return err_set(err, ERR_CRYPTO, "the checkpoint could not be signed");
    }
    buffer_append_bytes(out, text);
    buffer_append_string(out, "\n");
    audit_signature_append(key, bytes_of(value, sizeof(value)), out);
    if (out->failed) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
    }
    return true;
}
