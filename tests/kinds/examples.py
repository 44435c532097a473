"""The examples: each must reach the figure that stands in it (`# expect:`), with its fixed seed.
Those that take longer than a few seconds run with --all; `nndc check` passes on every one."""
import glob
import json
import os

from . import common

SLOW = {"mnist_mlp", "mnist_cnn"}
PARAMETERS = {"mnist_mlp": 669706, "cubic": 301, "diabetes": 193}


def tests():
    for path in sorted(glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd"))):
        name = os.path.basename(os.path.dirname(path))
        yield f"{name}:check", lambda p=path, n=name: check(p, n)
        if "# expect:" not in common.read(path):
            continue
        if common.ALL or name not in SLOW:
            yield f"{name}:train", lambda p=path: train(p)
    yield "logic:table", logic_table
    yield "logic:input", logic_input


def check(path, name):
    result = common.nndc("check", path, "--json")
    if result.status:
        return result.text()
    total = sum(m["parameters"] for m in json.loads(result.out)["models"])
    if name in PARAMETERS and total != PARAMETERS[name]:
        return f"{total} parameters instead of {PARAMETERS[name]}"
    return None


def train(path):
    result = common.nndc("train", path, "-o", os.path.join(common.folder(), "run"), timeout=1800)
    if result.status or "ok" not in result.out or "FAILED" in result.out:
        return result.text()
    return None


def logic_rows(*arguments, **options):
    result = common.nndc("predict", "examples/logic/model.nnd", *arguments, "--quiet",
                         cwd=common.ROOT, **options)
    if result.status:
        raise AssertionError(result.text())
    return [[float(word) for word in line.split()] for line in result.out.strip().split("\n")]


def logic_table():
    wanted = [[a, b, a * b, max(a, b), 1 - a * b, (a + b) % 2] for a in (0, 1) for b in (0, 1)]
    found = logic_rows("Table")
    return None if found == wanted else f"{found}"


def logic_input():
    found = logic_rows("Xor", "--input", "-", stdin="0 0\n0 1\n1 0\n1 1\n")
    return None if found == [[0], [1], [1], [0]] else f"{found}"
