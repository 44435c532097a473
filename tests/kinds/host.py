"""Libraries for host programs (`nndc build --lib`), driven from C and, by ctypes, from Python."""
import ctypes
import json
import math
import os
import random
import shutil
import struct
import threading

from . import arrays, common
from .programs import must, named_tests, program

# Everything that a step may hold on to: fits, states, draws, two losses, the number of the epoch. The examples
# come from files, so that a trainer and a host program can be given the same ones in the same order.
MIXED = """
model Net(x: [3]) -> [4] = standardize(x) |> dense(8, tanh) |> batch_norm |> dropout(0.3) |> dense(4)
model Side(x: [3], on: bool) -> real, int = (if on then dense(x, 1) |> scalar else 0.0), argmax(x)
model Noise(x: [3]) -> [3] {
    e[i < 3] = randn()
    return x + e
}
data points { train { x = npy("x.npy"); label = npy("label.npy") } }
train main on points {
    batch: 16
    epochs: 4
    seed: 5
    shuffle: false
    logits = Net(x)
    minimize mean(cross_entropy(logits, label)) using adam(0.01 * 0.5^epoch)
    side, best = Side(x, label > 1)
    minimize mean(side^2) using sgd(0.1, momentum = 0.9)
    said = argmax(Net(x))
    hits[k < 4] = sum[n where label[n] == k] (if said[n] == k then 1 else 0)
    report accuracy = mean(said == label)
    report hits = hits
}
"""

FED = """
model Pick(s: [2]) -> [3] = dense(s, 3)
data moves { feed s: [2]; feed action: int; feed new: bool; feed pixel: u8[2] }
train learn on moves {
    batch: 8
    taken[n] = Pick(s)[n, action[n]]
    wanted[n] = (if new[n] then 1.0 else 0.0) + mean[i] pixel[n, i]
    minimize mean((taken - wanted)^2) using sgd(0.1)
}
"""
COUNT, BATCH = 50, 16


def tests():
    yield from named_tests(globals())


# --- building and calling --------------------------------------------------------------------

def compiler():
    """Without sanitizers, which a shared library cannot bring into Python."""
    return os.environ.get("CC", "gcc").split()[0]


def build(text, name="net", *flags):
    """A folder with m.nnd, its data, and the library."""
    work = program(text)
    draw = random.Random(1)
    x = [draw.gauss(2, 3) for _ in range(3 * COUNT)]
    arrays.npy_write(os.path.join(work, "x.npy"), [COUNT, 3], x)
    label = [max(range(3), key=lambda k, n=n: x[3 * n + k]) + (n % 7 == 0) for n in range(COUNT)]
    arrays.npy_write(os.path.join(work, "label.npy"), [COUNT], label, "<i4")
    result = common.nndc("build", "--lib", "m.nnd", "-o", name, "--quiet", *flags, cwd=work,
                         env={"CC": compiler()})
    if result.status or result.out or result.err:
        raise AssertionError(result.text())
    return work


def examples(work):
    """The arrays of the data as they are read: floats of 32 bits, ints."""
    return (arrays.npy_read(os.path.join(work, "x.npy"))[1],
            arrays.npy_read(os.path.join(work, "label.npy"))[1])


def floats(values):
    return (ctypes.c_float * len(values))(*values)


def ints(values):
    return (ctypes.c_int32 * len(values))(*values)


def octets(values):
    return (ctypes.c_uint8 * len(values))(*values)


class Net:
    """A context; its functions by their names without the library's, checked unless `code` says which."""

    def __init__(self, work, name="net", seed=5, threads=1):
        self.name, self.lib = name, ctypes.CDLL(os.path.join(work, f"lib{name}.so"))
        create = self.lib[name + "_create"]
        create.restype = ctypes.c_void_p
        self.ctx = ctypes.c_void_p(create(ctypes.c_uint64(seed), threads, None, ctypes.c_size_t(0)))

    def call(self, function, *arguments, code=0):
        plain = [ctypes.c_int64(a) if isinstance(a, int) else
                 a.encode() if isinstance(a, str) else a for a in arguments]
        found = self.lib[f"{self.name}_{function}"](self.ctx, *plain)
        if found != code:
            raise AssertionError(f"{function}: {found}, not {code}: {self.error()}")

    def text(self, function, *arguments):
        f = self.lib[f"{self.name}_{function}"]
        f.restype = ctypes.c_char_p
        value = f(self.ctx, *arguments)
        return value.decode() if value is not None else None

    def error(self):
        return self.text("error")

    def get(self, path):
        shape = (ctypes.c_int64 * 8)()
        rank = self.lib[self.name + "_shape"](self.ctx, path.encode(), shape)
        values = (ctypes.c_float * max(1, math.prod(shape[:rank])))()
        self.call("get", path, values, len(values))
        return list(values)

    def all(self):
        """Every tensor that is saved."""
        names, i = [], 0
        while (path := self.text("path", i)) is not None:
            names.append(path)
            i += 1
        return {path: self.get(path) for path in names}

    def free(self):
        self.lib[self.name + "_free"](self.ctx)


