/* replay.c: what every power cut during a recording may leave of a log, built and judged.
 *
 *     power_replay RECORDING [--vkey KEY] [--random N] [--seed N] [--forget data|names]
 *                  [--write N DIRECTORY]
 *
 * At each record that changes the disk, with everything that was said until just before the next
 * one: each file's unsynced writes and each name on its own arrived or lost, in all combinations as
 * long as they are few; the other fates of disk.h for each file; and N random states. States that
 * look alike are judged once. --forget plays the recording as if the server had not synced that:
 * then promises must be found broken. --write keeps the N-th state instead of judging any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"
#include "image.h"

#include "base/arena.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BITS_MAX = 6, RANDOM_DEFAULT = 4, SEEN_SLOTS = 1 << 20, SEED_DEFAULT = 20261121 };

struct replay {
    struct disk disk;
    struct promises promises;
    struct check check;
    struct check_history whole;
    struct image image;
    struct image_choice choice;
    struct disk_random random;
    size_t random_count;
    uint64_t *seen; /* open addressing; 0: empty */
    size_t state_count;
    size_t promise_count; /* that stand before the next record */
    size_t write_number;  /* 0: judge */
    const char *write_directory;
    char directory[128];
};

static bool seen_before(struct replay *replay, uint64_t digest)
{
    uint64_t key = (digest ^ replay->promise_count * 0x9e3779b97f4a7c15) | 1;
    size_t slot = (size_t)(key >> 40) % SEEN_SLOTS;
    while (replay->seen[slot] != 0 && replay->seen[slot] != key) {
        slot = (slot + 1) % SEEN_SLOTS;
    }
    bool seen = replay->seen[slot] == key;
    replay->seen[slot] = key;
    return seen;
}

/* Keeps the state, and says how large a tree was promised before it. */
static bool state_write(const struct replay *replay, struct err *err)
{
    uint64_t size = 0;
    for (size_t i = 0; i < replay->promise_count; i++) {
        uint64_t place = replay->promises.rows[i].place + replay->promises.rows[i].is_leaf;
        size = place > size ? place : size;
    }
    (void)printf("%" PRIu64 " entries were promised\n", size);
    return image_write(&replay->image, replay->write_directory, err);
}

/* Builds and judges the state that `choice` describes. */
static bool state_try(struct replay *replay, const char *name, struct err *err)
{
    const struct disk *disk = &replay->disk;
    image_build(&replay->image, disk, &replay->choice, &replay->random);
    if (seen_before(replay, image_digest(&replay->image))) {
        return true;
    }
    assert(++replay->state_count < SEEN_SLOTS / 2);
    if (replay->write_number != 0) {
        return replay->state_count != replay->write_number || state_write(replay, err);
    }
    if (!image_write(&replay->image, replay->directory, err) ||
        !check_directory(&replay->check, replay->directory, disk->at, err)) {
        return err_wrap(err, "state %zu, a power cut after %zu of %zu records, %s",
                        replay->state_count, disk->at, disk->record_count, name);
    }
    return image_remove(replay->directory, err);
}

/* ---- which states ---- */

/* What is open at this point: files with unsynced writes, names with more than one meaning. */
struct open_ends {
    size_t nodes[64];
    size_t node_count;
    size_t names[64];
    size_t name_count;
};

static void open_ends_find(const struct disk *disk, struct open_ends *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < disk->name_count; i++) {
        if (disk->names[i].binding_count > 1 && out->name_count < 64) {
            out->names[out->name_count++] = i;
        }
    }
    for (size_t i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i].pending_count + disk->nodes[i].loose_count > 0 && out->node_count < 64 &&
            disk_node_is_named(disk, (int)i)) {
            out->nodes[out->node_count++] = i;
        }
    }
}

static void choose_all(struct replay *replay, enum disk_fate fate, bool names_arrived)
{
    const struct disk *disk = &replay->disk;
    for (size_t i = 0; i < disk->node_count; i++) {
        replay->choice.fates[i] = fate;
    }
    for (size_t i = 0; i < disk->name_count; i++) {
        replay->choice.bindings[i] = names_arrived ? disk->names[i].binding_count - 1 : 0;
    }
}

