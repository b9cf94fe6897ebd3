/* negotiate.h: which of the forms that an answer can have the client wants (Accept, RFC 9110
 * section 12.5.1). Private to service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_NEGOTIATE_H
#define SERVICE_NEGOTIATE_H

#include "base/message.h"

enum { NEGOTIATE_TYPES_MAX = 4 };

/* The index of the media type ("text/plain", all in UTF-8) with the highest weight; among equals
 * that which the client names more precisely, then the first. The first too if there is no Accept,
 * or if it wants none of them: an answer that it did not ask for is more use than none. */
size_t negotiate_type(const struct message_request *request, const char *const *types,
                      size_t type_count);

#endif
