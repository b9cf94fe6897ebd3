/* data_dir.c: see data_dir.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/data_dir.h"

#include "cli/config.h"

#include <string.h>

bool data_dir_find(const char *path, struct data_dir *out, struct err *err)
{
    struct config config;
    if (!config_init(&config, err)) {
        return false;
    }
    bool ok = path == NULL ? config_load_variable(&config, CONFIG_DATA_DIR, err)
                           : config_set(&config, CONFIG_DATA_DIR, path, CONFIG_FROM_FLAG, 0,
                                        "--data-dir", err);
    const char *text = config_text(&config, CONFIG_DATA_DIR);
    if (ok && text[0] == '\0') {
        ok = err_set(err, ERR_CONFIG,
                     "there is no home directory to keep data in: say where with --data-dir");
    }
    if (ok) {
        snprintf(out->path, sizeof out->path, "%s", text);
        snprintf(out->audit, sizeof out->audit, "%s/audit", out->path);
        snprintf(out->store, sizeof out->store, "%s/node.sqlite", out->path);
        snprintf(out->tee, sizeof out->tee, "%s/tee", out->path);
    }
    config_release(&config);
    return ok;
}
