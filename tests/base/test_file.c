/* test_file: a file is under its name whole or not at all, whatever stops the writing and whatever
 * an earlier try left beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PART_BYTES = 10 };

static const char text[] = "a key that is longer than a part";
static struct err err;

/* Each test has a process, and in it a directory, of its own. */
static void setup(void)
{
    char directory[] = "/tmp/wh-file-XXXXXX";
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    umask(0);
}

static void teardown(void)
{
    static const char *const names[] = {"key", "key.new", "other"};
    char directory[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)!remove(names[i]);
    }
    cr_assert_not_null(getcwd(directory, sizeof directory));
    cr_assert_eq(rmdir(directory), 0, "%s: %s", directory, strerror(errno));
}

TestSuite(base_file, .init = setup, .fini = teardown);

static void leave(const char *name, const char *content, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_file(const char *name, const char *content)
{
    char found[64] = {0};
    int fd = open(name, O_RDONLY | O_NOFOLLOW);
    cr_assert(fd >= 0, "%s: %s", name, strerror(errno));
    cr_assert_geq(read(fd, found, sizeof found - 1), 0);
    cr_assert_str_eq(found, content);
    close(fd);
}

static void expect_mode(const char *name, mode_t mode)
{
    struct stat status;
    cr_assert_eq(lstat(name, &status), 0);
    cr_assert_eq(status.st_mode & 07777, mode);
}

static void expect_nothing(const char *name)
{
    struct stat status;
    cr_assert(lstat(name, &status) != 0 && errno == ENOENT, "%s is there", name);
}

static void expect_failed(bool ok, int cause)
{
    cr_assert_not(ok);
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_not_null(strstr(err.message, strerror(cause)), "%s", err.message);
}

static void file_size_max(rlim_t size)
{
    struct rlimit limit = {.rlim_cur = size, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(base_file, is_made_for_its_owner_alone)
{
    char directory[PATH_MAX];
    char path[PATH_MAX + 8];
    cr_assert(file_create("key", bytes_of_string(text), &err), "%s", err.message);
    expect_file("key", text);
    expect_mode("key", 0600);
    expect_nothing("key.new");
    cr_assert_eq(remove("key"), 0);
    cr_assert_not_null(getcwd(directory, sizeof directory));
    snprintf(path, sizeof path, "%s/key", directory);
    cr_assert(file_create(path, bytes_of(NULL, 0), &err), "%s", err.message);
    expect_file("key", "");
}

Test(base_file, is_replaced_whole)
{
    cr_assert(file_replace("key", bytes_of_string(text), &err), "%s", err.message);
    cr_assert_eq(chmod("key", 0644), 0);
    cr_assert(file_replace("./key", bytes_of_string("short"), &err), "%s", err.message);
    expect_file("key", "short");
    expect_mode("key", 0600);
    expect_nothing("key.new");
}

Test(base_file, create_takes_the_place_of_nothing)
{
    leave("key", "mine", 0640);
    expect_failed(file_create("key", bytes_of_string(text), &err), EEXIST);
    expect_file("key", "mine");
    expect_mode("key", 0640);
    cr_assert_eq(remove("key"), 0);
    cr_assert_eq(symlink("other", "key"), 0);
    expect_failed(file_create("key", bytes_of_string(text), &err), EEXIST);
    expect_nothing("other");
    expect_nothing("key.new");
}

Test(base_file, what_a_crash_left_is_in_nobodys_way)
{
    leave("key.new", "half a", 0666);
    cr_assert(file_create("key", bytes_of_string(text), &err), "%s", err.message);
    expect_file("key", text);
    expect_mode("key", 0600);
    leave("other", "other", 0600);
    cr_assert_eq(symlink("other", "key.new"), 0);
    cr_assert(file_replace("key", bytes_of_string("second"), &err), "%s", err.message);
    expect_file("key", "second");
    expect_file("other", "other");
    expect_nothing("key.new");
}

Test(base_file, a_kill_within_the_writing_leaves_nothing_under_the_name)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        const struct rlimit none = {0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGXFSZ, SIG_DFL);
        file_size_max(PART_BYTES);
        (void)!file_create("key", bytes_of_string(text), &err);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ, "%x", (unsigned)status);
    expect_nothing("key");
    expect_file("key.new", "a key that"); /* its first PART_BYTES */
    cr_assert(file_create("key", bytes_of_string(text), &err), "%s", err.message);
    expect_file("key", text);
    expect_nothing("key.new");
}

Test(base_file, a_full_disk_leaves_what_was_there)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    file_size_max(PART_BYTES);
    expect_failed(file_create("key", bytes_of_string(text), &err), EFBIG);
    expect_nothing("key");
    expect_nothing("key.new");
    leave("key", "mine", 0600);
    expect_failed(file_replace("key", bytes_of_string(text), &err), EFBIG);
    expect_file("key", "mine");
    expect_nothing("key.new");
}

Test(base_file, what_cannot_be_written_is_an_error)
{
    char name[NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    name[NAME_MAX] = '\0';
    expect_failed(file_create("nowhere/key", bytes_of_string(text), &err), ENOENT);
    expect_failed(file_create("", bytes_of_string(text), &err), ENOENT);
    expect_failed(file_create(name, bytes_of_string(text), &err), ENAMETOOLONG);
    cr_assert_eq(mkdir("key.new", 0700), 0);
    expect_failed(file_create("key", bytes_of_string(text), &err), EISDIR);
    expect_nothing("key");
    cr_assert_eq(rmdir("key.new"), 0);
    cr_assert_eq(mkdir("key", 0700), 0);
    expect_failed(file_replace("key", bytes_of_string(text), &err), EISDIR);
    expect_nothing("key.new");
}
