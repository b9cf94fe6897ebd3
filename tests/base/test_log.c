/* test_log: lines are whole, levels filter, JSON stays JSON whatever is logged, and nobody waits
 * for a sink that takes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include "base/json.h"
#include "base/log_line.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char log_dir[] = "/tmp/wh-test-log-XXXXXX";
static char log_path[64];

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(log_dir));
    snprintf(log_path, sizeof(log_path), "%s/log", log_dir);
}

static void remove_dir(void)
{
    log_close();
    unlink(log_path);
    rmdir(log_dir);
}

static size_t read_log(char *out, size_t size)
{
    log_flush();
    FILE *file = fopen(log_path, "r");
    cr_assert_not_null(file);
    size_t count = fread(out, 1, size - 1, file);
    out[count] = 0;
    fclose(file);
    return count;
}

Test(base_log, json_lines_parse_whatever_the_message_holds, .init = make_dir, .fini = remove_dir)
{
    struct err err;
    cr_assert(log_open(log_path, LOG_INFO, true, &err), "%s", err.message);
    log_write(LOG_INFO, "event", "id\"", "quote \" back \\ line\n bell \a byte \xff");
    log_write(LOG_DEBUG, "hidden", NULL, "below the level");
    char text[2048];
    size_t size = read_log(text, sizeof(text));
    cr_assert_eq(text[size - 1], '\n');
    cr_assert_eq(strchr(text, '\n'), text + size - 1);
    json_t *line;
    cr_assert(json_text_parse(bytes_of(text, size), &line, &err), "%s", err.message);
    cr_assert_str_eq(json_string_value(json_object_get(line, "event")), "event");
    cr_assert_str_eq(json_string_value(json_object_get(line, "request_id")), "id\"");
    cr_assert_str_eq(json_string_value(json_object_get(line, "message")),
                     "quote \" back \\ line\n bell \a byte ?");
    json_decref(line);
    struct stat status;
    cr_assert_eq(stat(log_path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
}

Test(base_log, text_lines_cannot_be_forged_by_a_newline, .init = make_dir, .fini = remove_dir)
{
    struct err err;
    cr_assert(log_open(log_path, LOG_DEBUG, false, &err));
    log_write(LOG_WARN, "event", NULL, "a\nb");
    char text[512];
    size_t size = read_log(text, sizeof(text));
    cr_assert_eq(strchr(text, '\n'), text + size - 1);
    cr_assert_not_null(strstr(text, "warn  event: a b"));
}

Test(base_log, reopens_after_rotation, .init = make_dir, .fini = remove_dir)
{
    struct err err;
    cr_assert(log_open(log_path, LOG_INFO, true, &err));
    log_write(LOG_INFO, "one", NULL, "x");
    log_flush();
    unlink(log_path);
    cr_assert(log_reopen(&err));
    log_write(LOG_INFO, "two", NULL, "y");
    char text[512];
    read_log(text, sizeof(text));
    cr_assert_null(strstr(text, "one"));
    cr_assert_not_null(strstr(text, "two"));
}

Test(base_log, a_file_that_cannot_be_opened_is_an_io_error)
{
    struct err err;
    cr_assert_not(log_open("/nonexistent/dir/log", LOG_INFO, true, &err));
    cr_assert_eq(err.code, ERR_IO);
    char path[5000];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    cr_assert_not(log_open(path, LOG_INFO, true, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
}

Test(base_log, levels_have_names)
{
    enum log_level level;
    cr_assert(log_level_parse("warn", &level) && level == LOG_WARN);
    cr_assert_not(log_level_parse("loud", &level));
}

/* ---- lines ---- */

static json_t *json_line(const struct log_field *fields, const char *message)
{
    struct log_line line;
    struct err err;
    json_t *json = NULL;
    log_line_json(&line, LOG_INFO, 0, "event", fields, message);
    cr_assert_eq(memchr(line.text, '\n', line.size), line.text + line.size - 1);
    cr_assert(json_text_parse(bytes_of(line.text, line.size), &json, &err), "%s\n%.*s", err.message,
              (int)line.size, line.text);
    return json;
}

