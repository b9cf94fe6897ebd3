/* test_flip.c: each byte of a log of 200 entries is changed in turn, and the log verified with a
 * key that was kept elsewhere: it is found, and the entry named, or it does not matter to what the
 * log says. docs/audit-log.md lists what does not matter, and why.
 *
 * With WH_FLIPS=all every byte, in two ways, and the log is opened after each. Else every byte of
 * what is special, in either way, and of the other entries every fourth, shifted from entry to
 * entry, so that each place in an entry has its turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES = 200, PARTS = 4, OPENED_EVERY = 97 };

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { STEP = 31 };
#else
enum { STEP = 4 };
#endif
#else
enum { STEP = 4 };
#endif

static bool everything(void)
{
    const char *flips = getenv("WH_FLIPS");
    return flips != NULL && strcmp(flips, "all") == 0;
}

static bool opens(const char *directory, enum err_code *code)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, &err)) {
        *code = err.code;
        return false;
    }
    audit_log_close(log);
    return true;
}

/* A log, the key that an auditor kept, and one of its files. */
struct victim {
    char directory[PATH_BYTES];
    char vkey[512];
    const char *name;
    uint8_t *content;
    size_t size;
    int fd;
};

static void victim_make(struct victim *victim, const char *name)
{
    char path[PATH_BYTES];
    size_t size = 0;
    directory_make(victim->directory);
    log_make(victim->directory, ENTRIES + 1);
    /* The last RESULT is left out, so that the log ends on an ADMIT and opening would write. */
    uint8_t *vkey = file_read(victim->directory, "log.vkey", &size);
    snprintf(victim->vkey, sizeof(victim->vkey), "%.*s", (int)size - 1, (const char *)vkey);
    heap_free(vkey);
    victim->name = name;
    victim->content = file_read(victim->directory, name, &victim->size);
    path_join(path, victim->directory, name);
    victim->fd = open(path, O_RDWR);
    cr_assert(victim->fd >= 0);
    cr_assert_eq(log_report(victim->directory, victim->vkey).verdict, AUDIT_OK);
}

static void victim_release(struct victim *victim)
{
    close(victim->fd);
    heap_free(victim->content);
    directory_remove(victim->directory);
}

static void flip(const struct victim *victim, size_t at, uint8_t pattern)
{
    uint8_t changed = victim->content[at] ^ pattern;
    cr_assert_eq(pwrite(victim->fd, &changed, 1, (off_t)at), 1);
}

/* Opening may have written: the file is as it was again. */
static void restore(const struct victim *victim)
{
    cr_assert_eq(ftruncate(victim->fd, (off_t)victim->size), 0);
    cr_assert_eq(pwrite(victim->fd, victim->content, victim->size, 0), (ssize_t)victim->size);
}

static uint8_t pattern_of(size_t at, int way)
{
    return way == 0 ? (uint8_t)(1 << at % 8) : 0xff;
}

/* ---- entries ---- */

static void flip_entry_byte(const struct victim *victim, size_t at, uint64_t entry, int way)
{
    enum err_code code = ERR_NONE;
    flip(victim, at, pattern_of(at, way));
    struct audit_report report = log_report(victim->directory, victim->vkey);
    cr_expect(report.verdict == AUDIT_TAMPERED || report.verdict == AUDIT_TRUNCATED, "byte %zu: %s",
              at, audit_verdict_name(report.verdict));
    cr_expect_eq(report.bad_index, entry, "byte %zu of entry %d: %s", at, (int)entry,
                 report.detail);
    if (everything() || at % OPENED_EVERY == 0) {
        cr_expect(!opens(victim->directory, &code) && code == ERR_TAMPERED, "byte %zu", at);
    }
    flip(victim, at, 0);
}

ParameterizedTestParameters(audit_flip, every_changed_byte_of_an_entry_is_found_and_named)
{
    static int parts[PARTS] = {0, 1, 2, 3};
    return cr_make_param_array(int, parts, PARTS);
}

