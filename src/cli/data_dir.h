/* data_dir.h: where a node keeps what lasts. One rule for `serve` and for the commands beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_DATA_DIR_H
#define CLI_DATA_DIR_H

#include "cli/config.h"

enum { DATA_DIR_CHARS_MAX = 4000, DATA_DIR_FILE_CHARS_MAX = DATA_DIR_CHARS_MAX + 32 };

struct data_dir {
    char path[DATA_DIR_CHARS_MAX + 1];
    char audit[DATA_DIR_FILE_CHARS_MAX];     /* the log's directory */
    char store[DATA_DIR_FILE_CHARS_MAX];     /* the SQLite file */
    char store_key[DATA_DIR_FILE_CHARS_MAX]; /* what seals kept answers, itself sealed */
    char tee[DATA_DIR_FILE_CHARS_MAX];       /* the simulator's directory */
    char witness[DATA_DIR_FILE_CHARS_MAX];   /* what it has cosigned of other logs, and its key */
};

/* From data_dir of the settings; CONFIG if it is empty. The other finds the settings itself: path
 * NULL: $WASM_HYPERVISOR_DATA_DIR, else below the home directory. Makes nothing. */
bool data_dir_of_config(const struct config *config, struct data_dir *out,
                        struct err *err) MUST_CHECK;
bool data_dir_find(const char *path, struct data_dir *out, struct err *err) MUST_CHECK;

#endif
