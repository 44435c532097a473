/* random.h -- random numbers of the host programs. */
#include <stdint.h>

static uint32_t random_state = 12345;

/* Uniform on [0, 1), the same numbers on every machine (Marsaglia, xorshift, 2003). */
static float uniform(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (float)(random_state >> 8) / 16777216.0f;
}
