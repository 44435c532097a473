/* isa.c -- the rows of isa.h, and which of them this machine has. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#if defined(__x86_64__) || defined(__i386__)
#define NND_X86_HAS(feature) (__builtin_cpu_supports(feature) != 0)
#else
#define NND_X86_HAS(feature) false
#endif
#ifdef __aarch64__
#define NND_ARM64 true
#else
#define NND_ARM64 false
#endif

const NndIsaInfo *nnd_isa_info(NndIsa isa)
{
    static const NndIsaInfo rows[] = {
#define NND_ISA_ROW(name, bytes, registers, macro, flags, native, here)                            \
    {#name, bytes, registers, macro, flags, native},
        NND_ISAS(NND_ISA_ROW)
#undef NND_ISA_ROW
    };
    return &rows[isa == NND_ISA_NATIVE ? nnd_isa_best() : isa];
}

bool nnd_isa_here(NndIsa isa)
{
    switch (isa) {
#define NND_ISA_ROW(name, bytes, registers, macro, flags, native, here)                            \
    case NND_ISA_##name: return here;
        NND_ISAS(NND_ISA_ROW)
#undef NND_ISA_ROW
    case NND_ISA_COUNT: return false;
    case NND_ISA_NATIVE: return true;
    }
    return false;
}

NndIsa nnd_isa_best(void)
{
    int best = NND_ISA_COUNT - 1;
    while (!nnd_isa_here((NndIsa)best))
        best--;
    return (NndIsa)best;
}

int nnd_isa_check(NndIsa isa, NndError *error)
{
    if (nnd_isa_here(isa)) return 0;
    return nnd_error(error,
                     "the program was made for %s, which this machine lacks (%s is the best it has;"
                     " --isa=portable makes programs for any)",
                     nnd_isa_info(isa)->name, nnd_isa_info(NND_ISA_NATIVE)->name);
}

#undef NND_X86_HAS
#undef NND_ARM64
