/* The world of one, and how a program chooses its communicator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "launch/comm_open.h"
#include "tests/comm_conformance.h"

static void conforms(void **state)
{
    const comm_case *c = *state;
    ent_comm *comm;
    assert_int_equal(ent_comm_self(&comm), ENT_OK);
    assert_int_equal(comm->world_size, 1);
    const char *wrong = c->run(comm);
    if (wrong)
        fail_msg("%s: %s", c->name, wrong);
    ent_comm_free(comm);
    ent_comm_free(NULL);
}

static int without_launcher(void **state)
{
    (void)state;
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE",
                                        "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static void auto_is_self_without_a_launcher(void **state)
{
    (void)state;
    static const char *const names[] = {"auto", "self"};
    for (size_t i = 0; i < 2; i++) {
        ent_comm *comm;
        assert_int_equal(ent_comm_open(&comm, names[i], 1), ENT_OK);
        assert_int_equal(comm->world_size, 1);
        ent_comm_free(comm);
    }
}

static void self_refuses_a_larger_world(void **state)
{
    (void)state;
    static const char *const variables[][3] = {
        {"OMPI_COMM_WORLD_SIZE", "4", "started 4"}, {"PMI_RANK", "2", "started 3"}, {"PMIX_RANK", "1", "started 2"}};
    ent_comm *comm;
    for (size_t i = 0; i < 3; i++) {
        without_launcher(NULL);
        setenv(variables[i][0], variables[i][1], 1);
        assert_int_equal(ent_comm_open(&comm, "self", 1), ENT_ECONFIG);
        assert_non_null(strstr(ent_message(), variables[i][2]));
        assert_null(comm);
    }
    without_launcher(NULL);
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    assert_int_equal(ent_comm_open(&comm, "self", 1), ENT_OK);
    ent_comm_free(comm);
    setenv("OMPI_COMM_WORLD_SIZE", "many", 1);
    assert_int_equal(ent_comm_open(&comm, "self", 1), ENT_ECONFIG);
    assert_non_null(strstr(ent_message(), "OMPI_COMM_WORLD_SIZE"));
    without_launcher(NULL);
}

static void unknown_names_are_refused(void **state)
{
    (void)state;
    ent_comm *comm;
    assert_int_equal(ent_comm_open(&comm, "nccl", 1), ENT_ECONFIG);
    assert_non_null(strstr(ent_message(), "'nccl'"));
}

int main(void)
{
    static const struct CMUnitTest choice[] = {
        cmocka_unit_test_setup(auto_is_self_without_a_launcher, without_launcher),
        cmocka_unit_test_setup(self_refuses_a_larger_world, without_launcher),
        cmocka_unit_test_setup(unknown_names_are_refused, without_launcher),
    };
    int failed = 0;
    for (size_t i = 0; i < n_comm_cases; i++) {
        comm_case c = comm_cases[i];
        const struct CMUnitTest test[] = {{c.name, conforms, NULL, NULL, &c}};
        failed += cmocka_run_group_tests_name(c.name, test, NULL, NULL);
    }
    failed += cmocka_run_group_tests(choice, NULL, NULL);
    return failed;
}
