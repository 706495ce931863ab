#include "trace/show.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

void ent_show_bytes(ent_text *to, const char *bytes, size_t n)
{
    static const char letters[] = "n\nt\tr\rv\vf\f\"\"\\\\";
    for (size_t i = 0; i < n; i++) {
        const char c = bytes[i];
        const char *letter = NULL;
        for (const char *l = letters; *l && letter == NULL; l += 2)
            if (l[1] == c)
                letter = l;
        if (letter)
            ent_text_put_n(to, (const char[]){'\\', *letter}, 2);
        else if (c >= ' ' && c <= '~')
            ent_text_put_n(to, &c, 1);
        else
            ent_text_printf(to, "\\%03o", (unsigned)(unsigned char)c);
    }
}

void ent_show_address(ent_text *to, uint64_t address)
{
    if (address == 0)
        ent_text_put(to, "NULL");
    else
        ent_text_printf(to, "0x%" PRIx64, address);
}

void ent_show_flags(ent_text *to, uint64_t value, const ent_bit_name *names)
{
    uint32_t rest = (uint32_t)value;
    bool some = false;
    if (rest == UINT32_MAX) { /* -1 is no set of flags: personality(0xffffffff) only asks */
        ent_text_put(to, "0xffffffff");
        return;
    }
    for (const ent_bit_name *name = names; name->name; name++) {
        const uint32_t bits = (uint32_t)name->value;
        if (bits == 0 ? some : (rest & bits) != bits)
            continue;
        ent_text_printf(to, "%s%s", some ? "|" : "", name->name);
        rest &= ~bits;
        some = true;
    }
    if (rest != 0)
        ent_text_printf(to, "%s0x%" PRIx32, some ? "|" : "", rest);
    else if (!some)
        ent_text_put(to, "0");
}

void ent_show_enum(ent_text *to, uint64_t value, const ent_bit_name *names)
{
    for (const ent_bit_name *name = names; name->name; name++) {
        if ((uint32_t)name->value == (uint32_t)value) {
            ent_text_put(to, name->name);
            return;
        }
    }
    ent_text_printf(to, "0x%" PRIx32, (uint32_t)value);
}

void ent_show_signal(ent_text *to, uint64_t number)
{
    enum { FIRST_REAL_TIME = 32, LAST_REAL_TIME = 64 }; /* the kernel's; the C library keeps the first two */
    const int signal = (int)number;
    const char *name = signal == SIGIO ? "IO" : sigabbrev_np(signal); /* the C library's is POLL */
    if (name)
        ent_text_printf(to, "SIG%s", name);
    else if (signal >= FIRST_REAL_TIME && signal <= LAST_REAL_TIME)
        ent_text_printf(to, "SIGRT_%d", signal - FIRST_REAL_TIME);
    else
        ent_text_printf(to, "%d", signal);
}

void ent_show_value(ent_text *to, const ent_syscall_arg *arg, uint64_t value)
{
    switch (arg->kind) {
    case ENT_ARG_INT:
    case ENT_ARG_FD:
    case ENT_ARG_PID:
        ent_text_printf(to, "%" PRId32, (int32_t)value);
        break;
    case ENT_ARG_DIRFD:
        if ((int32_t)value == AT_FDCWD)
            ent_text_put(to, "AT_FDCWD");
        else
            ent_text_printf(to, "%" PRId32, (int32_t)value);
        break;
    case ENT_ARG_LONG:
        ent_text_printf(to, "%" PRId64, (int64_t)value);
        break;
    case ENT_ARG_SIZE:
        ent_text_printf(to, "%" PRIu64, value);
        break;
    case ENT_ARG_HEX:
        ent_text_printf(to, "%#" PRIx64, value);
        break;
    case ENT_ARG_MODE:
        ent_text_printf(to, "%#03" PRIo32, (uint32_t)value);
        break;
    case ENT_ARG_FLAGS:
        ent_show_flags(to, value, arg->names);
        break;
    case ENT_ARG_ENUM:
        ent_show_enum(to, value, arg->names);
        break;
    case ENT_ARG_SIGNAL:
        ent_show_signal(to, value);
        break;
    case ENT_ARG_ADDRESS:
    case ENT_ARG_PATH:
    case ENT_ARG_STRING:
    case ENT_ARG_STRINGS:
    case ENT_ARG_IN:
    case ENT_ARG_OUT:
    case ENT_ARG_IN_VECTOR:
    case ENT_ARG_OUT_VECTOR:
    case ENT_ARG_FDS:
        ent_show_address(to, value);
        break;
    }
}

const char *ent_show_error(int number)
{
    switch (number) {
    case 512:
        return "ERESTARTSYS";
    case 513:
        return "ERESTARTNOINTR";
    case 514:
        return "ERESTARTNOHAND";
    case 515:
        return "ENOIOCTLCMD";
    case 516:
        return "ERESTART_RESTARTBLOCK";
    case 524:
        return "ENOTSUPP";
    default:
        return strerrorname_np(number);
    }
}
