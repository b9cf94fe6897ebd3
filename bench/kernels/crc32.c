/* crc32.c: CRC-32 (IEEE 802.3) with a table, byte by byte.
 *
 * Exercises a dependency chain through memory: each byte's table index needs the last byte's
 * result, so an interpreter that keeps it in a frame slot waits for the slot each time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { MESSAGE_BYTES = 16384 };

static const uint32_t polynomial = 0xedb88320;
static uint32_t table[256];
static uint8_t message[MESSAGE_BYTES];

static void prepare(void)
{
    uint32_t seed = 1;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ (value & 1 ? polynomial : 0);
        }
        table[byte] = value;
    }
    for (uint32_t i = 0; i < MESSAGE_BYTES; i++) {
        message[i] = (uint8_t)random_next(&seed);
    }
}

static uint32_t crc32(uint32_t crc, const uint8_t *bytes, uint32_t size)
{
    crc = ~crc;
    for (uint32_t i = 0; i < size; i++) {
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    }
    return ~crc;
}

uint32_t run(uint32_t n)
{
    uint32_t crc = 0;
    prepare();
    for (uint32_t i = 0; i < n; i++) {
        crc = crc32(crc, message, MESSAGE_BYTES);
    }
    return crc;
}
