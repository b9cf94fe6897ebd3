/* audit_http.h: a log that a server shows, as c2sp.org/tlog-tiles has it, as a source of bundles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_AUDIT_HTTP_H
#define CLI_AUDIT_HTTP_H

#include "audit/audit.h"

struct audit_http;

/* url: of a node ("http://127.0.0.1:3000": its log is below /v1/log), or with a path that of the
 * log itself ("https://mirror.example/log-1"). Nothing is asked for yet. USAGE for what is no URL.
 * *source is valid until close. */
bool audit_http_open(const char *url, struct audit_http **out, struct audit_source *source,
                     struct err *err) MUST_CHECK;
void audit_http_close(struct audit_http *http);
/* Where the node answers, without a final slash; NULL if the URL is a log's alone. */
const char *audit_http_node(const struct audit_http *http);

#endif
