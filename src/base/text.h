/* text.h: the text encodings that more than one folder needs: hexadecimal, base64, UUID, UTF-8,
 * decimal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/bytes.h"

/* Lower-case hexadecimal; out holds 2 * size + 1 bytes. */
void text_hex_encode(struct bytes in, char *out);
/* Exactly 2 * size digits, either case; false leaves out unspecified. */
bool text_hex_decode(const char *text, size_t text_size, uint8_t *out, size_t size) MUST_CHECK;

/* RFC 4648 section 4, with padding. */
size_t text_base64_encoded_size(size_t size);        /* without the NUL */
void text_base64_encode(struct bytes in, char *out); /* out holds the encoded size + 1 */
/* Strict: alphabet, padding, and zero spare bits. *out_size is set; out holds at least text_size /
 * 4 * 3 bytes. */
bool text_base64_decode(const char *text, size_t text_size, uint8_t *out,
                        size_t *out_size) MUST_CHECK;

/* RFC 9562 textual form. Decoding accepts either case and demands version 4, variant 10. */
enum { TEXT_UUID_BYTES = 16, TEXT_UUID_CHARS = 36 };
void text_uuid_encode(const uint8_t uuid[static TEXT_UUID_BYTES],
                      char out[static TEXT_UUID_CHARS + 1]);
bool text_uuid_decode(const char *text, size_t text_size,
                      uint8_t out[static TEXT_UUID_BYTES]) MUST_CHECK;

/* True if the bytes are well-formed UTF-8 (no surrogates, no overlong forms, nothing past
 * U+10FFFF). */
bool text_is_utf8(struct bytes in);
/* Puts '?' for every byte that is of no whole character. */
void text_utf8_mend(char *text);

/* Decimal digits only, no sign, no leading zero but "0" itself, no overflow. */
bool text_u64_decode(const char *text, size_t text_size, uint64_t *out) MUST_CHECK;

#endif
