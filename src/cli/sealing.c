/* sealing.c: see sealing.h.
 *
 * Everything here fails closed: a key that does not open is never replaced by a new one, and one
 * that lies in the clear is not taken where a sealed one is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/sealing.h"

#include "base/file.h"
#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { SEALING_PATH_CHARS_MAX = 4200 };

bool cli_tee_open(const struct config *config, struct bytes certificates,
                  const char *simulated_directory, struct tee *out, struct err *err)
{
    switch ((enum cli_tee)config_number(config, CONFIG_TEE)) {
    case CLI_TEE_SIMULATED:
        return tee_simulated_new(simulated_directory, &clock_system, out, err);
    case CLI_TEE_CONFIGFS:
        return tee_hardware_new(TEE_CONFIGFS, certificates, out, err) ||
               err_wrap(err, "configfs-tsm");
    case CLI_TEE_SEV_GUEST:
        return tee_hardware_new(TEE_SEV_GUEST, certificates, out, err) ||
               err_wrap(err, "sev-guest");
    case CLI_TEE_AUTO:
        return tee_hardware_new(TEE_ANY, certificates, out, err);
    case CLI_TEE_NONE:
        tee_none_new(out);
        return true;
    }
    return err_set(err, ERR_CONFIG, "there is no such tee");
}

/* ---- the log's key ---- */

static bool log_seal(void *context, const uint8_t seed[static CRYPTO_ED25519_SEED_BYTES],
                     struct buffer *out, struct err *err)
{
    return attest_seal(context, ATTEST_SEAL_LOG_KEY, seed, out, err);
}

static bool log_unseal(void *context, struct bytes sealed,
                       uint8_t seed[static CRYPTO_ED25519_SEED_BYTES], struct err *err)
{
    return attest_unseal(context, ATTEST_SEAL_LOG_KEY, sealed, seed, err);
}

bool sealing_open(const struct tee *tee, struct sealing *out, struct err *err)
{
    if (!attest_sealer_new(tee, &out->sealer, err)) {
        return err_wrap(err, "keys cannot be sealed or opened");
    }
    out->log = (struct audit_sealing){log_seal, log_unseal, out->sealer};
    return true;
}

void sealing_close(struct sealing *sealing)
{
    attest_sealer_free(sealing->sealer);
    sealing->sealer = NULL;
}

/* ---- the store's key ---- */

static bool store_key_make(const struct sealing *sealing, const char *path,
                           uint8_t out[static STORE_KEY_BYTES], struct err *err)
{
    struct buffer file;
    buffer_init(&file, ATTEST_SEALED_BYTES_MAX);
    crypto_random(out, STORE_KEY_BYTES);
    bool ok = attest_seal(sealing->sealer, ATTEST_SEAL_STORE_KEY, out, &file, err) &&
              file_create(path, buffer_bytes(&file), err);
    buffer_release(&file);
    return ok;
}

bool sealing_store_key(const struct sealing *sealing, const char *path,
                       uint8_t out[static STORE_KEY_BYTES], bool *made, struct err *err)
{
    static_assert((int)STORE_KEY_BYTES == (int)ATTEST_SEALED_SECRET_BYTES, "what can be sealed");
    struct stat status;
    uint8_t *file = NULL;
    size_t size = 0;
    *made = stat(path, &status) != 0 && errno == ENOENT;
    if (*made) {
        return store_key_make(sealing, path, out, err);
    }
    if (!cli_file_read(path, ATTEST_SEALED_BYTES_MAX, &file, &size, err)) {
        return false;
    }
    bool ok =
        attest_unseal(sealing->sealer, ATTEST_SEAL_STORE_KEY, bytes_of(file, size), out, err) ||
        err_wrap(err,
                 "%s (remove it to go on with a new key, without the answers that are kept "
                 "under this one)",
                 path);
    heap_free(file);
    return ok;
}

/* ---- commands on a log ---- */

static bool settings_read(struct config *config, const char *seal, const char *tee, struct err *err)
{
    return config_load_variable(config, CONFIG_SEAL, err) &&
           config_load_variable(config, CONFIG_TEE, err) &&
           (seal == NULL ||
            config_set(config, CONFIG_SEAL, seal, CONFIG_FROM_FLAG, 0, "--seal", err)) &&
           (tee == NULL || config_set(config, CONFIG_TEE, tee, CONFIG_FROM_FLAG, 0, "--tee", err));
}

/* As data_dir.h says: the simulator's directory lies beside the log's. */
static void simulator_of(const char *directory, char out[static SEALING_PATH_CHARS_MAX])
{
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') {
        size--;
    }
    while (size > 0 && directory[size - 1] != '/') {
        size--;
    }
    snprintf(out, SEALING_PATH_CHARS_MAX, "%.*stee", (int)size, directory);
}

static bool sealer_open(const struct config *config, const char *directory, struct sealing *out,
                        struct err *err)
{
    char simulator[SEALING_PATH_CHARS_MAX];
    struct tee provider;
    simulator_of(directory, simulator);
    if (!cli_tee_open(config, bytes_of(NULL, 0), simulator, &provider, err)) {
        return false;
    }
    bool ok = sealing_open(&provider, out, err);
    provider.free(provider.context);
    return ok;
}

bool log_sealing_open(const char *directory, const char *seal, const char *tee,
                      struct log_sealing *out, struct err *err)
{
    struct config config;
    bool plain = false, sealed = false;
    *out = (struct log_sealing){.seals = false};
    audit_log_key_forms(directory, &plain, &sealed);
    if (!config_init(&config, err)) {
        return false;
    }
    bool ok = settings_read(&config, seal, tee, err);
    bool as_is = seal == NULL && (plain || sealed);
    out->seals = as_is ? sealed : ok && config_number(&config, CONFIG_SEAL) == 1;
    if (ok && (out->seals || sealed)) {
        ok = sealer_open(&config, directory, &out->sealing, err);
    }
    config_release(&config);
    return ok;
}

void log_sealing_close(struct log_sealing *sealing)
{
    sealing_close(&sealing->sealing);
}

void log_sealing_apply(const struct log_sealing *sealing, struct audit_config *config)
{
    config->sealing = sealing->sealing.sealer == NULL ? NULL : &sealing->sealing.log;
    config->seals_new_keys = sealing->seals;
}

void log_sealing_print(const struct log_sealing *sealing)
{
    if (sealing->seals) {
        printf("its key is sealed to %s\n", attest_sealer_bound_to(sealing->sealing.sealer));
    } else {
        printf("its key lies there in the clear, for whoever reads the disk\n");
    }
}