/* Arrived or lost, each on its own, in all combinations. */
static bool try_combinations(struct replay *replay, const struct open_ends *ends, struct err *err)
{
    size_t bits = ends->node_count + ends->name_count;
    bool all = bits <= BITS_MAX;
    uint64_t count = (uint64_t)1 << (all ? bits : BITS_MAX);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t lost = all ? i : disk_random(&replay->random, UINT64_MAX);
        lost = i == 0 ? 0 : i == count - 1 ? UINT64_MAX : lost;
        choose_all(replay, DISK_ARRIVED, true);
        for (size_t j = 0; j < ends->node_count; j++, lost >>= 1) {
            replay->choice.fates[ends->nodes[j]] = (lost & 1) != 0 ? DISK_LOST : DISK_ARRIVED;
        }
        for (size_t j = 0; j < ends->name_count; j++, lost >>= 1) {
            replay->choice.bindings[ends->names[j]] *= (lost & 1) == 0;
        }
        if (!state_try(replay, "with each file and name there or lost", err)) {
            return false;
        }
    }
    return true;
}

static bool try_fates(struct replay *replay, const struct open_ends *ends, struct err *err)
{
    static const char *const names[DISK_FATE_COUNT] = {
        [DISK_LAST_ONLY] = "with the last write only",
        [DISK_ALL_BUT_ONE] = "with all writes but one",
        [DISK_CUT] = "with the last write cut",
        [DISK_TAIL_LOST] = "with the end of the last write lost",
        [DISK_HEAD_LOST] = "with the beginning of the last write lost",
        [DISK_ZEROS] = "with zeros for what was written",
        [DISK_STALE] = "with stale sectors for what was written",
        [DISK_RANDOM_512] = "with some sectors",
        [DISK_RANDOM_4096] = "with some pages",
    };
    for (size_t i = 0; i < ends->node_count; i++) {
        for (int fate = DISK_LAST_ONLY; fate < DISK_FATE_COUNT; fate++) {
            for (int arrived = 0; arrived < 2; arrived++) {
                choose_all(replay, DISK_ARRIVED, arrived != 0);
                replay->choice.fates[ends->nodes[i]] = (enum disk_fate)fate;
                if (!state_try(replay, names[fate], err)) {
                    return false;
                }
            }
        }
    }
    return true;
}

static bool try_random(struct replay *replay, const struct open_ends *ends, struct err *err)
{
    const struct disk *disk = &replay->disk;
    for (size_t n = 0; n < replay->random_count; n++) {
        choose_all(replay, DISK_ARRIVED, true);
        for (size_t i = 0; i < ends->node_count; i++) {
            replay->choice.fates[ends->nodes[i]] =
                (enum disk_fate)disk_random(&replay->random, DISK_FATE_COUNT);
        }
        for (size_t i = 0; i < ends->name_count; i++) {
            size_t name = ends->names[i];
            replay->choice.bindings[name] =
                (size_t)disk_random(&replay->random, disk->names[name].binding_count);
        }
        if (!state_try(replay, "with anything lost", err)) {
            return false;
        }
    }
    return true;
}

static bool try_here(struct replay *replay, struct err *err)
{
    const struct disk *disk = &replay->disk;
    struct open_ends ends;
    if (disk->root == DISK_NONE) {
        return true;
    }
    while (replay->promise_count < replay->promises.count &&
           replay->promises.rows[replay->promise_count].record < disk->at) {
        replay->promise_count++;
    }
    open_ends_find(disk, &ends);
    image_choice_fit(&replay->choice, disk);
    return try_combinations(replay, &ends, err) && try_fates(replay, &ends, err) &&
           (ends.node_count + ends.name_count == 0 || try_random(replay, &ends, err));
}

static bool replay_run(struct replay *replay, struct err *err)
{
    struct disk *disk = &replay->disk;
    while (disk->at < disk->record_count) {
        bool held = disk->records[disk->at].head.kind <= RECORD_HELD_FILE;
        /* The state before a record, as late as possible: with all that was said by then. */
        if (!held && disk_record_matters(&disk->records[disk->at]) && !try_here(replay, err)) {
            return false;
        }
        disk_step(disk);
    }
    return try_here(replay, err);
}

/* ---- the beginning ---- */

