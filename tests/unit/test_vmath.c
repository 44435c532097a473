/* test_vmath.c -- the functions of rt/vmath.h against the C library in double precision, over
 * floats of all sizes, and the same bits however they are compiled. */
#include "unit.h"
#include "vmath_error.h"

#include <stdio.h>
#include <unistd.h>

static void test_errors(void)
{
    for (int f = 0; f < VMATH_FUNCTIONS; f++) {
        double worst = vmath_worst(f, 0, UINT64_C(1) << 32, 1009);
        if (worst > vmath_functions[f].limit)
            printf("%s: %g units\n", vmath_functions[f].name, worst);
        CU_ASSERT(worst <= vmath_functions[f].limit);
    }
    CU_ASSERT(vmath_worst_pow(1 << 22) <= VMATH_POW_LIMIT);
    CU_ASSERT(vmath_worst_atan2(1 << 20) <= VMATH_ATAN2_LIMIT);
}

/* Where formulas change, and what the C standard has a word on; signs of zeros, too. */
static void test_edges(void)
{
    static const float edges[] = {
        0.0f,        1e-45f,         1.17549421e-38f, 1.17549435e-38f,
        0.25f,       0.5f,           0.625f,          0.785398f,
        0.99999994f, 1.0f,           1.00000012f,     1.5f,
        2.0f,        3.0f,           3.95f,           10.0f,
        87.3365479f, 88.7228394f,    89.0f,           103.972f,
        104.0f,      105.0f,         16777215.0f,     16777216.0f,
        33554432.0f, 1e15f,          0x1p50f,         0x1p77f,
        0x1p104f,    3.40282347e38f, INFINITY,        NAN,
        1e-30f,      0x1.fffffep49f,
    };
    enum { EDGES = 2 * sizeof edges / sizeof *edges };
    for (int i = 0; i < EDGES; i++) {
        float x = i % 2 ? -edges[i / 2] : edges[i / 2];
        for (int f = 0; f < VMATH_FUNCTIONS; f++) {
            float y;
            vmath_functions[f].all(&x, &y, 1);
            double d = vmath_distance(y, vmath_functions[f].wanted((double)x));
            if (d > vmath_functions[f].limit)
                printf("%s(%a) = %a: %g units\n", vmath_functions[f].name, (double)x, (double)y, d);
            CU_ASSERT(d <= vmath_functions[f].limit);
        }
        for (int j = 0; j < EDGES; j++) {
            float z = j % 2 ? -edges[j / 2] : edges[j / 2], y = nnd_powf(x, z);
            double d = vmath_distance(y, pow((double)x, (double)z));
            if (d > VMATH_POW_LIMIT)
                printf("%a ^ %a = %a: %g units\n", (double)x, (double)z, (double)y, d);
            CU_ASSERT(d <= VMATH_POW_LIMIT);
            d = vmath_distance(nnd_atan2f(x, z), atan2((double)x, (double)z));
            if (d > VMATH_ATAN2_LIMIT) printf("atan2(%a, %a): %g units\n", (double)x, (double)z, d);
            CU_ASSERT(d <= VMATH_ATAN2_LIMIT);
        }
    }
}

/* What vmath_bits.c prints, compiled so; false without such a compiler. */
static bool bits_of(const char *compiler, const char *flags, unsigned long long *hash)
{
    char program[64], command[1000];
    snprintf(program, sizeof program, "/tmp/vmath_bits.%ld", (long)getpid());
    snprintf(command, sizeof command,
             "%s -std=c11 %s -fopenmp-simd -ffp-contract=off -fno-math-errno -fno-trapping-math "
             "-w -I%s/rt -o %s %s/tests/unit/vmath_bits.c -lm 2>/dev/null && %s",
             compiler, flags, NND_ROOT, program, NND_ROOT, program);
    FILE *out = popen(command, "r");
    bool read = out && fscanf(out, "%llx", hash) == 1;
    bool good = out && pclose(out) == 0 && read;
    remove(program);
    return good;
}

/* Whether this machine has the instructions that the flags ask for. */
static bool machine_has(const char *flags)
{
#ifdef __x86_64__
    if (strstr(flags, "-mavx2") && !__builtin_cpu_supports("avx2")) return false;
    if (strstr(flags, "-mfma") && !__builtin_cpu_supports("fma")) return false;
    if (strstr(flags, "-mavx512f") && !__builtin_cpu_supports("avx512f")) return false;
#endif
    (void)flags;
    return true;
}

/* Vector code or not, of every width, by every compiler: as the first compiler with the first flags. */
static void same_bits(const char *const *flags, size_t n)
{
    static const char *const compilers[] = {"cc", "clang"};
    unsigned long long wanted, hash;
    if (!machine_has(flags[0])) return;
    CU_ASSERT_FATAL(bits_of(compilers[0], flags[0], &wanted));
    for (int c = 0; c < 2; c++) {
        bool there = bits_of(compilers[c], flags[0], &hash);
        for (size_t k = 0; there && k < n; k++) {
            if (!machine_has(flags[k])) continue;
            bool same = bits_of(compilers[c], flags[k], &hash) && hash == wanted;
            if (!same) printf("%s %s: other bits\n", compilers[c], flags[k]);
            CU_ASSERT(same);
        }
    }
}

#ifdef __x86_64__

static void test_same_bits(void)
{
    static const char *const flags[] = {
        "-O0 -mfma",
        "-O1 -mfma -DNOT_VECTOR",
        "-O2 -mfma",
        "-O3 -mavx2 -mfma",
        "-O2 -march=native -DNOT_VECTOR",
        "-O1 -march=native",
        "-O2 -march=native -mprefer-vector-width=512",
        "-O3 -march=native",
        "-O2 -mavx512f -mfma -mprefer-vector-width=512",
    };
    same_bits(flags, sizeof flags / sizeof *flags);
}

static void test_same_bits_without_fma(void)
{
    static const char *const flags[] = {"-O0", "-O1 -DNOT_VECTOR", "-O2", "-O3", "-O2 -mavx2"};
    same_bits(flags, sizeof flags / sizeof *flags);
}

#else

static void test_same_bits(void)
{
    static const char *const flags[] = {
        "-O0", "-O1 -DNOT_VECTOR", "-O2", "-O3", "-O3 -march=native",
    };
    same_bits(flags, sizeof flags / sizeof *flags);
}

static void test_same_bits_without_fma(void)
{
}

#endif

static const UnitTest tests[] = {
    {"errors", test_errors}, {"edges", test_edges}, {"same bits", test_same_bits},
    {"same bits without fused multiply-add", test_same_bits_without_fma}};

UNIT_MAIN("vmath", tests)