Test(base_log_line, json_fields_keep_their_types)
{
    json_t *json = json_line(LOG_FIELDS(log_text("text", "a b"), log_text("absent", NULL),
                                        log_number("most", INT64_MAX), log_signed("least", -1)),
                             "message");
    cr_expect_str_eq(json_string_value(json_object_get(json, "time")), "1970-01-01T00:00:00.000Z");
    cr_expect_str_eq(json_string_value(json_object_get(json, "level")), "info");
    cr_expect_str_eq(json_string_value(json_object_get(json, "message")), "message");
    cr_expect_str_eq(json_string_value(json_object_get(json, "text")), "a b");
    cr_expect_eq(json_integer_value(json_object_get(json, "most")), INT64_MAX);
    cr_expect_eq(json_integer_value(json_object_get(json, "least")), -1);
    cr_expect_eq(json_object_size(json), 7);
    json_decref(json);
}

Test(base_log_line, plain_fields_follow_the_message)
{
    struct log_line line;
    log_line_plain(&line, LOG_ERROR, 0, "event",
                   LOG_FIELDS(log_text("a", "x y"), log_number("n", 7)), "message");
    static const char expected[] = "1970-01-01T00:00:00.000Z error event: message a=\"x y\" n=7\n";
    cr_expect_eq(line.size, strlen(expected));
    cr_expect_arr_eq(line.text, expected, line.size);
}

Test(base_log_line, no_character_ends_a_line_or_drives_a_terminal)
{
    for (unsigned byte = 1; byte < 256; byte++) {
        const char forms[][4] = {{'a', (char)byte, 'b'}, {'\xc2', (char)byte, 'b'}, {(char)byte}};
        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
            struct log_line line;
            json_decref(json_line(LOG_FIELDS(log_text("field", forms[i])), forms[i]));
            log_line_json(&line, LOG_INFO, 0, "event", LOG_FIELDS(log_text("f", forms[i])),
                          forms[i]);
            for (int plain = 0; plain < 2; plain++) {
                for (size_t at = 0; at + 1 < line.size; at++) {
                    uint8_t c = (uint8_t)line.text[at], next = (uint8_t)line.text[at + 1];
                    cr_assert(c >= 0x20 && c != 0x7f && !(c == 0xc2 && next < 0xa0), "%u", byte);
                }
                log_line_plain(&line, LOG_INFO, 0, "event", LOG_FIELDS(log_text("f", forms[i])),
                               forms[i]);
            }
        }
    }
}

Test(base_log_line, a_text_is_cut_after_its_bound_and_stays_utf8)
{
    char text[LOG_TEXT_BYTES_MAX + 2];
    for (size_t size = LOG_TEXT_BYTES_MAX - 1; size <= LOG_TEXT_BYTES_MAX + 1; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        json_t *json = json_line(LOG_FIELDS(log_text("text", text)), "");
        size_t kept = size < LOG_TEXT_BYTES_MAX ? size : LOG_TEXT_BYTES_MAX;
        cr_expect_eq(json_string_length(json_object_get(json, "text")), kept);
        json_decref(json);
    }
    text[LOG_TEXT_BYTES_MAX - 1] = '\xc3'; /* a letter of two bytes across the bound */
    text[LOG_TEXT_BYTES_MAX] = '\xa4';
    json_t *json = json_line(LOG_FIELDS(log_text("text", text)), "");
    const char *kept = json_string_value(json_object_get(json, "text"));
    cr_expect_eq(kept[LOG_TEXT_BYTES_MAX - 1], '?');
    json_decref(json);
}

Test(base_log_line, what_does_not_fit_is_left_out_whole_and_said)
{
    char text[LOG_TEXT_BYTES_MAX + 1];
    memset(text, '\x01', LOG_TEXT_BYTES_MAX); /* six times as long when escaped */
    text[LOG_TEXT_BYTES_MAX] = '\0';
    json_t *json =
        json_line(LOG_FIELDS(log_number("a", 1), log_text("b", text), log_number("c", 3)), text);
    cr_expect_str_eq(json_string_value(json_object_get(json, "message")), "");
    cr_expect_eq(json_integer_value(json_object_get(json, "a")), 1);
    cr_expect_null(json_object_get(json, "b"));
    cr_expect_eq(json_integer_value(json_object_get(json, "c")), 3);
    cr_expect(json_is_true(json_object_get(json, "cut")));
    json_decref(json);
    struct log_line line;
    log_line_plain(&line, LOG_INFO, 0, "event", LOG_FIELDS(log_text("b", text)), text);
    cr_expect_arr_eq(line.text + line.size - 10, " cut=true\n", 10);
}