/* Plays to the end once, to know the log's key and all of its entries. */
static bool replay_survey(struct replay *replay, struct bytes recording, const char **vkey,
                          struct err *err)
{
    struct disk *disk = &replay->disk;
    while (disk->at < disk->record_count) {
        disk_step(disk);
    }
    image_choice_fit(&replay->choice, disk);
    choose_all(replay, DISK_ARRIVED, true);
    image_build(&replay->image, disk, &replay->choice, &replay->random);
    struct bytes key = image_find(&replay->image, "/log.vkey");
    const uint8_t *plus = key.size == 0 ? NULL : memchr(key.ptr, '+', key.size);
    if (plus == NULL) {
        return err_set(err, ERR_FORMAT, "the recording ends without a log.vkey");
    }
    char *origin = heap_strdup((const char *)key.ptr);
    origin[plus - key.ptr] = '\0';
    if (*vkey == NULL) {
        char *line = heap_strdup((const char *)key.ptr);
        line[strcspn(line, "\n")] = '\0';
        *vkey = line;
    }
    promises_find(&replay->promises, disk, origin);
    heap_free(origin);
    bool ok = image_write(&replay->image, replay->directory, err) &&
              check_history_read(replay->directory, &replay->whole, err) &&
              image_remove(replay->directory, err);
    disk_release(disk);
    return ok && disk_load(disk, recording, err);
}

/* Plays it as if the server had not synced its data, or its directories, once it was running. */
static void forget_syncs(struct disk *disk, size_t first, bool of_directories)
{
    for (size_t i = first; i < disk->record_count; i++) {
        struct record *record = &disk->records[i].head;
        if (record->kind == RECORD_SYNC_END &&
            disk_number_is_directory(disk, record->node, i) == of_directories) {
            record->kind = RECORD_SYNC_BEGIN;
        }
    }
}

static bool file_load(const char *path, struct buffer *out, struct err *err)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return err_set(err, ERR_IO, "%s cannot be read", path);
    }
    static uint8_t chunk[65536];
    for (size_t size; (size = fread(chunk, 1, sizeof(chunk), file)) > 0;) {
        buffer_append(out, chunk, size);
    }
    (void)fclose(file);
    return !out->failed || err_set(err, ERR_LIMIT, "%s is too long", path);
}

static bool replay_all(struct replay *replay, const char *path, const char *forget,
                       const char *vkey, struct err *err)
{
    struct buffer recording;
    const char *key = vkey;
    buffer_init(&recording, (size_t)1 << 30);
    bool ok =
        file_load(path, &recording, err) && disk_load(&replay->disk, buffer_bytes(&recording), err);
    ok = ok && replay_survey(replay, buffer_bytes(&recording), &key, err);
    if (ok) {
        if (forget != NULL) {
            size_t first = replay->promises.count == 0 ? 0 : replay->promises.rows[0].record;
            forget_syncs(&replay->disk, first, strcmp(forget, "names") == 0);
        }
        replay->check =
            (struct check){.promises = &replay->promises,
                           .whole = &replay->whole,
                           .vkey = key,
                           .log_was_there = replay->disk.records[0].head.kind <= RECORD_HELD_FILE};
        ok = replay_run(replay, err);
    }
    buffer_release(&recording);
    return ok;
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: power_replay RECORDING [--vkey KEY] [--random N] [--seed N]\n"
                          "                    [--forget data|names] [--write N DIRECTORY]\n");
    return 2;
}

int main(int count, char **arguments)
{
    static struct replay replay = {.random_count = RANDOM_DEFAULT,
                                   .random = {.state = SEED_DEFAULT}};
    const char *forget = NULL;
    const char *vkey = NULL;
    struct err err;
    for (int i = 2; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], "--random") == 0) {
            replay.random_count = strtoul(arguments[i + 1], NULL, 10);
        } else if (strcmp(arguments[i], "--seed") == 0) {
            replay.random.state = strtoull(arguments[i + 1], NULL, 10);
        } else if (strcmp(arguments[i], "--forget") == 0) {
            forget = arguments[i + 1];
        } else if (strcmp(arguments[i], "--vkey") == 0) {
            vkey = arguments[i + 1];
        } else if (strcmp(arguments[i], "--write") == 0 && i + 2 < count) {
            replay.write_number = strtoul(arguments[i + 1], NULL, 10);
            replay.write_directory = arguments[i + 2];
            i++;
        } else {
            return usage();
        }
    }
    if (count < 2) {
        return usage();
    }
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(replay.directory, sizeof(replay.directory), "%s/power-%ld", base,
                   (long)getpid());
    replay.seen = heap_alloc_array(SEEN_SLOTS, sizeof(*replay.seen));
    if (!replay_all(&replay, arguments[1], forget, vkey, &err)) {
        (void)printf("power: %s; see %s\n", err.message, replay.directory);
        return 1;
    }
    if (replay.write_number == 0) {
        (void)printf("power: %zu records, %" PRIu64
                     " entries, %zu promises: all kept in %zu states\n",
                     replay.disk.record_count, replay.whole.own_count, replay.promises.count,
                     replay.state_count);
    }
    return 0;
}
