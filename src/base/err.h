/* err.h: how a function says that the outside world failed it.
 *
 * A function that can fail returns bool and takes `struct err *err` last: false means *err holds
 * code and message, true means *err was not touched. The first cause is set where it appears;
 * callers add context outwards with err_wrap. A guest's trap is not an err (vm.h), a broken promise
 * of our own is an assert. Messages never hold secrets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index)                                                     \
    __attribute__((format(printf, format_index, first_index)))

enum { ERR_MESSAGE_BYTES_MAX = 512 };

enum err_code {
    ERR_NONE = 0,
#define ERR(name, http_status, grpc_status, title) ERR_##name,
#include "base/err_codes.def"
#undef ERR
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    char
        message[ERR_MESSAGE_BYTES_MAX]; /* one sentence without a final full stop, NUL-terminated */
    uint32_t retry_after_s; /* of a refusal that is over then; 0: not known. Set after err_set */
};

/* Sets code and message, and no time to come back (cut at ERR_MESSAGE_BYTES_MAX, always UTF-8: '?'
 * for what is not). Always returns false, so that `return err_set(…)` reads well. */
bool err_set(struct err *err, enum err_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " before the message that is there; the code stays. Always returns false. */
bool err_wrap(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* "EXECUTION_TIMEOUT", and the columns of err_codes.def. `code` must not be ERR_NONE. */
const char *err_code_name(enum err_code code);
const char *err_code_title(enum err_code code);
int err_code_http_status(enum err_code code);
int err_code_grpc_status(enum err_code code);

/* True for the rows that may be named to a client. */
bool err_code_is_public(enum err_code code);

#endif
