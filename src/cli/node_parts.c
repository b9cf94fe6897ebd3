/* node_parts.c: the parts of a node below the sockets, opened in the order in which they need each
 * other: directory, tee, store, log, service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "cli/node.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRAM_BYTES_MAX = 512 * 1024 * 1024, WEBHOOKS_RUNNING_MAX = 64 };
enum node_start { NODE_START_WARN, NODE_START_REFUSE }; /* as in settings.def */
enum { TEE_CERTIFICATES_BYTES_MAX = 64 * 1024 };

static const uint64_t node_mib = 1024 * 1024;
static const uint64_t node_kib = 1024;
static const uint64_t node_hour_ms = 3600 * 1000;

/* What ran: the version and the hash of the very file. */
static bool build_id_make(char out[static NODE_BUILD_ID_CHARS_MAX], struct err *err)
{
    uint8_t *program = NULL;
    size_t size = 0;
    if (!cli_file_read("/proc/self/exe", PROGRAM_BYTES_MAX, &program, &size, err)) {
        return false;
    }
    uint8_t hash[CRYPTO_SHA256_BYTES];
    char hex[2 * CRYPTO_SHA256_BYTES + 1];
    crypto_sha256(bytes_of(program, size), hash);
    text_hex_encode(bytes_of(hash, sizeof hash), hex);
    heap_free(program);
    snprintf(out, NODE_BUILD_ID_CHARS_MAX, "%s sha256:%s", WH_VERSION, hex);
    return true;
}

/* The log's first key names the node: it is made once, and stays the first when the log gets a new
 * one. */
static void node_id_make(struct node *node)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of_string(audit_log_first_vkey(node->log)), hash);
    text_hex_encode(bytes_of(hash, NODE_ID_BYTES), node->node_id);
}

/* Called once, from the log's writer thread. */
static void log_fatal(void *context, const struct err *err)
{
    struct node *node = context;
    node->log_err = *err;
    atomic_store(&node->log_died, true);
    uv_async_send(&node->wake);
}

/* Our own place is closed to others; a place that somebody chose is only complained about. */
static void directory_check(const struct node *node)
{
    struct stat status;
    if (stat(node->directory.path, &status) != 0 || (status.st_mode & 077) == 0) {
        return;
    }
    bool is_ours = node->config->values[CONFIG_DATA_DIR].source == CONFIG_FROM_DEFAULT;
    if (!is_ours || chmod(node->directory.path, 0700) != 0) {
        log_write(LOG_WARN, "data_dir_open", NULL,
                  "the data directory '%s' can be entered by others (mode %03o): chmod 700 it",
                  node->directory.path, (unsigned)(status.st_mode & 0777));
    }
}

static void recovery_tell(const struct audit_recovery *recovery)
{
    bool is_clean = recovery->torn_bytes_cut == 0 && recovery->unsigned_entries == 0 &&
                    recovery->unanswered_count == 0 && !recovery->checkpoint_lost;
    log_write(is_clean ? LOG_INFO : LOG_WARN, "audit_opened", NULL,
              "audit log: %" PRIu64 " entries; torn bytes cut %" PRIu64
              ", unsigned entries %" PRIu64 ", unanswered requests %" PRIu64 "%s",
              recovery->size, recovery->torn_bytes_cut, recovery->unsigned_entries,
              recovery->unanswered_count,
              recovery->checkpoint_lost ? "; its checkpoint file was empty and is made anew" : "");
}

/* Not there, or a fresh mount point. */
static bool directory_is_empty(const char *path)
{
    DIR *listing = opendir(path);
    if (listing == NULL) {
        return errno == ENOENT;
    }
    bool is_empty = true;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        is_empty =
            is_empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    closedir(listing);
    return is_empty;
}

static void sealing_apply(const struct node *node, struct audit_config *config)
{
    config->seals_new_keys = node->sealing.sealer != NULL;
    config->sealing = config->seals_new_keys ? &node->sealing.log : NULL;
}

/* A log is made on the first start only. An index that has seen entries proves that there was one:
 * to begin anew is then a person's decision. */
