"""What a running program says of data that leave an axis: the line that the user wrote, the library's
function that was called there, the subscript, its value, and the example. The trainer and the evaluator say
the same."""
import os

from . import arrays, common
from .programs import must, named_tests

PROGRAM = """
data d {
    x[n < 60, i < 4] = if n == 21 and i == 2 then 9 else i
    y[n < 60] = if n == LABEL then 3 else n % 3
}
layer own(token: int, units) -> [units] {
    param table: [5, units] = randn()
    return table[token]
}
layer each_by(x: int[4], cell) = cell(x, 4)
fn picked(logits: [C], label: int) {
    return logits[label]
}
model M(x: int[4]) -> [3] = x
    |> BODY
    |> flatten
    |> dense(3)
train t on d {
    batch: 10
    epochs: 1
    logits = M(x)
    minimize mean(LOSS) using sgd(0.1)
    report top = top_k(REPORTED, y, 2)
}
"""
EXAMPLE = "this is example 21 (from 0) of d, split train (train t)"


def says(*words, body="dense(3)", loss="logits", label=-1, reported="logits"):
    work = common.folder()
    text = PROGRAM.replace("BODY", body).replace("LOSS", loss).replace("LABEL", str(label))
    common.write(os.path.join(work, "m.nnd"), text.replace("REPORTED", reported))
    return must(common.nndc("train", "m.nnd", "--quiet", cwd=work), 1, *words) or \
        must(common.nndc("train", "m.nnd", "--eval", "--quiet", cwd=work), 1, *words)


def tests():
    yield from named_tests(globals())


def test_library_in_a_pipe():
    """Of a call that is part of a pipe, its own line."""
    return says("error: m.nnd:15: in embedding(), `token` is 9, but its axis has 5 elements; " + EXAMPLE,
                body="embedding(5, 4)")


def test_library_in_a_loss():
    return says("error: m.nnd:22: in cross_entropy(), `label` is 3, but its axis has 3 elements; " + EXAMPLE,
                body="dense(3)", loss="cross_entropy(logits, y)", label=21)


def test_library_through_library():
    """The name is that of the function that the user called."""
    return says("error: m.nnd:22: in smooth_cross_entropy(), `label` is 3", EXAMPLE,
                loss="smooth_cross_entropy(logits, y, 0.1)", label=21)


def test_own_function():
    return says("error: m.nnd:12: `label` is 3, but its axis has 3 elements; " + EXAMPLE,
                loss="picked(logits, y)", label=21)


def test_own_function_through_own():
    return says("error: m.nnd:8: `token` is 9, but its axis has 5 elements; " + EXAMPLE,
                body="each_by(own)")


def test_several_subscripts():
    return says("error: m.nnd:23: in top_k(), a subscript of `logits[n, label[n]]` is 3", body="dense(3)",
                label=21)


def test_prediction():
    """From a file and from numbers typed in; also in the second chunk that a model takes."""
    work = common.folder()
    common.write(os.path.join(work, "m.nnd"), "model E(t: int) -> real {\n    w = [1.0, 2, 3]\n    return w[t]\n}\n"
                 "model B(on: bool, k: u8) -> real = if on then real(k) else -1.0\n")
    arrays.npy_write(os.path.join(work, "t.npy"), (600,), [k % 3 if k != 470 else -1 for k in range(600)], "<i4")
    arrays.npy_write(os.path.join(work, "k.npy"), (2,), [3, 4], "|u1")

    def predict(model, files, text=None):
        return common.nndc("predict", "m.nnd", model, "--input", files, cwd=work, stdin=text)
    return must(predict("E", "t.npy"), 1, "error: m.nnd:3: `t` is -1, but its axis has 3 elements; "
                "this is example 470 (from 0)") or \
        must(predict("E", "-", "0 1 5"), 1, "`t` is 5, but its axis has 3 elements; this is example 2") or \
        must(predict("B", "-,k.npy", "1 0"), 0, "3\n-1") or \
        must(predict("B", "-,k.npy", "1 2"), 1, "standard input: 2 is no whole number from 0 to 1") or \
        must(predict("B", "-,k.npy", "1 0 1"), 1, "k.npy: has 2 examples, the input before it 3")


DIVISION = """
data d { n[i < 20] = i; x[i < 20] = 0.1 * i }
model M(x: real) -> real = dense([x], 1) |> scalar
train t on d {
    epochs: 1
    batch: 5
    shuffle: false
    minimize mean((M(x) - real(n // (n - 7)))^2) using sgd(0.01)
    report odd = sum(n % (n - 13))
}
"""


def division(text, *words):
    """Also of what a branch keeps from being done: nothing happens there."""
    work = common.folder()
    common.write(os.path.join(work, "m.nnd"), text)
    for flags in ((), ("-O0",), ("--eval",)):
        result = common.nndc("train", "m.nnd", "--quiet", *flags, cwd=work)
        problem = must(result, 1 if words else 0, *words)
        if problem:
            return problem
    return None


def test_division_by_zero():
    """Of ints: the evaluator and C stop at the first."""
    example = "; this is example %d (from 0) of d, split train (train t)"
    apart = DIVISION.replace("n - 7", "n - 77")
    safe = apart.replace("sum(n % (n - 13))", "sum[i] (if n[i] == 13 then 0 else n[i] % (n[i] - 13))")
    return division(DIVISION, "m.nnd:8: integer division by zero" + example % 7) or \
        division(apart, "m.nnd:9: integer remainder by zero" + example % 13) or division(safe)
