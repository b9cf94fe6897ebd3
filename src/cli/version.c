/* version.c: `--version`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"
#include "vm/vm.h"

#include <curl/curl.h>
#include <jansson.h>
#include <uv.h>

void cli_version_print(FILE *out)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    fprintf(out, "wasm-hypervisor %s\n", WH_VERSION);
    fprintf(out, "engine: %s dispatch, gas schedule %d\n", vm_dispatch_name(), VM_GAS_SCHEDULE);
    fprintf(out, "libraries: %s, libuv/%s, libcurl/%s, jansson/%s\n", curl->ssl_version,
            uv_version_string(), curl->version, jansson_version_str());
}
