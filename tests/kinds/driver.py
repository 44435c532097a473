"""The trainer: results, files, resuming, signals, disks."""
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import time

from . import arrays, common
from .programs import LINE, checkpoint, must, named_tests, parameters, program


def tests():
    yield from named_tests(globals())


def test_train_writes():
    work = program()
    problem = must(common.nndc("train", "m.nnd", cwd=work), 0, "error")
    if problem:
        return problem
    missing = [f for f in ("trainer.c", "checkpoint.safetensors", "log.csv")
               if not os.path.exists(os.path.join(work, "m.run", f))]
    left = [f for f in os.listdir(os.path.join(work, "m.run")) if "tmp" in f]
    return f"missing {missing}, left over {left}" if missing or left else None


def test_train_log():
    work = program()
    result = common.nndc("train", "m.nnd", "--quiet", cwd=work)
    lines = common.read(os.path.join(work, "m.run", "log.csv")).strip().split("\n")
    if result.status or len(lines) != 7 or "error" not in lines[0]:
        return result.text() + "\n".join(lines)
    return None


RECURRENCE = """
model Net(x: [STEPS, 4]) -> [STEPS, 5] = dense(lstm(x, 8), 5)
data noise { x[n < 4, t < STEPS, i < 4] = randn(); label[n < 4, k < 3] = 1 + (n + k) % 4 }
train net on noise {
    batch: 2
    epochs: 1
    minimize mean(ctc(Net(x), label)) using adam(0.01)
}
"""


def test_recurrence_size():
    """The code of two scans and their derivatives does not grow with the steps: the same loops as lowered; tiles
    and chunks of the optimised code, which follow sizes, may differ a little."""
    loops, lines = [], []
    for steps in ("2000", "20000"):
        work = program(RECURRENCE.replace("STEPS", steps))
        for level in ("-O0", "-O2"):
            problem = must(common.nndc("build", "m.nnd", "-o", f"m{level}.c", level, "--quiet", cwd=work))
            if problem:
                return problem
        loops.append(common.read(os.path.join(work, "m-O0.c")).count("for ("))
        lines.append(common.read(os.path.join(work, "m-O2.c")).count("\n"))
    if loops[0] != loops[1] or lines[1] > 1.1 * lines[0]:
        return f"2000 and 20000 steps: {loops} loops, {lines} lines"
    return None


DEEP = {
    "layers": """
layer block(h: [D]) -> [D] = h + dense(dense(h, 160, relu), D)
model Net(x: [16]) -> [4] {
    h = dense(x, 160)
    for k in 0..COUNT { h = block(h) }
    return dense(h, 4)
}
data noise { x[n < 64, i < 16] = randn(); label[n < 64] = n % 4 }
train net on noise {
    batch: 32
    epochs: 1
    minimize mean(cross_entropy(Net(x), label)) using adam(0.01)
}
""",
    "narrow layers of an equation": """
model U(x: real) -> real {
    h = dense([x], 8, tanh)
    for k in 0..COUNT { h = dense(h, 8, tanh) }
    return dense(h, 1) |> scalar
}
fn residual(x: real) = grad(grad(U(x), x), x) + U(x)
data points { x[n < 256] = 2 * rand() - 1 }
train u on points {
    batch: 64
    epochs: 1
    minimize mean(residual(x)^2) using adam(0.01)
}
""",
    "rounds": """
model Net(x: [4]) -> [3] = dense(x, 8, relu) |> dense(3)
data noise { x[n < 64, i < 4] = randn(); label[n < 64] = n % 3 }
train net on noise {
    batch: 32
    epochs: 1
    repeat COUNT { minimize mean(cross_entropy(Net(x), label)) using adam(0.01) }
}
""",
}


def test_deep_programs_size():
    """Lines of code grow in proportion to layers, to layers that are differentiated twice, and to rounds: from 48 to 72
    by no more than from 24 to 48."""
    for what, text in DEEP.items():
        lines = []
        for count in (24, 48, 72):
            work = program(text.replace("COUNT", str(count)))
            problem = must(common.nndc("build", "m.nnd", "-o", "m.c", "--quiet", cwd=work))
            if problem:
                return problem
            lines.append(common.read(os.path.join(work, "m.c")).count("\n"))
        first, second = lines[1] - lines[0], lines[2] - lines[1]
        if second > 1.1 * first:
            return f"24, 48, 72 {what}: {lines} lines"
    return None


