/* tee_sev_guest.c: reports and derived keys through /dev/sev-guest (Linux,
 * include/uapi/linux/sev-guest.h).
 *
 * One ioctl asks for the report together with the host's certificates. The driver waits by itself
 * for a busy host, up to a minute, so this runs on a thread that may wait. When a request has been
 * given up or refused for good, the driver wipes its key to the firmware, because a sequence number
 * must never be used twice: from then on there are no reports until the VM is restarted, and every
 * call says ENOTTY.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/tee_hardware.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { RESPONSE_BYTES = 4000, REPORT_OFFSET = 32, CERTIFICATES_BYTES = 16384, MESSAGE_VERSION = 1 };
enum { KEY_RESPONSE_BYTES = 64, KEY_OFFSET = 32, KEY_BYTES = 32 };
enum { VMM_INVALID_LENGTH = 1, VMM_BUSY = 2 };

struct guest_request {
    uint8_t message_version;
    uint64_t request;
    uint64_t response;
    uint32_t firmware_error;
    uint32_t vmm_error;
};

struct report_request {
    uint8_t user_data[ATTEST_USER_DATA_BYTES];
    uint32_t vmpl;
    uint8_t reserved[28];
};

struct extended_request {
    struct report_request report;
    uint64_t certificates;
    uint32_t certificates_size;
};

struct key_request {
    uint32_t root_key; /* 0: the VCEK's */
    uint32_t reserved;
    uint64_t fields;
    uint32_t vmpl;
    uint32_t guest_svn;
    uint64_t tcb;
};

/* status u32, 28 reserved, the key */
struct key_response {
    _Alignas(uint64_t) uint8_t bytes[KEY_RESPONSE_BYTES];
};

/* status u32, report_size u32, 24 reserved, the report */
struct response {
    _Alignas(uint64_t) uint8_t bytes[RESPONSE_BYTES];
};

static_assert(sizeof(struct guest_request) == 32 && sizeof(struct report_request) == 96 &&
                  sizeof(struct extended_request) == 112 && sizeof(struct response) == 4000 &&
                  sizeof(struct key_request) == 32 && sizeof(struct key_response) == 64,
              "the kernel's structures");

#define GET_REPORT _IOWR('S', 0, struct guest_request)
#define GET_DERIVED_KEY _IOWR('S', 1, struct guest_request)
#define GET_EXTENDED_REPORT _IOWR('S', 2, struct guest_request)

struct sev_guest {
    int fd;
    uint32_t vmpl;
    struct bytes own; /* certificates, when the host has none */
    struct response response;
    uint8_t certificates[CERTIFICATES_BYTES];
};

static bool refused(const struct guest_request *request, int error, struct err *err)
{
    if (error == ENOTTY || error == ETIMEDOUT) {
        return err_set(err, ERR_CLOSED,
                       "%s: the kernel has no key to the firmware any more, and gets none until "
                       "this VM is restarted",
                       strerror(error));
    }
    if (error == EBUSY || error == EAGAIN || error == EINTR ||
        (error == EIO && request->vmm_error == VMM_BUSY)) {
        return err_set(err, ERR_BUSY, "the host is busy, or lets nobody ask that often");
    }
    if (error == EIO) {
        return err_set(err, ERR_IO,
                       "the firmware refused: error %#x of the firmware, %#x of the host",
                       request->firmware_error, request->vmm_error);
    }
    return err_set(err, ERR_IO, "%s", strerror(error));
}

/* One call, with room for that many bytes of certificates; 0: without. */
static bool ask(struct sev_guest *guest, struct report_request *report, uint32_t room,
                struct guest_request *request)
{
    struct extended_request extended = {
        .report = *report,
        .certificates = room > 0 ? (uint64_t)(uintptr_t)guest->certificates : 0,
        .certificates_size = room,
    };
    *request = (struct guest_request){
        .message_version = MESSAGE_VERSION,
        .request = (uint64_t)(uintptr_t)(room > 0 ? (void *)&extended : (void *)report),
        .response = (uint64_t)(uintptr_t)&guest->response,
    };
    memset(&guest->response, 0, sizeof guest->response);
    memset(guest->certificates, 0, sizeof guest->certificates);
    return ioctl(guest->fd, room > 0 ? GET_EXTENDED_REPORT : GET_REPORT, request) == 0;
}

