/* test_load.c: the load generator's parts: histograms, arrivals, programs and what they give,
 * addresses, metrics, flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "cli/program.h"
#include "vm/vm.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* ---- histograms ---- */

static struct load_histogram histogram;

static void empty(void)
{
    histogram = (struct load_histogram){0};
}

TestSuite(cli_load, .init = empty);

Test(cli_load, an_empty_histogram_says_nothing)
{
    cr_expect_eq(load_histogram_at(&histogram, 0.5), 0);
    cr_expect_eq(load_histogram_at(&histogram, 1), 0);
    cr_expect_eq(load_histogram_mean(&histogram), 0);
}

Test(cli_load, small_values_are_exact)
{
    for (uint64_t value = 0; value < 128; value++) {
        load_histogram_add(&histogram, value);
    }
    cr_expect_eq(load_histogram_at(&histogram, 0), 0);
    cr_expect_eq(load_histogram_at(&histogram, 0.5), 63);
    cr_expect_eq(load_histogram_at(&histogram, 1), 127);
    cr_expect_eq(histogram.min, 0);
    cr_expect_eq(histogram.max, 127);
    cr_expect_float_eq(load_histogram_mean(&histogram), 63.5, 1e-9);
}

Test(cli_load, what_was_there_earlier_can_be_taken_away)
{
    struct load_histogram earlier;
    load_histogram_add(&histogram, 1000);
    earlier = histogram;
    load_histogram_add(&histogram, 3);
    load_histogram_add(&histogram, 5);
    load_histogram_take(&histogram, &earlier);
    cr_expect_eq(histogram.count, 2);
    cr_expect_eq(load_histogram_at(&histogram, 0.5), 3);
    cr_expect_eq(load_histogram_at(&histogram, 1), 5);
    cr_expect_float_eq(load_histogram_mean(&histogram), 4, 1e-9);
}

Test(cli_load, a_median_is_in_the_middle)
{
    double one[] = {7}, two[] = {3, 1}, three[] = {9, 1, 2};
    cr_expect_float_eq(load_median(one, 1), 7, 0);
    cr_expect_float_eq(load_median(two, 2), 2, 0);
    cr_expect_float_eq(load_median(three, 3), 2, 0);
}

Test(cli_load, every_value_is_found_again_within_a_64th_and_never_below)
{
    for (uint64_t value = 1; value < UINT64_C(1) << 40; value = value * 9 / 7 + 1) {
        empty();
        load_histogram_add(&histogram, value);
        load_histogram_add(&histogram, UINT64_MAX); /* so that the maximum does not help */
        uint64_t found = load_histogram_at(&histogram, 0.5);
        cr_expect_geq(found, value, "%llu became %llu", (unsigned long long)value,
                      (unsigned long long)found);
        cr_expect_leq(found - value, value / 64, "%llu became %llu", (unsigned long long)value,
                      (unsigned long long)found);
    }
}

Test(cli_load, a_percentile_is_the_value_that_so_many_do_not_exceed)
{
    for (int i = 0; i < 990; i++) {
        load_histogram_add(&histogram, 10);
    }
    for (int i = 0; i < 10; i++) {
        load_histogram_add(&histogram, 100);
    }
    cr_expect_eq(load_histogram_at(&histogram, 0.99), 10);
    cr_expect_eq(load_histogram_at(&histogram, 0.991), 100);
    cr_expect_eq(load_histogram_at(&histogram, 0.999), 100);
}

Test(cli_load, values_beyond_the_last_bucket_are_counted_and_the_maximum_is_exact)
{
    load_histogram_add(&histogram, UINT64_MAX);
    cr_expect_eq(histogram.max, UINT64_MAX);
    cr_expect_eq(histogram.buckets[LOAD_HISTOGRAM_BUCKETS - 1], 1);
}

/* ---- arrivals ---- */

Test(cli_load, the_same_seed_gives_the_same_numbers_and_another_seed_others)
{
    struct load_random a = {5}, b = {5}, c = {6};
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t number = load_random_next(&a);
        cr_expect_eq(number, load_random_next(&b));
        differs = differs || number != load_random_next(&c);
    }
    cr_expect(differs);
}

