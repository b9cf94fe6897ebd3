/* tee_configfs.c: reports through configfs-tsm (Linux 6.7, Documentation/ABI/testing/configfs-tsm).
 *
 * Making a directory makes a request, its files are the request's members, reading `outblob` asks
 * the firmware. Writing `inblob` takes effect when it is closed, and its failure is not told: so
 * the report's echo is what shows that the data arrived, and `generation` that nobody else wrote in
 * between. The directory is removed on every path: what stays counts against the kernel's memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/tee_hardware.h"

#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 256, TABLE_BYTES_MAX = 16384 + 4096, LINE_BYTES_MAX = 64, NAME_BYTES = 8 };

struct request {
    char directory[PATH_BYTES_MAX / 2];
    uint8_t report[2 * ATTEST_REPORT_BYTES];
    size_t report_size;
    uint8_t table[TABLE_BYTES_MAX];
    size_t table_size;
    struct bytes own; /* certificates, when the host has none */
};

static bool failed(const char *doing, const char *name, struct err *err)
{
    int error = errno;
    if (error == ENOTTY || error == ETIMEDOUT) {
        return err_set(err, ERR_CLOSED,
                       "cannot %s %s: %s: the kernel has no key to the firmware any more, and gets "
                       "none until this VM is restarted",
                       doing, name, strerror(error));
    }
    bool busy = error == EBUSY || error == EAGAIN || error == EINTR;
    return err_set(err, busy ? ERR_BUSY : ERR_IO, "cannot %s %s: %s", doing, name, strerror(error));
}

/* Reads the whole file; false with errno. A file that fills the room is too large: EFBIG. */
static bool file_read(const struct request *request, const char *name, uint8_t *out, size_t room,
                      size_t *size)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s/%s", request->directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = -1;
    if (fd < 0) {
        return false;
    }
    while (used < room && (got = read(fd, out + used, room - used)) > 0) {
        used += (size_t)got;
    }
    int error = used == room ? EFBIG : errno;
    close(fd);
    if (got < 0 || used == room) {
        errno = error;
        return false;
    }
    *size = used;
    return true;
}

static bool file_write(const struct request *request, const char *name, const void *bytes,
                       size_t size)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof path, "%s/%s", request->directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t written = write(fd, bytes, size);
    int error = written < 0 ? errno : EIO;
    if (close(fd) != 0) {
        return false;
    }
    errno = error;
    return written >= 0 && (size_t)written == size;
}

static bool line_read(const struct request *request, const char *name,
                      char out[static LINE_BYTES_MAX])
{
    size_t size = 0;
    bool ok = file_read(request, name, (uint8_t *)out, LINE_BYTES_MAX - 1, &size);
    out[ok ? size : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return ok;
}

/* By default the most privileged level is asked for, which the firmware refuses to others. */
static bool level_write(const struct request *request, struct err *err)
{
    char floor[LINE_BYTES_MAX];
    if (!line_read(request, "privlevel_floor", floor)) {
        return errno == ENOENT || failed("read", "privlevel_floor", err);
    }
    return file_write(request, "privlevel", floor, strlen(floor)) ||
           failed("write", "privlevel", err);
}

static bool converse(struct request *request, const uint8_t *user_data, struct err *err)
{
    char before[LINE_BYTES_MAX], after[LINE_BYTES_MAX], provider[LINE_BYTES_MAX];
    if (!line_read(request, "provider", provider)) {
        return failed("read", "provider", err);
    }
    if (strcmp(provider, "sev_guest") != 0) {
        return err_set(err, ERR_IO, "the kernel's provider is %s, not sev_guest", provider);
    }
    if (!level_write(request, err)) {
        return false;
    }
    if (!file_write(request, "inblob", user_data, ATTEST_USER_DATA_BYTES)) {
        return failed("write", "inblob", err);
    }
    if (!line_read(request, "generation", before)) {
        return failed("read", "generation", err);
    }
    if (!file_read(request, "outblob", request->report, sizeof request->report,
                   &request->report_size)) {
        return failed("read", "outblob", err);
    }
    if (!file_read(request, "auxblob", request->table, sizeof request->table,
                   &request->table_size) &&
        errno != ENOENT) {
        return failed("read", "auxblob", err);
    }
    if (!line_read(request, "generation", after)) {
        return failed("read", "generation", err);
    }
    return strcmp(before, after) == 0 ||
           err_set(err, ERR_BUSY, "somebody else wrote to the request");
}

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    struct request *request = context;
    uint8_t name[NAME_BYTES];
    char hex[2 * NAME_BYTES + 1];
    crypto_random(name, sizeof name);
    text_hex_encode(bytes_of(name, sizeof name), hex);
    snprintf(request->directory, sizeof request->directory, TEE_CONFIGFS_ROOT "/wasm-hypervisor-%s",
             hex);
    request->report_size = request->table_size = 0;
    if (mkdir(request->directory, 0700) != 0) {
        return failed("make", request->directory, err);
    }
    bool ok = converse(request, user_data, err);
    (void)rmdir(request->directory); /* if it has vanished, the reads have said so */
    return ok && tee_hardware_accept(user_data, bytes_of(request->report, request->report_size),
                                     bytes_of(request->table, request->table_size), request->own,
                                     out, certificates, err);
}

/* There are no derived keys below configfs: the same driver's device has them. */
static bool derived_key(void *context, uint64_t fields, struct tee_derived *out, struct err *err)
{
    struct tee device;
    (void)context;
    if (!tee_sev_guest_new(bytes_of(NULL, 0), &device, err)) {
        return err_wrap(err, "configfs-tsm derives no keys, the driver's device does");
    }
    bool ok = device.derived_key(device.context, fields, out, err);
    device.free(device.context);
    return ok;
}

bool tee_configfs_new(struct bytes own, struct tee *out, struct err *err)
{
    if (access(TEE_CONFIGFS_ROOT, W_OK) != 0) {
        return err_set(err, ERR_IO, "cannot use %s: %s", TEE_CONFIGFS_ROOT, strerror(errno));
    }
    struct request *request = HEAP_NEW(struct request);
    if (request == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the provider configfs-tsm");
    }
    request->own = own;
    *out = (struct tee){.name = "configfs-tsm",
                        .report = report,
                        .derived_key = derived_key,
                        .free = heap_free,
                        .context = request};
    return true;
}
