/* values.h: how a person writes a WebAssembly value, and how one is shown to a person.
 *
 * The value rules of the protocol (JSON) are service's; this is the command line's side: "42",
 * "-1", "0xff", "1.5", "0x1.8p3", "nan", "nan:0x1", "-inf", a 32-digit v128, each read by the type
 * of the parameter it is for. A prefix "i64:" says the type again and must agree with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "vm/vm.h"

#include <jansson.h>

/* Fails with INVALID_ARGUMENTS; the message names text and type. */
bool cli_value_parse(const char *text, enum vm_type type, struct vm_value *out,
                     struct err *err) MUST_CHECK;

/* "42", "-0.1", "nan:0x200000": the text that cli_value_parse reads back to the same bits. */
void cli_value_append(const struct vm_value *value, struct buffer *out);

#endif
