/* Signals that ask a run to stop: SIGUSR1, SIGTERM, SIGINT. They set a flag; a second SIGINT ends the process. */
#ifndef ENT_LAUNCH_SIGNALS_H
#define ENT_LAUNCH_SIGNALS_H

#include <stdbool.h>

/* From here on they are caught. */
void ent_signals_catch(void);

/* Whether one has come. */
bool ent_signals_stop(void);

/* Its name, "SIGTERM"; "a signal to another rank" if none has come to this process. */
const char *ent_signals_name(void);

#endif
