/* file.c: whole files in and out, and directories.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK_BYTES = 65536 };

static bool read_all(int fd, const char *path, struct buffer *buffer, struct err *err)
{
    uint8_t chunk[READ_CHUNK_BYTES];
    for (;;) {
        ssize_t size = read(fd, chunk, sizeof chunk);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return err_set(err, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
        }
        if (size == 0) {
            return true;
        }
        buffer_append(buffer, chunk, (size_t)size);
        if (buffer->failed) {
            return err_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, buffer->size_max);
        }
    }
}

bool cli_file_read(const char *path, size_t size_max, uint8_t **out, size_t *size, struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(err, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    }
    struct buffer buffer;
    buffer_init(&buffer, size_max);
    bool ok = read_all(fd, is_stdin ? "standard input" : path, &buffer, err);
    if (!is_stdin) {
        close(fd);
    }
    uint8_t *content = ok ? buffer_detach(&buffer, size) : NULL;
    buffer_release(&buffer);
    if (ok && content == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory reading '%s'", path);
    }
    if (ok) {
        *out = content;
    }
    return ok;
}

bool cli_file_write(const char *path, struct bytes content, struct err *err)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return err_set(err, ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    }
    size_t written = content.size > 0 ? fwrite(content.ptr, 1, content.size, file) : 0;
    if (fclose(file) != 0 || written != content.size) {
        return err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    }
    return true;
}

bool cli_file_write_json(const char *path, const json_t *value, struct err *err)
{
    char *text = json_dumps(value, JSON_COMPACT);
    bool ok = text != NULL ? cli_file_write(path, bytes_of_string(text), err)
                           : err_set(err, ERR_NO_MEMORY, "out of memory writing '%s'", path);
    heap_free(text);
    return ok;
}

static bool make_one(const char *path, mode_t mode, struct err *err)
{
    if (mkdir(path, mode) == 0) {
        return true;
    }
    int cause = errno;
    struct stat status;
    if (cause == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return true;
    }
    return err_set(err, ERR_IO, "cannot make the directory '%s': %s", path,
                   cause == EEXIST ? "something else is there" : strerror(cause));
}

bool cli_directory_make(const char *path, unsigned mode, struct err *err)
{
    if (path[0] == '\0') {
        return err_set(err, ERR_CONFIG, "the name of a directory is empty");
    }
    char *partial = heap_strdup(path);
    if (partial == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    bool ok = true;
    for (char *slash = strchr(partial + 1, '/'); ok && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ok = make_one(partial, 0755, err);
        *slash = '/';
    }
    ok = ok && make_one(partial, (mode_t)mode, err);
    heap_free(partial);
    return ok;
}
