/* The level that a source is compiled for: ENT_LEVEL is its name, the compiler's options say what the CPU has. */
#ifndef ENT_KERNEL_LEVEL_NAME_H
#define ENT_KERNEL_LEVEL_NAME_H

/* ENT_LEVEL_NAMED(ent_kernels_): ent_kernels_avx2. */
#define ENT_LEVEL_NAMED(prefix) ENT_PASTE(prefix, ENT_LEVEL)
#define ENT_PASTE(a, b) ENT_PASTED(a, b)
#define ENT_PASTED(a, b) a##b

#define ENT_LEVEL_TEXT ENT_QUOTE(ENT_LEVEL)
#define ENT_QUOTE(name) ENT_QUOTED(name)
#define ENT_QUOTED(name) #name

#endif
