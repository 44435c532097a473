"""Writes reference.npy: the solution u[k, i] of Burgers' equation of model.nnd at x = -1 + 0.01 i, t = 0.02 k.

By Cole (1951) and Hopf (1950), u is a quotient of two integrals over a Gaussian,

    u(x, t) = -<sin(pi y) f(y)> / <f(y)>,  f(y) = exp(-cos(pi y) / (2 pi nu)),  y = x - sqrt(4 nu t) z,

with z of density proportional to exp(-z^2); Gauss-Hermite quadrature gives both (Basdevant et al. 1986).
"""
import numpy as np

NU = 0.01 / np.pi


def solution(x, t, nodes):
    z, w = np.polynomial.hermite.hermgauss(nodes)
    y = x[..., None] - np.sqrt(4 * NU * t)[..., None] * z
    f = w * np.exp(-(np.cos(np.pi * y) + 1) / (2 * np.pi * NU))
    return -(np.sin(np.pi * y) * f).sum(-1) / f.sum(-1)


t, x = np.meshgrid(0.02 * np.arange(51), -1 + 0.01 * np.arange(201), indexing="ij")
u = solution(x, t, 200)
print(f"largest change with 150 nodes: {abs(u - solution(x, t, 150)).max():.1e}")
np.save("reference.npy", u.astype(np.float32))
