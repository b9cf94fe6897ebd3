/* config.c: what a service is allowed to use unless the operator says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/service.h"

const struct service_config service_config_default = {
    .workers = 0,
    .memory_max_bytes = 64 * 1024 * 1024,
    .memory_budget_bytes = 640UL * 1024 * 1024,
    .execution_seconds_max = 300,
    .execution_seconds_default = 10,
    .gas_max = 1000000000000,
    .concurrent_executions_max = 100,
    .express_executions_max = 32,
    .queued_executions_max = 1000,
    .queue_wait_max_ms = 5000,
    .api_key_percent = 50,
    .request_keys_max = 10000,
    .request_keys_per_api_key_max = 1000,
    .request_key_lifetime_ms = 3600 * 1000,
    .result_retention_ms = 7UL * 24 * 3600 * 1000,
    .idempotency_keys_per_api_key_max = 10000,
    .module_bytes_max = 16 * 1024 * 1024,
    .module_cache_bytes = 128UL * 1024 * 1024,
    .result_bytes_max = 4 * 1024 * 1024,
    .slice_us = 500,
    .epoch_lifetime_ms = 3600 * 1000,
    .attester_calls_per_minute = 30,
    .attester_burst = 1,
    .attester_retry_ms = 30 * 1000,
    .fresh_wait_max_ms = 10 * 1000,
    .fresh_waiting_max = 10000,
    .webhook_retry_ms = 10000,
    .require_api_key = true,
    .executions_per_second_per_key = 5000,
    .requests_per_second_per_key = 5000,
    .requests_per_second_per_address = 100,
    .bad_keys_per_second_per_address = 5,
    .limit_window_s = 10,
    .trusted_proxies = "",
};