def steps(net, work, first, last):
    """The batches that the trainer would take; the losses."""
    x, label = examples(work)
    per_epoch, losses = -(-COUNT // BATCH), []
    for step in range(first, last):
        at = step % per_epoch * BATCH
        n = min(BATCH, COUNT - at)
        one, two = ctypes.c_float(), ctypes.c_float()
        net.call("main_step", n, floats(x[3 * at:3 * (at + n)]), ints(label[at:at + n]),
                 ctypes.byref(one), ctypes.byref(two))
        losses.append([one.value, two.value])
    return losses


def fit(net, work):
    x, label = examples(work)
    net.call("main_fit", COUNT, floats(x), ints(label))


def train(work, *flags, folder="m.run"):
    result = common.nndc("train", "m.nnd", "--quiet", "--blas=none", "--trace", "trace.csv", "-o",
                         folder, *flags, cwd=work)
    if result.status:
        raise AssertionError(result.text())
    rows = common.read(os.path.join(work, "trace.csv")).strip().split("\n")[1:]
    return [[float(word) for word in row.split(",")[3:]] for row in rows]


def saved(path):
    found = arrays.safetensors_read(path)
    found.pop("__metadata__")
    return {name: values for name, (_, values) in found.items()}


def same(found, wanted):
    """None if the numbers are the same bits (NaNs do not occur)."""
    for name in wanted:
        if [struct.pack("d", v) for v in found[name]] != [struct.pack("d", float(v))
                                                           for v in wanted[name]]:
            return f"{name}: {found[name][:5]} instead of {wanted[name][:5]}"
    return None if set(found) == set(wanted) else f"{sorted(found)}\n{sorted(wanted)}"


# --- the same numbers as a trainer ---------------------------------------------------------------

def test_steps_as_trainer():
    """Fits, losses, tensors and reports are those of `nndc train` on the same batches, bit for bit."""
    work = build(MIXED)
    wanted = train(work)
    net = Net(work)
    fit(net, work)
    found = steps(net, work, 0, len(wanted))
    if found != wanted:
        return f"{found}\n{wanted}"
    problem = same(net.all(), saved(os.path.join(work, "m.run", "checkpoint.safetensors")))
    if problem:
        return problem
    x, label = examples(work)
    accuracy, hits = ctypes.c_float(), (ctypes.c_int32 * 4)()
    net.call("main_report", COUNT, floats(x), ints(label), ctypes.byref(accuracy), hits)
    result = common.nndc("eval", "m.nnd", "--json", "--blas=none", cwd=work)
    net.free()
    wanted = json.loads(result.out)["main"]
    same_hits = list(hits) == wanted["hits"] and sum(hits) == round(accuracy.value * COUNT)
    if abs(accuracy.value - wanted["accuracy"]) > 1e-7 or not same_hits:
        return f"{accuracy.value} {list(hits)}\n{result.text()}"
    return None


def test_f64():
    """The same with --real=f64, whose functions take doubles."""
    work = build(FED, "net", "--real=f64")
    lib = ctypes.CDLL(os.path.join(work, "libnet.so"))
    lib.net_create.restype = ctypes.c_void_p
    ctx = ctypes.c_void_p(lib.net_create(ctypes.c_uint64(1), 1, None, ctypes.c_size_t(0)))
    values = (ctypes.c_double * 3)(0.1, 0.2, 0.3)
    lib.net_set(ctx, b"Pick.dense1.b", values, ctypes.c_int64(3))
    out = (ctypes.c_double * 3)()
    lib.net_Pick(ctx, ctypes.c_int64(1), (ctypes.c_double * 2)(0, 0), out)
    lib.net_free(ctx)
    return None if list(out) == [0.1, 0.2, 0.3] else str(list(out))


def test_monitor():
    """What a trainer monitors is no report of the library."""
    work = build("""
data d { x[n < 40] = rand(); split: [0.5, 0.25, 0.25] }
model M(x: real) -> real = dense([x], 1) |> scalar
train fit on d {
    batch: 20
    epochs: 3
    monitor: spread
    minimize mean(M(x)^2) using sgd(0.1)
    report spread = max(x) - min(x)
    report largest = max(x)
}
""")
    net = Net(work)
    spread, largest = ctypes.c_float(), ctypes.c_float()
    net.call("fit_report", 3, floats([1, 5, 3]), ctypes.byref(spread), ctypes.byref(largest))
    net.free()
    return None if (spread.value, largest.value) == (4, 5) else f"{spread.value} {largest.value}"


def test_step_by_hand():
    """A step of a linear model on fed data, against its formula."""
    work = build(FED)
    net = Net(work)
    w, b = [0.5, -1, 2, 1, 0.25, -0.5], [0.1, 0.2, 0.3]
    net.call("set", "Pick.dense1.w", floats(w), 6)
    net.call("set", "Pick.dense1.b", floats(b), 3)
    s, action = [1.0, 2.0, -1.0, 0.5], [2, 0]
    loss = ctypes.c_float()
    net.call("learn_step", 2, floats(s), ints(action), octets([1, 0]), octets([3, 5, 0, 2]),
             ctypes.byref(loss))
    errors = []
    for n in range(2):
        k = action[n]
        value = s[2 * n] * w[k] + s[2 * n + 1] * w[3 + k] + b[k]
        errors.append(value - [5.0, 1.0][n])
        for i in range(2):
            w[3 * i + k] -= 0.1 * errors[n] * s[2 * n + i]
        b[k] -= 0.1 * errors[n]
    wanted = (errors[0]**2 + errors[1]**2) / 2
    problem = arrays.difference(([6], net.get("Pick.dense1.w")), ([6], w), 1e-6) or \
        arrays.difference(([3], net.get("Pick.dense1.b")), ([3], b), 1e-6)
    net.free()
    return problem or (None if abs(loss.value - wanted) < 1e-5 else f"{loss.value} {wanted}")


def test_models():
    """A model gives what `nndc predict` gives, for more examples than it takes at once; draws differ."""
    work = build(MIXED)
    train(work)
    net = Net(work)
    net.call("load", os.path.join(work, "m.run", "checkpoint.safetensors"))
    x, _ = examples(work)
    many = (x * 12)[:3 * 600]
    arrays.npy_write(os.path.join(work, "many.npy"), [600, 3], many)
    result = common.nndc("predict", "m.nnd", "Net", "--input", "many.npy", "-o", "out.npy",
                         "--blas=none", cwd=work)
    out = (ctypes.c_float * 2400)()
    net.call("Net", 600, floats(many), out)
    if result.status or list(out) != arrays.npy_read(os.path.join(work, "out.npy"))[1]:
        return result.text() + str(list(out)[:8])
    side, best = (ctypes.c_float * 2)(), (ctypes.c_int32 * 2)()
    net.call("Side", 2, floats([1, 2, 3, 6, 5, 4]), octets([0, 7]), side, best)
    weights, bias = net.get("Side.dense1.w"), net.get("Side.dense1.b")
    wanted = sum(a * b for a, b in zip([6, 5, 4], weights)) + bias[0]
    if side[0] != 0 or abs(side[1] - wanted) > 1e-6 * max(1, abs(wanted)) or list(best) != [2, 0]:
        return f"{list(side)} {list(best)} {wanted}"
    drawn = []
    for seed in (1, 1, 2):
        noise = (ctypes.c_float * 1800)()
        net.call("Noise", ctypes.c_uint64(seed), 600, floats([0] * 1800), noise)
        drawn.append(list(noise))
    net.free()
    zeros = os.path.join(work, "zeros.npy")
    arrays.npy_write(zeros, [600, 3], [0] * 1800)
    for options in ((), ("--eval",)):
        result = common.nndc("predict", "m.nnd", "Noise", "--input", "zeros.npy", "-o", "noise.npy", "--seed=2",
                             *options, cwd=work)
        if result.status or arrays.difference(arrays.npy_read(os.path.join(work, "noise.npy")),
                                              ([600, 3], drawn[2]), 1e-6):
            return "predict draws other numbers\n" + result.text()
    if drawn[0] != drawn[1] or drawn[0] == drawn[2] or len(set(drawn[0])) < 1700:
        return "draws of a model"
    return None


# --- checkpoints ------------------------------------------------------------------------------------

def test_save_and_load():
    """A context that was saved and loaded goes on as if it never was."""
    work = build(MIXED)
    path = os.path.join(work, "half.safetensors")
    whole, first, second = Net(work), Net(work), Net(work, seed=99)
    for net in (whole, first):
        fit(net, work)
    wanted = steps(whole, work, 0, 9)
    steps(first, work, 0, 5)
    first.call("save", path)
    second.call("load", path)
    found = steps(second, work, 5, 9)
    problem = None if found == wanted[5:] else f"{found}\n{wanted[5:]}"
    problem = problem or same(second.all(), whole.all())
    for net in (whole, first, second):
        net.free()
    return problem


def test_trainer_resumes():
    """`nndc train --resume` goes on from a library's checkpoint, and a library from a trainer's."""
    work = build(MIXED)
    train(work, folder="whole")
    wanted = saved(os.path.join(work, "whole", "checkpoint.safetensors"))
    net = Net(work)
    fit(net, work)
    steps(net, work, 0, 8)
    os.mkdir(os.path.join(work, "rest"))
    net.call("save", os.path.join(work, "rest", "checkpoint.safetensors"))
    train(work, "--resume", folder="rest")
    problem = same(saved(os.path.join(work, "rest", "checkpoint.safetensors")), wanted)
    if problem:
        return problem
    train(work, "--set", "epochs=2", folder="begun")
    other = Net(work, seed=1)
    other.call("load", os.path.join(work, "begun", "checkpoint.safetensors"))
    steps(other, work, 8, 16)
    problem = same(other.all(), wanted)
    net.free()
    other.free()
    return problem


def test_predict_with_saved():
    """`nndc predict --weights` takes a library's checkpoint, also of a program with fed data."""
    work = build(FED)
    net = Net(work)
    net.call("save", os.path.join(work, "w.safetensors"))
    out = (ctypes.c_float * 3)()
    net.call("Pick", 1, floats([0.5, -2]), out)
    net.free()
    result = common.nndc("predict", "m.nnd", "Pick", "--weights", "w.safetensors", "--input", "-",
                         "--blas=none", cwd=work, stdin="0.5 -2\n")
    found = [float(word) for word in result.out.split()]
    close = len(found) == 3 and all(abs(a - b) < 1e-5 for a, b in zip(found, out))
    return None if close else f"{list(out)}\n{result.text()}"


# --- several contexts -------------------------------------------------------------------------------

def test_contexts_at_once():
    """Contexts in threads of their own, with different seeds, give what each gives alone."""
    work = build(MIXED)

    def work_alone(seed, into):
        net = Net(work, seed=seed, threads=1 + seed % 2)
        fit(net, work)
        into[seed] = steps(net, work, 0, 40)
        net.free()

    alone, at_once = {}, {}
    for seed in range(4):
        work_alone(seed, alone)
    threads = [threading.Thread(target=work_alone, args=(seed, at_once)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if alone != at_once:
        return "contexts disturb each other"
    return None if alone[0] != alone[1] else "the seed changes nothing"


WIDE = """
model Pick(s: [64]) -> [8] = dense(s, 256, relu) |> dense(8)
data moves { feed s: [64]; feed wanted: [8] }
train learn on moves {
    batch: 64
    minimize mean((Pick(s) - wanted)^2) using adam(0.01)
}
"""


def test_contexts_and_threads():
    """Contexts at once, of 1, 2, 3 and 8 threads: the same bits, and no race that a sanitizer finds."""
    work = build(WIDE, "wide")
    source = os.path.join(common.ROOT, "tests", "host", "threads.c")
    problem = must(common.run(compile_host(work, source, "libwide.a"), cwd=work), 0, "0 of 4 differ")
    raced = os.path.join(work, "raced")
    result = common.run(compiler(), "-std=c11", "-O1", "-g", "-fsanitize=thread", "-pthread", "-I", work,
                        "-o", raced, source, os.path.join(work, "wide.c"), "-lm")
    if problem or (result.status and "tsan" in result.err):  # the sanitizer is not installed
        return problem
    still = ["setarch", "-R"] if shutil.which("setarch") else []
    return must(result) or must(common.run(*still, raced, cwd=work), 0, "0 of 4 differ")


# --- C -----------------------------------------------------------------------------------------------

def compile_host(work, source, *libraries):
    """The program compiled as C and as C++, strictly; the C one."""
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", work]
    for language in (["-std=c11"], ["-x", "c++", "-std=c++11"]):
        result = common.run(compiler(), *language, *strict, "-fsyntax-only", source)
        if result.status and "cc1plus" not in result.err:  # there may be no C++ compiler
            raise AssertionError(result.text())
    host = os.path.join(work, "host")
    result = common.run(compiler(), "-std=c11", *strict, "-o", host, source,
                        *(os.path.join(work, lib) for lib in libraries), "-pthread", "-lm")
    if result.status:
        raise AssertionError(result.text())
    return host


def test_misuse_from_c():
    """Every wrong call has its code and message, and does nothing."""
    work = build(FED)
    host = compile_host(work, os.path.join(common.ROOT, "tests", "host", "misuse.c"), "libnet.a")
    return must(common.run(host, cwd=work), 0, "all is well")


def test_two_libraries_in_one_program():
    work = build(FED)
    for name in ("one", "two"):
        common.nndc("build", "--lib", "m.nnd", "-o", name, cwd=work, env={"CC": compiler()})
    source = os.path.join(work, "both.c")
    common.write(source, '#include "one.h"\n#include "two.h"\nint main(void) {\n'
                         "    one_ctx *a = one_create(1, 1, 0, 0);\n"
                         "    two_ctx *b = two_create(1, 1, 0, 0);\n"
                         "    float s[2] = {1, 2}, x[3], y[3];\n"
                         "    int bad = one_Pick(a, 1, s, x) || two_Pick(b, 1, s, y) || x[0] != y[0];\n"
                         "    one_free(a);\n    two_free(b);\n    return bad;\n}\n")
    return must(common.run(compile_host(work, source, "libone.a", "libtwo.a")))


def test_source_compiles_elsewhere():
    """NAME.c needs nothing but a C compiler: no flags, no zlib; and it has no warnings."""
    work = build(FED)
    os.mkdir(os.path.join(work, "else"))
    for name in ("net.c", "net.h"):
        shutil.copy(os.path.join(work, name), os.path.join(work, "else"))
    host = os.path.join(work, "plain")
    result = common.run(compiler(), "-std=c11", "-Wall", "-Wextra", "-Werror",
                        "-I", "else", "-o", host,
                        os.path.join(common.ROOT, "tests", "host", "misuse.c"), "else/net.c", "-lm",
                        cwd=work)
    return must(result) or must(common.run(host, cwd=work), 0, "all is well")


# --- what cannot be built --------------------------------------------------------------------------

def test_sources_only():
    work = program(FED)
    result = common.nndc("build", "--lib", "m.nnd", "-o", "only.c", cwd=work)
    found = sorted(f for f in os.listdir(work) if "only" in f)
    return must(result, 0, "only.h, only.c") or (None if found == ["only.c", "only.h"] else f"{found}")


def refused(text, name, *patterns):
    work = program(text)
    arrays.npy_write(os.path.join(work, "x.npy"), [2], [1, 2])
    problem = must(common.nndc("build", "--lib", "m.nnd", "-o", name, cwd=work), 1, *patterns)
    left = [f for f in os.listdir(work) if f not in ("m.nnd", "x.npy")]
    return problem or (f"left over: {left}" if left else None)


def test_bad_name():
    return refused(FED, "my-net", "`my-net` is no name in C", "-o my_net")


def test_names_clash():
    return refused(FED.replace("Pick", "load"), "net", "m.nnd:2", "the model load", "net_load")


def test_file_when_it_runs():
    return refused('model M(x: [2]) -> [2] = x + npy("x.npy")\n', "net", "m.nnd:1:", "x.npy",
                   "reads no files")


def test_no_compiler():
    work = program(FED)
    return must(common.nndc("build", "--lib", "m.nnd", "-o", "net", "--cc", "no-such-cc", cwd=work), 1,
                "no-such-cc", "--cc COMMAND")


def test_train_fed():
    return must(common.nndc("train", "m.nnd", cwd=program(FED)), 1, "m.nnd:4:1", "learn", "moves",
                "nndc build --lib m.nnd", "NAME_learn_step")


def test_eval_fed():
    return must(common.nndc("eval", "m.nnd", cwd=program(FED)), 1, "nndc build --lib")


def test_build_fed():
    return must(common.nndc("build", "m.nnd", cwd=program(FED)), 1, "nndc build --lib")


def test_only_the_rest():
    """--only chooses a train block that has data."""
    work = program(FED + """
data d { x[n < 10, i < 2] = rand() }
train rest on d {
    batch: 5
    epochs: 2
    minimize mean(sum[k] Pick(x)[n, k]^2) using sgd(0.1)
}
""".replace("mean(sum[k] Pick(x)[n, k]^2)", "mean(Pick(x)^2)"))
    return must(common.nndc("train", "m.nnd", "--only", "rest", cwd=work), 0, "epoch 2/2")
