/* Model files in HDF5, looked at and changed with HDF5 itself. */
#include <hdf5.h>

#include "model_file_models.h"

static const char *folder;

/* Opens a copy of the mlp's file for changes. */
static hid_t open_saved(void)
{
    static char *saved; /* syncing a file takes long */
    static size_t n;
    if (saved == NULL) {
        assert_ok(ent_model_save(in_folder(folder, "m.h5"), &mlp));
        saved = get_file(&n, in_folder(folder, "m.h5"));
    }
    put_file(in_folder(folder, "m.h5"), saved, n);
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
    const hid_t file = H5Fopen(in_folder(folder, "m.h5"), H5F_ACC_RDWR, list);
    H5Pclose(list);
    assert_true(file >= 0);
    return file;
}

static void assert_refused(hid_t file, const char *message)
{
    ent_model_file *m;
    assert_true(H5Fclose(file) >= 0);
    assert_fails(ent_model_load(&m, in_folder(folder, "m.h5")), ENT_EFORMAT, message);
    assert_null(m);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0); /* no handle is left open */
}

/* An attribute of n values, in place of what stands there. */
static void put_attribute(hid_t file, const char *object, const char *name, hid_t type, size_t n)
{
    char data[64] = {0};
    const hsize_t size = n;
    const hid_t space = n == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, NULL);
    if (H5Aexists_by_name(file, object, name, H5P_DEFAULT) > 0)
        H5Adelete_by_name(file, object, name, H5P_DEFAULT);
    const hid_t a = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(a >= 0);
    if (H5Tget_class(type) == H5T_ENUM)
        data[0] = 2; /* neither FALSE nor TRUE */
    H5Awrite(a, type, data);
    H5Aclose(a);
    H5Sclose(space);
}

static hid_t put_variable_text(const char *object, const char *name)
{
    const hid_t file = open_saved(), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    put_attribute(file, object, name, type, 1);
    H5Tclose(type);
    return file;
}

