/* attest_measure.c: `attest measure`: the measurement that a report must show.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"

#include <string.h>

enum { MIB = 1024 * 1024, FIRMWARE_BYTES_MAX = 64 * MIB, IMAGE_BYTES_MAX = 1024 * MIB };

enum measure_flag {
    MEASURE_KERNEL = 1,
    MEASURE_INITRD,
    MEASURE_APPEND,
    MEASURE_VCPUS,
    MEASURE_VCPU_TYPE,
    MEASURE_FEATURES,
};

struct measure_request {
    const char *firmware, *kernel, *initrd;
    struct attest_launch launch;
};

/* CPUID 1, EAX of QEMU's models. */
static const struct {
    const char *name;
    uint32_t signature;
} vcpu_types[] = {
    {"EPYC", 0x800F12},       {"EPYC-v4", 0x800F12},    {"EPYC-Rome", 0x830F10},
    {"EPYC-Milan", 0xA00F11}, {"EPYC-Genoa", 0xA10F10}, {"EPYC-Turin", 0xB00F00},
};

static bool take_type(const struct cli_command *command, const char *text, uint32_t *out)
{
    for (size_t i = 0; i < sizeof vcpu_types / sizeof vcpu_types[0]; i++) {
        if (strcmp(text, vcpu_types[i].name) == 0) {
            *out = vcpu_types[i].signature;
            return true;
        }
    }
    cli_complain_usage(command,
                       "--vcpu-type takes EPYC, EPYC-v4, EPYC-Rome, EPYC-Milan, "
                       "EPYC-Genoa or EPYC-Turin, not '%s'",
                       text);
    return false;
}

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct measure_request *request = context;
    uint64_t number = 0;
    switch (id) {
    case MEASURE_KERNEL:
        request->kernel = text;
        return true;
    case MEASURE_INITRD:
        request->initrd = text;
        return true;
    case MEASURE_APPEND:
        request->launch.command_line = text;
        return true;
    case MEASURE_VCPUS:
        if (!cli_options_number(options, "vcpus", text, 1, 4096, &number)) {
            return false;
        }
        request->launch.vcpus = (uint32_t)number;
        return true;
    case MEASURE_VCPU_TYPE:
        return take_type(options->command, text, &request->launch.vcpu_signature);
    case MEASURE_FEATURES:
        return cli_options_number(options, "guest-features", text, 1, UINT32_MAX,
                                  &request->launch.guest_features);
    default:
        return cli_options_word(options, text, &request->firmware);
    }
}

static bool measure(struct measure_request *request, uint8_t digest[static CRYPTO_SHA384_BYTES],
                    struct err *err)
{
    const struct {
        const char *path;
        size_t bytes_max;
        struct bytes *out;
    } files[] = {{request->firmware, FIRMWARE_BYTES_MAX, &request->launch.firmware},
                 {request->kernel, IMAGE_BYTES_MAX, &request->launch.kernel},
                 {request->initrd, IMAGE_BYTES_MAX, &request->launch.initrd}};
    enum { FILES = sizeof files / sizeof files[0] };
    uint8_t *contents[FILES] = {NULL};
    bool ok = true;
    for (size_t i = 0; ok && i < FILES; i++) {
        size_t size = 0;
        ok = files[i].path == NULL ||
             cli_file_read(files[i].path, files[i].bytes_max, &contents[i], &size, err);
        *files[i].out = bytes_of(contents[i], size);
    }
    request->launch.has_kernel = request->kernel != NULL;
    ok = ok && attest_launch_measure(&request->launch, digest, err);
    for (size_t i = 0; i < FILES; i++) {
        heap_free(contents[i]);
    }
    return ok;
}

static int attest_measure_main(const struct cli_command *command, int argc, char **argv)
{
    struct measure_request request = {
        .launch = {.vcpus = 1, .vcpu_signature = vcpu_types[0].signature, .guest_features = 1}};
    uint8_t digest[CRYPTO_SHA384_BYTES];
    char hex[2 * CRYPTO_SHA384_BYTES + 1];
    struct err err;
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.firmware == NULL) {
        return cli_complain_usage(command, "which firmware? name OVMF.fd");
    }
    if (request.kernel == NULL && (request.initrd != NULL || request.launch.command_line != NULL)) {
        return cli_complain_usage(command, "--initrd and --append need --kernel");
    }
    if (!measure(&request, digest, &err)) {
        return cli_complain_err(command, &err);
    }
    text_hex_encode(bytes_of(digest, sizeof digest), hex);
    printf("%s\n", hex);
    return CLI_OK;
}

static const struct cli_option attest_measure_options[] = {
    {MEASURE_KERNEL, "kernel", "FILE",
     "the kernel that QEMU was given (-kernel, with kernel-hashes=on); without\n"
     "it only the firmware is measured"},
    {MEASURE_INITRD, "initrd", "FILE", "its initrd (-initrd)"},
    {MEASURE_APPEND, "append", "TEXT", "its command line (-append)"},
    {MEASURE_VCPUS, "vcpus", "N", "processors of the VM (default: 1)"},
    {MEASURE_VCPU_TYPE, "vcpu-type", "NAME",
     "QEMU's -cpu: EPYC or EPYC-v4 (default), EPYC-Rome, EPYC-Milan, EPYC-Genoa,\nEPYC-Turin"},
    {MEASURE_FEATURES, "guest-features", "N",
     "sev_features as the kernel of the host sets them (default: 1, SNP alone;\n"
     "33 with debug registers swapped)"},
};

const struct cli_command cli_command_attest_measure = {
    .name = "attest measure",
    .synopsis = "OVMF.fd [--kernel FILE [--initrd FILE] [--append TEXT]] [OPTIONS]",
    .summary = "compute the measurement to pin",
    .description =
        "  Computes the launch digest of an SEV-SNP VM under QEMU and KVM from what it starts\n"
        "  with, and prints it in hexadecimal: the value of 'measurement' in its reports, and of\n"
        "  'measurements' in a policy. The firmware is a whole OVMF.fd; for a kernel it has to be\n"
        "  a build of AmdSevX64, which checks the kernel against its measured hashes.\n",
    .options = attest_measure_options,
    .option_count = sizeof attest_measure_options / sizeof attest_measure_options[0],
    .notes = "EXIT STATUS\n"
             "  0 printed, 2 wrong usage, or a file that cannot be read or is no such firmware,\n"
             "  70 internal error\n\n"
             "EXAMPLE\n"
             "  wasm-hypervisor attest measure OVMF.fd --kernel vmlinuz --initrd initrd.img \\\n"
             "      --append 'console=ttyS0' --vcpus 4 --vcpu-type EPYC-Genoa\n",
    .run = attest_measure_main,
};
