/* scalar.c -- polygamma functions. SPDX-License-Identifier: 0BSD
 *
 * Abramowitz & Stegun 6.4: the recurrence (6.4.6) carries x to where the asymptotic series (6.4.11)
 * is exact to double precision; for n = 0 they are 6.3.5 and 6.3.18. */
#include "scalar.h"

#include <math.h>

/* B(2k) for k = 1, 2, ... */
static const double polygamma_bernoulli[] = {
    1.0 / 6,        -1.0 / 30, 1.0 / 42,      -1.0 / 30,      5.0 / 66,
    -691.0 / 2730, 7.0 / 6,   -3617.0 / 510, 43867.0 / 798, -174611.0 / 330};

/* The series for x large against n; the sign (-1)^(n+1) is the caller's. */
static double polygamma_tail(int n, double x)
{
    int terms = (int)(sizeof polygamma_bernoulli / sizeof *polygamma_bernoulli);
    double inverse = 1 / x, square = inverse * inverse;
    double first = 1; /* (n - 1)! / x^n */
    for (int i = 1; i < n; i++) first *= i;
    first *= pow(inverse, n);
    double sum = n == 0 ? -log(x) : first;
    double term = n == 0 ? inverse : first * n * inverse; /* n! / x^(n+1) */
    sum += term / 2;
    term *= inverse * (n + 1) / 2; /* (n+1)! / (2! x^(n+2)) */
    for (int k = 1; k <= terms; k++) {
        sum += polygamma_bernoulli[k - 1] * term;
        term *= square * (2 * k + n) * (2 * k + n + 1) / ((2 * k + 1.0) * (2 * k + 2.0));
    }
    return sum;
}

double nnd_polygamma_f64(double n, double x)
{
    if (!(n >= 0 && n <= 100) || !(x > -10000) || (x <= 0 && x == floor(x))) return NAN;
    int order = (int)n;
    double factorial = 1, sum = 0;
    for (int i = 1; i <= order; i++) factorial *= i;
    for (; x < 15 + order; x += 1) sum += factorial / pow(x, order + 1);
    sum += polygamma_tail(order, x);
    return order % 2 ? sum : -sum;
}

float nnd_polygamma(float n, float x)
{
    return (float)nnd_polygamma_f64((double)n, (double)x);
}