def test_equal_parts_once():
    """Narrow layers of one size are a kernel that calls one function for all of them."""
    texts = []
    for count in ("2", "5"):
        work = program(DEEP["narrow layers of an equation"].replace("COUNT", count))
        problem = must(common.nndc("build", "m.nnd", "-o", "m.c", "--quiet", cwd=work))
        if problem:
            return problem
        texts.append(common.read(os.path.join(work, "m.c")))
    parts = [re.findall(r"^static PART void (\w+)\(", text, re.M) for text in texts]
    calls = [len(re.findall(r"^ +part_\d+\(", text, re.M)) for text in texts]
    if len(parts[0]) != len(parts[1]) or len(set(parts[1])) != len(parts[1]) or calls[1] <= calls[0]:
        return f"functions {parts}, calls {calls}"
    return None


def test_train_quiet():
    result = common.nndc("train", "m.nnd", "--quiet", cwd=program())
    return must(result) or (result.text() if result.out or result.err else None)


def test_train_plain_when_piped():
    result = common.nndc("train", "m.nnd", cwd=program())
    problem = must(result, 0, "epoch 6/6")
    return problem or (result.text() if "\r" in result.out + result.err else None)


def test_train_set():
    return must(common.nndc("train", "m.nnd", "--set", "epochs=2", cwd=program()), 0, "epoch 2/2")


def test_train_expect_ok():
    work = program("# expect: error <= 5\n" + LINE)
    return must(common.nndc("train", "m.nnd", cwd=work), 0, "error <= 5", "ok")


def test_train_expect_failed():
    work = program("# expect: error <= 0\n" + LINE)
    return must(common.nndc("train", "m.nnd", cwd=work), 1, "error <= 0", "FAILED")


def test_train_expect_block():
    """`block.name` is about that block alone, `block.phase.name` about one phase."""
    expects = "".join(f"# expect: {line}\n" for line in
                      ("one.end <= 0", "two.end >= 0", "both.first.end <= 0", "both.end >= 0"))
    blocks = "".join("train %s {\n    steps: 1\n    minimize M()^2 using sgd(0.1)\n    report end = %s\n}\n" % pair
                     for pair in (("one", "-1.0"), ("two", "1.0")))
    phases = "".join(f"    phase {name} {{ report end = {value} }}\n" for name, value in
                     (("first", "-2.0"), ("second", "2.0")))
    work = program(expects + "model M() -> real {\n    param a = 1\n    return a\n}\n" + blocks +
                   "train both {\n    steps: 1\n    minimize M()^2 using sgd(0.1)\n" + phases + "}\n")
    result = common.nndc("train", "m.nnd", cwd=work)
    problem = must(result, 0, "both.first.end <= 0: -2 ok", "both.end >= 0: 2 ok")
    return problem or (result.text() if result.out.count(" ok") != 4 else None)


def test_train_json():
    result = common.nndc("train", "m.nnd", "--json", "--quiet", cwd=program())
    return None if "error" in json.loads(result.out)["line"] else result.text()


def test_train_seed():
    """The same seed gives the same bits, another seed others, with any number of threads."""
    work = program()
    for folder, seed, threads in (("a", "5", "1"), ("b", "5", "2"), ("c", "6", "1")):
        result = common.nndc("train", "m.nnd", "--seed", seed, "-o", folder, "--quiet", "--threads",
                             threads, cwd=work)
        if result.status:
            return result.text()
    a, b, c = (parameters(work, folder) for folder in "abc")
    return None if a == b and a != c else f"{a}\n{b}\n{c}"