Test(cli_load, units_are_above_0_and_spread_evenly)
{
    struct load_random random = {1};
    double sum = 0, log_sum = 0;
    enum { DRAWS = 100000 };
    for (int i = 0; i < DRAWS; i++) {
        double unit = load_random_unit(&random);
        cr_assert(unit > 0 && unit <= 1);
        sum += unit;
        log_sum -= log(unit);
    }
    cr_expect_float_eq(sum / DRAWS, 0.5, 0.01);
    cr_expect_float_eq(log_sum / DRAWS, 1, 0.02, "gaps would not have the mean of the rate");
}

/* ---- programs ---- */

static uint64_t run(const struct load_job *job, const struct vm_value *arguments, uint32_t count)
{
    struct vm_limits limits = vm_limits_default;
    struct vm_module *module = NULL;
    struct vm_instance *instance = NULL;
    struct vm_extern found;
    struct budget budget;
    struct err err;
    const char *function = load_program_function(job->program);
    budget_init(&budget, NULL, 256 * 1024 * 1024);
    cr_assert(vm_module_load(load_program_wasm(job->program), &limits, &budget, &module, &err),
              "%s", err.message);
    struct vm_store *store = vm_store_new(&limits, &budget);
    cr_assert(vm_instantiate(store, module, NULL, &instance, &err), "%s", err.message);
    cr_assert(vm_instance_find_export(instance, bytes_of_string(function), &found));
    struct vm_run *vm_run = vm_run_new(store, UINT64_C(1000000000));
    cr_assert(vm_run_begin_call(vm_run, found.object, arguments, count, &err), "%s", err.message);
    cr_assert_eq(vm_run_slice(vm_run, UINT64_C(1000000000)), VM_RETURNED);
    uint32_t result_count = 0;
    uint64_t result = vm_run_results(vm_run, &result_count)[0].as.i64;
    cr_assert_eq(result_count, 1);
    vm_run_free(vm_run);
    vm_store_free(store);
    vm_module_unref(module);
    return result;
}

Test(cli_load, mix_gives_what_is_expected_of_it)
{
    static const uint32_t steps[] = {1, 2, 3, 100, 65537};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct load_job job = {
            .program = LOAD_MIX, .seed = UINT64_C(0x8000000000000001) + i, .size = steps[i]};
        struct vm_value arguments[] = {{.type = VM_I64, .as.i64 = job.seed},
                                       {.type = VM_I32, .as.i32 = job.size}};
        cr_expect_eq(run(&job, arguments, 2), load_program_result(&job));
    }
}

Test(cli_load, touch_gives_what_is_expected_of_it)
{
    static const uint32_t seeds[] = {0, 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        struct load_job job = {.program = LOAD_TOUCH, .seed = seeds[i], .size = 3};
        struct vm_value arguments[] = {{.type = VM_I32, .as.i32 = job.size},
                                       {.type = VM_I32, .as.i32 = seeds[i]}};
        cr_expect_eq(run(&job, arguments, 2), load_program_result(&job));
    }
}

/* ---- addresses and metrics ---- */

Test(cli_load, an_address_is_taken_apart)
{
    struct load_node node;
    struct err err;
    cr_assert(load_node_address(&node, "http://127.0.0.1:3000", &err));
    cr_expect_str_eq(node.host, "127.0.0.1");
    cr_expect_str_eq(node.port, "3000");
    cr_assert(load_node_address(&node, "http://[::1]:80/", &err));
    cr_expect_str_eq(node.host, "::1");
    cr_expect_str_eq(node.port, "80");
}

Test(cli_load, what_is_no_address_is_refused)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1:3000",
                                      "https://127.0.0.1:3000",
                                      "http://127.0.0.1",
                                      "http://127.0.0.1:",
                                      "http://127.0.0.1:123456",
                                      "http://127.0.0.1:80/path",
                                      "http://[::1:80",
                                      "http://[::1]"};
    struct load_node node;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err;
        cr_expect_not(load_node_address(&node, bad[i], &err), "'%s' was taken", bad[i]);
        cr_expect_eq(err.code, ERR_USAGE);
    }
}

