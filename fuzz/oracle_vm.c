/* oracle_vm.c: what this engine makes of random modules, for another engine to do the same; see
 * oracle_vm.mjs, which starts it and compares.
 *
 * Standard input is a row of records: size (4 bytes, little-endian) and choices. For each of them
 * three come out, in the same form: the first module, the second module, a line for each step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "play_vm.h"
#include "random_input.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES_MAX = 1 << 16, HEADER_BYTES = 4 };

/* Names that another engine's messages can be translated to. */
static const char *trap_class(enum vm_trap trap)
{
    switch ((int)trap) {
    case VM_TRAP_INVALID_CONVERSION:
    case VM_TRAP_INTEGER_OVERFLOW:
        return "OVERFLOW";
    case VM_TRAP_UNINITIALIZED_ELEMENT:
    case VM_TRAP_INDIRECT_CALL_TYPE_MISMATCH:
        return "CALL_TARGET";
    case VM_TRAP_UNDEFINED_ELEMENT:
    case VM_TRAP_OUT_OF_BOUNDS_TABLE:
        return "TABLE_BOUNDS";
    default:
        return vm_trap_name(trap);
    }
}

static void add_value(struct buffer *text, const struct vm_value *value)
{
    char word[32];
    uint64_t bits = play_plain_bits(value);
    (void)snprintf(word, sizeof word, " %" PRIx32 ":%" PRIx32, (uint32_t)(bits >> 32),
                   (uint32_t)bits);
    buffer_append_string(text, word);
}

/* What the start of a module leaves that does not come to its end, nobody can see there. */
static void add_state(struct buffer *text, const struct play_step *step)
{
    char words[128];
    const struct play_state *state = &step->state;
    bool has_exports = !step->is_start || step->status == VM_RETURNED;
    if (!step->is_second && !has_exports) {
        return;
    }
    (void)snprintf(words, sizeof words, " memory %" PRIx32, state->memories[0]);
    buffer_append_string(text, words);
    if (step->is_second && has_exports) {
        (void)snprintf(words, sizeof words, " %" PRIx32, state->memories[1]);
        buffer_append_string(text, words);
    }
    (void)snprintf(words, sizeof words, " globals %" PRIx32 " tables %" PRIx32,
                   has_exports ? state->globals : state->globals_of_first, state->tables);
    buffer_append_string(text, words);
}

static void add_step(struct buffer *text, const struct play_step *step)
{
    char words[64];
    buffer_append_string(text, step->is_second ? "second " : "first ");
    (void)snprintf(words, sizeof words, step->is_start ? "start:" : "r%u:", step->export);
    buffer_append_string(text, words);
    if (step->status == VM_TRAPPED) {
        buffer_append_string(text, " trap ");
        buffer_append_string(text, trap_class(step->trap.trap));
    } else if (step->status == VM_OUT_OF_GAS) {
        buffer_append_string(text, " out of gas");
    }
    for (uint32_t i = 0; i < step->result_count; i++) {
        add_value(text, &step->results[i]);
    }
    add_state(text, step);
    (void)snprintf(words, sizeof words, " gas %" PRIu64 "\n", step->gas);
    buffer_append_string(text, words);
}

static bool read_record(uint8_t *bytes, uint32_t *size)
{
    uint8_t header[HEADER_BYTES];
    if (fread(header, 1, sizeof header, stdin) != sizeof header) {
        return false;
    }
    *size = header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16;
    return *size <= RANDOM_INPUT_BYTES_MAX && fread(bytes, 1, *size, stdin) == *size;
}

static bool write_record(const struct buffer *buffer)
{
    uint32_t size = (uint32_t)buffer->size;
    const uint8_t header[HEADER_BYTES] = {(uint8_t)size, (uint8_t)(size >> 8),
                                          (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
    return !buffer->failed && fwrite(header, 1, sizeof header, stdout) == sizeof header &&
           fwrite(buffer->ptr, 1, size, stdout) == size;
}

int main(void)
{
    static uint8_t choices[RANDOM_INPUT_BYTES_MAX];
    static struct play played;
    const struct play_options options = {
        .gas_limit = UINT64_MAX, /* programs end, and oracle_vm.mjs has a clock */
        .slice = PLAY_ALL_AT_ONCE,
        .is_plain = true};
    uint32_t size;
    bool is_written = true;
    while (is_written && read_record(choices, &size)) {
        struct generated generated;
        struct play_modules modules;
        struct buffer text;
        buffer_init(&text, TEXT_BYTES_MAX);
        generate(bytes_of(choices, size), (struct generate_options){.canonical_nans = true},
                 &generated);
        play_load(&generated, false, &modules);
        play(&modules, &options, &played);
        for (uint32_t i = 0; i < played.count; i++) {
            add_step(&text, &played.steps[i]);
        }
        is_written = write_record(&generated.first) && write_record(&generated.second) &&
                     write_record(&text) && fflush(stdout) == 0;
        play_unload(&modules);
        generated_release(&generated);
        buffer_release(&text);
    }
    return is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}
