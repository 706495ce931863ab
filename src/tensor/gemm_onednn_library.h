/* The library oneDNN, loaded at run time, of the version that its headers here are of. Part of gemm_onednn.c. */
#ifndef ENT_TENSOR_GEMM_ONEDNN_LIBRARY_H
#define ENT_TENSOR_GEMM_ONEDNN_LIBRARY_H

#include <oneapi/dnnl/dnnl.h>

/* Its functions, without dnnl_ before their names. */
typedef struct ent_onednn_api {
    __typeof__(dnnl_version) *version;
    __typeof__(dnnl_get_effective_cpu_isa) *get_effective_cpu_isa;
    __typeof__(dnnl_engine_create) *engine_create;
    __typeof__(dnnl_stream_create) *stream_create;
    __typeof__(dnnl_stream_wait) *stream_wait;
    __typeof__(dnnl_primitive_attr_create) *primitive_attr_create;
    __typeof__(dnnl_primitive_attr_set_scratchpad_mode) *primitive_attr_set_scratchpad_mode;
    __typeof__(dnnl_primitive_attr_destroy) *primitive_attr_destroy;
    __typeof__(dnnl_primitive_desc_query_md) *primitive_desc_query_md;
    __typeof__(dnnl_primitive_desc_destroy) *primitive_desc_destroy;
    __typeof__(dnnl_primitive_create) *primitive_create;
    __typeof__(dnnl_primitive_execute) *primitive_execute;
    __typeof__(dnnl_memory_desc_get_size) *memory_desc_get_size;
    __typeof__(dnnl_memory_create) *memory_create;
    __typeof__(dnnl_memory_set_data_handle) *memory_set_data_handle;
#if DNNL_VERSION_MAJOR >= 3
    __typeof__(dnnl_memory_desc_create_with_strides) *memory_desc_create_with_strides;
    __typeof__(dnnl_memory_desc_destroy) *memory_desc_destroy;
    __typeof__(dnnl_matmul_primitive_desc_create) *matmul_primitive_desc_create;
#else
    __typeof__(dnnl_memory_desc_init_by_strides) *memory_desc_init_by_strides;
    __typeof__(dnnl_matmul_desc_init) *matmul_desc_init;
    __typeof__(dnnl_primitive_desc_create) *primitive_desc_create;
#endif
} ent_onednn_api;

/* Once loaded it stays. NULL: there is none. */
const ent_onednn_api *ent_onednn_load(void);

#endif
