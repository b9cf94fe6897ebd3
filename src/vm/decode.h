/* decode.h: what the files of the decoder share.
 *
 * There is one reader, over the whole module, so that offsets are the module's. What says its own
 * size (section, body) is read to its end as its contents tell, and must then be of that size: so
 * the spec does it, and its suite expects the errors that come of that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_DECODE_H
#define VM_DECODE_H

#include "vm/module.h"

/* decode_read.c: the grammar's small parts (core spec 5.2, 5.3). Each fails with INVALID_WASM in
 * the spec's words and the offset. */
bool decode_fail(const struct reader *reader, struct err *err, const char *text);
bool decode_limit(const struct reader *reader, struct err *err, const char *limit, uint64_t value,
                  uint64_t max);
bool decode_u8(struct reader *reader, uint8_t *out, struct err *err) MUST_CHECK;
bool decode_u32(struct reader *reader, uint32_t *out, struct err *err) MUST_CHECK;
/* A length followed by that many bytes. */
bool decode_bytes(struct reader *reader, struct bytes *out, struct err *err) MUST_CHECK;
bool decode_name(const struct vm_module *module, struct reader *reader, struct bytes *out,
                 struct err *err) MUST_CHECK;
/* The count of a vector: at most the bytes that are left (no item is shorter than a byte) and at
 * most max, a limit of that name. Allocate what it says only after this. */
bool decode_count(struct reader *reader, const char *limit, uint32_t max, uint32_t *out,
                  struct err *err) MUST_CHECK;
bool decode_value_type(const struct vm_module *module, struct reader *reader, enum vm_type *out,
                       struct err *err) MUST_CHECK;
bool decode_ref_type(struct reader *reader, enum vm_type *out, struct err *err) MUST_CHECK;
bool decode_table_type(const struct vm_module *module, struct reader *reader,
                       struct module_table *out, struct err *err) MUST_CHECK;
bool decode_memory_type(const struct vm_module *module, struct reader *reader,
                        struct module_memory *out, struct err *err) MUST_CHECK;
bool decode_global_type(const struct vm_module *module, struct reader *reader,
                        struct module_global *out, struct err *err) MUST_CHECK;
/* An array of the module's arena; NULL and NO_MEMORY. */
void *decode_array(struct vm_module *module, size_t count, size_t size, struct err *err);

/* decode_const.c: a constant expression with its end; a function that it names is declared. */
bool decode_const(struct vm_module *module, struct reader *reader, struct module_const *out,
                  struct err *err) MUST_CHECK;
void decode_declare_func(struct vm_module *module, uint32_t index);

/* The sections: decode_sections.c, decode_import.c, decode_segments.c, decode_code.c. The plural
 * reads what is before the entries and makes room for them; the singular the one that is next. */
bool decode_types(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_type(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_imports(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_import(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_funcs(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_func(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_tables(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_table(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_memories(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_memory(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_globals(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_global(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_exports(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_export(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_start(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_elements(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_element(struct decoder *decoder, struct err *err) MUST_CHECK;
/* If there are not as many bodies as functions, they are passed over: that error belongs to the
 * module's end. */
bool decode_code(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_body(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_data(struct decoder *decoder, struct err *err) MUST_CHECK;
bool decode_data_segment(struct decoder *decoder, struct err *err) MUST_CHECK;

/* True while the last body, as a row of instructions that the reader is in, has not ended. If it
 * goes wrong before its end or goes past it, that is the error; else the failure of the decoder. */
bool decode_last_body(struct decoder *decoder, size_t *left, struct err *err) MUST_CHECK;

/* decode_names.c: the function names of a name section (core spec A.4.1.1), in pieces; what is
 * malformed there is as if it were not there. Fails with NO_MEMORY only. */
bool decode_func_names(struct decoder *decoder, size_t *left, bool *is_done,
                       struct err *err) MUST_CHECK;

#endif
