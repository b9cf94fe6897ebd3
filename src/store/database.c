/* database.c: connections, statements and the schema (database.h).
 *
 * A file is ours if its application_id says so; it is made so in the transaction that makes the
 * tables, so there is no half-made file, nor a half-upgraded one. Nothing is written to a file
 * before it is known to be ours or empty. synchronous=FULL in WAL mode: a committed transaction
 * survives a power cut.
 *
 * A new file has pages that hold two common answers each, and its WAL grows to 16 MiB before it is
 * copied back: both halve what an execution writes. A file that has smaller pages keeps them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ADVICE                                                                                     \
    "stop the node, move the file and its -wal and -shm away, start again: what comes from the "   \
    "log is rebuilt, API keys have to be added anew"

/* What leads from each version of the file to the next; an empty one has version 0. So a file that
 * was made today and one that has come all the way are the same. */
static const char version_1[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "CREATE TABLE executions ("
    "  request_id BLOB PRIMARY KEY CHECK (length(request_id) = 16),"
    "  api_key_id TEXT NOT NULL, state TEXT NOT NULL,"
    "  admit_index INTEGER NOT NULL, result_index INTEGER,"
    "  request_commitment BLOB NOT NULL CHECK (length(request_commitment) = 32),"
    "  result_commitment BLOB NOT NULL CHECK (length(result_commitment) = 32),"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  answer_status INTEGER NOT NULL, answer BLOB) STRICT;"
    "CREATE INDEX executions_by_expiry ON executions (expires_ms) WHERE answer IS NOT NULL;"
    "CREATE TABLE api_keys ("
    "  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    "  scopes INTEGER NOT NULL, secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL"
    ") STRICT;"
    "INSERT INTO meta VALUES ('" STORE_META_INDEXED_SIZE "', 0),"
    " ('" STORE_META_API_KEYS_VERSION "', 1);";

static const char version_2[] =
    "ALTER TABLE executions ADD COLUMN started_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE executions ADD COLUMN ended_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE idempotency ("
    "  api_key_id TEXT NOT NULL, key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),"
    "  number INTEGER NOT NULL," /* rises, for each API key */
    "  fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),"
    "  request_id BLOB NOT NULL CHECK (length(request_id) = 16), expires_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (api_key_id, key_hash)) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX idempotency_by_number ON idempotency (api_key_id, number);"
    "CREATE INDEX idempotency_by_expiry ON idempotency (expires_ms);";

static const char version_3[] =
    "ALTER TABLE executions ADD COLUMN answer_form INTEGER NOT NULL DEFAULT 0;" /* seal.h */
    "INSERT INTO meta VALUES ('" STORE_META_ANSWER_KEY "', 0);";

static const char *const versions[DATABASE_VERSION] = {version_1, version_2, version_3};