def test_draws_stay():
    """Comments, blank lines and other definitions change nothing that is drawn."""
    work = program("fn noise(x: [4]) {\n    e[i < 4] = randn()\n    f[i < 4] = randn()\n    return x + e * f\n}\n"
                   "model M(x: [4]) -> [2] = dense(x, 8, tanh) |> dropout(0.3) |> dense(2)\n"
                   "data d { x[n < 60, i < 4] = rand() + rand(); y[n, i < 2] = x[n, i] * randn() }\n"
                   "train t on d {\n    epochs: 2\n    a = noise(x)\n    b = noise(a)\n"
                   "    minimize mean(mse(M(b), y)) using adam(0.01)\n}\n")
    text = common.read(os.path.join(work, "m.nnd"))
    text = "# a comment\nfn other(x: real) = x + rand()\n\n" + text.replace("    b =", "\n    # and one\n      b =")
    common.write(os.path.join(work, "n.nnd"), text.replace("rand() + ", "rand()   + "))
    for name in ("m", "n"):
        problem = must(common.nndc("train", name + ".nnd", "-o", name, "--quiet", cwd=work), 0)
        if problem:
            return problem
    found = [common.listing(os.path.join(work, name))["checkpoint.safetensors"] for name in ("m", "n")]
    return None if found[0] == found[1] else "the two programs draw differently"


def test_draws_apart():
    """Each parameter of an optimizer, tensor of an update and round of a loop draws its own numbers."""
    work = program("optimizer noisy(lr = 0.1) { next p = p - lr * g + 0.01 * randn() }\n"
                   "model M() -> real {\n    param a = 1\n    param b = 2\n    return a + b\n}\n"
                   "model B like M\ntrain t {\n    steps: 8\n    _ = B()\n    minimize M()^2 using noisy\n"
                   "    every 2 { update B = B * rand() + M * rand() }\n"
                   "    for i in 0..2 { update B = B * rand() }\n    repeat 2 { update B = B + rand() }\n}\n")
    draws = re.findall(r'@randn?\("[0-9a-f]+"', common.nndc("ir", "--after=simplify", "m.nnd", cwd=work).out)
    return None if len(draws) == len(set(draws)) == 14 else f"{len(set(draws))} of {len(draws)} differ"


def test_train_threads():
    """A model whose loops are worth several threads ends on the same bytes with any number of them."""
    work = program("model M(x: [40]) -> [4] = dense(x, 300, relu) |> dense(200, tanh) |> dense(4)\n"
                   "data d { train { x[n < 300, i < 40] = randn(); y[n < 300] = n % 4 } }\n"
                   "train t on d {\n    batch: 64\n    epochs: 6\n"
                   "    minimize mean(cross_entropy(M(x), y)) using adam(0.01)\n}\n")
    found = set()
    for threads in ("1", "2", "3", "8"):
        result = common.nndc("train", "m.nnd", "-o", threads, "--quiet", "--threads", threads, cwd=work)
        if result.status:
            return result.text()
        found.add(common.listing(os.path.join(work, threads))["checkpoint.safetensors"])
    return None if len(found) == 1 else f"{len(found)} different results"


def test_train_reference_agrees():
    """The reference evaluator and compiled C end on the same parameters, but for rounding."""
    work = program()
    for folder, flags in (("c", []), ("e", ["--eval"])):
        result = common.nndc("train", "m.nnd", "-o", folder, "--quiet", *flags, cwd=work)
        if result.status:
            return result.text()
    c, e = parameters(work, "c"), parameters(work, "e")
    for name in e:
        problem = arrays.difference(c[name], e[name], 1e-4)
        if problem:
            return f"{name}: {problem}"
    return None


def test_resume_bit_for_bit():
    """Stopped after three of six epochs and resumed: as if never stopped."""
    work = program()
    for folder, flags in (("whole", []), ("parts", ["--set", "epochs=3"]), ("parts", ["--resume"])):
        result = common.nndc("train", "m.nnd", "-o", folder, "--quiet", *flags, cwd=work)
        if result.status:
            return result.text()
    if parameters(work, "whole") != parameters(work, "parts"):
        return f"{parameters(work, 'whole')}\n{parameters(work, 'parts')}"
    logs = [common.read(os.path.join(work, folder, "log.csv")) for folder in ("whole", "parts")]
    return None if logs[0] == logs[1] else "\n".join(logs)