/* ---- sinks that do not take what they get ---- */

/* The log goes into a pipe whose other end is returned. */
static int open_pipe_log(void)
{
    struct err err;
    make_dir();
    cr_assert_eq(mkfifo(log_path, 0600), 0);
    int reader = open(log_path, O_RDONLY | O_NONBLOCK);
    cr_assert(reader >= 0 && log_open(log_path, LOG_INFO, true, &err));
    return reader;
}

static uint64_t log_until_it_drops(enum log_level level)
{
    struct log_facts facts;
    uint64_t lines = 0;
    log_facts(&facts);
    uint64_t before = facts.dropped;
    for (; facts.dropped == before; lines++) {
        cr_assert(lines < 100000);
        log_event(level, "event", LOG_FIELDS(log_number("number", lines)), "%0900d", 0);
        log_facts(&facts);
    }
    return lines - 1;
}

Test(base_log, a_pipe_that_nobody_reads_holds_nobody_up_and_the_loss_is_told, .fini = remove_dir)
{
    int reader = open_pipe_log();
    uint64_t infos = log_until_it_drops(LOG_INFO);
    uint64_t warnings = log_until_it_drops(LOG_WARN);
    cr_expect_gt(infos, 500);
    cr_expect_gt(warnings, 50, "the last part of the queue is theirs");
    char *text = malloc(1 << 22);
    size_t size = 0;
    uint64_t lines = 0, told = 0;
    while (told == 0) {
        ssize_t count = read(reader, text + size, (1 << 22) - size);
        cr_assert(count != 0);
        size += count > 0 ? (size_t)count : 0;
        for (char *end; told == 0 && (end = memchr(text, '\n', size)) != NULL;) {
            struct err err;
            json_t *json = NULL;
            size_t taken = (size_t)(end - text) + 1;
            cr_assert(json_text_parse(bytes_of(text, taken), &json, &err), "%s", err.message);
            const char *event = json_string_value(json_object_get(json, "event"));
            bool is_notice = strcmp(event, "log_lines_dropped") == 0;
            told = is_notice ? (uint64_t)json_integer_value(json_object_get(json, "lines")) : 0;
            lines += !is_notice;
            json_decref(json);
            memmove(text, end + 1, size - taken);
            size -= taken;
        }
    }
    cr_expect_eq(told, 2);
    cr_expect_eq(lines, infos + warnings);
    free(text);
    log_close();
    close(reader);
}

Test(base_log, closing_does_not_wait_for_ever, .fini = remove_dir)
{
    int reader = open_pipe_log();
    (void)log_until_it_drops(LOG_ERROR);
    log_close();
    close(reader);
}

Test(base_log, a_full_disk_costs_lines_only)
{
    struct err err;
    struct log_facts facts;
    cr_assert(log_open("/dev/full", LOG_INFO, true, &err));
    log_write(LOG_INFO, "event", NULL, "one");
    log_write(LOG_INFO, "event", NULL, "two");
    log_flush();
    log_facts(&facts);
    cr_expect_eq(facts.dropped, 2);
    cr_expect_eq(facts.lines[LOG_INFO], 2);
    log_close();
}

Test(base_log, what_is_queued_is_written_on_close, .init = make_dir, .fini = remove_dir)
{
    struct err err;
    cr_assert(log_open(log_path, LOG_INFO, true, &err));
    for (int i = 0; i < 1000; i++) {
        log_write(LOG_INFO, "event", NULL, "line %d", i);
    }
    log_close();
    FILE *file = fopen(log_path, "r");
    char line[256], expected[32];
    for (int i = 0; i < 1000; i++) {
        cr_assert_not_null(fgets(line, sizeof(line), file));
        snprintf(expected, sizeof(expected), "\"line %d\"", i);
        cr_assert_not_null(strstr(line, expected), "%s", line);
    }
    cr_expect_null(fgets(line, sizeof(line), file));
    fclose(file);
}
