/* isa.h -- the instruction sets that programs can be made for (--isa), one row each; for the
 * compiler's register tiles, the runtime's matrix products, and the check when a program starts.
 * SPDX-License-Identifier: 0BSD */
#ifndef NND_ISA_H
#define NND_ISA_H

#include <stdbool.h>

/* ROW(name, bytes, registers, macro, flags, native, here), the best of an architecture last.
 *   bytes      of the widest vector
 *   registers  that a tile may fill: one less where a product is a register of its own (no fused
 *              multiply-add)
 *   macro      what C compilers that make such code define; "": all can
 *   flags      with which they do
 *   native     flags for the machine at hand, if this is the best that it has
 *   here       whether this machine has it */
#define NND_ISAS(ROW)                                                                              \
    ROW(portable, 16, 15, "", "", "", true)                                                        \
    ROW(sse2, 16, 15, "__SSE2__", "-msse2", "-march=native", NND_X86_HAS("sse2"))                  \
    ROW(avx2, 32, 16, "__AVX2__", "-mavx2 -mfma", "-march=native",                                 \
        NND_X86_HAS("avx2") && NND_X86_HAS("fma"))                                                 \
    ROW(avx512, 64, 32, "__AVX512F__",                                                             \
        "-mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma -mprefer-vector-width=512",       \
        "-march=native -mprefer-vector-width=512",                                                 \
        NND_X86_HAS("avx512f") && NND_X86_HAS("avx512vl") && NND_X86_HAS("avx512dq") &&            \
            NND_X86_HAS("avx512bw") && NND_X86_HAS("avx2") && NND_X86_HAS("fma"))                  \
    ROW(neon, 16, 32, "__ARM_NEON", "", "-mcpu=native", NND_ARM64)

typedef enum NndIsa {
#define NND_ISA_ROW(name, bytes, registers, macro, flags, native, here) NND_ISA_##name,
    NND_ISAS(NND_ISA_ROW)
#undef NND_ISA_ROW
    NND_ISA_COUNT,
    NND_ISA_NATIVE = -1 /* the best that this machine has */
} NndIsa;

typedef struct NndIsaInfo {
    const char *name;
    int bytes, registers;
    const char *macro, *flags, *native;
} NndIsaInfo;

#endif
