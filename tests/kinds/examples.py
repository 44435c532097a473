"""The examples: each must reach the figure that stands in it (`# expect:`), with its fixed seed.
Those that take longer than a few seconds run with --all; `nndc check` passes on every one. An example with a
`host.c` is a library, and that program drives it."""
import glob
import json
import os
import re

from . import common

SLOW = {"mnist_mlp", "mnist_cnn"}
PARAMETERS = {"mnist_mlp": 669706, "cubic": 301, "diabetes": 193}


def tests():
    for path in sorted(glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd"))):
        name = os.path.basename(os.path.dirname(path))
        yield f"{name}:check", lambda p=path, n=name: check(p, n)
        if os.path.exists(os.path.join(os.path.dirname(path), "host.c")):
            yield f"{name}:host", lambda p=path: host(p)
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


def host(path):
    """A C program that drives a library made of the model: its exit status says if the figure is reached."""
    work = common.folder()
    name = re.search(r'#include "(\w+)\.h"', common.read(path.replace("model.nnd", "host.c")))[1]
    result = common.nndc("build", "--lib", path, "-o", os.path.join(work, name))
    if result.status:
        return result.text()
    cc = os.environ.get("CC", "gcc").split()
    result = common.run(*cc, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{work}",
                        path.replace("model.nnd", "host.c"), os.path.join(work, f"lib{name}.a"),
                        "-pthread", "-lm", "-o", os.path.join(work, "host"))
    if result.status:
        return result.text()
    result = common.run(os.path.join(work, "host"), cwd=work)
    return result.text() if result.status else None


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
