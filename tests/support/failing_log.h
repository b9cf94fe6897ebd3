/* failing_log.h: an audit log whose disk is real until a batch that a test names. One at a time.
 * tests/audit/failing_log.c, which knows the inside of the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_FAILING_LOG_H
#define SUPPORT_FAILING_LOG_H

#include "audit/audit.h"

/* As audit_log_open. */
bool failing_log_open(const struct audit_config *config,
                      void (*fatal)(void *context, const struct err *err), void *context,
                      struct audit_log **out, struct audit_recovery *recovery, struct err *err);
/* Waits until the entries of so many batches have been synced. */
void failing_log_wait(int batches);
/* The `batch`-th batch fails: at its sync, if what it writes arrives nevertheless, else at its
 * write. */
void failing_log_fail(int batch, bool writes);
/* From now on it is called when a file gets its name, by who gives it, before it does. */
void failing_log_on_rename(void (*renaming)(const char *to));

#endif
