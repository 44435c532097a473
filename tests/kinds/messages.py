"""What a running program says of data that leave an axis: the line that the user wrote, the library's
function that was called there, the subscript, its value, and the example. The trainer and the evaluator say
the same."""
import os

from . import common
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
