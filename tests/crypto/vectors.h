/* vectors.h: reading published and own test vectors: JSON files full of hexadecimal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CRYPTO_VECTORS_H
#define TESTS_CRYPTO_VECTORS_H

#include "base/bytes.h"

#include <jansson.h>

/* A file of the shared vectors directory ("hpke….json"); skips the running test if it is not there.
 */
json_t *vectors_shared(const char *name);
/* A file of docs/vectors; fails the running test if it is not there. */
json_t *vectors_own(const char *name);
/* The decoded bytes of a hexadecimal member. Kept until the test's process ends. */
struct bytes vectors_hex(const json_t *object, const char *member);
const char *vectors_text(const json_t *object, const char *member);

#endif