def test_resume_nothing():
    return must(common.nndc("train", "m.nnd", "--resume", cwd=program()), 1, "checkpoint")


def test_resume_another_model():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    common.write(os.path.join(work, "m.nnd"), LINE.replace("dense(x, 1)",
                                                           "dense(x, 5) |> dense(1)"))
    before = common.listing(os.path.join(work, "m.run"))["checkpoint.safetensors"]
    problem = must(common.nndc("train", "m.nnd", "--resume", cwd=work), 1, "another model")
    if common.listing(os.path.join(work, "m.run"))["checkpoint.safetensors"] != before:
        return "the checkpoint was changed"
    return problem


def start_training(work, *flags):
    return subprocess.Popen([common.NNDC, "train", "m.nnd", *flags], cwd=work, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def interrupt(child, log):
    """SIGINT once the log has some rows; the exit status and what was printed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        if os.path.exists(log) and common.read(log).count("\n") > 3:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    try:
        out, _ = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        return None, "SIGINT did not stop it"
    return child.returncode, out[-2000:]


def test_interrupt():
    """SIGINT stops at the next step and leaves a checkpoint, from which it goes on."""
    work = program(LINE.replace("epochs: 6", "epochs: 1000000"))
    status, out = interrupt(start_training(work), os.path.join(work, "m.run", "log.csv"))
    if status != 130:
        return f"exit status {status}\n{out}"
    steps = int(checkpoint(work)["__metadata__"]["step"])
    epochs = steps // 6 + 2
    return must(common.nndc("train", "m.nnd", "--resume", "--set", f"epochs={epochs}", cwd=work), 0,
                f"epoch {epochs}/{epochs}")


def test_build_program():
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line", cwd=work))
    if problem:
        return problem
    return must(common.run(os.path.join(work, "line"), "train", cwd=work), 0, "epoch 6/6") or \
        (None if os.path.exists(os.path.join(work, "line.run", "checkpoint.safetensors"))
         else f"{os.listdir(work)}")


def test_build_source():
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line.c", cwd=work))
    return problem or (None if sorted(os.listdir(work)) == ["line.c", "m.nnd"]
                       else f"{os.listdir(work)}")


def test_build_amalgamated():
    """One C file that needs nothing but zlib and libm; it compiles without warnings."""
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line.c", "--amalgamate", "--blas=none",
                               cwd=work))
    if problem:
        return problem
    compiled = common.run(*os.environ.get("CC", "cc").split(), "-std=c11", "-O1", "-Wall",
                          "-Wextra", "line.c", "-o", "line", "-lz", "-lm", cwd=work)
    if compiled.status or compiled.err:
        return compiled.text()
    return must(common.run(os.path.join(work, "line"), cwd=work), 0, "epoch 6/6")


def test_equal_kernels_once():
    """Twelve equal layers more make the step no longer but for its calls, and the initial values: one
    function draws all of them, given where each draw stands."""
    functions, draws = [], []
    for layers in (12, 24):
        work = program()
        path = os.path.join(work, "deep.nnd")
        with open(path, "w") as file:
            file.write("model M(x: [8]) -> [8] {\n  h = x\n"
                       f"  for k in 0..{layers} {{ h = dense(h, 8, tanh) }}\n  return h\n}}\n"
                       "data d { x[n < 64, i < 8] = rand() }\n"
                       "train t on d {\n  batch: 16\n  epochs: 1\n"
                       "  minimize mean(M(x)^2) using adam(0.01)\n}\n")
        problem = must(common.nndc("build", "deep.nnd", "-o", "deep.c", cwd=work))
        if problem:
            return problem
        with open(os.path.join(work, "deep.c")) as file:
            text = file.read()
        functions.append(len(re.findall("^static void step_t_", text, re.M)))
        draws.append((text.count(" nnd_uniform(seed, site, "), text.count("->seed, UINT64_C(0x")))
    few, many = functions
    if many > few + 2:
        return f"{few} functions for 12 layers, {many} for 24"
    if text.count("\nstatic CALLS void step_t(") != 1:
        return "the entry is not marked as a list of calls, and gcc takes long for a deep net"
    # The weights and the data set, which are drawn once for each layer and once.
    return None if draws == [(2, 12 + 1), (2, 24 + 1)] else f"functions and calls that draw: {draws}"


def test_equal_tiles_once():
    """Convolutions of images of different sizes and channels, forward and back, call the same tiles."""
    work = program()
    with open(os.path.join(work, "images.nnd"), "w") as file:
        file.write("model M(x: [20, 20, 4]) -> real {\n  h = x\n"
                   "  for k in 0..3 { h = conv2d(h, 16, 3, pad = 1, act = relu) }\n"
                   "  h = max_pool(h, 2)\n"
                   "  for k in 0..3 { h = conv2d(h, 16, 3, pad = 1, act = relu) }\n  return mean(h)\n}\n"
                   "data d { x[n < 64, i < 20, j < 20, c < 4] = rand() }\n"
                   "train t on d {\n  batch: 16\n  epochs: 1\n  minimize mean(M(x)) using adam(0.01)\n}\n")
    problem = must(common.nndc("build", "images.nnd", "-o", "images.c", "--isa=avx512", cwd=work))
    if problem:
        return problem
    with open(os.path.join(work, "images.c")) as file:
        text = file.read()
    functions, calls = text.count("static PART void tile_10x16_by_16("), text.count("    tile_10x16_by_16(")
    return None if functions == 1 and calls >= 2 * 5 else f"{functions} functions, {calls} calls"


def test_runtime_embedded():
    """Away from the runtime's library, nndc brings the sources it carries."""
    work = program()
    shutil.copy(common.NNDC, work)
    problem = must(common.run(os.path.join(work, "nndc"), "build", "m.nnd", "-o", "line", cwd=work))
    return problem or must(common.run(os.path.join(work, "line"), cwd=work), 0, "epoch 6/6")


def test_compiler_missing():
    return must(common.nndc("train", "m.nnd", "--cc", "no-such-compiler", cwd=program()), 1,
                "no-such-compiler", "--cc")


def test_eval_without_reports():
    return must(common.nndc("eval", os.path.join(common.ROOT, "examples/logic/model.nnd")), 1,
                "no reports")


def test_build_same_bytes():
    texts = []
    for _ in range(2):
        work = program()
        problem = must(common.nndc("build", "m.nnd", "-o", "line.c", cwd=work))
        if problem:
            return problem
        texts.append(common.read(os.path.join(work, "line.c")))
    return None if texts[0] == texts[1] else "they differ"


def test_eval():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    logged = common.read(os.path.join(work, "m.run", "log.csv")).strip().split("\n")[-1].split(",")
    result = common.nndc("eval", "m.nnd", "--json", cwd=work)
    problem = must(result)
    if problem:
        return problem
    value = json.loads(result.out)["line"]["error"]
    return None if abs(value - float(logged[-1])) < 1e-6 else f"{value} {logged}"


def test_eval_untrained():
    return must(common.nndc("eval", "m.nnd", cwd=program()), 1, "m.run", "nndc train")


def test_predict():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    arrays.npy_write(os.path.join(work, "x.npy"), [2, 2], [0, 0, 1, 1])
    result = common.nndc("predict", "m.nnd", "Line", "--input", "x.npy", "-o", "y.npy", cwd=work)
    if result.status:
        return result.text()
    shape, values = arrays.npy_read(os.path.join(work, "y.npy"))
    found = parameters(work)
    bias, weights = found["Line.dense1.b"][1][0], found["Line.dense1.w"][1]
    wanted = [bias, bias + sum(weights)]
    return arrays.difference((shape, values), ([2], wanted), 1e-6)


def test_predict_wrong_shape():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    arrays.npy_write(os.path.join(work, "x.npy"), [2, 3], [0] * 6)
    return must(common.nndc("predict", "m.nnd", "Line", "--input", "x.npy", cwd=work), 1, "x.npy",
                "[2, 3]", "2]")


def test_predict_unknown_model():
    return must(common.nndc("predict", "m.nnd", "Lime", cwd=program()), 1, "Lime", "Line")

TWO = """
model A(x: [3]) -> real = standardize(x) |> dense(4, tanh) |> dropout(0.2) |> dense(1) |> scalar
model B(x: [3]) -> real = dense(x, 1) |> scalar
data left { x[n < 50, i < 3] = rand(); split: [0.6, 0.2, 0.2] }
data right { z[n < 35, i < 3] = randn() }
train first on left, right {
    batch: 8
    steps: 10
    seed: 4
    minimize mean((A(x) - 1)^2) using adam(0.02)
    minimize mean((B(z) - 0.5)^2) over B using sgd(0.05, momentum = 0.9)
    report a = mean(A(x))
    report wide = [mean(A(x)), 2.0]
}
train second on left {
    batch: 8
    epochs: 3
    minimize mean((B(x) - stop(A(x)))^2) over B using sgd(0.05)
    report b = mean(B(x))
}
"""


def same_parameters(work, one, other, tolerance=0.0, only=""):
    a, b = parameters(work, one), parameters(work, other)
    if a.keys() != b.keys():
        return f"{sorted(a)}\n{sorted(b)}"
    for name in (n for n in a if n.startswith(only)):
        problem = arrays.difference(a[name], b[name], tolerance)
        if problem:
            return f"{name}: {problem}"
    return None


def train_all(work, *runs):
    """Trains into folders: (folder, flags...)."""
    for folder, *flags in runs:
        result = common.nndc("train", "m.nnd", "-o", folder, "--quiet", *flags, cwd=work)
        if result.status:
            return result.text()
    return None


def test_two_trains_reference_agrees():
    """Two data sets of different lengths, fits, dropout, two minimizes, two train blocks."""
    work = program(TWO)
    return train_all(work, ("c",), ("e", "--eval")) or same_parameters(work, "c", "e", 1e-4)


def test_train_without_data():
    """A block without data logs the loss of each step."""
    work = program("""
model Point() -> [2] {
    param p: [2] = 1
    return p
}
train fall {
    steps: 3
    minimize sum(Point()^2) using sgd(0.25)
}
""")
    problem = must(common.nndc("train", "m.nnd", cwd=work), 0, "step 3/3  loss 0.125")
    log = common.read(os.path.join(work, "m.run", "log.csv"))
    losses = [float(line.split(",")[-1]) for line in log.split("\n")[1:] if line]
    return problem or (None if losses == [2, 0.5, 0.125] else log)


def test_real_f64_reference_agrees():
    """Compiled for double precision, a trainer agrees with the evaluator to its last digits."""
    work = program(TWO)
    return train_all(work, ("c", "--real=f64"), ("e", "--eval")) or \
        same_parameters(work, "c", "e", 1e-10)


def test_levels_agree():
    work = program(TWO)
    return train_all(work, ("o0", "-O0"), ("o2", "--blas=none")) or \
        same_parameters(work, "o0", "o2", 1e-4)


def test_names_of_c():
    """Names of a program that mean something in C, or in what is emitted."""
    work = program("""
fn weighted(x: [2]) {
    files = [1.0, 2.0]
    main = [3.0, 4.0]
    float = [1.5, 2.5]
    i = [1.0, 0.5]
    y[k] = x[k] * files[k] + main[k] * float[k] * i[k]
    return y
}
model set(x: [2]) -> [2] = weighted(x)
model check(m: [2]) -> [2] {
    param double: [2] = 1
    return m * double
}
data static { x[n < 10, i < 2] = rand() }
train int_ on static {
    batch: 3
    epochs: 2
    char = check(x)
    minimize mean(sum(char) + sum(set(x))) using sgd(0.1)
    report fault = mean(char)
    report seed = sum(x)
}
""")
    return train_all(work, ("c",), ("e", "--eval")) or same_parameters(work, "c", "e", 1e-4)


def test_names_of_c_in_calls():
    """The same for tensors that lie in work memory: the entry's function declares them."""
    for name in ("CALLS", "SIMD", "V16", "double", "site"):
        work = program()
        with open(os.path.join(work, "names.nnd"), "w") as file:
            file.write(f"model M(x: [8]) -> [8] {{\n  {name} = dense(x, 8, tanh)\n"
                       f"  drawn = rand() * {name} + randn()\n"
                       "  return dense(drawn * rand(), 8)\n}\n"
                       "data d { x[n < 64, i < 8] = rand() }\n"
                       "train t on d {\n  batch: 16\n  epochs: 1\n"
                       "  minimize mean(M(x)^2) using sgd(0.01)\n}\n")
        problem = must(common.nndc("train", "names.nnd", "--blas=none", cwd=work))
        if problem:
            return f"{name}: {problem}"
    return None


def test_isa_foreign():
    """An instruction set that this machine lacks is refused before anything is compiled or run; so is
    a program made for it; and a C compiler that cannot make such code."""
    work = program()
    foreign = "avx2" if platform.machine() == "aarch64" else "neon"
    compiler = common.nndc("build", "m.nnd", "--isa", foreign, "--blas=none", "-o", "p", cwd=work)
    return must(common.nndc("train", "m.nnd", "--isa", foreign, cwd=work), 1,
                f"error: this machine has no {foreign} ... hint: the best that it has is") or \
        must(common.nndc("predict", "m.nnd", "Line", "--isa", foreign, cwd=work), 1, "this machine has no") or \
        must(compiler, 1, f"is that a compiler for {foreign}? `--cc COMMAND` names another") or \
        must(common.nndc("train", "m.nnd", "--isa=sse9", cwd=work), 2, "native|avx512")


def test_isa_of_program():
    """A program says at its start that the machine lacks what it was made for."""
    work = program()
    source = os.path.join(work, "m.c")
    problem = must(common.nndc("build", "m.nnd", "--blas=none", "--isa=portable", "--amalgamate", "-o", source,
                               cwd=work))
    if problem:
        return problem
    foreign = "avx2" if platform.machine() == "aarch64" else "neon"
    text = common.read(source).replace("#define ISA NND_ISA_portable",
                                       f"#define ISA NND_ISA_{foreign}")
    common.write(source, text)
    compiler = os.environ.get("CC", "cc").split()
    return must(common.run(*compiler, "-O1", "-std=c11", "-fopenmp", "-o", "p", "m.c", "-lz", "-lm",
                           cwd=work)) or \
        must(common.run("./p", cwd=work), 1,
             f"error: the program was made for {foreign}, which this machine lacks")



def test_two_trains_resume():
    """Stopped by a signal within the first block; the rest follows as if never stopped."""
    work = program(TWO.replace("n < 50", "n < 3000").replace("steps: 10", "steps: 20000"))
    child = start_training(work, "-o", "parts")
    status, out = interrupt(child, os.path.join(work, "parts", "log.csv"))
    if status != 130:
        return f"exit status {status}\n{out}"
    return train_all(work, ("parts", "--resume"), ("whole",)) or \
        same_parameters(work, "whole", "parts")


def test_two_trains_log():
    work = program(TWO)
    problem = train_all(work, ("run",))
    rows = [line.split(",") for line in
            common.read(os.path.join(work, "run", "log.csv")).strip().split("\n")]
    names = [row[2] for row in rows]
    wanted = ["name"] + ["first"] * 3 + ["first.test"] + ["second"] * 3 + ["second.test"]
    return problem or (None if names == wanted and rows[0][3:] == ["loss1", "loss2", "a", "b"]
                       else f"{rows}")


def test_resume_other_batch():
    work = program()
    problem = train_all(work, ("run", "--set", "epochs=2"))
    result = common.nndc("train", "m.nnd", "-o", "run", "--resume", "--set", "batch=8", cwd=work)
    return problem or must(result, 1, "run", "epochs of 6 steps, not 12")


def test_resume_other_seed():
    work = program()
    problem = train_all(work, ("run", "--set", "epochs=2"))
    return problem or must(common.nndc("train", "m.nnd", "-o", "run", "--resume", "--seed", "8",
                                       cwd=work), 1, "seed 3, not 8")


def test_loss_not_a_number():
    """The error names the place and the step; the checkpoint before it stays."""
    work = program(LINE.replace("adam(0.05)", "sgd(if step < 60 then 0.01 else 1e30)"))
    problem = train_all(work, ("run", "--set", "epochs=6"))
    before = common.listing(os.path.join(work, "run")).get("checkpoint.safetensors")
    result = common.nndc("train", "m.nnd", "-o", "run", "--set", "epochs=20", "--resume", cwd=work)
    if common.listing(os.path.join(work, "run"))["checkpoint.safetensors"] != before:
        return "the checkpoint was changed\n" + result.text()
    return problem or must(result, 1, "m.nnd:12", "the loss is ...at step")


def test_every_example_counts_once():
    """97 examples in batches of 10: a report's mean is over exactly 97."""
    work = program("""
model M(x: real) -> real {
    param w: real = 1
    return w * x
}
data d { train { x[n < 97] = n + 0.0 }  test { x[n < 97] = n + 0.0 } }
train t on d {
    batch: 10
    epochs: 1
    minimize mean(0 * M(x)) using sgd(0.1)
    report average = mean(M(x))
    report count = sum(M(x) >= 0)
}
""")
    for flags in ([], ["--eval"]):
        result = common.nndc("train", "m.nnd", "--json", "--quiet", *flags, cwd=work)
        problem = must(result)
        if problem:
            return problem
        values = json.loads(result.out)["t"]
        if values != {"average": 48, "count": 97}:
            return f"{values}"
    return None


def test_weights_start():
    """--weights starts a training from what another one ended with."""
    work = program("const RATE = 0.05\n" + LINE.replace("adam(0.05)", "sgd(RATE)"))
    again = ("two", "--weights", "one", "--set", "epochs=1", "--set", "RATE=0")
    return train_all(work, ("one",), again) or same_parameters(work, "one", "two", only="Line.")


def test_predict_on_test_split():
    work = program()
    problem = train_all(work, ("m.run",))
    result = common.nndc("predict", "m.nnd", "Line", cwd=work)
    return problem or must(result) or (None if result.out.count("\n") == 25 else result.text())


def test_predict_text_not_number():
    return must(common.nndc("predict", os.path.join(common.ROOT, "examples/logic/model.nnd"), "Xor",
                            "--input", "-", stdin="1 x"), 1, "standard input", "x")


def test_predict_text_incomplete():
    return must(common.nndc("predict", os.path.join(common.ROOT, "examples/logic/model.nnd"), "Xor",
                            "--input", "-", stdin="1 0 1"), 1, "3 numbers", "takes 2")


# --- disks -----------------------------------------------------------------------------------

def test_disk_full():
    """A checkpoint that cannot be written: an error, and the old one stays as it was."""
    work = program(LINE.replace("dense(x, 1)", "dense(x, 500) |> dense(1)"))
    result = common.nndc("build", "m.nnd", "-o", "line", cwd=work)
    if result.status:
        return result.text()
    line = os.path.join(work, "line")
    common.run(line, "train", "--quiet", cwd=work)
    path = os.path.join(work, "line.run")
    before = common.listing(path)["checkpoint.safetensors"]

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    done = subprocess.run([line, "train", "--seed", "9"], cwd=work, text=True, capture_output=True,
                          preexec_fn=small_files)
    after = common.listing(path)
    if done.returncode != 1 or "line.run" not in done.stderr:
        return f"exit status {done.returncode}\n{done.stderr}"
    if after["checkpoint.safetensors"] != before:
        return "the checkpoint was changed"
    left = [name for name in after if "tmp" in name or "new" in name]
    return f"left over: {left}" if left else None


def test_folder_not_writable():
    return must(common.nndc("train", "m.nnd", "-o", "/proc/nowhere/run", cwd=program()), 1, "/proc")


def test_full_output():
    """A full disk behind standard output is an error."""
    if not os.path.exists("/dev/full"):
        raise common.Skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([common.NNDC, "doc"], stdout=full, stderr=subprocess.PIPE, text=True)
    good = done.returncode == 3 and "write" in done.stderr
    return None if good else f"{done.returncode} {done.stderr}"
