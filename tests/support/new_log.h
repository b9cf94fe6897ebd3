/* new_log.h: an audit log that is made, not opened, with nothing but a name and a clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_NEW_LOG_H
#define SUPPORT_NEW_LOG_H

#include "audit/audit.h"

/* As audit_log_make. */
static inline bool new_log(const char *directory, const char *origin, const struct clock *clock,
                           struct err *err)
{
    const struct audit_config config = {.directory = directory, .clock = clock};
    return audit_log_make(&config, origin, err);
}

#endif