static const char *const statements[DATABASE_STATEMENT_COUNT] = {
    [DATABASE_BEGIN] = "BEGIN IMMEDIATE",
    [DATABASE_COMMIT] = "COMMIT",
    [DATABASE_ROLLBACK] = "ROLLBACK",
    [DATABASE_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [DATABASE_META_SET] = "UPDATE meta SET value = ?2 WHERE name = ?1",
    [DATABASE_META_INCREMENT] = "UPDATE meta SET value = value + 1 WHERE name = ?1",
    [DATABASE_EXECUTION_PUT] =
        "INSERT INTO executions (request_id, api_key_id, state, admit_index, result_index,"
        "  request_commitment, result_commitment, created_ms, expires_ms, answer_status, answer,"
        "  started_ms, ended_ms, answer_form)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        " ON CONFLICT (request_id) DO UPDATE SET api_key_id = ?2, state = ?3, admit_index = ?4,"
        "  result_index = ?5, request_commitment = ?6, result_commitment = ?7, created_ms = ?8,"
        "  expires_ms = ?9, answer_status = ?10, answer = ?11, started_ms = ?12, ended_ms = ?13,"
        "  answer_form = ?14",
    [DATABASE_EXECUTION_GET] =
        "SELECT api_key_id, state, admit_index, result_index, request_commitment,"
        "  result_commitment, created_ms, expires_ms, answer_status,"
        "  CASE WHEN ?2 THEN answer END, started_ms, ended_ms, answer_form,"
        "  ifnull(length(answer), 0) FROM executions WHERE request_id = ?1",
    [DATABASE_EXECUTION_EXPIRE] = "UPDATE executions SET answer = NULL, answer_status = 0"
                                  " WHERE expires_ms <= ?1 AND answer IS NOT NULL",
    [DATABASE_EXECUTION_DROP_SEALED] = "UPDATE executions SET answer = NULL, answer_status = 0"
                                       " WHERE answer_form = 1 AND answer IS NOT NULL",
    [DATABASE_IDEMPOTENCY_PUT] =
        "INSERT OR REPLACE INTO idempotency"
        "  (api_key_id, key_hash, number, fingerprint, request_id, expires_ms)"
        " VALUES (?1, ?2, (SELECT ifnull(max(number), 0) + 1 FROM idempotency"
        "                  WHERE api_key_id = ?1), ?3, ?4, ?5)",
    [DATABASE_IDEMPOTENCY_TRIM] =
        "DELETE FROM idempotency WHERE api_key_id = ?1 AND number <="
        " (SELECT max(number) FROM idempotency WHERE api_key_id = ?1) - ?2",
    [DATABASE_IDEMPOTENCY_GET] = "SELECT fingerprint, request_id, expires_ms FROM idempotency"
                                 " WHERE api_key_id = ?1 AND key_hash = ?2 AND expires_ms > ?3",
    [DATABASE_IDEMPOTENCY_EXPIRE] = "DELETE FROM idempotency WHERE expires_ms <= ?1",
    [DATABASE_API_KEY_ADD] =
        "INSERT INTO api_keys (id, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [DATABASE_API_KEY_REVOKE] =
        "UPDATE api_keys SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms = 0",
    [DATABASE_API_KEY_EXISTS] = "SELECT 1 FROM api_keys WHERE id = ?1",
    [DATABASE_API_KEY_LIST] =
        "SELECT id, name, scopes, secret_hash, created_ms, expires_ms, revoked_ms"
        " FROM api_keys ORDER BY created_ms, number",
};

/* Sets *err from the connection's last error; always false. */
static bool database_fail(const struct database *database, struct err *err)
{
    const char *text = database->handle == NULL ? "no memory" : sqlite3_errmsg(database->handle);
    int code = database->handle == NULL ? SQLITE_NOMEM : sqlite3_errcode(database->handle);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return err_set(err, ERR_NO_MEMORY, "%s: %s", database->path, text);
    case SQLITE_BUSY:
        return err_set(err, ERR_BUSY, "%s: another process holds it: %s", database->path, text);
    case SQLITE_NOTADB:
        return err_set(err, ERR_FORMAT, "%s is not a database: " ADVICE, database->path);
    case SQLITE_CORRUPT:
        return err_set(err, ERR_FORMAT, "%s is damaged (%s): " ADVICE, database->path, text);
    default:
        break;
    }
    /* What the disk said, if it did: "disk I/O error" is also said of a full one. */
    int number = database->handle == NULL ? 0 : sqlite3_system_errno(database->handle);
    return err_set(err, ERR_IO, "%s: %s%s%s", database->path, text, number == 0 ? "" : ": ",
                   number == 0 ? "" : strerror(number));
}

