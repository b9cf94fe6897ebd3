/* test_log: lines are whole, levels filter, JSON stays JSON whatever is logged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include "base/json.h"

#include <criterion/criterion.h>
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
