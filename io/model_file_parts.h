/* The formats of io/model_file.c, and what they share. */
#ifndef ENT_IO_MODEL_FILE_PARTS_H
#define ENT_IO_MODEL_FILE_PARTS_H

#include "io/model_file.h"
#include "io/text.h"

/* Writers take a model that has been checked. */
ent_status ent_model_save_json(const char *path, const ent_model_file *model);
ent_status ent_model_save_yaml(const char *path, const ent_model_file *model);
ent_status ent_model_save_hdf5(const char *path, const ent_model_file *model);
ent_status ent_model_save_safetensors(const char *path, const ent_model_file *model);

/* Readers check what they need in order to read; the rest is checked afterwards. After a failure *out may be half a
 * model, to be freed. */
ent_status ent_model_load_json(ent_model_file **out, const char *path);
ent_status ent_model_load_yaml(ent_model_file **out, const char *path);
ent_status ent_model_load_hdf5(ent_model_file **out, const char *path);
ent_status ent_model_load_safetensors(ent_model_file **out, const char *path);

/* A model of that many entries and parameters, all of them zero. ENT_EFORMAT for too many entries. */
ent_status ent_model_file_new(ent_model_file **out, size_t n_custom, size_t n_params, const char *path);

/* An entry or parameter of a model made by ent_model_file_new, to be filled. */
ent_model_file_entry *ent_model_file_entry_at(ent_model_file *model, size_t i);
ent_model_file_param *ent_model_file_param_at(ent_model_file *model, size_t i);

/* Fails with "PATH: parameters[I].shape: ..." unless the parameter has 1 to 4 dimensions, none of them 0, and a size in
 * bytes that a size_t holds; then *elements is their product. */
ent_status ent_model_file_shape(size_t *elements, const ent_model_file_param *param, size_t i, const char *path,
                                ent_status code);

/* Sorts n texts and fails with "PATH: PLACE: ..." if one stands twice. */
ent_status ent_model_file_unique(const char **texts, size_t n, const char *path, const char *place, ent_status code);

/* The product of the dimensions of a parameter that has been checked. */
size_t ent_model_file_elements(const ent_model_file_param *param);

/* Sets kind and value from a scalar as it stands in a tree; text is copied. `quoted`: it is a text, whatever it looks
 * like. ENT_EFORMAT "PATH: metadata.custom.KEY: ...". */
ent_status ent_model_file_set(ent_model_file_entry *entry, const char *text, bool quoted, const char *path);

/* Appends a value as JSON text. */
void ent_model_file_put_value(ent_text *to, const ent_model_file_entry *entry);

#endif
