/* promise.c: see promise.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "promise.h"

#include "audit/leaf.h"
#include "audit/note.h"
#include "base/arena.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A promise may be torn over two sends: so much of what a descriptor sent is looked at again. */
enum { STREAMS_MAX = 4096, KEPT_BYTES = 4096, HASH_BASE64_CHARS = 44 };

static void promise_add(struct promises *promises, const struct promise *found)
{
    for (size_t i = promises->count; i > 0; i--) {
        const struct promise *known = &promises->rows[i - 1];
        if (known->is_leaf == found->is_leaf && known->place == found->place &&
            memcmp(known->hash, found->hash, AUDIT_HASH_BYTES) == 0) {
            return;
        }
    }
    promises->rows = heap_resize(promises->rows, (promises->count + 1) * sizeof(*promises->rows));
    assert(promises->rows != NULL);
    promises->rows[promises->count++] = *found;
}

/* "<size>\n<root>\n" behind an origin. */
static bool head_take(const char *text, const char *end, struct promise *out)
{
    const char *size_end = memchr(text, '\n', (size_t)(end - text));
    uint8_t decoded[HASH_BASE64_CHARS];
    size_t size = 0;
    if (size_end == NULL || end - size_end < HASH_BASE64_CHARS + 2 ||
        size_end[1 + HASH_BASE64_CHARS] != '\n' ||
        !text_u64_decode(text, (size_t)(size_end - text), &out->place) ||
        !text_base64_decode(size_end + 1, HASH_BASE64_CHARS, decoded, &size) ||
        size != AUDIT_HASH_BYTES) {
        return false;
    }
    memcpy(out->hash, decoded, AUDIT_HASH_BYTES);
    return true;
}

static void heads_find(struct promises *promises, const struct buffer *text, const char *origin,
                       size_t record)
{
    const char *end = (const char *)text->ptr + text->size;
    char line[AUDIT_ORIGIN_CHARS_MAX + 2];
    int size = snprintf(line, sizeof(line), "%s\n", origin);
    const char *at = (const char *)text->ptr;
    while ((at = memmem(at, (size_t)(end - at), line, (size_t)size)) != NULL) {
        struct promise found = {.record = record};
        at += size;
        if (head_take(at, end, &found)) {
            promise_add(promises, &found);
        }
    }
}

/* "leaf":"{\\"…\\"}": an entry inside an answer, behind one layer of JSON. */
static bool leaf_take(const char *text, const char *end, struct promise *out)
{
    uint8_t leaf[AUDIT_LEAF_BYTES_MAX];
    size_t size = 0;
    const char *last = memmem(text, (size_t)(end - text), "}\"", 2);
    for (const char *at = text; last != NULL && at <= last && size < sizeof(leaf); at++) {
        at += *at == '\\';
        leaf[size++] = (uint8_t)*at;
    }
    struct audit_leaf parsed;
    const char *why;
    if (last == NULL || !audit_leaf_parse(bytes_of(leaf, size), &parsed, &why)) {
        return false;
    }
    out->is_leaf = true;
    out->place = parsed.index;
    audit_leaf_hash(bytes_of(leaf, size), out->hash);
    return true;
}

static void leaves_find(struct promises *promises, const struct buffer *text, size_t record)
{
    static const char name[] = "\"leaf\":\"";
    const char *end = (const char *)text->ptr + text->size;
    const char *at = (const char *)text->ptr;
    while ((at = memmem(at, (size_t)(end - at), name, strlen(name))) != NULL) {
        struct promise found = {.record = record};
        at += strlen(name);
        if (leaf_take(at, end, &found)) {
            promise_add(promises, &found);
        }
    }
}

/* As it would be without JSON around it, as far as line feeds go. */
static void text_append(struct buffer *text, struct bytes sent)
{
    for (size_t i = 0; i < sent.size; i++) {
        bool line_feed = sent.ptr[i] == '\\' && i + 1 < sent.size && sent.ptr[i + 1] == 'n';
        buffer_append_u8(text, line_feed ? '\n' : sent.ptr[i]);
        i += line_feed;
    }
    assert(!text->failed);
}

void promises_find(struct promises *promises, const struct disk *disk, const char *origin)
{
    struct buffer *streams = heap_alloc_array(STREAMS_MAX, sizeof(*streams));
    assert(streams != NULL);
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        buffer_init(&streams[i], 64 << 20);
    }
    for (size_t i = 0; i < disk->record_count; i++) {
        const struct disk_record *record = &disk->records[i];
        if (record->head.kind != RECORD_SEND) {
            continue;
        }
        assert(record->head.node < STREAMS_MAX);
        struct buffer *text = &streams[record->head.node];
        text_append(text, record->data);
        if (text->size == 0) {
            continue;
        }
        heads_find(promises, text, origin, i);
        leaves_find(promises, text, i);
        if (text->size > KEPT_BYTES) {
            memmove(text->ptr, text->ptr + text->size - KEPT_BYTES, KEPT_BYTES);
            text->size = KEPT_BYTES;
        }
    }
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        buffer_release(&streams[i]);
    }
    heap_free(streams);
}

void promises_release(struct promises *promises)
{
    heap_free(promises->rows);
    *promises = (struct promises){0};
}
