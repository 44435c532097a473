"""Memory: how close plans come to what must live at the same time, what a program says that it takes."""
import glob
import json
import os
import re

from . import common
from .programs import checkpoint, must, named_tests, program


def tests():
    yield from named_tests(globals())


PLAN = re.compile(r"^# (\w+): \d+ kernels, (\d+) bytes of work memory, of which (\d+) live at the same time$", re.M)


def test_plans():
    """Work memory is at most a tenth more than what lives at the same time, in every program that is measured."""
    checked = 0
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "bench", "*.nnd")) +
                       glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd"))):
        result = common.nndc("ir", path, "--after", "plan")
        if result.status:
            return result.text()
        for entry, size, bound in PLAN.findall(result.out):
            if not int(bound) <= int(size) <= 1.1 * int(bound):
                return f"{path}: {entry} takes {size} bytes, {bound} live at the same time"
            checked += int(bound) > 0
    return None if checked > 30 else f"only {checked} plans were found"


def test_updates_in_place():
    """No step of a program computes a parameter or state as a tensor of its own and copies it, unless the new values
    need their old neighbours; a few numbers (less than 100) are no matter."""
    checked = 0
    work = common.folder()
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "bench", "*.nnd")) +
                       glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd"))):
        host = ["--lib"] if "feed " in common.read(path) else []
        result = common.nndc("build", path, "-o", os.path.join(work, "m.c"), *host)
        if result.status:
            return result.text()
        text = common.read(os.path.join(work, "m.c"))
        kept = set(re.findall(r"^    _Alignas\(64\) \w+ (\w+)\[(?!\d\d?\])", text, re.M))
        for step in re.finditer(r"^static CALLS void (step_\w+)\(.*?\n}", text, re.S | re.M):
            arena = set(re.findall(r"\*const (\w+) = ", step[0]))
            kernels = list(re.finditer(rf"^static (?:PART )?void ({step[1]}_\w+)\(.*?\n}}", text, re.S | re.M))
            for kernel in kernels:
                checked += 1
                for to, _, value in re.findall(r"^ *(\w+)\[(.*)\] = (\w+)\[\2\];", kernel[0], re.M):
                    if to in kept and value in arena and not neighbours_needed(kernels, to, value):
                        return f"{path}: {kernel[1]} copies {value} to {to}"
    return None if checked > 300 else f"only {checked} kernels were found"


def neighbours_needed(kernels, to, value):
    """Whether the kernel that computes `value` reads what is kept as `to` at other places, too."""
    made = next(kernel[0] for kernel in kernels if re.search(rf"^ *{value}\[", kernel[0], re.M))
    at = re.search(rf"^ *{value}\[(.*?)\]", made, re.M)[1]
    made = re.sub(r"\s+", " ", made)
    return any(place != at for place in re.findall(rf"\b{to}\[(.*?)\]", made))


WIDE = """
model Wide(x: [100]) -> real = dense(dense(x, 1000, tanh), 1) |> scalar
data points { x[n < 500, i < 100] = rand(); y[n] = x[n, 0] }
train wide on points {
    batch: BATCH
    epochs: 1
    minimize mean(mse(Wide(x), y)) using rmsprop(0.01, 0.9)
}
"""


def test_summary():
    """Counted by hand: 102001 parameters, as many mean squares, 500 examples of 101 numbers, 50 of them gathered."""
    work = program(WIDE.replace("BATCH", "50"))
    problem = must(common.nndc("build", "m.nnd", "-o", "m.c", cwd=work))
    text = " ".join(common.read(os.path.join(work, "m.c"))[:1000].replace("\n *", " ").split())
    wanted = [f"parameters {102001 * 4 / 1024:.1f} KiB", f"optimizers {102001 * 4 / 1024:.1f} KiB",
              f"batch {50 * 101 * 4 / 1024:.1f} KiB", f"data {500 * 101 * 4 / 1024:.1f} KiB"]
    return problem or next((f"{part} is not in {text}" for part in wanted if part not in text), None)


def test_max_memory():
    work = program(WIDE.replace("BATCH", "500"))
    for command in (["build", "-o", "m.c"], ["train"]):
        result = common.nndc(*command, "m.nnd", "--max-memory", "2M", cwd=work)
        problem = must(result, 1, "m.nnd takes more memory than --max-memory allows, 2.0 MiB: the least that it can do "
                       "with is ... MiB: parameters 398.4 KiB", "the largest tensors are 1.9 MiB ... in step_wide (m.nnd:2)",
                       "a smaller `batch` makes work memory smaller")
        if problem:
            return problem
        if os.path.exists(os.path.join(work, "m.c")) or os.path.exists(os.path.join(work, "m.run", "trainer")):
            return "something was made"
    return must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory=1GiB", cwd=work))


