/* file.h: a small file, perhaps a secret one, put in its place whole and durably.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/bytes.h"

/* Under `path` nobody ever finds a part of `content`, also after a power cut: it is written and
 * synced as `path`.new first, mode 0600, whatever a crash may have left there. The directory is
 * synced, too. Callers keep each other away from the same path. Fails with IO or NO_MEMORY; unless
 * it was the directory that did not sync, nothing has changed then.
 *
 * create refuses a path where something is, if only a dangling link. */
bool file_create(const char *path, struct bytes content, struct err *err) MUST_CHECK;
bool file_replace(const char *path, struct bytes content, struct err *err) MUST_CHECK;

#endif
