#include "src/tensor/gemm_onednn_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static ent_onednn_api api;

static const struct {
    const char *name;
    void *at; /* the pointer to be set */
} symbols[] = {
    {"dnnl_version", &api.version},
    {"dnnl_get_effective_cpu_isa", &api.get_effective_cpu_isa},
    {"dnnl_engine_create", &api.engine_create},
    {"dnnl_stream_create", &api.stream_create},
    {"dnnl_stream_wait", &api.stream_wait},
    {"dnnl_primitive_attr_create", &api.primitive_attr_create},
    {"dnnl_primitive_attr_set_scratchpad_mode", &api.primitive_attr_set_scratchpad_mode},
    {"dnnl_primitive_attr_destroy", &api.primitive_attr_destroy},
    {"dnnl_primitive_desc_query_md", &api.primitive_desc_query_md},
    {"dnnl_primitive_desc_destroy", &api.primitive_desc_destroy},
    {"dnnl_primitive_create", &api.primitive_create},
    {"dnnl_primitive_execute", &api.primitive_execute},
    {"dnnl_memory_desc_get_size", &api.memory_desc_get_size},
    {"dnnl_memory_create", &api.memory_create},
    {"dnnl_memory_set_data_handle", &api.memory_set_data_handle},
#if DNNL_VERSION_MAJOR >= 3
    {"dnnl_memory_desc_create_with_strides", &api.memory_desc_create_with_strides},
    {"dnnl_memory_desc_destroy", &api.memory_desc_destroy},
    {"dnnl_matmul_primitive_desc_create", &api.matmul_primitive_desc_create},
#else
    {"dnnl_memory_desc_init_by_strides", &api.memory_desc_init_by_strides},
    {"dnnl_matmul_desc_init", &api.matmul_desc_init},
    {"dnnl_primitive_desc_create", &api.primitive_desc_create},
#endif
};

const ent_onednn_api *ent_onednn_load(void)
{
    char name[32];
    snprintf(name, sizeof name, "libdnnl.so.%d", DNNL_VERSION_MAJOR);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (address == NULL)
            return NULL;
        memcpy(symbols[i].at, &address, sizeof address);
    }
    return &api;
}
