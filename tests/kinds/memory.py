"""Memory: how close plans come to what must live at the same time, what a program says that it takes."""
import glob
import os
import re

from . import common
from .programs import must, named_tests, program


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
        problem = must(result, 1, "m.nnd takes more memory than --max-memory allows, 2.0 MiB: it takes ...MiB: "
                       "parameters 398.4 KiB", "the largest tensors are 1.9 MiB ... in step_wide (m.nnd:2)",
                       "a smaller `batch` makes work memory smaller")
        if problem:
            return problem
        if os.path.exists(os.path.join(work, "m.c")) or os.path.exists(os.path.join(work, "m.run", "trainer")):
            return "something was made"
    return must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory=1GiB", cwd=work))


def test_max_memory_sizes():
    work = program()
    for size in ("0", "-1", "2X", "M", "2Mi", "nan", "1e30"):
        problem = must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory", size, cwd=work), 2,
                       f"--max-memory wants SIZE, not `{size}`")
        if problem:
            return problem
    return must(common.nndc("build", "m.nnd", "-o", "m.c", "--max-memory", "64k", cwd=work))


def test_peak():
    """The report's figure is at least what the data take, and not far above what the program says."""
    work = program(WIDE.replace("BATCH", "50").replace("n < 500", "n < 100000"))
    problem = must(common.nndc("train", "m.nnd", "--set", "batch=1000", "--blas=none", cwd=work))
    if problem:
        return problem
    html = common.read(os.path.join(work, "m.run", "report.html"))
    found = re.search(r"memory at most</th><td>([0-9.]+) MiB", html)
    data = 100000 * 101 * 4 / 2**20
    peak = float(found[1]) if found else 0
    return None if data < peak < 2 * data + 30 else f"{peak} MiB, of which data {data} MiB"
