#include "trace/source.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/mem.h"

/* The modules of one process, reported anew when its mappings have changed. */
typedef struct modules {
    pid_t pid;
    Dwfl *dwfl;
    char program[PATH_MAX];
} modules;

struct ent_sources {
    modules *items;
    size_t count, capacity;
};

static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                         .find_debuginfo = dwfl_standard_find_debuginfo};

ent_status ent_sources_new(ent_sources **out)
{
    unsetenv("DEBUGINFOD_URLS"); /* libdw would ask the network */
    return ent_calloc(out, 1, sizeof **out, "sources");
}

void ent_sources_free(ent_sources *sources)
{
    if (sources == NULL)
        return;
    for (size_t i = 0; i < sources->count; i++)
        dwfl_end(sources->items[i].dwfl);
    free(sources->items);
    free(sources);
}

void ent_sources_changed(ent_sources *sources, pid_t pid)
{
    for (size_t i = 0; i < sources->count; i++) {
        if (sources->items[i].pid != pid)
            continue;
        dwfl_end(sources->items[i].dwfl);
        sources->items[i] = sources->items[--sources->count];
        return;
    }
}

/* The modules of a process; items[i].dwfl is NULL if they can't be had. */
static ent_status modules_of(modules **out, ent_sources *sources, pid_t pid)
{
    char link[64];
    for (size_t i = 0; i < sources->count; i++) {
        *out = &sources->items[i];
        if ((*out)->pid == pid)
            return ENT_OK;
    }
    ENT_TRY(ent_grow(&sources->items, &sources->capacity, sources->count + 1, sizeof *sources->items, "sources"));
    modules *m = *out = &sources->items[sources->count++];
    *m = (modules){.pid = pid, .dwfl = dwfl_begin(&callbacks)};
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    const ssize_t n = readlink(link, m->program, sizeof m->program - 1);
    m->program[n < 0 ? 0 : n] = '\0';
    if (m->dwfl && (dwfl_linux_proc_report(m->dwfl, pid) != 0 || dwfl_report_end(m->dwfl, NULL, NULL) != 0 ||
                    dwfl_linux_proc_attach(m->dwfl, pid, true) != 0)) {
        dwfl_end(m->dwfl);
        m->dwfl = NULL;
    }
    return ENT_OK;
}

/* What the unwinding looks in, and has found. */
typedef struct search {
    const modules *modules;
    Dwfl_Module *module;
    Dwarf_Addr pc;
} search;

static int visit(Dwfl_Frame *frame, void *context)
{
    search *s = context;
    Dwarf_Addr pc;
    bool activation;
    const char *file = NULL;
    if (!dwfl_frame_pc(frame, &pc, &activation))
        return DWARF_CB_ABORT;
    pc -= !activation; /* a return address is behind the call */
    Dwfl_Module *module = dwfl_addrmodule(s->modules->dwfl, pc);
    if (module == NULL || dwfl_module_getsrc(module, pc) == NULL)
        return DWARF_CB_OK;
    dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &file, NULL);
    const bool inside = file && strcmp(file, s->modules->program) == 0;
    if (s->module && !inside)
        return DWARF_CB_OK;
    s->module = module;
    s->pc = pc;
    return inside ? DWARF_CB_ABORT : DWARF_CB_OK;
}

/* The name of the innermost function at pc, inlined ones too; NULL. */
static const char *function_at(Dwfl_Module *module, Dwarf_Addr pc)
{
    const char *name = NULL;
    Dwarf_Addr bias;
    Dwarf_Die *scopes = NULL, *unit = dwfl_module_addrdie(module, pc, &bias);
    const int n = unit ? dwarf_getscopes(unit, pc - bias, &scopes) : 0;
    for (int i = 0; i < n && name == NULL; i++)
        if (dwarf_tag(&scopes[i]) == DW_TAG_inlined_subroutine || dwarf_tag(&scopes[i]) == DW_TAG_subprogram)
            name = dwarf_diename(&scopes[i]);
    free(scopes);
    return name ? name : dwfl_module_addrname(module, pc);
}

/* Past the folder of compilation that libdw puts before relative names. */
static const char *as_compiled(const char *file, Dwfl_Line *line)
{
    Dwarf_Attribute attribute;
    Dwarf_Die *unit = dwfl_linecu(line);
    const char *folder = unit && dwarf_attr(unit, DW_AT_comp_dir, &attribute) ? dwarf_formstring(&attribute) : NULL;
    const size_t n = folder ? strlen(folder) : 0;
    return n && strncmp(file, folder, n) == 0 && file[n] == '/' ? file + n + 1 : file;
}

ent_status ent_sources_find(ent_trace_call *call, ent_trace *trace, ent_sources *sources, pid_t pid, pid_t tid)
{
    modules *m;
    ENT_TRY(modules_of(&m, sources, pid));
    search found = {.modules = m};
    if (m->dwfl == NULL)
        return ENT_OK;
    dwfl_getthread_frames(m->dwfl, tid, visit, &found);
    if (found.module == NULL)
        return ENT_OK;
    Dwfl_Line *line = dwfl_module_getsrc(found.module, found.pc);
    const char *file = line ? dwfl_lineinfo(line, NULL, &call->line, NULL, NULL, NULL) : NULL;
    if (file == NULL)
        return ENT_OK;
    file = as_compiled(file, line);
    ENT_TRY(ent_trace_keep(&call->file, trace, file, strlen(file)));
    const char *name = function_at(found.module, found.pc);
    return name ? ent_trace_keep(&call->function, trace, name, strlen(name)) : ENT_OK;
}
