/* failures.c: what the audit log says of refused API keys.
 *
 * One entry counts the refusals of up to a minute, by reason, and says nothing of who was refused;
 * so however many come, the log grows by one entry a minute.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"

#include <string.h>

void failures_begin(struct service *service)
{
    service->failures.logged_ns = clock_monotonic_ns(service->parts.clock);
    service->failures.since_ms = clock_wall_ms(service->parts.clock);
}

/* The members of the entry; no clock that was set back makes it end before it begins. */
static json_t *failures_fields(const struct service *service, int64_t now_ms, uint64_t count,
                               const uint64_t counts[static AUTH_FAILURE_KINDS])
{
    static const char *const names[] = {
        [AUTH_FAILURE_MALFORMED] = "malformed",         [AUTH_FAILURE_UNKNOWN_KEY] = "unknown_key",
        [AUTH_FAILURE_EXPIRED_KEY] = "expired_key",     [AUTH_FAILURE_REVOKED_KEY] = "revoked_key",
        [AUTH_FAILURE_MISSING_SCOPE] = "missing_scope",
    };
    char from[CLOCK_RFC3339_CHARS + 1];
    char to[CLOCK_RFC3339_CHARS + 1];
    int64_t since_ms = service->failures.since_ms;
    clock_rfc3339_encode(since_ms < now_ms ? since_ms : now_ms, from);
    clock_rfc3339_encode(now_ms, to);
    json_t *fields =
        json_pack("{s:s, s:s, s:I}", "from_time", from, "to_time", to, "count", (json_int_t)count);
    for (size_t i = 0; fields != NULL && i < AUTH_FAILURE_KINDS; i++) {
        uint64_t new = counts[i] - service->failures.counts[i];
        if (json_object_set_new(fields, names[i], json_integer((json_int_t) new)) != 0) {
            json_decref(fields);
            fields = NULL;
        }
    }
    return fields;
}

static bool failures_submit(struct service *service, int64_t now_ms, uint64_t count,
                            const uint64_t counts[static AUTH_FAILURE_KINDS])
{
    struct err err;
    json_t *fields = failures_fields(service, now_ms, count, counts);
    bool ok = fields != NULL ? audit_log_submit(service->parts.log, AUDIT_AUTH_FAILURES, fields,
                                                NULL, NULL, &err)
                             : err_set(&err, ERR_NO_MEMORY, "no memory for a log entry");
    json_decref(fields);
    if (!ok) {
        log_write(LOG_WARN, "refused_keys_not_logged", NULL, "%s", err.message);
    }
    return ok;
}

void failures_log(struct service *service)
{
    uint64_t counts[AUTH_FAILURE_KINDS];
    uint64_t count = 0;
    int64_t now_ms = clock_wall_ms(service->parts.clock);
    auth_failures_by_kind(service->auth, counts);
    for (size_t i = 0; i < AUTH_FAILURE_KINDS; i++) {
        count += counts[i] - service->failures.counts[i];
    }
    if (count > 0 && !failures_submit(service, now_ms, count, counts)) {
        return;
    }
    service->failures.since_ms = now_ms;
    memcpy(service->failures.counts, counts, sizeof(counts));
}
