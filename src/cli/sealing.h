/* sealing.h: the node's keys, sealed to what the processor says of this VM: for `serve` and for the
 * commands that write to its log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_SEALING_H
#define CLI_SEALING_H

#include "attest/attest.h"
#include "audit/audit.h"
#include "cli/config.h"
#include "store/store.h"

enum cli_tee { /* as in settings.def */
               CLI_TEE_AUTO,
               CLI_TEE_CONFIGFS,
               CLI_TEE_SEV_GUEST,
               CLI_TEE_SIMULATED,
               CLI_TEE_NONE
};
/* The provider that the setting `tee` names. `certificates` is as for tee_hardware_new. */
bool cli_tee_open(const struct config *config, struct bytes certificates,
                  const char *simulated_directory, struct tee *out, struct err *err) MUST_CHECK;

struct sealing {
    struct attest_sealer *sealer; /* NULL: off */
    struct audit_sealing log;     /* for an audit_config; refers to the sealer */
};

/* Asks the firmware, twice. */
bool sealing_open(const struct tee *tee, struct sealing *out, struct err *err) MUST_CHECK;
void sealing_close(struct sealing *sealing);

/* The store's key from its file; without a file a new one, *made, durably there. The caller wipes
 * it. */
bool sealing_store_key(const struct sealing *sealing, const char *path,
                       uint8_t out[static STORE_KEY_BYTES], bool *made, struct err *err) MUST_CHECK;

/* For a command on the log in `directory`: opens a provider and a sealer only if the key that is
 * there needs one, or `seal` ("on", "off"; NULL: as it is, and for a new log the setting) asks for
 * it. `tee` NULL: the setting. Settings come from the environment. */
struct log_sealing {
    struct sealing sealing;
    bool seals; /* new keys are sealed */
};
bool log_sealing_open(const char *directory, const char *seal, const char *tee,
                      struct log_sealing *out, struct err *err) MUST_CHECK;
void log_sealing_close(struct log_sealing *sealing);
/* Puts it into the config of the log. */
void log_sealing_apply(const struct log_sealing *sealing, struct audit_config *config);
/* One line: where a new key is, and what it is sealed to. */
void log_sealing_print(const struct log_sealing *sealing);

#endif
