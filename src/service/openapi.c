/* openapi.c: this interface as OpenAPI 3.1, made from the routes, so that it says what is so.
 *
 * The routes do not change while the node runs, and anybody may ask: it is made once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include <assert.h>
#include <string.h>

enum { OPENAPI_PATH_CHARS_MAX = 63 };

/* NULL: no memory. */
static json_t *openapi_path_parameter(const char *brace)
{
    bool is_segment = brace[1] != '+';
    const char *name = brace + (is_segment ? 1 : 2);
    json_t *schema = is_segment ? json_pack("{s:s, s:s}", "type", "string", "format", "uuid")
                                : json_pack("{s:s}", "type", "string");
    return json_pack("{s:s%, s:s, s:b, s:o}", "name", name, strcspn(name, "}"), "in", "path",
                     "required", 1, "schema", schema);
}

/* NULL: no memory. */
static json_t *openapi_parameters(const struct route *route)
{
    json_t *parameters = json_array();
    const char *brace = strchr(route->path, '{');
    bool ok = parameters != NULL;
    if (ok && brace != NULL) {
        ok = json_array_append_new(parameters, openapi_path_parameter(brace)) == 0;
    }
    for (size_t i = 0; ok && route->headers != NULL && route->headers[i] != NULL; i++) {
        ok = json_array_append_new(parameters,
                                   json_pack("{s:s, s:s, s:{s:s}}", "name", route->headers[i], "in",
                                             "header", "schema", "type", "string")) == 0;
    }
    if (!ok) {
        json_decref(parameters);
        return NULL;
    }
    return parameters;
}

static json_t *openapi_operation(const struct route *route)
{
    json_t *operation = json_pack(
        "{s:s, s:{s:{s:s}, s:{s:s, s:{s:{s:{s:s}}}}}}", "summary", route->summary, "responses",
        "2XX", "description", "done", "default", "description", "a problem (RFC 9457)", "content",
        "application/problem+json", "schema", "$ref", "#/components/schemas/Problem");
    bool ok = operation != NULL;
    if (ok && route->scope != 0) {
        ok = json_object_set_new(operation, "security",
                                 json_pack("[{s:[]}, {s:[]}]", "apiKey", "bearer")) == 0;
    }
    ok = ok && json_object_set_new(operation, "parameters", openapi_parameters(route)) == 0;
    if (ok && route->takes_json) {
        ok = json_object_set_new(operation, "requestBody",
                                 json_pack("{s:{s:{s:{s:s}}}}", "content", "application/json",
                                           "schema", "type", "object")) == 0;
    }
    if (!ok) {
        json_decref(operation);
        return NULL;
    }
    return operation;
}

/* Its templates know no "{+tile}". */
static void openapi_path(const struct route *route, char out[static OPENAPI_PATH_CHARS_MAX + 1])
{
    size_t used = 0;
    for (const char *at = route->path; *at != 0; at++) {
        if (*at != '+') {
            assert(used < OPENAPI_PATH_CHARS_MAX);
            out[used++] = *at;
        }
    }
    out[used] = 0;
}

static json_t *openapi_paths(void)
{
    json_t *paths = json_object();
    bool ok = paths != NULL;
    for (size_t i = 0; ok && i < api_route_count; i++) {
        const struct route *route = &api_routes[i];
        char path[OPENAPI_PATH_CHARS_MAX + 1];
        openapi_path(route, path);
        json_t *methods = json_object_get(paths, path);
        if (methods == NULL) {
            methods = json_object();
            ok = json_object_set_new(paths, path, methods) == 0;
        }
        const char *method = strcmp(route->method, "GET") == 0    ? "get"
                             : strcmp(route->method, "POST") == 0 ? "post"
                                                                  : "delete";
        ok = ok && json_object_set_new(methods, method, openapi_operation(route)) == 0;
    }
    if (!ok) {
        json_decref(paths);
        return NULL;
    }
    return paths;
}

char *openapi_text(void)
{
    json_t *problem =
        json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}}}",
                  "type", "object", "properties", "type", "type", "string", "title", "type",
                  "string", "status", "type", "integer", "error_code", "type", "string", "message",
                  "type", "string", "timestamp", "type", "string", "request_id", "type", "string");
    json_t *all = json_pack(
        "{s:s, s:{s:s, s:s}, s:[{s:s}, {s:s}], s:o, s:{s:{s:o}, s:{s:{s:s, s:s, s:s}, "
        "s:{s:s, s:s}}}}",
        "openapi", "3.1.0", "info", "title", "WASM Hypervisor", "version", WH_VERSION, "servers",
        "url", "/v1", "url", "/", "paths", openapi_paths(), "components", "schemas", "Problem",
        problem, "securitySchemes", "apiKey", "type", "apiKey", "in", "header", "name", "X-API-Key",
        "bearer", "type", "http", "scheme", "bearer");
    char *text = all == NULL ? NULL : json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}
