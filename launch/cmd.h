/* The commands of `entrenar`. Each gets its own arguments (argv[0] is the command's name) and returns an exit code. */
#ifndef ENT_LAUNCH_CMD_H
#define ENT_LAUNCH_CMD_H

enum { ENT_EXIT_DONE = 0, ENT_EXIT_FAILED = 1, ENT_EXIT_USAGE = 2, ENT_EXIT_STOPPED = 75 };

int ent_cmd_train(int argc, char **argv);
int ent_cmd_tokenize(int argc, char **argv);
int ent_cmd_inspect(int argc, char **argv);
int ent_cmd_verify(int argc, char **argv);
int ent_cmd_generate(int argc, char **argv);
int ent_cmd_eval(int argc, char **argv);
int ent_cmd_plan(int argc, char **argv);
int ent_cmd_data(int argc, char **argv);
int ent_cmd_bench(int argc, char **argv);
int ent_cmd_merge(int argc, char **argv);
int ent_cmd_export(int argc, char **argv);
int ent_cmd_quantize(int argc, char **argv);
int ent_cmd_trace(int argc, char **argv);

#endif