static bool execute(const struct database *database, const char *sql, struct err *err)
{
    if (sqlite3_exec(database->handle, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return database_fail(database, err);
    }
    return true;
}

/* The one number that a statement without parameters gives. */
static bool query_number(const struct database *database, const char *sql, int64_t *out,
                         struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool ok = false;
    if (sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
        ok = true;
    } else {
        database_fail(database, err);
    }
    sqlite3_finalize(statement);
    return ok;
}

/* *version 0: it is empty, and may become ours. */
static bool identify(const struct database *database, int64_t *version, struct err *err)
{
    int64_t application = 0;
    int64_t objects = 0;
    if (!query_number(database, "PRAGMA application_id", &application, err) ||
        !query_number(database, "PRAGMA user_version", version, err) ||
        !query_number(database, "SELECT count(*) FROM sqlite_schema", &objects, err)) {
        return false;
    }
    if (application == 0 && *version == 0 && objects == 0) {
        return true;
    }
    if (application != DATABASE_APPLICATION_ID) {
        return err_set(err, ERR_FORMAT,
                       "%s is a database of another program: name another file for the store",
                       database->path);
    }
    if (*version < 1 || *version > DATABASE_VERSION) {
        return err_set(err, ERR_FORMAT,
                       "%s has version %lld and this program knows %d: run the program that made "
                       "it, or a newer one",
                       database->path, (long long)*version, DATABASE_VERSION);
    }
    return true;
}

static bool upgrade_from(const struct database *database, int64_t version, struct err *err)
{
    char mark[128];
    (void)sqlite3_snprintf((int)sizeof(mark), mark,
                           "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                           DATABASE_APPLICATION_ID, DATABASE_VERSION);
    for (; version < DATABASE_VERSION; version++) {
        if (!execute(database, versions[version], err)) {
            return false;
        }
    }
    return execute(database, mark, err);
}

/* Another process may be at the same file, so it is looked at again inside the transaction. */
static bool upgrade(const struct database *database, bool *created, struct err *err)
{
    int64_t version = 0;
    if (!execute(database, "BEGIN IMMEDIATE", err)) {
        return false;
    }
    if (!identify(database, &version, err) || !upgrade_from(database, version, err) ||
        !execute(database, "COMMIT", err)) {
        (void)sqlite3_exec(database->handle, "ROLLBACK", NULL, NULL, NULL);
        return false;
    }
    *created = version == 0;
    return true;
}

/* SQLite would make it with the umask's mode; the files beside it follow this one. A file that is
 * there is not even opened: closing any descriptor of it would drop the POSIX locks that another
 * connection of this process holds, and the next process to leave would delete the WAL under us. */
static bool make_private(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) {
        return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return true;
}

static bool prepare(struct database *database, struct err *err)
{
    for (size_t i = 0; i < DATABASE_STATEMENT_COUNT; i++) {
        int code = sqlite3_prepare_v3(database->handle, statements[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &database->statements[i], NULL);
        if (code == SQLITE_ERROR) {
            return err_set(err, ERR_FORMAT,
                           "%s has not the tables that it should have (%s): " ADVICE,
                           database->path, sqlite3_errmsg(database->handle));
        }
        if (code != SQLITE_OK) {
            return database_fail(database, err);
        }
    }
    return true;
}

bool store_database_open(struct database *database, const char *path, bool *created,
                         struct err *err)
{
    int64_t version = 0;
    bool made = false;
    *database = (struct database){.path = path};
    if (!make_private(path, err)) {
        return false;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &database->handle, flags, NULL) != SQLITE_OK) {
        database_fail(database, err);
        goto fail;
    }
    (void)sqlite3_busy_timeout(database->handle, DATABASE_BUSY_TIMEOUT_MS);
    if (!identify(database, &version, err) ||
        !execute(database,
                 "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "PRAGMA wal_autocheckpoint = 2000;"
                 "PRAGMA journal_size_limit = 67108864;",
                 err) ||
        (version < DATABASE_VERSION && !upgrade(database, &made, err)) || !prepare(database, err)) {
        goto fail;
    }
    if (created != NULL) {
        *created = made;
    }
    return true;
fail:
    store_database_close(database);
    return false;
}

void store_database_close(struct database *database)
{
    for (size_t i = 0; i < DATABASE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(database->statements[i]);
        database->statements[i] = NULL;
    }
    int code = sqlite3_close(database->handle);
    assert(code == SQLITE_OK);
    (void)code;
    database->handle = NULL;
}

sqlite3_stmt *store_database_statement(const struct database *database,
                                       enum database_statement statement)
{
    sqlite3_stmt *prepared = database->statements[statement];
    (void)sqlite3_clear_bindings(prepared);
    return prepared;
}

bool store_database_step(const struct database *database, sqlite3_stmt *statement, bool *row,
                         struct err *err)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        database_fail(database, err);
        (void)sqlite3_reset(statement);
        return false;
    }
    *row = code == SQLITE_ROW;
    return true;
}

bool store_database_run(const struct database *database, sqlite3_stmt *statement, struct err *err)
{
    bool row = true;
    while (row) {
        if (!store_database_step(database, statement, &row, err)) {
            return false;
        }
    }
    (void)sqlite3_reset(statement);
    return true;
}

bool store_column_bytes(sqlite3_stmt *row, int column, uint8_t *out, size_t size)
{
    const void *blob = sqlite3_column_blob(row, column);
    if (blob == NULL || (size_t)sqlite3_column_bytes(row, column) != size) {
        return false;
    }
    memcpy(out, blob, size);
    return true;
}

bool store_column_text(sqlite3_stmt *row, int column, char *out, size_t out_size)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    size_t size = (size_t)sqlite3_column_bytes(row, column);
    if (text == NULL || size >= out_size) {
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

bool store_meta_get(const struct database *database, const char *name, uint64_t *out,
                    struct err *err)
{
    bool row = false;
    sqlite3_stmt *statement = store_database_statement(database, DATABASE_META_GET);
    (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (!store_database_step(database, statement, &row, err)) {
        return false;
    }
    if (row) {
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_reset(statement);
    return row || err_set(err, ERR_FORMAT, "%s has no %s: " ADVICE, database->path, name);
}

bool store_meta_set(const struct database *database, const char *name, uint64_t value,
                    struct err *err)
{
    sqlite3_stmt *statement = store_database_statement(database, DATABASE_META_SET);
    (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)value);
    return store_database_run(database, statement, err);
}

bool store_meta_increment(const struct database *database, const char *name, struct err *err)
{
    sqlite3_stmt *statement = store_database_statement(database, DATABASE_META_INCREMENT);
    (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return store_database_run(database, statement, err);
}
