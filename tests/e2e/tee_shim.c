/* tee_shim.c: hardware that is not there, preloaded into the real program.
 *
 * What the program does with /dev/sev-guest and with configfs-tsm goes to a test over a Unix
 * socket, and the answer comes from there; everything else goes to the C library. One connection an
 * operation:
 *
 *   ask     size u32, operation (one letter), path, NUL, content
 *   answer  error i32, size u32, content
 *
 * `O` opens for reading (an error below zero is that of read()), `W` writes, at close, `A`
 * accesses, `M` makes and `R` removes a directory, `D` opens the device, `I` is its ioctl.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOT "/sys/kernel/config/tsm/report"
#define DEVICE "/dev/sev-guest"
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum { CONTENT_MAX = 32768, FDS = 4096, RESPONSE = 4000, KEY_RESPONSE = 64, CERTIFICATES = 16384 };

static struct {
    char path[256]; /* of a file to write at close */
    int read_error;
    int is_device;
} fds[FDS];

static void move(int fd, void *bytes, size_t size, int out)
{
    for (size_t done = 0; done < size;) {
        char *at = (char *)bytes + done;
        ssize_t n = out ? send(fd, at, size - done, 0) : recv(fd, at, size - done, 0);
        if (n <= 0) {
            abort();
        }
        done += (size_t)n;
    }
}

static int ask(char operation, const char *path, const void *content, uint32_t size, char *answer,
               uint32_t *answer_size)
{
    static char message[CONTENT_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint32_t length = (uint32_t)strlen(path) + 2 + size;
    int32_t error = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", getenv("WH_TEE_SOCKET"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        abort();
    }
    message[0] = operation;
    strcpy(message + 1, path);
    memcpy(message + length - size, content, size);
    move(fd, &length, sizeof length, 1);
    move(fd, message, length, 1);
    move(fd, &error, sizeof error, 0);
    move(fd, answer_size, sizeof *answer_size, 0);
    move(fd, answer, *answer_size, 0);
    REAL(close)(fd);
    return error;
}

static int simple(char operation, const char *path)
{
    char answer[CONTENT_MAX];
    uint32_t size;
    errno = ask(operation, path, "", 0, answer, &size);
    return errno == 0 ? 0 : -1;
}

static int is_ours(const char *path)
{
    return strncmp(path, ROOT, strlen(ROOT)) == 0;
}

static int open_ours(const char *path, int flags)
{
    char answer[CONTENT_MAX];
    uint32_t size = 0;
    int is_device = strcmp(path, DEVICE) == 0;
    int writes = !is_device && (flags & O_ACCMODE) == O_WRONLY;
    int error = writes ? 0 : ask(is_device ? 'D' : 'O', path, "", 0, answer, &size);
    if (error > 0) {
        errno = error;
        return -1;
    }
    int fd = memfd_create("shim", MFD_CLOEXEC);
    if (fd < 0 || fd >= FDS || write(fd, answer, size) != (ssize_t)size) {
        abort();
    }
    lseek(fd, 0, SEEK_SET);
    fds[fd].is_device = is_device;
    fds[fd].read_error = -error;
    snprintf(fds[fd].path, sizeof fds[fd].path, "%s", writes ? path : "");
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    return is_ours(path) || strcmp(path, DEVICE) == 0 ? open_ours(path, flags)
                                                      : REAL(open)(path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    if (fd >= 0 && fd < FDS && fds[fd].read_error != 0) {
        errno = fds[fd].read_error;
        return -1;
    }
    return REAL(read)(fd, bytes, size);
}

int close(int fd)
{
    char content[CONTENT_MAX], answer[CONTENT_MAX];
    uint32_t size;
    if (fd >= 0 && fd < FDS && fds[fd].path[0] != '\0') {
        ssize_t read_size = pread(fd, content, sizeof content / 2, 0);
        ask('W', fds[fd].path, content, (uint32_t)read_size, answer,
            &size); /* as the kernel: no word */
    }
    if (fd >= 0 && fd < FDS) {
        memset(&fds[fd], 0, sizeof fds[fd]);
    }
    return REAL(close)(fd);
}

int access(const char *path, int mode)
{
    return is_ours(path) ? simple('A', path) : REAL(access)(path, mode);
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    return is_ours(path) ? simple('M', path) : real(path, mode);
}

int rmdir(const char *path)
{
    return is_ours(path) ? simple('R', path) : REAL(rmdir)(path);
}

struct request {
    uint8_t version;
    uint64_t request, response;
    uint32_t firmware_error, vmm_error;
};

/* Answer: both error words, the response, the certificates. */
static int ioctl_ours(unsigned long number, struct request *request)
{
    int is_key = (number & 0xFF) == 1;
    uint32_t response = is_key ? KEY_RESPONSE : RESPONSE;
    uint8_t content[4 + 96] = {(uint8_t)(number & 0xFF)};
    char answer[CONTENT_MAX];
    uint32_t size = 0, room = 0;
    uint64_t certificates = 0;
    memcpy(content + 4, (void *)(uintptr_t)request->request, is_key ? 32 : 96);
    if ((number & 0xFF) == 2) {
        memcpy(&certificates, (char *)(uintptr_t)request->request + 96, sizeof certificates);
        memcpy(&room, (char *)(uintptr_t)request->request + 104, sizeof room);
    }
    int error = ask('I', DEVICE, content, sizeof content, answer, &size);
    memcpy(&request->firmware_error, answer, 4);
    memcpy(&request->vmm_error, answer + 4, 4);
    if (error == 0) {
        size_t table = size - 8 - response;
        memcpy((void *)(uintptr_t)request->response, answer + 8, response);
        memcpy((void *)(uintptr_t)certificates, answer + 8 + response, table < room ? table : room);
        return 0;
    }
    errno = error;
    return -1;
}

int ioctl(int fd, unsigned long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fd >= 0 && fd < FDS && fds[fd].is_device ? ioctl_ours(number, argument)
                                                    : REAL(ioctl)(fd, number, argument);
}
