/* err.c: the error table and the two ways to fill an err.
 *
 * Messages quote what others sent, cut to some length, and go out as JSON: so a message is made
 * valid UTF-8 here, once, whatever was cut where.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/err.h"

#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title;
    int http_status;
    int grpc_status;
} err_rows[ERR_CODE_COUNT] = {
#define ERR(name, http_status, grpc_status, title)                                                 \
    [ERR_##name] = {#name, title, http_status, grpc_status},
#include "base/err_codes.def"
#undef ERR
};

bool err_set(struct err *err, enum err_code code, const char *format, ...)
{
    assert(code != ERR_NONE);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    text_utf8_mend(err->message);
    err->code = code;
    err->retry_after_s = 0;
    return false;
}

/* Appends what fits; the message stays terminated. */
static void err_append(struct err *err, size_t *size, const char *text)
{
    size_t room = sizeof(err->message) - 1 - *size;
    size_t count = strnlen(text, room);
    (void)memcpy(err->message + *size, text, count);
    *size += count;
    err->message[*size] = 0;
}

bool err_wrap(struct err *err, const char *format, ...)
{
    char cause[ERR_MESSAGE_BYTES_MAX];
    (void)memcpy(cause, err->message, sizeof(cause));
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    size_t size = strlen(err->message);
    err_append(err, &size, ": ");
    err_append(err, &size, cause);
    text_utf8_mend(err->message);
    return false;
}

const char *err_code_name(enum err_code code)
{
    assert(code > ERR_NONE && code < ERR_CODE_COUNT);
    return err_rows[code].name;
}

const char *err_code_title(enum err_code code)
{
    assert(code > ERR_NONE && code < ERR_CODE_COUNT);
    return err_rows[code].title;
}

int err_code_http_status(enum err_code code)
{
    assert(code > ERR_NONE && code < ERR_CODE_COUNT);
    return err_rows[code].http_status;
}

int err_code_grpc_status(enum err_code code)
{
    assert(code > ERR_NONE && code < ERR_CODE_COUNT);
    return err_rows[code].grpc_status;
}

bool err_code_is_public(enum err_code code)
{
    return code > ERR_NONE && code <= ERR_DRAINING;
}
