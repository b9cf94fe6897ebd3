/* print.c: JSON on stdout, for people and machines alike: numbers as short as they can be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

enum { PRINT_BYTES_MAX = 1024 * 1024 * 1024 };

bool cli_write_json(const json_t *value)
{
    struct buffer text;
    struct err err;
    buffer_init(&text, PRINT_BYTES_MAX);
    bool ok = value != NULL && json_write(value, &text, &err) &&
              fwrite(text.ptr, 1, text.size, stdout) == text.size;
    buffer_release_wiped(&text);
    return ok;
}

bool cli_print_json(json_t *value)
{
    bool ok = cli_write_json(value);
    fputc('\n', stdout);
    json_decref(value);
    return ok;
}
