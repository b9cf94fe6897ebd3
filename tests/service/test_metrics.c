/* test_metrics: the table of metrics keeps its own rules and is what docs/operations.md says; the
 * counters move by exactly what has happened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/metrics.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static const struct {
    const char *name, *type, *unit, *help;
} rows[] = {
#define COUNTER(field, name, unit, labels, help) {name, "counter", #unit, help},
#define HISTOGRAM(field, name, kind, labels, help) {name, "histogram", #kind, help},
#define READ(field, type, name, unit, labels, help, expression) {name, #type, #unit, help},
#define READ_HISTOGRAM(field, name, kind, help, expression) {name, "histogram", #kind, help},
#include "service/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef READ
#undef READ_HISTOGRAM
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* ---- the table ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool is_type(size_t row, const char *type)
{
    return strcasecmp(rows[row].type, type) == 0;
}

Test(service_metrics, names_tell_unit_and_kind)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *name = rows[i].name;
        cr_expect_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
        cr_expect(strncmp(name, "wasm_hypervisor_", 16) == 0 || strncmp(name, "process_", 8) == 0,
                  "%s", name);
        cr_expect_eq(ends_with(name, "_total"), is_type(i, "counter"), "%s", name);
        cr_expect_eq(strstr(name, "_seconds") != NULL, strcmp(rows[i].unit, "SECONDS") == 0, "%s",
                     name);
        cr_expect_eq(strstr(name, "_bytes") != NULL, strcmp(rows[i].unit, "BYTES") == 0, "%s",
                     name);
        cr_expect(!ends_with(name, "_count") && !ends_with(name, "_sum") &&
                      !ends_with(name, "_bucket"),
                  "%s", name);
        cr_expect(rows[i].help[0] != '\0' && strpbrk(rows[i].help, "\\\n|") == NULL, "%s", name);
        for (size_t other = 0; other < i; other++) {
            cr_expect_str_neq(name, rows[other].name);
        }
    }
}

Test(service_metrics, the_page_has_every_metric_and_no_other)
{
    static char page[64 * 1024];
    FILE *file = fopen(WH_SOURCE_DIR "/docs/operations.md", "r");
    cr_assert_not_null(file);
    size_t size = fread(page, 1, sizeof(page) - 1, file);
    fclose(file);
    cr_assert_lt(size, sizeof(page) - 1);
    for (size_t i = 0; i < ROWS; i++) {
        char line[512];
        const char *type = is_type(i, "counter") ? "counter"
                           : is_type(i, "gauge") ? "gauge"
                                                 : "histogram";
        snprintf(line, sizeof(line), "| `%s` | %s | %s |\n", rows[i].name, type, rows[i].help);
        cr_expect_not_null(strstr(page, line), "docs/operations.md lacks:\n%s", line);
    }
    size_t lines = 0;
    for (const char *at = page; (at = strstr(at, "\n| `")) != NULL; at++) {
        lines +=
            strncmp(at + 4, "wasm_hypervisor_", 16) == 0 || strncmp(at + 4, "process_", 8) == 0;
    }
    cr_expect_eq(lines, ROWS, "docs/operations.md has metrics that are none");
}

/* ---- counting ---- */

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

/* The value of a series; the page is asked for anew. */
static double value_of(const char *series)
{
    struct reply reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    char line[256];
    snprintf(line, sizeof(line), "\n%s ", series);
    const char *found = strstr(reply.text, line);
    cr_assert_not_null(found, "no %s", series);
    double value = strtod(found + strlen(line), NULL);
    reply_release(&reply);
    return value;
}

static void execute(const char *function, const char *arguments, int status)
{
    struct prepared prepared;
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   function, arguments, NULL, false, &prepared);
    struct reply reply = world_end(client_begin(&world, world.user.secret, &prepared));
    cr_assert_eq(reply.status, status, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&prepared);
}

