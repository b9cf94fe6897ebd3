/* data_dir.c: see data_dir.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/data_dir.h"

#include <string.h>

bool data_dir_of_config(const struct config *config, struct data_dir *out, struct err *err)
{
    const char *path = config_text(config, CONFIG_DATA_DIR);
    if (path[0] == '\0') {
        return err_set(err, ERR_CONFIG,
                       "there is no home directory to keep data in: say where with --data-dir");
    }
    snprintf(out->path, sizeof out->path, "%s", path);
    snprintf(out->audit, sizeof out->audit, "%s/audit", path);
    snprintf(out->store, sizeof out->store, "%s/node.sqlite", path);
    snprintf(out->store_key, sizeof out->store_key, "%s/store-key.sealed", path);
    snprintf(out->tee, sizeof out->tee, "%s/tee", path);
    snprintf(out->witness, sizeof out->witness, "%s/witness", path);
    return true;
}

bool data_dir_find(const char *path, struct data_dir *out, struct err *err)
{
    struct config config;
    if (!config_init(&config, err)) {
        return false;
    }
    bool ok = path == NULL ? config_load_variable(&config, CONFIG_DATA_DIR, err)
                           : config_set(&config, CONFIG_DATA_DIR, path, CONFIG_FROM_FLAG, 0,
                                        "--data-dir", err);
    ok = ok && data_dir_of_config(&config, out, err);
    config_release(&config);
    return ok;
}