Test(cli_load, a_metric_is_found_by_its_whole_name)
{
    static const char text[] = "# HELP a b\nruns_total 7\nruns 12.5\nruns{x=\"y\"} 3\n";
    double value = 0;
    cr_assert(load_metric_find(bytes_of(text, sizeof text), "runs", &value));
    cr_expect_eq(value, 12.5);
    cr_assert(load_metric_find(bytes_of(text, sizeof text), "runs_total", &value));
    cr_expect_eq(value, 7);
    cr_expect_not(load_metric_find(bytes_of(text, sizeof text), "run", &value));
    cr_expect_not(load_metric_find(bytes_of(text, sizeof text), "walks", &value));
}

Test(cli_load, the_cost_of_cryptography_is_the_sum_of_its_parts)
{
    struct load_crypto crypto;
    struct err err;
    double sum = 0;
    cr_assert(load_crypto_measure(100, 600, 0.5, &crypto, &err), "%s", err.message);
    for (size_t i = 0; i < crypto.count; i++) {
        cr_expect_gt(crypto.rows[i].us, 0, "%s", crypto.rows[i].name);
        sum += crypto.rows[i].us * crypto.rows[i].count;
    }
    cr_expect_float_eq(sum, crypto.total_us, 1e-6);
    cr_expect_eq(crypto.rows[crypto.count - 1].count, 0.5);
}

/* ---- flags ---- */

static void refused(const char *words, struct program_result result)
{
    cr_expect_eq(result.code, 2, "exit status %d: %s", result.code, result.err);
    cr_expect_not_null(strstr(result.err, words), "stderr lacks '%s': %s", words, result.err);
    cr_expect_str_empty(result.out);
    program_result_release(&result);
}

Test(cli_load, wrong_flags_are_named)
{
    refused("which node?", PROGRAM_RUN("load"));
    refused("exclude each other",
            PROGRAM_RUN("load", "--spawn", "--node", "http://127.0.0.1:3000"));
    refused("there is no scenario 'quiet'", PROGRAM_RUN("load", "--spawn", "--scenario", "quiet"));
    refused("there is no scenario ''", PROGRAM_RUN("load", "--spawn", "--scenario", "steady,"));
    refused("there is no scenario 'al'", PROGRAM_RUN("load", "--spawn", "--scenario", "al"));
    refused("--rate", PROGRAM_RUN("load", "--spawn", "--rate", "0"));
    refused("--rate", PROGRAM_RUN("load", "--spawn", "--rate", "nan"));
    refused("--rate", PROGRAM_RUN("load", "--spawn", "--rate", "1000001"));
    refused("--duration", PROGRAM_RUN("load", "--spawn", "--duration", "1s"));
    refused("--warmup", PROGRAM_RUN("load", "--spawn", "--warmup", "-1"));
    refused("--connections", PROGRAM_RUN("load", "--spawn", "--connections", "0"));
    refused("--concurrency", PROGRAM_RUN("load", "--spawn", "--concurrency", "0"));
    refused("--count", PROGRAM_RUN("load", "--spawn", "--count", "1000001"));
    refused("--check-every", PROGRAM_RUN("load", "--spawn", "--check-every", "0"));
    refused("--pid", PROGRAM_RUN("load", "--spawn", "--pid", "0"));
    refused("for a node of its own", PROGRAM_RUN("load", "--node", "http://h:1", "--", "--port"));
    refused("for a node of its own",
            PROGRAM_RUN("load", "--node", "http://h:1", "--data-dir", "/tmp/x"));
    refused("unexpected argument 'steady'", PROGRAM_RUN("load", "--spawn", "steady"));
    refused("is not the address of a node", PROGRAM_RUN("load", "--node", "127.0.0.1:3000"));
}

Test(cli_load, the_list_has_every_scenario)
{
    struct program_result result = PROGRAM_RUN("load", "--list");
    cr_expect_eq(result.code, 0);
    for (size_t i = 0; i < load_scenario_count; i++) {
        cr_expect_not_null(strstr(result.out, load_scenarios[i].name));
        cr_expect_not_null(strstr(result.out, load_scenarios[i].summary));
    }
    program_result_release(&result);
}
