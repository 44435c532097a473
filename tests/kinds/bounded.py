"""Data with rows of different lengths, from end to end: the compiled trainer against the evaluator, any number of
threads, predictions from padded arrays, host programs that bring padded arrays, and lengths that are wrong."""
import csv
import ctypes
import os
import re

from . import arrays, common, host
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


# --- host programs --------------------------------------------------------------------------------

FED = re.sub(r"(?s)data d \{.*?\n\}\n", "data d { feed x: [T <= 5, 2]; feed tag: int[T] }\n", TAGGER)
FED = re.sub(r"    (epochs|seed).*\n", "", FED)


def padded():
    """The rows of program() as a host program brings them: x, T, tag, with what would hurt in the padding."""
    rows, tags, at = [], [], 0
    for length in LENGTHS:
        place = range(at, at + length)
        rows.append([v / 4.0 for i in place for v in ((7 * i) % 11 - 5, (5 * i) % 13 - 6)])
        rows[-1] += [float("nan")] * (2 * (5 - length))
        tags.append([i * i % 3 for i in place] + [1000000] * (5 - length))
        at += length
    return rows, LENGTHS, tags


def fed_step(net, rows, sizes, tags, code=0):
    loss = ctypes.c_float()
    net.call("tagger_step", len(rows), host.floats(sum(rows, [])), host.ints(sizes),
             host.ints(sum(tags, [])), ctypes.byref(loss), code=code)
    return loss.value


def test_fed_steps_are_those_of_a_trainer():
    """Steps from Python: losses, parameters, reports and the model, against the reference evaluator on rows from
    data."""
    work = program()
    text = common.read(os.path.join(work, "m.nnd")).replace("seed: 1", "shuffle: false")
    common.write(os.path.join(work, "m.nnd"), text)
    want = losses(work, "--eval", "--seed=1")
    library = host.build(FED)
    net, found = host.Net(library, seed=1), []
    rows, sizes, tags = padded()
    for step in range(12):
        part = slice(step % 3 * 3, step % 3 * 3 + 3)
        found.append(fed_step(net, rows[part], sizes[part], tags[part]))
    problem = arrays.difference(([12], found), ([12], want), 1e-4)
    checkpoint = arrays.safetensors_read(os.path.join(work, "m.run", "checkpoint.safetensors"))
    for path, values in net.all().items():
        wanted = checkpoint.get(path)
        problem = problem or (wanted and arrays.difference((wanted[0], values), wanted, 1e-3))
    count, longest, accuracy = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_float()
    net.call("tagger_report", 8, host.floats(sum(rows, [])), host.ints(sizes), host.ints(sum(tags, [])),
             ctypes.byref(accuracy), ctypes.byref(count), ctypes.byref(longest))
    if (count.value, longest.value) != (sum(LENGTHS), 5):
        problem = problem or f"{count.value} steps, the longest {longest.value}"
    out = (ctypes.c_float * 15)()
    net.call("Tagger", 1, host.floats(rows[0]), host.ints([3]), out)
    if any(out[9:]) or any(v != v for v in out) or not any(out[:9]):
        problem = problem or f"{list(out)}"
    net.free()
    return problem


def test_fed_wrong_sizes():
    """A size that does not fit changes nothing, says which example has it, and is no crash."""
    net = host.Net(host.build(FED), seed=1)
    rows, _, tags = padded()
    before = net.all()
    for sizes, n in (([2, 6, 1], 1), ([1, 2, -1], 2), ([2000000000, 1, 1], 0)):
        fed_step(net, rows[:3], sizes, tags[:3], code=2)
        wanted = f"the size {sizes[n]} of example {n} is not between 0 and 5"
        if wanted not in net.error():
            return f"{net.error()} instead of {wanted}"
    out = (ctypes.c_float * 15)()
    net.call("Tagger", 1, host.floats(rows[0]), host.ints([6]), out, code=2)
    return host.same(net.all(), before)


HOST = """
#include "net.h"
#include <math.h>
#include <stdio.h>
int main(void)
{
    static const float x[2][5][2] = {{{1, 2}, {3, -1}, {0, 1}, {NAN, NAN}}, {{NAN}}};
    static const int32_t T[2] = {3, 0}, tag[2][5] = {{0, 1, 2, 77, -5}, {99}};
    char message[100];
    float first = 0, loss = 0, out[2][5][3];
    net_ctx *ctx = net_create(1, 1, message, sizeof message);
    int bad = !ctx;
    for (int step = 0; step < 100; step++)
        bad = bad || net_tagger_step(ctx, 2, &x[0][0][0], T, &tag[0][0], step ? &loss : &first);
    bad = bad || net_Tagger(ctx, 2, &x[0][0][0], T, &out[0][0][0]);
    for (int t = 0; t < 5 && !bad; t++)
        for (int k = 0; k < 3; k++)
            bad = bad || (t < 3 ? k != tag[0][t] && out[0][t][k] >= out[0][t][tag[0][t]] : out[0][t][k] != 0);
    printf("%s: from %g to %g\\n", bad ? ctx ? net_error(ctx) : message : "learned", first, loss);
    net_free(ctx);
    return bad || !(loss < 0.1f * first);
}
"""


def test_fed_from_c():
    """A C program learns the tags of one row, with a row of no elements beside it, by the header's types."""
    work = host.build(FED)
    source = os.path.join(work, "host.c")
    common.write(source, HOST)
    return must(common.run(host.compile_host(work, source, "libnet.a")), 0, "learned")


def test_fed_header():
    """The header says what the sizes are, also of data that a trainer would read from files."""
    header = common.read(os.path.join(host.build(FED), "net.h"))
    for text in ("const float *x,      /* float[n][5][2] */",
                 "const int32_t *T,    /* int32_t[n], from 0 to 5: how much of [5] is filled in x, tag */",
                 "const int32_t *T,  /* int32_t[n], from 0 to 5: how much of [5] is filled in x */"):
        if text not in header:
            return f"{text}\n{header}"
    work = program()
    common.nndc("build", "--lib", "m.nnd", "-o", "net", cwd=work, env={"CC": host.compiler()})
    header = common.read(os.path.join(work, "net.h"))
    return None if "*x_size1,  /* int32_t[n], from 0 to 5: how much of [5] is filled in x" in header else header
