/* database.h: one SQLite connection with its prepared statements, and the form of the file.
 *
 * A connection belongs to one thread at a time: the store's writer has one, readers share another
 * under a mutex. Every statement of the store is a row of `statements` in database.c, prepared when
 * the connection is opened, so a file without our tables is refused there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "base/bytes.h"

#include <sqlite3.h>

enum {
    DATABASE_APPLICATION_ID = 0x57484853, /* "WHHS" */
    DATABASE_VERSION = 3,
    DATABASE_BUSY_TIMEOUT_MS = 5000, /* another process's transaction is a matter of milliseconds */
};

enum database_statement {
    DATABASE_BEGIN,
    DATABASE_COMMIT,
    DATABASE_ROLLBACK,
    DATABASE_META_GET,
    DATABASE_META_SET,
    DATABASE_META_INCREMENT,
    DATABASE_EXECUTION_PUT,
    DATABASE_EXECUTION_GET,
    DATABASE_EXECUTION_EXPIRE,
    DATABASE_EXECUTION_DROP_SEALED,
    DATABASE_IDEMPOTENCY_PUT,
    DATABASE_IDEMPOTENCY_TRIM,
    DATABASE_IDEMPOTENCY_GET,
    DATABASE_IDEMPOTENCY_EXPIRE,
    DATABASE_API_KEY_ADD,
    DATABASE_API_KEY_REVOKE,
    DATABASE_API_KEY_EXISTS,
    DATABASE_API_KEY_LIST,
    DATABASE_STATEMENT_COUNT
};

struct database {
    const char *path; /* borrowed */
    sqlite3 *handle;
    sqlite3_stmt *statements[DATABASE_STATEMENT_COUNT];
};

/* Opens or makes the file, or upgrades it from an older version. *created (optional) tells that it
 * was empty. */
bool store_database_open(struct database *database, const char *path, bool *created,
                         struct err *err) MUST_CHECK;
void store_database_close(struct database *database);

/* The statement, ready for binding. */
sqlite3_stmt *store_database_statement(const struct database *database,
                                       enum database_statement statement);
/* Runs it to its end (rows are passed over) and resets it. */
bool store_database_run(const struct database *database, sqlite3_stmt *statement,
                        struct err *err) MUST_CHECK;
/* One step: *row false at the end. On false it is reset; else the caller resets it. */
bool store_database_step(const struct database *database, sqlite3_stmt *statement, bool *row,
                         struct err *err) MUST_CHECK;

/* A column of the row that was stepped to; false if it is no such thing, as all of ours are. */
/* A blob of exactly that size. */
bool store_column_bytes(sqlite3_stmt *row, int column, uint8_t *out, size_t size) MUST_CHECK;
/* A text, with its NUL. */
bool store_column_text(sqlite3_stmt *row, int column, char *out, size_t out_size) MUST_CHECK;

/* Rows of the table of numbers. */
bool store_meta_get(const struct database *database, const char *name, uint64_t *out,
                    struct err *err) MUST_CHECK;
bool store_meta_set(const struct database *database, const char *name, uint64_t value,
                    struct err *err) MUST_CHECK;
bool store_meta_increment(const struct database *database, const char *name,
                          struct err *err) MUST_CHECK;

#define STORE_META_INDEXED_SIZE "indexed_size"
#define STORE_META_API_KEYS_VERSION "api_keys_version"
#define STORE_META_ANSWER_KEY "answer_key" /* which one sealed the answers (seal.c); 0: none */

#endif
