"""What a condition that is known at run time keeps from failing: subscripts and divisors of a branch not taken."""
import math
import os

from . import arrays, common
from .driver import same_parameters, train_all
from .programs import must, named_tests, program


def tests():
    yield from named_tests(globals())


BRANCHES = """
fn row(table: [N], i: int) -> [2] = [table[i], 1 - table[i]]
fn look(table: [N], i: int) -> real {
    y = 0.0
    if i < size(table) and i >= 0 {
        y = sum(exp(row(table, i)))
    }
    return y
}
fn twice(n: int) -> int = 2 * n
fn share(n: int, k: int) -> int {
    s = 0
    if k != 0 { s = twice(n // k) }
    return s
}
fn pair(x: [4], i: int) -> real = sum(exp([x[i], 2 * x[i + 1]]))
model Look(i: int) -> real = look([1.0, 2.0, 3.0], i)
model Sums(x: [4], i: int[4]) -> real = sum[k where i[k] < 3] pair(x, i[k])
model Shares(i: int) -> int = share(7, i)
model W() -> [3] {
    param w: [3] = 1
    return w
}
data d { i[n < 12] = n - 4; x[n < 12, k < 4] = 0.1 * k; j[n < 12, k < 4] = n + k }
train t on d {
    batch: 12
    steps: 9
    w = W()
    y = sum(w^2)
    if step < 3 {
        z = w[step]
        q[k < 3] = z * w[step] * (k + 1)
        y = z + sum(q)
    } else {
        y = y + (if step - 4 < 3 and step > 3 then sum(exp(row(w, step - 4))) else 0.0)
    }
    minimize y + mean(look(w, i)) using sgd(0.01)
    report look = Look(i)
    report sums = Sums(x, j)
    report shares = Shares(i)
}
"""


def look(i):
    return math.exp(i + 1) + math.exp(-i) if 0 <= i < 3 else 0


def reports():
    sums = [sum(math.exp(0.1 * i) + math.exp(0.2 * (i + 1)) for i in range(n, n + 4) if i < 3)
            for n in range(12)]
    return {"look": [look(n - 4) for n in range(12)], "sums": sums,
            "shares": [2 * (7 // (n - 4)) if n != 4 else 0 for n in range(12)]}


def test_not_taken():
    work = program(BRANCHES)
    exact = ("--real", "f64")
    problem = train_all(work, ("c", *exact), ("plain", "-O0", *exact), ("e", "--eval", *exact)) or \
        same_parameters(work, "c", "e", 1e-9) or same_parameters(work, "plain", "e", 1e-9)
    for folder in () if problem else ("c", "plain", "e"):
        for name, wanted in reports().items():
            got = arrays.npy_read(os.path.join(work, folder, f"t.{name}.npy"))
            problem = problem or arrays.difference(got, ([12], wanted), 1e-9)
    return problem


def test_taken():
    """Where the branch is taken, they fail, and the message names the place."""
    for old, new in (("i < size(table) and", "i <= size(table) and"), ("if step < 3", "if step < 4"),
                     ("i[k] < 3", "i[k] <= 3")):
        work = program(BRANCHES.replace(old, new))
        for flags in ((), ("-O0",), ("--eval",)):
            problem = must(common.nndc("train", "m.nnd", "--quiet", *flags, cwd=work), 1, "but its axis has")
            if problem:
                return f"{new} {flags}: {problem}"
    return None
