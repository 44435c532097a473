"""Small programs that several kinds of tests run, and what they share."""
import os

from . import arrays, common

LINE = """
model Line(x: [2]) -> real = dense(x, 1) |> scalar
data points {
    train { x[n < 90, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
    test  { x[n < 25, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
}
train line on points {
    batch: 16
    epochs: 6
    seed: 3
    p = Line(x)
    minimize mean(mse(p, y)) using adam(0.05)
    report error = mean(l1(p, y))
}
"""


def program(text=LINE):
    work = common.folder()
    common.write(os.path.join(work, "m.nnd"), text)
    return work


def must(result, status=0, *patterns):
    """None if the status is right and each pattern occurs in what was printed."""
    if result.status != status:
        return f"exit status {result.status} instead of {status}\n{result.text()}"
    for text in patterns:
        if not common.pattern(text).search(result.out + result.err):
            return f"missing: {text}\n{result.text()}"
    return None


def checkpoint(work, folder="m.run"):
    return arrays.safetensors_read(os.path.join(work, folder, "checkpoint.safetensors"))


def parameters(work, folder="m.run"):
    found = checkpoint(work, folder)
    found.pop("__metadata__")
    return found


def named_tests(names):
    """(name, function) of a module's functions test_NAME; names: its globals()."""
    for name, function in sorted(names.items()):
        if name.startswith("test_"):
            yield name[5:], function