ParameterizedTest(int *part, audit_flip, every_changed_byte_of_an_entry_is_found_and_named)
{
    struct victim victim;
    uint64_t entry = 0;
    size_t flips = 0;
    victim_make(&victim, "entries/000000000000.log");
    for (size_t begin = 0; begin < victim.size; entry++) {
        size_t end = begin + 2 + (size_t)victim.content[begin] * 256 + victim.content[begin + 1];
        bool special = entry == 0 || entry == ENTRIES;
        for (size_t at = begin; at < end; at++) {
            bool wanted = everything() || (special && STEP == 4) || (at + entry) % STEP == 0;
            if ((at / STEP) % PARTS != (size_t)*part || !wanted) {
                continue;
            }
            for (int way = everything() ? 0 : (int)(at / PARTS) % 2; way < 2;
                 way += 2 - everything()) {
                flip_entry_byte(&victim, at, entry, way);
                flips++;
            }
        }
        begin = end;
    }
    cr_assert_eq(entry, ENTRIES + 1);
    cr_assert_gt(flips, victim.size / STEP / PARTS / 2);
    victim_release(&victim);
}

/* ---- the small files ---- */

/* Changes each byte of a file in two ways, looks, and takes it back; how often `look` called it
 * harmless. */
static size_t flip_each(struct victim *victim, bool (*look)(const struct victim *victim, size_t at))
{
    size_t harmless = 0;
    for (size_t i = 0; i < 2 * victim->size; i++) {
        flip(victim, i / 2, pattern_of(i / 2, i % 2));
        harmless += look(victim, i / 2);
        restore(victim);
    }
    return harmless;
}

static bool checkpoint_look(const struct victim *victim, size_t at)
{
    enum err_code code = ERR_NONE;
    enum audit_verdict verdict = log_report(victim->directory, victim->vkey).verdict;
    cr_expect(verdict == AUDIT_TAMPERED || verdict == AUDIT_UNVERIFIABLE, "byte %zu: %s", at,
              audit_verdict_name(verdict));
    cr_expect(!opens(victim->directory, &code) && code == ERR_TAMPERED, "byte %zu", at);
    return false;
}

Test(audit_flip, every_changed_byte_of_the_checkpoint_is_found)
{
    struct victim victim;
    victim_make(&victim, "checkpoint");
    flip_each(&victim, checkpoint_look);
    victim_release(&victim);
}

static bool vkey_look(const struct victim *victim, size_t at)
{
    enum err_code code = ERR_NONE;
    cr_expect_eq(log_report(victim->directory, victim->vkey).verdict, AUDIT_OK, "byte %zu", at);
    enum audit_verdict verdict = log_report(victim->directory, NULL).verdict;
    bool same_key = verdict == AUDIT_OK;
    cr_expect(same_key || verdict == AUDIT_UNVERIFIABLE, "byte %zu: %s", at,
              audit_verdict_name(verdict));
    cr_expect(opens(victim->directory, &code) == same_key, "byte %zu", at);
    cr_expect(same_key || code == ERR_TAMPERED, "byte %zu", at);
    return same_key;
}

Test(audit_flip, the_key_in_the_directory_does_not_matter_to_who_brought_one)
{
    struct victim victim;
    victim_make(&victim, "log.vkey");
    cr_expect_leq(flip_each(&victim, vkey_look), 8,
                  "hexadecimal letters of the key's id in the other case");
    victim_release(&victim);
}

static bool signing_key_look(const struct victim *victim, size_t at)
{
    enum err_code code = ERR_NONE;
    cr_expect_eq(log_report(victim->directory, victim->vkey).verdict, AUDIT_OK, "byte %zu", at);
    if (!opens(victim->directory, &code)) {
        cr_expect(code == ERR_TAMPERED || code == ERR_FORMAT, "byte %zu: %d", at, (int)code);
        return false;
    }
    /* PKCS#8's version number and the last line's end: the key is the same. */
    cr_expect((at >= 33 && at <= 35) || at == victim->size - 1, "byte %zu", at);
    cr_expect_eq(log_report(victim->directory, victim->vkey).verdict, AUDIT_OK, "byte %zu", at);
    return true;
}

Test(audit_flip, a_changed_signing_key_is_refused_or_the_same_key)
{
    struct victim victim;
    victim_make(&victim, "signing-key.pem");
    cr_expect_gt(flip_each(&victim, signing_key_look), 0, "the test knows what it lets pass");
    victim_release(&victim);
}
