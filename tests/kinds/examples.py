"""The examples: each must reach the figure that stands in it (`# expect:`), with its fixed seed, and each is
trained a few steps on a few examples, where compiled C and the evaluator must agree. A line `# short: OPTIONS` in
one that takes long says how it is trained in short, for its loss to fall; all of it is trained with --all.
`# small: OPTIONS` makes the few steps smaller still. An example with a `host.c` is a library, and that program
drives it."""
import glob
import json
import math
import os
import re

from . import arrays, common

SMALL_TOLERANCE = 1e-6
PARAMETERS = {"mnist_mlp": 669706, "cubic": 301, "diabetes": 193}


def folders():
    """[(name, path of its model.nnd)]"""
    return [(os.path.basename(os.path.dirname(path)), path)
            for path in sorted(glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd")))]


def has_host(path):
    return os.path.exists(path.replace("model.nnd", "host.c"))


def tests():
    for name, path in folders():
        yield f"{name}:check", lambda p=path, n=name: check(p, n)
        if has_host(path):
            yield f"{name}:host", lambda p=path: host(p)
            continue
        text = common.read(path)
        if re.search(r"^train ", text, re.M):
            yield f"{name}:small", lambda p=path: small(p)
        short_form = re.search(r"^# short: (.*)$", text, re.M)
        if short_form:
            yield f"{name}:short", lambda p=path, o=short_form[1].split(): short(p, o)
        if "# expect:" in text and (common.ALL or not short_form):
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


def traced(path, *options):
    """A training by some options: [[loss of a minimize, ...] of a step] by train block, and its folder."""
    folder = os.path.join(common.folder(), "run")
    trace = folder + ".csv"
    result = common.nndc("train", path, "-o", folder, "--trace", trace, *options, timeout=1800)
    if not os.path.exists(trace):
        raise AssertionError(result.text())
    losses = {}
    for line in common.read(trace).split("\n")[1:]:
        name, _, _, *values = line.split(",") if line else ("", "", "")
        if any(values):                               # a step that skips every `minimize` has none
            losses.setdefault(name, []).append([float(value) for value in values if value])
    return losses, folder


def finite(losses):
    return all(math.isfinite(loss) for steps in losses.values() for step in steps for loss in step)


def small(path):
    """A few steps by the evaluator and by compiled C, in double precision: what derivatives make of losses and
    parameters agrees."""
    line = re.search(r"^# small: (.*)$", common.read(path), re.M)
    options = ["--set", "steps=2", "--set", "batch=4", "--examples=8", *(line[1].split() if line else [])]
    wanted, by_evaluator = traced(path, "--eval", *options)
    got, by_c = traced(path, "--real=f64", "--blas=none", *options)
    if not finite(wanted):
        return f"losses by the evaluator: {wanted}"
    for name, steps in wanted.items():
        for step, (a, b) in enumerate(zip(steps, got.get(name, []), strict=True)):
            if any(abs(x - y) > SMALL_TOLERANCE * max(1, abs(x)) for x, y in zip(a, b, strict=True)):
                return f"{name}, step {step}: {b} by C, {a} by the evaluator"
    tensors = [arrays.safetensors_read(os.path.join(folder, "checkpoint.safetensors"))
               for folder in (by_evaluator, by_c)]
    for name, value in tensors[0].items():
        if name == "__metadata__":
            continue
        problem = arrays.difference(tensors[1][name], value, SMALL_TOLERANCE)
        if problem:
            return f"{name} by C: {problem}"
    return None


def short(path, options):
    """Losses are finite, and where there is one in a train block, it falls."""
    losses, _ = traced(path, *options)
    if not losses or not finite(losses):
        return f"{losses}"
    for name, steps in losses.items():
        tenth = (len(steps) + 9) // 10
        first, last = (sum(step[0] for step in part) / tenth for part in (steps[:tenth], steps[-tenth:]))
        if len(steps[0]) == 1 and last >= first:
            return f"{name}: the loss is {first} in its first tenth, {last} in its last"
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