/* A dataset in place of layer2.bias. */
static hid_t put_dataset(hid_t type, int n_dims, bool checked)
{
    const hsize_t dims[5] = {1, 1, 1, 1, 1};
    const float zeros[2] = {0};
    const hid_t file = open_saved(), space = H5Screate_simple(n_dims, dims, NULL), list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(list, n_dims, dims);
    if (checked)
        H5Pset_fletcher32(list);
    H5Ldelete(file, "/parameters/layer2.bias", H5P_DEFAULT);
    const hid_t d = H5Dcreate2(file, "/parameters/layer2.bias", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(d >= 0);
    H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Dclose(d);
    H5Pclose(list);
    H5Sclose(space);
    return file;
}

/* A group that HDF5 makes by its own rules. */
static hid_t put_group(const char *path)
{
    const hid_t file = open_saved();
    if (H5Lexists(file, path, H5P_DEFAULT) > 0)
        H5Ldelete(file, path, H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    return file;
}

static void other_attributes(void **state)
{
    (void)state;
    hid_t f = open_saved();
    H5Adelete(f, "version");
    assert_refused(f, "m.h5: /: expected 3 attributes, found 2");
    H5Arename(f = open_saved(), "version", "Version");
    assert_refused(f, "m.h5: version: the attribute is missing");
    put_attribute(f = open_saved(), "/", "extra", H5T_STD_I64LE, 1);
    assert_refused(f, "m.h5: /: expected 3 attributes, found 4");
    put_attribute(f = open_saved(), "/parameters", "extra", H5T_STD_I64LE, 1);
    assert_refused(f, "m.h5: /parameters: expected 0 attributes, found 1");
    put_attribute(f = open_saved(), "/", "name", H5T_STD_I64LE, 1);
    assert_refused(f, "m.h5: name: expected a text of a fixed length");
    f = put_variable_text("/", "name");
    assert_refused(f, "m.h5: name: expected a text of a fixed length");
    f = put_variable_text("/custom", "activation");
    assert_refused(f, "m.h5: activation: expected a text of a fixed length");
    put_attribute(f = open_saved(), "/custom", "x", H5T_STD_I32LE, 1);
    assert_refused(f, "m.h5: x: expected a text, a 64-bit integer, a 64-bit float or a bool");
    put_attribute(f = open_saved(), "/custom", "x", H5T_STD_I64LE, 2);
    assert_refused(f, "m.h5: x: expected one value");
    put_attribute(f = open_saved(), "/parameters/layer2.bias", "requires_grad", H5T_STD_I8LE, 1);
    assert_refused(f, "m.h5: /parameters/layer2.bias: expected an enumeration of FALSE and TRUE");
    const hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", (signed char[]){0});
    H5Tenum_insert(type, "TRUE", (signed char[]){1});
    put_attribute(f = open_saved(), "/custom", "x", type, 1);
    H5Tclose(type);
    assert_refused(f, "m.h5: x: expected FALSE or TRUE, found 2");
}

static void other_objects(void **state)
{
    (void)state;
    hid_t f = put_group("more");
    assert_refused(f, "m.h5: expected nothing but /custom and /parameters, found 1 more");
    f = put_group("custom/more");
    assert_refused(f, "m.h5: expected nothing but /custom and /parameters, found 1 more");
    H5Ldelete(f = open_saved(), "custom", H5P_DEFAULT);
    assert_refused(f, "m.h5: /custom: is missing");
    f = put_group("parameters/group");
    assert_refused(f, "m.h5: /parameters/group: expected a dataset");
    f = put_group("custom");
    assert_refused(f, "m.h5: /custom: expected a group that keeps the order of creation");
    f = put_group("parameters");
    assert_refused(f, "m.h5: /parameters: expected a group that keeps the order of creation");
    H5Lcreate_external("/etc/passwd", "x", f = open_saved(), "parameters/far", H5P_DEFAULT, H5P_DEFAULT);
    assert_refused(f, "m.h5: /parameters/far: is a link to something else");
    f = put_dataset(H5T_IEEE_F32LE, 1, true);
    assert_refused(f, "m.h5: /parameters/layer2.bias: expected 1 attributes, found 0");
    f = put_dataset(H5T_IEEE_F64LE, 1, true);
    assert_refused(f, "m.h5: /parameters/layer2.bias: expected 32-bit floats");
    f = put_dataset(H5T_IEEE_F32LE, 5, true);
    assert_refused(f, "m.h5: /parameters/layer2.bias: expected 1 to 4 dimensions, found 5");
    f = put_dataset(H5T_IEEE_F32LE, 1, false);
    assert_refused(f, "m.h5: /parameters/layer2.bias: expected chunks with Fletcher32");
}

/* Nothing in a file tells when it was written. */
static void files_hold_no_times(void **state)
{
    (void)state;
    static const char *const objects[] = {"/", "/custom", "/parameters", "/parameters/layer1.bias"};
    const hid_t f = open_saved();
    for (size_t i = 0; i < 4; i++) {
        H5O_info_t info;
        assert_true(H5Oget_info_by_name2(f, objects[i], &info, H5O_INFO_TIME, H5P_DEFAULT) >= 0);
        assert_true(info.atime == 0 && info.mtime == 0 && info.ctime == 0 && info.btime == 0);
    }
    H5Fclose(f);
}

/* A chunk is of about a mebibyte, so that a part of a large parameter can be read. */
static void large_parameters_have_chunks(void **state)
{
    (void)state;
    enum { ROWS = 700, COLUMNS = 1000 };
    float *data = calloc(ROWS * COLUMNS, sizeof *data);
    const ent_model_file_param param = {"w", 2, {ROWS, COLUMNS}, true, data};
    const ent_model_file model = {"n", "a", "v", NULL, 0, &param, 1};
    hsize_t chunk[2];
    assert_ok(ent_model_save(in_folder(folder, "m.h5"), &model));
    free(data);
    const hid_t f = H5Fopen(in_folder(folder, "m.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t d = H5Dopen2(f, "/parameters/w", H5P_DEFAULT), list = H5Dget_create_plist(d);
    assert_int_equal(H5Pget_chunk(list, 2, chunk), 2);
    assert_int_equal(chunk[0], (1 << 20) / (COLUMNS * sizeof *data));
    assert_int_equal(chunk[1], COLUMNS);
    H5Pclose(list);
    H5Dclose(d);
    H5Fclose(f);
}

int main(void)
{
    folder = "scratch/hdf5_model";
    if (ent_make_dirs(folder) != ENT_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_attributes),
        cmocka_unit_test(other_objects),
        cmocka_unit_test(files_hold_no_times),
        cmocka_unit_test(large_parameters_have_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
