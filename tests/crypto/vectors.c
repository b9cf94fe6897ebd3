/* vectors.c: see vectors.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/vectors.h"

#include "base/arena.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct arena memory;

static void memory_free(void)
{
    arena_release(&memory);
}

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL && json_error_code(&error) != json_error_cannot_open_file) {
        cr_assert_fail("%s: %s", path, error.text);
    }
    return root;
}

json_t *vectors_shared(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/../shared/vectors/%s", WH_SOURCE_DIR, name);
    json_t *root = load(path);
    if (root == NULL) {
        cr_skip("skipped: %s, get it by putting the published vectors into %s", name, path);
    }
    return root;
}

json_t *vectors_own(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/docs/vectors/%s", WH_SOURCE_DIR, name);
    json_t *root = load(path);
    cr_assert_not_null(root, "%s is missing", path);
    return root;
}

const char *vectors_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    cr_assert_not_null(text, "no text member %s", member);
    return text;
}

struct bytes vectors_hex(const json_t *object, const char *member)
{
    if (memory.head == NULL) {
        arena_init(&memory, NULL);
        atexit(memory_free);
    }
    const char *text = vectors_text(object, member);
    size_t size = strlen(text) / 2;
    uint8_t *out = arena_alloc(&memory, size, 1);
    cr_assert(text_hex_decode(text, strlen(text), out, size), "member %s is not hexadecimal",
              member);
    return bytes_of(out, size);
}