Test(service_metrics, executions_count_exactly, .init = open_world, .fini = close_world)
{
    static const struct {
        const char *series;
        double expected;
    } after[] = {
        {"wasm_hypervisor_executions_total{outcome=\"SUCCESS\"}", 3},
        {"wasm_hypervisor_executions_total{outcome=\"EXECUTION_TRAP\"}", 1},
        {"wasm_hypervisor_executions_total{outcome=\"INTERNAL\"}", 0},
        {"wasm_hypervisor_request_keys_issued_total", 5},
        {"wasm_hypervisor_request_keys", 1},
        {"wasm_hypervisor_execution_duration_seconds_count", 4},
        {"wasm_hypervisor_execution_wait_seconds_count", 4},
        {"wasm_hypervisor_execution_run_seconds_count", 4},
        {"wasm_hypervisor_execution_run_seconds_bucket{le=\"+Inf\"}", 4},
        {"wasm_hypervisor_responses_total{method=\"POST\",route=\"/execute\",status=\"2xx\"}", 3},
        {"wasm_hypervisor_responses_total{method=\"POST\",route=\"/execute\",status=\"4xx\"}", 2},
        {"wasm_hypervisor_responses_total{method=\"POST\",route=\"/keys\",status=\"2xx\"}", 5},
        {"wasm_hypervisor_responses_total{method=\"\",route=\"\",status=\"4xx\"}", 1},
        {"wasm_hypervisor_response_seconds_count{method=\"POST\",route=\"/execute\"}", 4},
        {"wasm_hypervisor_refusals_total{code=\"NOT_FOUND\"}", 1},
        {"wasm_hypervisor_refusals_total{code=\"UNAUTHENTICATED\"}", 1},
        {"wasm_hypervisor_log_commit_seconds_count", 2 * 4 + 1}, /* ADMIT and RESULT, one EPOCH */
        {"wasm_hypervisor_log_entries", 2 * 4 + 2},              /* and the INIT before */
        {"wasm_hypervisor_log_pending_entries", 0},
        {"wasm_hypervisor_log_alive", 1},
        {"wasm_hypervisor_executions_queued", 0},
        {"wasm_hypervisor_api_keys", 4},
    };
    struct reply reply = world_ask(&world, "GET", "/nothing", NULL, NULL);
    reply_release(&reply);
    double gas = value_of("wasm_hypervisor_gas_total");
    for (int i = 0; i < 3; i++) {
        execute("add", "[1,2]", 200);
    }
    cr_expect_gt(value_of("wasm_hypervisor_gas_total"), gas);
    execute("div", "[1,0]", 422);
    reply = world_ask(&world, "POST", "/keys", world.user.secret, "{}");
    reply_release(&reply);
    reply = world_ask(&world, "POST", "/execute", NULL, "{}");
    reply_release(&reply);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        cr_expect_float_eq(value_of(after[i].series), after[i].expected, 0.1, "%s: %g",
                           after[i].series, value_of(after[i].series));
    }
}

Test(service_metrics, what_may_not_be_named_counts_as_internal)
{
    cr_expect_eq(metric_code(ERR_NONE), ERR_NONE);
    cr_expect_eq(metric_code(ERR_CANCELLED), ERR_CANCELLED);
    cr_expect_eq(metric_code(ERR_NO_MEMORY), ERR_INTERNAL);
    cr_expect_eq(metric_code(ERR_TAMPERED), ERR_INTERNAL);
}

/* ---- health ---- */

static const json_t *health_check(const struct reply *health, const char *name)
{
    return json_object_get(json_object_get(health->json, "checks"), name);
}

Test(service_health, a_check_that_does_not_hold_is_named, .fini = close_world)
{
    struct service_config config = service_config_default;
    config.request_keys_max = 1;
    world_open(&world, &config, NULL);
    struct reply reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_str_eq(reply_text(&reply, "status"), "ok");
    cr_expect(json_is_true(health_check(&reply, "room_for_request_keys")));
    reply_release(&reply);
    reply = world_ask(&world, "POST", "/keys", world.user.secret, "{}");
    cr_assert_eq(reply.status, 201);
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply_text(&reply, "status"), "degraded");
    cr_expect(json_is_false(health_check(&reply, "room_for_request_keys")));
    cr_expect(json_is_true(health_check(&reply, "room_for_executions")));
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/readyz?verbose", NULL, NULL);
    cr_expect_eq(reply.status, 503);
    cr_expect_not_null(strstr(reply.text, "[-] room_for_request_keys\n"));
    cr_expect_not_null(strstr(reply.text, "[+] audit_log\n"));
    cr_expect_not_null(strstr(reply.text, "\nnot ready\n"));
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/readyz", NULL, NULL);
    cr_expect_str_eq(reply.text, "not ready\n");
    reply_release(&reply);
    service_drain(world.service, NULL, NULL);
    reply = world_ask(&world, "GET", "/health", NULL, NULL);
    cr_expect_str_eq(reply_text(&reply, "status"), "draining");
    reply_release(&reply);
}
