"""Numerical references, tests/num/*/case.txt (see tests/num/README.md): by the reference evaluator,
by compiled C, and by compiled C without a BLAS."""
import glob
import os
import re
import shutil

from . import arrays, common

FOLDER = os.path.join(common.ROOT, "tests", "num")
# The largest error allowed, relative where values exceed 1, by the type a backend computes in.
TOLERANCE = {"f64": 1e-9, "f32": 3e-5}
BACKENDS = {"eval": ("f64", ["--eval"]), "c": ("f32", []), "c-noblas": ("f32", ["--blas=none"])}


def tests():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*", "case.txt"))):
        case = os.path.dirname(path)
        for backend in BACKENDS:
            yield f"{os.path.basename(case)}:{backend}", lambda c=case, b=backend: run(c, b)


class Case:
    def __init__(self, path, backend):
        self.path = path
        self.work = common.folder()
        self.type, self.flags = BACKENDS[backend]
        self.weights = os.path.join(self.work, "weights.safetensors")
        initial = tensors_of(os.path.join(path, "init"))
        arrays.safetensors_write(self.weights, initial)
        self.program = None
        if backend != "eval":
            self.program = os.path.join(self.work, "program")
            check(common.nndc("build", "model.nnd", "-o", self.program, *self.flags, cwd=path))

    def call(self, verb, *arguments):
        common_ = ["--weights", self.weights, "--quiet"]
        if self.program:
            check(common.run(self.program, verb, *arguments, *common_, cwd=self.path))
        else:
            check(common.nndc(verb, "model.nnd", *arguments, *common_, "--eval", cwd=self.path))

    def predict(self, model, files, tolerance):
        output = os.path.join(self.work, "output.npy")
        inputs = ["--input", ",".join(files[:-1])] if files[:-1] else []
        self.call("predict", model, *inputs, "-o", output)
        wanted = arrays.npy_read(os.path.join(self.path, files[-1]))
        problem = arrays.difference(arrays.npy_read(output), wanted, tolerance)
        return [f"predict {model}: {files[-1]}: {problem}"] if problem else []

    def train(self, name, tolerance):
        folder, trace = os.path.join(self.work, "run"), os.path.join(self.work, "trace.csv")
        self.call("train", "--only", name, "-o", folder, "--trace", trace)
        self.weights = os.path.join(self.work, "after.safetensors")
        shutil.copy(os.path.join(folder, "checkpoint.safetensors"), self.weights)
        problems, found = [], arrays.safetensors_read(self.weights)
        for path, wanted in tensors_of(os.path.join(self.path, "after")).items():
            if path not in found:
                problems.append(f"train {name}: the checkpoint has no {path}")
                continue
            problem = arrays.difference(found[path], wanted, tolerance)
            if problem:
                problems.append(f"train {name}: {path}: {problem}")
        losses = os.path.join(self.path, "loss.npy")
        if os.path.exists(losses):
            rows = [[float(x) for x in line.split(",")[2:]]
                    for line in common.read(trace).split("\n")[1:] if line]
            got = [len(rows), len(rows[0])], [x for row in rows for x in row]
            problem = arrays.difference(got, arrays.npy_read(losses), tolerance)
            if problem:
                problems.append(f"train {name}: loss: {problem}")
        return problems


def check(result):
    if result.status:
        raise AssertionError(result.text())


def tensors_of(folder):
    """{PATH: (shape, values)} of the files PATH.npy."""
    files = sorted(glob.glob(os.path.join(folder, "*.npy")))
    return {os.path.basename(f)[:-4]: arrays.npy_read(f) for f in files}


def has_products(path):
    """Whether the program's C calls matrix products, the only part that differs without a BLAS."""
    source = os.path.join(common.folder(), "program.c")
    check(common.nndc("build", "model.nnd", "-o", source, "--blas=none", cwd=path))
    return "gemm(" in common.read(source)


def run(path, backend):
    try:
        if "--blas=none" in BACKENDS[backend][1] and not has_products(path):
            return None
        case = Case(path, backend)
        problems = []
        for line in common.read(os.path.join(path, "case.txt")).split("\n"):
            words = line.split("#")[0].split()
            if not words:
                continue
            tolerance = TOLERANCE[case.type]
            if re.match(r"[0-9.]+(e-?\d+)?$", words[-1]):
                tolerance = max(tolerance, float(words.pop()))
            if words[0] == "predict":
                problems += case.predict(words[1], words[2:], tolerance)
            else:
                problems += case.train(words[1], tolerance)
        return "\n".join(problems) or None
    except AssertionError as problem:
        return str(problem)
