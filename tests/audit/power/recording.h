/* recording.h: what a server did to a directory and when it spoke, as record.c writes it down and
 * disk.c plays it again.
 *
 * A recording is a row of records, each a header and then `name_size` and `data_size` bytes. It is
 * made and read on one machine, so integers are as the machine has them. Files and directories are
 * named by their inode number; CREATE and MAKE_DIRECTORY begin a new life of a number.
 *
 *     kind                   node     parent    offset       name        data
 *     HELD_DIRECTORY, _FILE  itself   its own   mode         its name    content (before the first
 * record) CREATE, MAKE_DIRECTORY itself   its own   mode         its name WRITE file in the file
 * what was written TRUNCATE               file               new size SYNC_BEGIN, SYNC_END   any
 * number of the sync RENAME                 to's     from's                 from        to's name
 *     UNLINK                          its own                its name
 *     SEND                   fd                                          bytes on their way to a
 * peer
 *
 * The root has parent 0. A record stands where its operation was complete, but for SYNC_BEGIN and
 * SEND, which stand before it: so a sync covers what stands before its begin, and nobody has heard
 * of anything before its SEND.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWER_RECORDING_H
#define POWER_RECORDING_H

#include <stdint.h>

enum record_kind {
    RECORD_HELD_DIRECTORY = 1,
    RECORD_HELD_FILE,
    RECORD_CREATE,
    RECORD_MAKE_DIRECTORY,
    RECORD_WRITE,
    RECORD_TRUNCATE,
    RECORD_SYNC_BEGIN,
    RECORD_SYNC_END,
    RECORD_SYNC_FAILED,
    RECORD_RENAME,
    RECORD_UNLINK,
    RECORD_SEND,
};

struct record {
    uint32_t kind;
    uint32_t name_size;
    uint64_t node;
    uint64_t parent;
    uint64_t offset;
    uint64_t data_size;
};

#define RECORD_DIRECTORY_VARIABLE "WH_RECORD_DIRECTORY" /* absolute; may not exist yet */
#define RECORD_FILE_VARIABLE "WH_RECORD_FILE"           /* appended to */

#endif