static bool report_of(const struct sev_guest *guest, struct bytes *out, struct err *err)
{
    struct reader reader = reader_of(bytes_of(guest->response.bytes, sizeof guest->response));
    uint32_t status = 0, size = 0;
    if (!reader_u32le(&reader, &status) || !reader_u32le(&reader, &size) || status != 0 ||
        size != ATTEST_REPORT_BYTES) {
        return err_set(err, ERR_IO, "the firmware answered with status %#x and %u bytes", status,
                       size);
    }
    *out = bytes_of(guest->response.bytes + REPORT_OFFSET, ATTEST_REPORT_BYTES);
    return true;
}

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    struct sev_guest *guest = context;
    struct bytes raw;
    struct guest_request request;
    struct report_request wanted = {.vmpl = guest->vmpl};
    memcpy(wanted.user_data, user_data, sizeof wanted.user_data);
    bool ok = ask(guest, &wanted, CERTIFICATES_BYTES, &request);
    if (!ok && errno == EIO && request.vmm_error == VMM_INVALID_LENGTH) {
        /* More certificates than the driver passes on: without any there is at least an error that
         * says so, or a report if AMD's own are enough. */
        ok = ask(guest, &wanted, 0, &request);
    }
    if (!ok) {
        return refused(&request, errno, err);
    }
    return report_of(guest, &raw, err) &&
           tee_hardware_accept(user_data, raw,
                               bytes_of(guest->certificates, sizeof guest->certificates),
                               guest->own, out, certificates, err);
}

/* What a derived key is bound to is told by a report alone; it needs no certificates, as nobody
 * else is to be convinced. */
static bool identity_read(struct sev_guest *guest, struct tee_derived *out, struct err *err)
{
    struct guest_request request;
    struct report_request wanted = {.vmpl = guest->vmpl};
    struct report fields;
    struct bytes raw;
    crypto_random(wanted.user_data, sizeof wanted.user_data);
    if (!ask(guest, &wanted, 0, &request)) {
        return refused(&request, errno, err);
    }
    if (!report_of(guest, &raw, err) || !tee_hardware_read(wanted.user_data, raw, &fields, err)) {
        return false;
    }
    memcpy(out->measurement, fields.measurement, sizeof out->measurement);
    out->guest_policy = fields.policy;
    return true;
}

static bool key_accept(const struct key_response *response, uint8_t out[static KEY_BYTES],
                       struct err *err)
{
    static const uint8_t zeros[KEY_BYTES];
    struct bytes key = bytes_of(response->bytes + KEY_OFFSET, KEY_BYTES);
    struct reader reader = reader_of(bytes_of(response->bytes, sizeof *response));
    uint32_t status = 0;
    if (!reader_u32le(&reader, &status) || status != 0) {
        return err_set(err, ERR_IO, "the firmware answered with status %#x", status);
    }
    if (crypto_equal(key, bytes_of(zeros, sizeof zeros))) {
        return err_set(err, ERR_TAMPERED, "the firmware's derived key is all zeros");
    }
    memcpy(out, key.ptr, key.size);
    return true;
}

/* The TCB is not mixed in: a key that changed with each update of the firmware would lock its owner
 * out. */
static bool derived_key(void *context, uint64_t fields, struct tee_derived *out, struct err *err)
{
    struct sev_guest *guest = context;
    struct key_request wanted = {.fields = fields, .vmpl = guest->vmpl};
    struct key_response response = {{0}};
    struct guest_request request = {
        .message_version = MESSAGE_VERSION,
        .request = (uint64_t)(uintptr_t)&wanted,
        .response = (uint64_t)(uintptr_t)&response,
    };
    struct tee_derived derived = {.root_key = "vcek"};
    bool ok = identity_read(guest, &derived, err) &&
              (ioctl(guest->fd, GET_DERIVED_KEY, &request) == 0 || refused(&request, errno, err)) &&
              key_accept(&response, derived.key, err);
    if (ok) {
        *out = derived;
    }
    memory_wipe(&response, sizeof response);
    memory_wipe(&derived, sizeof derived);
    return ok || err_wrap(err, "no derived key");
}

static void release(void *context)
{
    struct sev_guest *guest = context;
    close(guest->fd);
    heap_free(guest);
}

/* The firmware refuses reports for a more privileged level than the caller's. */
static uint32_t vmpl_read(void)
{
    unsigned vmpl = 0;
    FILE *file = fopen("/sys/devices/system/cpu/sev/vmpl", "re");
    if (file == NULL || fscanf(file, "%u", &vmpl) != 1 || vmpl > 3) {
        vmpl = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return vmpl;
}

bool tee_sev_guest_new(struct bytes own, struct tee *out, struct err *err)
{
    int fd = open(TEE_SEV_GUEST_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return err_set(err, ERR_IO, "cannot open %s: %s", TEE_SEV_GUEST_DEVICE, strerror(errno));
    }
    struct sev_guest *guest = HEAP_NEW(struct sev_guest);
    if (guest == NULL) {
        close(fd);
        return err_set(err, ERR_NO_MEMORY, "no memory for the provider sev-guest");
    }
    guest->fd = fd;
    guest->own = own;
    guest->vmpl = vmpl_read();
    *out = (struct tee){.name = "sev-guest",
                        .report = report,
                        .derived_key = derived_key,
                        .free = release,
                        .context = guest};
    return true;
}
