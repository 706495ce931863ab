/* The probabilities that a model gives to every token of its vocabulary after each token of some texts, for tests that
 * compare them with another program's. usage: token_probabilities MODEL ADAPTER|- OUT < IDS
 *
 * A line of IDS is a text: its ids, between spaces. OUT: float32, for each token of each text V numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/model.h"

enum { MOST = 1024 };

/* The ids of the next line; 0: there is none. */
static size_t read_line(int32_t *ids)
{
    char line[16 * MOST];
    size_t n = 0;
    if (fgets(line, sizeof line, stdin) == NULL)
        return 0;
    for (char *word = strtok(line, " \n"); word && n < MOST; word = strtok(NULL, " \n"))
        ids[n++] = (int32_t)strtol(word, NULL, 10);
    return n;
}

static void put(FILE *out, const float *logits, size_t v)
{
    double most = logits[0], sum = 0;
    for (size_t k = 0; k < v; k++)
        most = fmax(most, (double)logits[k]);
    for (size_t k = 0; k < v; k++)
        sum += exp((double)logits[k] - most);
    for (size_t k = 0; k < v; k++) {
        const float p = (float)(exp((double)logits[k] - most) / sum);
        fwrite(&p, sizeof p, 1, out);
    }
}

int main(int argc, char **argv)
{
    static int32_t ids[MOST], doc_start[MOST];
    ent_model model = {0};
    ent_tape *tape = NULL;
    ent_tensor *logits;
    ent_status st;
    FILE *out = NULL;
    if (argc != 4)
        return 2;
    const ent_model_options options = {
        .path = argv[1], .adapter = strcmp(argv[2], "-") == 0 ? NULL : argv[2], .max_positions = MOST};
    ENT_GO(ent_model_open(&model, &options));
    ENT_GO(ent_tape_new(&tape, false));
    ent_tape_record(tape, false);
    out = fopen(argv[3], "wb");
    for (size_t n; out && (n = read_line(ids)) > 0;) {
        const ent_tokens tokens = {n, ids, doc_start};
        ent_tape_rewind(tape);
        ENT_GO(ent_decoder_logits(&logits, tape, model.decoder, &tokens));
        for (size_t t = 0; t < n; t++)
            put(out, ent_values(logits) + t * model.config.vocab_size, model.config.vocab_size);
    }
done:
    if (st != ENT_OK)
        fprintf(stderr, "%s\n", ent_message());
    const int closed = out ? fclose(out) : -1;
    ent_tape_free(tape);
    ent_model_close(&model);
    return st == ENT_OK && closed == 0 ? 0 : 1;
}
