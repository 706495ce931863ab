/* The proof of an export: the same model passes, another one, or one with a number that is none, does not. */
#include "file_helpers.h"

#include <math.h>

#include "launch/export_proof.h"

#define FOLDER ENT_TEST_DATA "/oracle/llama/"

static ent_proof proof;

static int begin(void **state)
{
    (void)state;
    assert_ok(ent_proof_begin(&proof, FOLDER "model", FOLDER "adapter_final"));
    assert_int_equal(proof.n, ENT_PROBE_TOKENS);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ent_proof_end(&proof);
    return 0;
}

static void open_again(ent_model *out, const char *adapter)
{
    const ent_model_options options = {.path = FOLDER "model", .adapter = adapter, .max_positions = ENT_PROBE_TOKENS};
    assert_ok(ent_model_open(out, &options));
}

static void the_same_model_passes(void **state)
{
    (void)state;
    ent_model model;
    open_again(&model, FOLDER "adapter_final");
    proof.allowed = 0;
    assert_ok(ent_proof_compare(&proof, model.decoder, "out"));
    assert_true(proof.difference == 0 && proof.same == ENT_PROBE_TOKENS && proof.largest > 1);
    ent_model_close(&model);
}

static void another_model_fails(void **state)
{
    (void)state;
    ent_model model;
    open_again(&model, FOLDER "adapter_init"); /* which changes nothing: B is zero */
    proof.allowed = 1e-3;
    assert_fails(ent_proof_compare(&proof, model.decoder, "out"), ENT_ENUMERIC, "out: was not written: read back, its");
    assert_true(proof.difference > 1e-3 * proof.largest && proof.same < ENT_PROBE_TOKENS);
    proof.allowed = proof.difference / proof.largest * (1 - 1e-12);
    assert_fails(ent_proof_compare(&proof, model.decoder, "out"), ENT_ENUMERIC, "allowed are");
    proof.allowed *= 1 + 1e-9;
    assert_ok(ent_proof_compare(&proof, model.decoder, "out"));
    ent_model_close(&model);
}

static void a_number_that_is_none_fails(void **state)
{
    (void)state;
    ent_model model;
    open_again(&model, FOLDER "adapter_final");
    ent_param *head = ent_params_find(ent_decoder_params(model.decoder), "lm_head.weight");
    const size_t n = ent_tensor_count(&head->tensor);
    float *numbers = malloc(n * sizeof *numbers);
    assert_non_null(numbers);
    memcpy(numbers, head->tensor.data, n * sizeof *numbers);
    numbers[64 * 100 + 3] = NAN; /* a row in the middle: finite differences come after it */
    head->tensor.data = numbers;
    proof.allowed = 1e9;
    assert_fails(ent_proof_compare(&proof, model.decoder, "out"), ENT_ENUMERIC,
                 "differ from those of the model by up to ");
    assert_true(isnan(proof.difference));
    free(numbers);
    ent_model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_model_passes),
        cmocka_unit_test(another_model_fails),
        cmocka_unit_test(a_number_that_is_none_fails),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
