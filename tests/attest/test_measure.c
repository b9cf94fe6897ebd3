/* test_measure.c: launch digests against published ones.
 *
 * vectors/ovmf_*_tail.bin are the last pages of two builds of OVMF (edk2-stable202405,
 * BSD-2-Clause- Patent: AmdSevX64 and OvmfPkgX64), for which the sev-snp-measure project publishes
 * digests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/attest.h"

#include "base/text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static uint8_t image[3 * 4096];
static struct attest_launch launch;
static struct err err;

static size_t image_read(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, WH_SOURCE_DIR "/tests/attest/vectors/%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    size_t size = fread(image, 1, sizeof image, file);
    fclose(file);
    cr_assert_eq(size, 4096);
    return size;
}

static void setup(void)
{
    launch = (struct attest_launch){
        .vcpus = 1, .vcpu_signature = 0x800F12, .guest_features = 0x21, .has_kernel = true};
    launch.firmware = bytes_of(image, image_read("ovmf_amdsev_tail.bin"));
}

TestSuite(attest_measure, .init = setup);

static void expect(const char *published)
{
    uint8_t digest[CRYPTO_SHA384_BYTES];
    char hex[2 * sizeof digest + 1];
    cr_assert(attest_launch_measure(&launch, digest, &err), "%s", err.message);
    text_hex_encode(bytes_of(digest, sizeof digest), hex);
    cr_expect_str_eq(hex, published);
}

static void refused(const char *words)
{
    uint8_t digest[CRYPTO_SHA384_BYTES];
    cr_assert_not(attest_launch_measure(&launch, digest, &err));
    cr_expect_eq(err.code, ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, words), "%s", err.message);
}

Test(attest_measure, published_digests_come_out)
{
    launch.command_line = "console=ttyS0 loglevel=7";
    expect("803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe77"
           "8d02"
           "28977");
    launch.guest_features = 1;
    expect("6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e7063"
           "63b4"
           "b08fa");
    launch.command_line = NULL;
    expect("ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa"
           "3852"
           "819b5");
    launch.guest_features = 0x21;
    launch.vcpus = 4;
    expect("4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e24"
           "14a6"
           "31942");
    launch.vcpus = 1;
    launch.has_kernel = false;
    expect("e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22"
           "adbc"
           "d0e2b");
    image_read("ovmf_x64_tail.bin");
    expect("28797ae0afaba4005a81e629acebfb59e6687949d6be44007cd5506823b0dd66f146aaae26ff291eed7b493"
           "d8a6"
           "4c385");
}

Test(attest_measure, firmware_that_checks_no_hashes_starts_no_kernel)
{
    image_read("ovmf_x64_tail.bin");
    refused("does not check the hashes");
}

Test(attest_measure, processors_are_counted)
{
    launch.vcpus = 0;
    refused("1 to 4096 processors");
    launch.vcpus = 4097;
    refused("1 to 4096 processors");
}

Test(attest_measure, other_files_are_no_firmware)
{
    launch.firmware.size = 0;
    refused("whole number of pages");
    launch.firmware.size = 4095;
    refused("whole number of pages");
    launch.firmware.size = sizeof image;
    refused("no table of GUIDs"); /* it ends in zeros */
    launch.firmware.size = 4096;
    memset(image + 4096 - 32 - 18, 0xFF, 2); /* the table is larger than the image */
    refused("no table of GUIDs");
}

/* Whatever byte is wrong, it is refused or another digest: never read outside (sanitizers watch).
 */
Test(attest_measure, survives_every_changed_byte)
{
    uint8_t good[CRYPTO_SHA384_BYTES], digest[CRYPTO_SHA384_BYTES];
    cr_assert(attest_launch_measure(&launch, good, &err));
    for (size_t i = 0; i < 4096; i++) {
        image[i] ^= 0xFF;
        if (attest_launch_measure(&launch, digest, &err)) {
            cr_expect_neq(memcmp(good, digest, sizeof good), 0, "byte %zu", i);
        }
        image[i] ^= 0xFF;
    }
}