static bool log_part_make(struct node *node, struct err *err)
{
    uint64_t indexed = 0;
    if (!directory_is_empty(node->directory.audit)) {
        return true;
    }
    if (!store_indexed_size(node->store, &indexed, err)) {
        return false;
    }
    if (indexed > 0) {
        return err_set(err, ERR_TAMPERED,
                       "the audit log '%s' is gone, but the index has seen %" PRIu64
                       " entries of it: restore it from a backup, or run 'wasm-hypervisor audit "
                       "init %s' to begin a new one",
                       node->directory.audit, indexed, node->directory.audit);
    }
    struct audit_config config = {.directory = node->directory.audit, .clock = &clock_system};
    sealing_apply(node, &config);
    return audit_log_make(&config, NULL, err);
}

static bool log_part_open(struct node *node, struct err *err)
{
    if (!log_part_make(node, err)) {
        return false;
    }
    struct audit_config config = {
        .directory = node->directory.audit,
        .batch_delay_ms_max = 2,
        .batch_entries_max = 1024,
        .pending_entries_max = 8192,
        .rotates_monthly = config_number(node->config, CONFIG_AUDIT_MONTHLY) != 0,
        .segment_bytes_max = config_number(node->config, CONFIG_AUDIT_SEGMENT) << 20,
        .clock = &clock_system};
    sealing_apply(node, &config);
    if (!audit_log_open(&config, log_fatal, node, &node->log, &node->recovery, err)) {
        return err_wrap(err, "audit log '%s'", node->directory.audit);
    }
    recovery_tell(&node->recovery);
    return true;
}

/* Before anything more is written to the log: it may be an old copy. */
static bool witnesses_part_open(struct node *node, struct err *err)
{
    const struct config *config = node->config;
    const struct net_outgoing_limits limits = {.running_max = AUDIT_WITNESSES_MAX,
                                               .waiting_max = AUDIT_WITNESSES_MAX,
                                               .allow_private = true};
    if (config_text(config, CONFIG_AUDIT_WITNESSES)[0] == '\0') {
        return true;
    }
    if (!net_outgoing_open(&limits, &node->to_witnesses, err)) {
        return false;
    }
    const struct service_witnesses_config witnesses = {
        .witnesses = config_text(config, CONFIG_AUDIT_WITNESSES),
        .threshold = (uint32_t)config_number(config, CONFIG_AUDIT_THRESHOLD),
        .interval_ms = config_number(config, CONFIG_AUDIT_INTERVAL) * 1000,
        .must_reach = config_number(config, CONFIG_AUDIT_START) == NODE_START_REFUSE,
        .log = node->log,
        .clock = &clock_system,
        .outgoing = net_outgoing_of(node->to_witnesses)};
    return service_witnesses_open(&witnesses, &node->witnesses, err);
}

static bool witness_part_open(struct node *node, struct err *err)
{
    const struct audit_witness_config config = {.directory = node->directory.witness,
                                                .name = audit_log_origin(node->log),
                                                .logs =
                                                    config_text(node->config, CONFIG_WITNESS_LOGS),
                                                .clock = &clock_system};
    if (config_number(node->config, CONFIG_WITNESS_ENABLED) == 0) {
        return true;
    }
    if (!audit_witness_open(&config, &node->witness, err)) {
        return err_wrap(err, "witness '%s'", node->directory.witness);
    }
    log_event(LOG_INFO, "witness_opened",
              LOG_FIELDS(log_text("vkey", audit_witness_vkey(node->witness))),
              "cosigning the checkpoints of other logs");
    return true;
}

