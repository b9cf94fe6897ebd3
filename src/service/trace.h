/* trace.h: which operation of which client a request belongs to (W3C Trace Context, level 1).
 * Private to service.
 *
 * A client that sends a valid `traceparent` has its trace continued; for any other a new one
 * begins. Every request is a span of its trace: both ids are in the log, and in the answer's header
 * `traceresponse`, so that whoever has an answer finds its lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_TRACE_H
#define SERVICE_TRACE_H

#include "base/message.h"

enum { TRACE_ID_CHARS = 32, TRACE_SPAN_CHARS = 16, TRACE_PARENT_CHARS = 55 };

struct trace {
    char id[TRACE_ID_CHARS + 1];
    char span[TRACE_SPAN_CHARS + 1];   /* this request's */
    char parent[TRACE_SPAN_CHARS + 1]; /* the client's; "" if we began the trace */
    uint8_t flags;                     /* the client's; 1: it records the trace */
};

/* Reads "00-<32 hex>-<16 hex>-<2 hex>", lower case, no id all zero; sets all but span. */
bool trace_parse(const char *traceparent, struct trace *out) MUST_CHECK;
/* The trace of a request: its client's, or a new one. */
void trace_begin(const struct message_request *request, struct trace *out);
/* The trace in a list of LOG_FIELDS. */
#define TRACE_LOG_FIELDS(trace)                                                                    \
    log_text("trace_id", (trace)->id), log_text("span_id", (trace)->span),                         \
        log_text("parent_span_id", (trace)->parent[0] != 0 ? (trace)->parent : NULL)
/* "00-<id>-<span>-<flags>" */
void trace_format(const struct trace *trace, char out[static TRACE_PARENT_CHARS + 1]);

#endif
