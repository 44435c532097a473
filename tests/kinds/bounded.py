"""Data with rows of different lengths, from end to end: the compiled trainer against the evaluator, any number of
threads, predictions from padded arrays, and lengths that are wrong."""
import csv
import os
import re

from . import arrays, common
from .programs import must, named_tests

TAGGER = """
model Tagger(x: [T <= 9, 2]) -> [T, 3] {
    h = dense(x, 4, tanh) |> batch_norm
    around[t < T, u] = h[t, u] + (h[t - 1, u] outside 0) - mean[s] h[s, u]
    return dense(around, 3)
}
data d {
    train {
        x = ragged([VALUES], [OFFSETS], 5)
        tag = ragged([TAGS], [OFFSETS], 5)
    }
    test {
        x = ragged([VALUES], [OFFSETS], 5)
        tag = ragged([TAGS], [OFFSETS], 5)
    }
}
train tagger on d {
    batch: 3
    epochs: 4
    seed: 1
    y = Tagger(x)
    minimize sum(cross_entropy(y, tag)) using adam(0.05)
    report accuracy = mean(argmax(y) == tag)
    report steps = sum(steps(x))
    report longest = max(steps(x))
}
fn steps(x: [T, 2]) -> int = T
"""
LENGTHS = [3, 0, 5, 1, 2, 5, 4, 1]


def offsets(lengths):
    return [sum(lengths[:n]) for n in range(len(lengths) + 1)]


def program(lengths=None, starts=None):
    count = sum(LENGTHS)
    values = [[((7 * i) % 11 - 5) / 4.0, ((5 * i) % 13 - 6) / 4.0] for i in range(count)]
    text = TAGGER.replace("VALUES", ", ".join(map(str, values)))
    text = text.replace("TAGS", ", ".join(str(i * i % 3) for i in range(count)))
    text = text.replace("OFFSETS", ", ".join(map(str, starts or offsets(lengths or LENGTHS))))
    work = common.folder()
    common.write(os.path.join(work, "m.nnd"), text)
    return work


def tests():
    yield from named_tests(globals())


def losses(work, *options):
    result = common.nndc("train", "m.nnd", "--quiet", "--trace", "trace.csv", *options, cwd=work)
    if result.status:
        return result.text()
    with open(os.path.join(work, "trace.csv"), encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_trainer_is_the_evaluator():
    work = program()
    want, got = losses(work, "--eval"), losses(work, "--real=f64", "--blas=none")
    if isinstance(want, str) or isinstance(got, str):
        return f"{want}\n{got}"
    same = len(want) == len(got) == 12
    return None if same and all(abs(a - b) <= 1e-9 * max(1, abs(a)) for a, b in zip(want, got)) \
        else f"{want}\n{got}"


def test_threads():
    work = program()
    one, two = losses(work, "--threads=1"), losses(work, "--threads=2")
    return None if one == two and len(one) == 12 else f"{one}\n{two}"


def test_reports_count_what_is_there():
    return must(common.nndc("train", "m.nnd", cwd=program()), 0, "steps 21", "longest 5")


def test_check():
    return must(common.nndc("check", "m.nnd", cwd=program()), 0, "(x: [T <= 5, 2]) -> [T <= 5, 3]")


def predicted(work, *options):
    return common.nndc("predict", "m.nnd", "Tagger", "--json", *options, cwd=work)


def numbers(text):
    return [float(x) for x in re.findall(r"-?\d[\d.e+-]*", text)]


def test_predict():
    """From padded arrays, with anything in the padding, as from the data."""
    work = program()
    losses(work)
    values = iter(((7 * i) % 11 - 5, (5 * i) % 13 - 6) for i in range(sum(LENGTHS)))
    flat = [number for length in LENGTHS for t in range(5)
            for number in ([x / 4.0 for x in next(values)] if t < length else [float("nan")] * 2)]
    arrays.npy_write(os.path.join(work, "x.npy"), (8, 5, 2), flat)
    arrays.npy_write(os.path.join(work, "T.npy"), (8,), LENGTHS, "<i4")
    data, given = predicted(work), predicted(work, "--input", "x.npy,T.npy")
    if data.status or given.status or "nan" in given.out.lower():
        return data.text() + given.text()
    a, b = numbers(data.out), numbers(given.out)
    if len(a) != 8 * 5 * 3 or a != b or any(a[15:30]):
        return data.text() + given.text()
    return None


def test_predict_wrong_sizes():
    work = program()
    losses(work)
    arrays.npy_write(os.path.join(work, "x.npy"), (1, 5, 2), [0.5] * 10)
    arrays.npy_write(os.path.join(work, "T.npy"), (1,), [6], "<i4")
    return must(predicted(work, "--input", "x.npy,T.npy"), 1, "T: the size 6 of example 0 is not between "
                "0 and 5") or \
        must(predicted(work, "--input", "x.npy"), 1, "Tagger wants a file for `T`, too")


def wrong(lengths, starts, message):
    work = program(lengths, starts)
    return must(common.nndc("train", "m.nnd", cwd=work), 1, "m.nnd:", message) or \
        must(common.nndc("train", "m.nnd", "--eval", cwd=work), 1, "m.nnd:", message)


def test_row_too_long():
    return wrong([6, 0, 5, 1, 2, 5, 1, 1], None, "a run-time size of 6, where at most 5 fit")


def test_offsets_decrease():
    return wrong(None, [0, 3, 2, 3, 4, 4, 4, 4, 5], "a run-time size of -1, where at most 5 fit")


def test_offsets_leave_the_values():
    return wrong(None, [0, 3, 4, 9, 14, 18, 20, 21, 25],
                 "a subscript that is read from data is 21, but its axis has 21 elements")
