/* fuzz_audit_directory.c: a log directory whose entries and checkpoint a stranger wrote, who may
 * even sign: whatever is there, verifying and opening end, and agree about it.
 *
 *     byte 0     mode: 0 a checkpoint as it is, 1 one that signs what is there, 2 as 1, in two
 * segments byte 1     how many of the entries are signed (mode 1, 2) bytes 2-3  size of the
 * checkpoint (mode 0), where the second segment begins (mode 2) then       the checkpoint (mode 0),
 * and the entries
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/entries.h"
#include "audit/log.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE "signing-key.pem" /* not sealed */

enum { MODE_AS_IS, MODE_SIGNED, MODE_SEGMENTS, MODE_COUNT };

/* The key of RFC 8032 section 7.1, TEST 1. */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                              "-----END PRIVATE KEY-----\n";
#define VKEY "log.example/node-1+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
static const char vkey[] = VKEY;
static const char vkey_line[] = VKEY "\n";

static char directory[64];
static int directory_fd = -1;
static struct crypto_signer *signer;
static char second_segment[32]; /* of the last input */
static uint64_t second_index;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(const char *name, struct bytes content)
{
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert(fd >= 0 && write(fd, content.ptr, content.size) == (ssize_t)content.size);
    close(fd);
}

static void remove_all(void)
{
    static const char *const names[] = {"checkpoint", "checkpoint.tmp", "log.vkey", KEY_FILE,
                                        AUDIT_ENTRIES_FILE};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlinkat(directory_fd, names[i], 0);
    }
    unlinkat(directory_fd, AUDIT_ENTRIES_DIRECTORY, AT_REMOVEDIR);
    rmdir(directory);
}

static void make_once(void)
{
    struct err err;
    char path[128];
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(directory, sizeof(directory), "%s/fuzz_audit.XXXXXX", base);
    assert(mkdtemp(directory) != NULL);
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY);
    assert(directory_fd >= 0 && mkdirat(directory_fd, AUDIT_ENTRIES_DIRECTORY, 0700) == 0);
    put(AUDIT_VKEY_FILE, bytes_of_string(vkey_line));
    put(KEY_FILE, bytes_of_string(key_pem));
    (void)snprintf(path, sizeof(path), "%s/%s", directory, KEY_FILE);
    bool loaded = crypto_signer_load(path, &signer, &err);
    assert(loaded);
    (void)atexit(remove_all);
}

/* A checkpoint over up to `count` entries, whatever is in them. */
static void put_signed(struct bytes entries, uint64_t count)
{
    struct reader reader = reader_of(entries);
    struct audit_checkpoint checkpoint = {.origin = "log.example/node-1"};
    struct audit_range range;
    struct audit_key key;
    struct buffer text;
    struct buffer note;
    struct err err;
    uint8_t hash[AUDIT_HASH_BYTES];
    uint16_t size;
    struct bytes leaf;
    audit_range_init(&range);
    while (range.size < count && reader_u16be(&reader, &size) &&
           reader_take(&reader, size, &leaf)) {
        audit_leaf_hash(leaf, hash);
        audit_range_append(&range, hash, NULL);
    }
    checkpoint.size = range.size;
    audit_range_root(&range, checkpoint.root);
    buffer_init(&text, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    audit_checkpoint_format(&checkpoint, &text);
    bool ok = audit_key_parse(bytes_of_string(vkey), &key, &err) &&
              audit_note_sign(buffer_bytes(&text), &key, signer, &note, &err);
    assert(ok);
    put(AUDIT_CHECKPOINT_FILE, buffer_bytes(&note));
    buffer_release(&text);
    buffer_release(&note);
}

/* Cuts the entries in two files, the second under the index that its first entry has. */
static void put_entries(struct bytes entries, uint64_t second)
{
    struct reader reader = reader_of(entries);
    uint16_t size;
    struct bytes leaf;
    uint64_t index = 0;
    while (index < second && reader_u16be(&reader, &size) && reader_take(&reader, size, &leaf)) {
        index++;
    }
    size_t cut = second == 0 ? entries.size : reader_offset(&reader);
    put(AUDIT_ENTRIES_FILE, bytes_of(entries.ptr, cut));
    second_index = index;
    if (cut < entries.size) {
        (void)snprintf(second_segment, sizeof(second_segment),
                       AUDIT_ENTRIES_DIRECTORY "/%012" PRIu64 ".log", index);
        put(second_segment, bytes_of(entries.ptr + cut, entries.size - cut));
    }
}

static void judge(bool checkpoint_is_there)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_report report;
    struct audit_log *log = NULL;
    struct err err;
    bool read =
        audit_verify_directory(directory, vkey, bytes_of(NULL, 0), NULL, NULL, &report, &err);
    assert(read);
    bool good = report.verdict == AUDIT_OK;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, &err)) {
        /* Verifying judges no segment behind the checkpoint, nor that nothing is signed. */
        bool is_behind = second_segment[0] != '\0' && second_index >= report.size;
        assert(err.code == ERR_TAMPERED && (!good || is_behind || report.size == 0));
        return;
    }
    assert(good || !checkpoint_is_there);
    audit_log_close(log);
    read = audit_verify_directory(directory, vkey, bytes_of(NULL, 0), NULL, NULL, &report, &err);
    assert(read && report.verdict == AUDIT_OK && report.pending_entries == 0 &&
           report.size == recovery.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool checkpoint_is_there = true;
    if (size < 4) {
        return 0;
    }
    if (directory_fd < 0) {
        make_once();
    }
    if (second_segment[0] != '\0') {
        unlinkat(directory_fd, second_segment, 0);
        second_segment[0] = '\0';
    }
    unsigned mode = data[0] % MODE_COUNT;
    size_t number = (size_t)data[2] << 8 | data[3];
    struct bytes rest = bytes_of(data + 4, size - 4);
    if (mode == MODE_AS_IS) {
        size_t note_size = number < rest.size ? number : rest.size;
        put(AUDIT_CHECKPOINT_FILE, bytes_of(rest.ptr, note_size));
        /* Opening makes a checkpoint anew that a power cut left as nothing or zeros. */
        checkpoint_is_there = false;
        for (size_t i = 0; i < note_size; i++) {
            checkpoint_is_there = checkpoint_is_there || rest.ptr[i] != 0;
        }
        rest = bytes_of(rest.ptr + note_size, rest.size - note_size);
    } else {
        put_signed(rest, data[1]);
    }
    put_entries(rest, mode == MODE_SEGMENTS ? number : 0);
    judge(checkpoint_is_there);
    return 0;
}
