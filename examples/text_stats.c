/* text_stats.c: counts lines, words and bytes of a text and finds its longest word.
 *
 *   stats(string) -> string: {"bytes":…,"lines":…,"words":…,"longest":"…"}
 *
 * A word is a run of ASCII letters, digits and bytes past ASCII; so UTF-8 text counts as expected.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80;
}

EXPORT("stats") int64_t stats(const char *text, size_t size)
{
    uint64_t lines = 0, words = 0;
    const char *longest = text;
    size_t longest_size = 0;
    for (size_t index = 0; index < size;) {
        size_t start = index;
        while (index < size && is_word(text[index])) {
            index++;
        }
        if (index > start) {
            words++;
            if (index - start > longest_size) {
                longest = text + start;
                longest_size = index - start;
            }
        } else {
            lines += text[index++] == '\n';
        }
    }
    struct text out = text_new();
    text_string(&out, "{\"bytes\":");
    text_u64(&out, size);
    text_string(&out, ",\"lines\":");
    text_u64(&out, lines);
    text_string(&out, ",\"words\":");
    text_u64(&out, words);
    text_string(&out, ",\"longest\":\"");
    text_bytes(&out, longest, longest_size);
    text_string(&out, "\"}");
    return text_result(out);
}
