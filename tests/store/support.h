/* support.h: a store in a directory of its own with a clock that stands still, for each test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_STORE_SUPPORT_H
#define TESTS_STORE_SUPPORT_H

#include "base/arena.h"
#include "store/store.h"
#include "store/writer.h"

#include <semaphore.h>

enum { PATH_BYTES = 512 };

extern char directory[PATH_BYTES];
extern char path[PATH_BYTES]; /* of the store, in the directory */
extern int64_t now_ms;        /* what fake_clock says */
extern const struct clock fake_clock;

struct done {
    sem_t posted;
    int ok_count;
    int failed_count;
};

struct gate {
    sem_t entered;
    sem_t leave;
};

void store_setup(void);
void store_teardown(void);
struct store *open_store(bool *created);
void expect_refused(enum err_code code);
void run_sql(const char *sql);
void done_cb(void *context, bool ok);
struct store_execution sample(int number);
bool put_and_wait(struct store *store, const struct store_execution *execution);
bool get(struct store *store, int number, struct arena *arena, struct store_execution *out,
         struct err *err);
void hold(struct store *store, struct gate *gate);
struct store_api_key key_sample(const char *id, int64_t created_ms);
void add_key(struct store *store, const char *id, int64_t created_ms);
uint64_t version_of(struct store *store);

#endif