/* A file that is named has to be good, also while the host's own table is. */
static bool tee_certificates_read(struct node *node, struct err *err)
{
    const char *path = config_text(node->config, CONFIG_TEE_CERTIFICATES);
    uint8_t *content = NULL;
    size_t size = 0;
    if (path[0] == '\0') {
        return true;
    }
    uint64_t tee = config_number(node->config, CONFIG_TEE);
    if (tee == CLI_TEE_SIMULATED || tee == CLI_TEE_NONE) {
        return err_set(err, ERR_CONFIG, "tee_certificates are for hardware, and tee names none");
    }
    if (!cli_file_read(path, TEE_CERTIFICATES_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = attest_certificates_add(bytes_of(content, size), &node->tee_certificates, err) &&
              (attest_certificates_complete(buffer_bytes(&node->tee_certificates)) ||
               err_set(err, ERR_CONFIG, "no VCEK or VLEK with its authorities is in it"));
    heap_free(content);
    return ok || err_wrap(err, "tee_certificates '%s'", path);
}

static bool tee_part_open(struct node *node, struct err *err)
{
    buffer_init(&node->tee_certificates, TEE_CERTIFICATES_BYTES_MAX);
    if (!tee_certificates_read(node, err) ||
        !cli_tee_open(node->config, buffer_bytes(&node->tee_certificates), node->directory.tee,
                      &node->tee, err)) {
        return false;
    }
    if (strcmp(node->tee.name, "simulated") == 0) {
        log_write(LOG_WARN, "tee_simulated", NULL,
                  "attestation is simulated: it proves nothing about this machine");
    }
    return true;
}

/* What was sealed stays so: a forgotten setting must not make a node go on without it. */
static bool sealed_is_absent(const struct node *node, struct err *err)
{
    bool plain = false, sealed = false;
    audit_log_key_forms(node->directory.audit, &plain, &sealed);
    if (sealed) {
        return err_set(err, ERR_CONFIG,
                       "the key of the audit log '%s' is sealed, but seal is off: set it to on. To "
                       "give the log a key that is not: 'wasm-hypervisor audit rotate %s --key "
                       "--seal off --tee %s'",
                       node->directory.audit, node->directory.audit,
                       config_text(node->config, CONFIG_TEE));
    }
    return access(node->directory.store_key, F_OK) != 0 ||
           err_set(err, ERR_CONFIG,
                   "kept answers are sealed, but seal is off: set it to on, or remove '%s' to go "
                   "on without them",
                   node->directory.store_key);
}

static bool sealing_part_open(struct node *node, struct err *err)
{
    bool plain = false, sealed = false;
    if (config_number(node->config, CONFIG_SEAL) == 0) {
        return sealed_is_absent(node, err);
    }
    audit_log_key_forms(node->directory.audit, &plain, &sealed);
    if (plain) {
        return err_set(
            err, ERR_CONFIG,
            "seal is on, but the key of the audit log '%s' lies there in the clear: give "
            "the log a sealed one with 'wasm-hypervisor audit rotate %s --key --seal on --tee %s'",
            node->directory.audit, node->directory.audit, config_text(node->config, CONFIG_TEE));
    }
    if (!sealing_open(&node->tee, &node->sealing, err)) {
        return false;
    }
    log_write(LOG_INFO, "sealing", NULL, "keys are sealed to %s",
              attest_sealer_bound_to(node->sealing.sealer));
    return true;
}

/* Only beside a log that is open, this node's alone and no old copy: a start that is refused must
 * not have cost the answers of the one that comes after it. */
static bool answers_part_seal(struct node *node, struct err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    uint64_t dropped = 0;
    bool seals = node->sealing.sealer != NULL, made = false;
    bool ok =
        !seals || sealing_store_key(&node->sealing, node->directory.store_key, key, &made, err);
    ok = ok && store_seal(node->store, seals ? key : NULL, &dropped, err);
    memory_wipe(key, sizeof key);
    if (ok && made) {
        log_write(LOG_INFO, "store_key_made", NULL, "kept answers get a key of their own in %s",
                  node->directory.store_key);
    }
    if (ok && dropped > 0) {
        log_write(LOG_WARN, "answers_dropped", NULL,
                  "%" PRIu64 " kept answers were sealed under a key that is gone: dropped",
                  dropped);
    }
    return ok;
}

static struct service_config service_settings(const struct config *config)
{
    struct service_config out = service_config_default;
    out.workers = (uint32_t)config_number(config, CONFIG_SERVER_WORKERS);
    out.memory_max_bytes = (uint32_t)(config_number(config, CONFIG_WASM_MEMORY) * node_mib);
    out.memory_budget_bytes = (size_t)(config_number(config, CONFIG_LIMITS_BUDGET) * node_mib);
    out.execution_seconds_max = (uint32_t)config_number(config, CONFIG_WASM_SECONDS);
    out.execution_seconds_default = (uint32_t)config_number(config, CONFIG_WASM_SECONDS_DEFAULT);
    if (out.execution_seconds_default > out.execution_seconds_max) {
        out.execution_seconds_default = out.execution_seconds_max;
    }
    out.gas_max = config_number(config, CONFIG_LIMITS_GAS);
    out.concurrent_executions_max = (uint32_t)config_number(config, CONFIG_WASM_CONCURRENT);
    out.queued_executions_max = (uint32_t)config_number(config, CONFIG_LIMITS_QUEUED);
    out.queue_wait_max_ms = config_number(config, CONFIG_LIMITS_QUEUE_SECONDS) * 1000;
    out.express_executions_max = (uint32_t)config_number(config, CONFIG_LIMITS_EXPRESS);
    out.api_key_percent = (uint32_t)config_number(config, CONFIG_LIMITS_API_KEY_SHARE);
    out.request_keys_max = (uint32_t)config_number(config, CONFIG_LIMITS_KEYS);
    out.request_keys_per_api_key_max =
        (uint32_t)config_number(config, CONFIG_LIMITS_KEYS_PER_OWNER);
    out.request_key_lifetime_ms = config_number(config, CONFIG_LIMITS_KEY_SECONDS) * 1000;
    out.result_retention_ms = config_number(config, CONFIG_CRYPTO_RETENTION) * 24 * node_hour_ms;
    out.idempotency_keys_per_api_key_max =
        (uint32_t)config_number(config, CONFIG_LIMITS_IDEMPOTENCY);
    out.module_bytes_max = (size_t)(config_number(config, CONFIG_LIMITS_MODULE) * node_kib);
    out.module_cache_bytes = (size_t)(config_number(config, CONFIG_LIMITS_MODULE_CACHE) * node_mib);
    out.result_bytes_max = (size_t)(config_number(config, CONFIG_LIMITS_RESULT) * node_kib);
    uint64_t epoch_ms = config_number(config, CONFIG_ATTEST_EPOCH) * 1000;
    out.epoch_lifetime_ms =
        epoch_ms != 0 ? epoch_ms : config_number(config, CONFIG_CRYPTO_ROTATION) * node_hour_ms;
    out.attester_calls_per_minute = (uint32_t)config_number(config, CONFIG_ATTEST_CALLS);
    out.attester_burst = (uint32_t)config_number(config, CONFIG_ATTEST_BURST);
    out.attester_retry_ms = config_number(config, CONFIG_ATTEST_RETRY) * 1000;
    out.fresh_waiting_max = (uint32_t)config_number(config, CONFIG_ATTEST_WAITING);
    out.fresh_wait_max_ms = config_number(config, CONFIG_ATTEST_WAIT) * 1000;
    out.require_api_key = config_number(config, CONFIG_SERVER_API_KEYS) == 1;
    out.executions_per_second_per_key =
        (uint32_t)config_number(config, CONFIG_LIMITS_KEY_EXECUTIONS);
    out.requests_per_second_per_key = (uint32_t)config_number(config, CONFIG_LIMITS_KEY_REQUESTS);
    out.requests_per_second_per_address =
        (uint32_t)config_number(config, CONFIG_LIMITS_ADDRESS_REQUESTS);
    out.bad_keys_per_second_per_address =
        (uint32_t)config_number(config, CONFIG_LIMITS_ADDRESS_BAD_KEYS);
    out.limit_window_s = (uint32_t)config_number(config, CONFIG_LIMITS_WINDOW);
    out.webhook_retry_ms = config_number(config, CONFIG_WEBHOOKS_RETRY) * 1000;
    out.trusted_proxies = config_text(config, CONFIG_SERVER_PROXIES);
    return out;
}

/* The server is opened after the service and closed after it. */
static void connections_tell(void *context, struct service_connections *out)
{
    const struct node *node = context;
    const struct net_stats *stats = net_server_stats(node->net);
    out->accepted = atomic_load(&stats->connections_accepted);
    out->open = atomic_load(&stats->connections_open);
    out->open_max = config_number(node->config, CONFIG_LIMITS_CONNECTIONS);
    out->surplus_of_address = atomic_load(&stats->surplus_of_address);
    out->surplus = atomic_load(&stats->surplus);
    out->refused = atomic_load(&stats->refused);
}

static bool webhooks_part_open(struct node *node, struct err *err)
{
    struct net_outgoing_limits limits = {
        .running_max = WEBHOOKS_RUNNING_MAX,
        .waiting_max = (uint32_t)config_number(node->config, CONFIG_WEBHOOKS_PENDING),
        .allow_private = config_number(node->config, CONFIG_WEBHOOKS_PRIVATE) == 1};
    return config_number(node->config, CONFIG_WEBHOOKS_ENABLED) == 0 ||
           net_outgoing_open(&limits, &node->webhooks, err);
}

static bool service_part_open(struct node *node, struct err *err)
{
    struct service_config config = service_settings(node->config);
    service_memory_init(&node->memory, config.memory_budget_bytes);
    struct service_parts parts = {.memory = &node->memory,
                                  .log = node->log,
                                  .store = node->store,
                                  .tee = &node->tee,
                                  .clock = &clock_system,
                                  .node_id = node->node_id,
                                  .build_id = node->build_id,
                                  .config_digest = node->config_digest,
                                  .recovery = &node->recovery,
                                  .connections = connections_tell,
                                  .connections_context = node,
                                  .witness = node->witness,
                                  .witnesses = node->witnesses};
    if (node->webhooks != NULL) {
        parts.webhooks = net_outgoing_of(node->webhooks);
    }
    return service_open(&config, &parts, &node->service, err);
}

/* A store without any key would leave nobody to ask: the first one is made and shown, once. */
static bool first_key_make(struct node *node, struct err *err)
{
    struct arena arena;
    arena_init(&arena, NULL);
    struct store_api_key *keys = NULL;
    size_t count = 0;
    bool ok = store_list_api_keys(node->store, &arena, &keys, &count, err);
    arena_release(&arena);
    if (!ok || count > 0 || config_number(node->config, CONFIG_SERVER_API_KEYS) == 0) {
        return ok;
    }
    struct store_api_key key;
    char secret[SERVICE_API_KEY_CHARS + 1];
    service_api_key_new("first", STORE_SCOPE_EXECUTE | STORE_SCOPE_METRICS | STORE_SCOPE_ADMIN, 0,
                        &clock_system, &key, secret);
    ok = store_add_api_key(node->store, &key, err);
    if (ok) {
        printf("The first API key, shown only now (scopes execute, metrics, admin). To use it:\n"
               "  export WASM_HYPERVISOR_API_KEY=%s\n",
               secret);
        fflush(stdout);
    }
    memory_wipe(secret, sizeof secret);
    return ok;
}

/* A tee in which a thread is left stays until the process ends, with what it borrowed. */
void node_service_close(struct node *node)
{
    if (!service_close(node->service)) {
        node->tee = (struct tee){0};
        buffer_init(&node->tee_certificates, 0);
    }
    node->service = NULL;
}

bool node_parts_open(struct node *node, struct err *err)
{
    bool created = false;
    if (!cli_directory_make(node->directory.path, 0700, err) ||
        !build_id_make(node->build_id, err) ||
        !config_digest(node->config, node->config_digest, err)) {
        return false;
    }
    directory_check(node);
    if (!tee_part_open(node, err) || !sealing_part_open(node, err) ||
        !store_open(node->directory.store, &clock_system, &node->store, &created, err) ||
        !log_part_open(node, err) || !witnesses_part_open(node, err) ||
        !witness_part_open(node, err) || !answers_part_seal(node, err)) {
        return false;
    }
    node_id_make(node);
    return first_key_make(node, err) && webhooks_part_open(node, err) &&
           service_part_open(node, err);
}

void node_parts_close(struct node *node)
{
    if (node->service != NULL) {
        node_service_close(node);
    }
    net_outgoing_close(node->webhooks);
    node->webhooks = NULL;
    if (node->tee.free != NULL) {
        node->tee.free(node->tee.context);
        node->tee = (struct tee){0};
    }
    buffer_release(&node->tee_certificates);
    if (node->store != NULL) {
        store_close(node->store);
        node->store = NULL;
    }
    audit_witness_close(node->witness);
    node->witness = NULL;
    service_witnesses_close(node->witnesses);
    node->witnesses = NULL;
    net_outgoing_close(node->to_witnesses);
    node->to_witnesses = NULL;
    if (node->log != NULL) {
        audit_log_close(node->log);
        node->log = NULL;
    }
    sealing_close(&node->sealing);
}
