/* seal_file.c: the form of a sealed key's file (seal.h).
 *
 * Members are read by name and the whole is written again: it has to be the same bytes. So there is
 * one spelling of each file, and nothing in it that nobody looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/seal.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define DOMAIN "wasm-hypervisor/1 sealed key"

static const char *const purposes[] = {
    [ATTEST_SEAL_LOG_KEY] = "log key",
    [ATTEST_SEAL_STORE_KEY] = "store key",
};

const char *seal_purpose_name(enum attest_seal_purpose purpose)
{
    return purposes[purpose];
}

/* ---- writing ---- */

static void put_members(const struct sealed *sealed, struct buffer *out)
{
    char policy[SEAL_POLICY_CHARS + 1];
    snprintf(policy, sizeof policy, "%016llx", (unsigned long long)sealed->guest_policy);
    json_put_string(out, "domain", DOMAIN);
    json_put_integer(out, "guest_field_select", (int64_t)sealed->fields);
    json_put_string(out, "guest_policy", policy);
    json_put_hex(out, "measurement", bytes_of(sealed->measurement, sizeof sealed->measurement));
    json_put_base64(out, "nonce", bytes_of(sealed->nonce, sizeof sealed->nonce));
    json_put_string(out, "purpose", purposes[sealed->purpose]);
    json_put_string(out, "root_key", sealed->root_key);
}

void sealed_associated(const struct sealed *sealed, struct buffer *out)
{
    json_put_open(out);
    put_members(sealed, out);
    json_put_close(out);
}

void sealed_write(const struct sealed *sealed, struct buffer *out)
{
    json_put_open(out);
    json_put_base64(out, "ciphertext", bytes_of(sealed->ciphertext, sizeof sealed->ciphertext));
    put_members(sealed, out);
    json_put_close(out);
    buffer_append_u8(out, '\n');
}

/* ---- reading ---- */

static struct bytes text_of(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return bytes_of(json_string_value(member), json_string_length(member));
}

static bool read_base64(const json_t *object, const char *name, uint8_t *out, size_t size)
{
    uint8_t decoded[ATTEST_SEALED_BYTES_MAX];
    struct bytes text = text_of(object, name);
    size_t got = 0;
    if (text.size != text_base64_encoded_size(size) ||
        !text_base64_decode((const char *)text.ptr, text.size, decoded, &got) || got != size) {
        return false;
    }
    memcpy(out, decoded, size);
    return true;
}

static bool read_hex(const json_t *object, const char *name, uint8_t *out, size_t size)
{
    struct bytes text = text_of(object, name);
    return text.size == 2 * size && text_hex_decode((const char *)text.ptr, text.size, out, size);
}

static bool read_purpose(const json_t *object, enum attest_seal_purpose *out)
{
    struct bytes text = text_of(object, "purpose");
    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
        if (bytes_equal(text, bytes_of_string(purposes[i]))) {
            *out = (enum attest_seal_purpose)i;
            return true;
        }
    }
    return false;
}

static bool read_members(const json_t *object, struct sealed *out)
{
    uint8_t policy[sizeof(uint64_t)];
    struct bytes root = text_of(object, "root_key");
    json_int_t fields = json_integer_value(json_object_get(object, "guest_field_select"));
    if (root.ptr == NULL || root.size >= sizeof out->root_key || fields < 0 ||
        fields > UINT32_MAX || !read_purpose(object, &out->purpose) ||
        !read_hex(object, "guest_policy", policy, sizeof policy) ||
        !read_hex(object, "measurement", out->measurement, sizeof out->measurement) ||
        !read_base64(object, "nonce", out->nonce, sizeof out->nonce) ||
        !read_base64(object, "ciphertext", out->ciphertext, sizeof out->ciphertext)) {
        return false;
    }
    out->fields = (uint64_t)fields;
    for (size_t i = 0; i < sizeof policy; i++) {
        out->guest_policy = out->guest_policy << 8 | policy[i];
    }
    memcpy(out->root_key, root.ptr, root.size);
    return true;
}

bool sealed_read(struct bytes file, struct sealed *out, struct err *err)
{
    struct buffer again;
    struct err why = {.code = ERR_FORMAT};
    json_t *object = NULL;
    *out = (struct sealed){.fields = 0};
    buffer_init(&again, ATTEST_SEALED_BYTES_MAX);
    bool ok = file.size <= ATTEST_SEALED_BYTES_MAX && file.size > 0 &&
              json_text_parse(bytes_of(file.ptr, file.size - 1), &object, &why) &&
              json_is_object(object) && read_members(object, out);
    if (ok) {
        sealed_write(out, &again);
        ok = !again.failed && bytes_equal(buffer_bytes(&again), file);
    }
    bool no_memory = why.code == ERR_NO_MEMORY || again.no_memory;
    json_decref(object);
    buffer_release(&again);
    if (!ok && no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory to read a sealed key");
    }
    return ok || err_set(err, ERR_FORMAT, "this is not a sealed key, or it is damaged");
}