NOISE = """
data noise { image[n < 512, i < SIZE, j < SIZE] = rand(); label[n < 512] = int(10 * rand()) }
train net on noise {
    batch: 512
    epochs: 3
    minimize mean(cross_entropy(Net(image), label)) using adam(0.01)
}
"""
DEEP = {
    "convolutions": """
layer block(x: [H, W, C], filters) {
    return conv2d(x, filters, 3, act = relu) |> batch_norm |> conv2d(filters, 3, act = relu) |> max_pool(2) |> dropout(0.3)
}
model Net(image: [20, 20]) -> [10] {
    return reshape(image, [20, 20, 1]) |> block(6) |> block(10) |> flatten |> dense(32, relu) |> dropout(0.5) |> dense(10)
}""" + NOISE.replace("SIZE", "20"),
    "residual": """
layer residual(x: [H, W, C]) {
    h = conv2d(x, C, 3, pad = 1, bias = false) |> batch_norm |> relu
    return relu(x + (conv2d(h, C, 3, pad = 1, bias = false) |> batch_norm))
}
model Net(image: [8, 8]) -> [10] {
    h = reshape(image, [8, 8, 1]) |> conv2d(8, 3, pad = 1)
    for k in 0..8 { h = residual(h) }
    return global_average_pool(h) |> dense(10)
}""" + NOISE.replace("SIZE", "8"),
    "recurrent": """
model Net(image: [12, 12]) -> [10] {
    h = lstm(image, 24) |> lstm(24) |> lstm(24)
    return dense(h[11], 10)
}""" + NOISE.replace("SIZE", "12"),
    "transformer": """
model Net(image: [16, 16]) -> [10] {
    h = dense(image, 16) |> learned_positions(small_normal)
    for k in 0..4 { h = transformer_block(h, 2, causal = true) |> dropout(0.1) }
    return dense(layer_norm(h)[15], 10)
}""" + NOISE.replace("SIZE", "16"),
    "dense": """
model Net(image: [8, 8]) -> [10] {
    h = flatten(image)
    for k in 0..40 { h = h + dense(h, 64, tanh) }
    return dense(h, 10)
}""" + NOISE.replace("SIZE", "8"),
}


def least(work):
    """KiB of the whole program, and the least that is said to do."""
    result = common.nndc("build", "m.nnd", "-o", "least.c", "--max-memory", "1", cwd=work)
    found = re.search(r"--max-memory ([0-9]+)K is the least", result.err)
    result = common.nndc("build", "m.nnd", "-o", "whole.c", cwd=work)
    whole = re.search(r"memory: ([0-9.]+) MiB: ", result.out)
    return float(whole[1]) * 1024, int(found[1])


def recomputed(name, share):
    """The weights after some steps, with the least memory that does and with as much as it takes."""
    work = program(DEEP[name])
    most, few = least(work)
    if few > share * most:
        return f"{most} KiB become {few}, not {share * most}"
    result = common.nndc("train", "m.nnd", "--max-memory", f"{few}K", "-o", "few", cwd=work)
    problem = must(result, 0, "to fit, step_net computes ... tensors a second time, which takes about ... % longer: ...(m.nnd:")
    problem = problem or must(common.nndc("train", "m.nnd", "-o", "most", "--threads", "1", cwd=work))
    if problem:
        return problem
    weights, same = checkpoint(work, "few"), checkpoint(work, "most")
    weights.pop("__metadata__"), same.pop("__metadata__")
    different = [tensor for tensor in same if weights[tensor] != same[tensor]]
    return f"{different} differ" if different or len(weights) != len(same) else None


def test_recomputed_convolutions():
    return recomputed("convolutions", 0.95)


def test_recomputed_residual():
    return recomputed("residual", 0.65)


def test_recomputed_recurrent():
    return recomputed("recurrent", 0.9)


def test_recomputed_transformer():
    return recomputed("transformer", 0.55)


def test_recomputed_dense():
    """A chain of forty layers falls into segments."""
    return recomputed("dense", 0.5)


def test_max_memory_sizes():
    work = program()
    for size in ("0", "-1", "2X", "M", "2Mi", "nan", "1e30"):
        problem = must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory", size, cwd=work), 2,
                       f"--max-memory wants SIZE, not `{size}`")
        if problem:
            return problem
    return must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory", "64k", cwd=work))


def peak(path, *options):
    """What a training reports: the whole plan, and the most that the process had."""
    run = common.folder()
    result = common.nndc("train", path, "--json", "--quiet", "-o", run, *options)  # expectations may fail
    memory = json.loads(result.out)["memory bytes"]
    return memory["total"], memory["peak"]


def test_peaks():
    """Real programs stay within their plan and 20 MB."""
    for path in ("examples/mnist_mlp/model.nnd", "tests/bench/t3.nnd", "tests/bench/t4.nnd", "tests/bench/t7.nnd"):
        planned, most = peak(os.path.join(common.ROOT, path), "--set", "steps=3")
        if most > planned + 20e6:
            return f"{path}: {most} bytes, {planned} planned"
    return None


def test_peak():
    """The report's figure is at least what the data take, and not far above what the program says."""
    work = program(WIDE.replace("BATCH", "50").replace("n < 500", "n < 100000"))
    problem = must(common.nndc("train", "m.nnd", "--set", "batch=1000", "--blas=none", cwd=work), 0,
                   "memory: ... MiB at most; planned ... MiB: parameters 398.4 KiB, optimizers 398.4 KiB, work")
    if problem:
        return problem
    html = common.read(os.path.join(work, "m.run", "report.html"))
    found = re.search(r"memory at most</th><td>([0-9.]+) MiB.*planned</th><td>([0-9.]+) MiB", html)
    data = 100000 * 101 * 4 / 2**20
    most, planned = (float(found[1]), float(found[2])) if found else (0, 0)
    return None if data < most < planned + 20 < data + 70 else f"{most} MiB, planned {planned}, of which data {data} MiB"
