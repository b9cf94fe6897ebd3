/* field.h: what header fields are made of (RFC 9110 section 5.6): tokens, quoted strings, blanks
 * and parameters. Private to service.
 *
 *     parameter = token [ BWS "=" BWS ( token / quoted-string ) ]
 *
 * Each take_ function takes what it is named for from the reader, or returns false.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_FIELD_H
#define SERVICE_FIELD_H

#include "base/bytes.h"

bool field_is_token_char(uint8_t c);
/* Takes the next byte if it is c. */
bool field_take_char(struct reader *reader, char c);
void field_skip_blanks(struct reader *reader);
bool field_take_token(struct reader *reader, struct bytes *out);
/* A quoted string without its quotes, escapes left in. */
bool field_take_quoted(struct reader *reader, struct bytes *out);
/* value->ptr NULL: there is none. */
bool field_take_parameter(struct reader *reader, struct bytes *name, struct bytes *value);
/* Words do not tell upper from lower case. */
bool field_is_word(struct bytes text, const char *word);

#endif
