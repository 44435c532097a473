"""Numerical references, tests/num/*/model.nnd (see tests/num/README.md): by the reference evaluator,
by compiled C in both precisions, by compiled C without a BLAS, and, where there are register tiles, by
compiled C for each instruction set."""
import glob
import os
import re
import shutil

from . import arrays, common

FOLDER = os.path.join(common.ROOT, "tests", "num")
# The largest error allowed, relative where values exceed 1, by the type a backend computes in.
TOLERANCE = {"f64": 1e-9, "f32": 3e-5}
BACKENDS = {
    "eval": ("f64", ["--eval"]),
    "c-f64": ("f64", ["--real=f64", "--blas=none"]),
    "c": ("f32", []),
    "c-noblas": ("f32", ["--blas=none"]),
}
# Instruction sets, by a few cases with register tiles, products and recurrences; every kind of tile
# on every instruction set of this machine is in tests/unit/test_kernel_products.c.
ISAS = {
    "avx2": ["attention", "cnn", "lstm", "mlp", "narrow", "wide_mlp", "odd_convolutions"],
    "sse2": ["attention", "cnn", "lstm", "mlp", "narrow", "wide_mlp", "odd_convolutions"],
    "neon": ["attention", "cnn", "narrow", "odd_convolutions"],
    "neon-f64": ["cnn", "mlp", "narrow"],
}
for isa in ISAS:
    real = "f64" if isa.endswith("-f64") else "f32"
    BACKENDS[isa] = (real, ["--blas=none", f"--real={real}", f"--isa={isa.split('-')[0]}"])


def tests():
    for name in cases():
        for backend in BACKENDS:
            if name not in ISAS.get(backend, [name]):
                continue
            yield f"{name}:{backend}", lambda n=name, b=backend: run(n, b)
    yield "every-definition", every_definition


def cases():
    return [os.path.basename(os.path.dirname(path))
            for path in sorted(glob.glob(os.path.join(FOLDER, "*", "model.nnd")))]


class Case:
    """One case by one backend. `problems` are texts; `deviations` are the largest errors by model, that
    of the losses under None."""

    def __init__(self, name, backend):
        self.path = os.path.join(FOLDER, name)
        self.work = common.folder()
        self.type, self.flags = BACKENDS[backend]
        self.lines = common.read(os.path.join(self.path, "model.nnd")).split("\n")
        self.weights = os.path.join(self.work, "weights.safetensors")
        arrays.safetensors_write(self.weights, tensors_of(os.path.join(self.path, "init")))
        self.problems, self.deviations = [], {}
        self.program = None
        if backend != "eval":
            self.program = [os.path.join(self.work, "program")]
            if backend.startswith("neon"):
                self.program = emulated(self.program[0], self.path, self.flags)
            else:
                check(common.nndc("build", "model.nnd", "-o", self.program[0], *self.flags,
                                  cwd=self.path))

    def run(self):
        steps = [line for line in self.lines if line.startswith("# run: ")]
        check_that(steps, "model.nnd has no line `# run: ...` (tests/num/README.md)")
        for line in steps:
            words = line.split()[2:]
            tolerance = TOLERANCE[self.type]
            if re.match(r"[0-9.]+(e-?\d+)?$", words[-1]):
                tolerance = max(tolerance, float(words.pop()))
            if words[0] == "predict":
                self.predict(words[1], words[2:], tolerance)
            else:
                self.train(words[1], tolerance)

    def call(self, verb, *arguments):
        shared = ["--weights", self.weights, "--quiet"]
        if self.program:
            check(common.run(*self.program, verb, *arguments, *shared, cwd=self.path))
        else:
            check(common.nndc(verb, "model.nnd", *arguments, *shared, *self.flags, cwd=self.path))

    def compare(self, what, model, got, wanted, tolerance):
        error, _ = arrays.deviation(got, wanted)
        self.deviations[model] = max(error, self.deviations.get(model, 0.0))
        problem = arrays.difference(got, wanted, tolerance)
        if problem:
            self.problems.append(f"{what}: {problem}")

    def predict(self, model, files, tolerance):
        output = os.path.join(self.work, "output.npy")
        inputs = ["--input", ",".join(files[:-1])] if files[:-1] else []
        self.call("predict", model, *inputs, "-o", output)
        wanted = arrays.npy_read(os.path.join(self.path, files[-1]))
        self.compare(f"predict {model}: {files[-1]}", model, arrays.npy_read(output), wanted,
                     tolerance)

    def train(self, name, tolerance):
        folder, trace = os.path.join(self.work, "run"), os.path.join(self.work, "trace.csv")
        self.call("train", "--only", name, "-o", folder, "--trace", trace)
        self.weights = os.path.join(self.work, "after.safetensors")
        shutil.copy(os.path.join(folder, "checkpoint.safetensors"), self.weights)
        found = arrays.safetensors_read(self.weights)
        for path, wanted in tensors_of(os.path.join(self.path, "after")).items():
            if path not in found:
                self.problems.append(f"train {name}: the checkpoint has no {path}")
                continue
            self.compare(f"train {name}: {path}", re.match(r"\w+", path)[0], found[path], wanted,
                         tolerance)
        losses = os.path.join(self.path, "loss.npy")
        if os.path.exists(losses):
            rows = [[float(x or "inf") for x in line.split(",")[3:]]
                    for line in common.read(trace).split("\n")[1:] if line]
            got = [len(rows), len(rows[0])], [x for row in rows for x in row]
            self.compare(f"train {name}: loss", None, got, arrays.npy_read(losses), tolerance)


def emulated(program, folder, flags):
    """Builds for another architecture; returns the command that runs the program here."""
    compiler, machine = "aarch64-linux-gnu-gcc", "qemu-aarch64"
    if not shutil.which(compiler) or not shutil.which(machine):
        raise common.Skip(f"{compiler} or {machine} is not installed")
    check(common.nndc("build", "model.nnd", "-o", program + ".c", "--amalgamate", *flags,
                      cwd=folder))
    check(common.run(compiler, "-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno",
                     "-fopenmp", "-static", "-DNND_NO_ZLIB", "-o", program, program + ".c", "-lm"))
    return [machine, program]


def references(name):
    """[(definition, models or none, text)] of a case's lines `# reference: DEFINITION in MODELS: TEXT`."""
    found = []
    for line in common.read(os.path.join(FOLDER, name, "model.nnd")).split("\n"):
        match = re.match(r"# reference: (\w+)(?: in ([\w, ]+))?: (.*)", line)
        if match:
            found.append((match[1], match[2].split(", ") if match[2] else [], match[3]))
        elif line.startswith("# reference"):
            raise AssertionError(f"{name}: {line}")
    return found


def library():
    """The definitions of the library as `nndc doc` lists them, in its order."""
    found, inside = [], False
    for line in common.nndc("doc").out.split("\n"):
        if re.match(r"\w", line):
            inside = os.path.exists(os.path.join(common.ROOT, "lang", "std", line + ".nnd"))
        elif inside and line.strip():
            found.append(line.split()[0])
    return found


def every_definition():
    """Each definition of the library has a reference; each reference is of a definition, which its
    program mentions, in models that the program has."""
    wanted, there, problems = library(), set(), []
    for name in cases():
        text = common.read(os.path.join(FOLDER, name, "model.nnd"))
        program = re.sub(r"#.*", "", text)
        for definition, models, _ in references(name):
            there.add(definition)
            if definition not in wanted:
                problems.append(f"{name}: the library has no {definition}")
            words = [rf"\b{definition}\b"] + [rf"\bmodel {model}\b" for model in models]
            problems += [f"{name}: nothing is {w}" for w in words if not re.search(w, program)]
    problems += [f"no reference for {d} (tests/num/README.md)" for d in wanted if d not in there]
    return "\n".join(problems) or (None if wanted else "nndc doc lists no library")


def check_that(truth, text):
    if not truth:
        raise AssertionError(text)


def check(result):
    check_that(not result.status, result.text())


def tensors_of(folder):
    """{PATH: (shape, values)} of the files PATH.npy."""
    files = sorted(glob.glob(os.path.join(folder, "*.npy")))
    return {os.path.basename(f)[:-4]: arrays.npy_read(f) for f in files}


def has_products(name):
    """Whether the program's C calls matrix products, the only part that differs without a BLAS."""
    source = os.path.join(common.folder(), "program.c")
    check(common.nndc("build", "model.nnd", "-o", source, "--blas=none",
                      cwd=os.path.join(FOLDER, name)))
    return "gemm(" in common.read(source)


def has_isa(isa):
    """Whether nndc would run programs for it here; it looks at that before it compiles them."""
    result = common.nndc("train", "model.nnd", "--isa", isa, "--cc", "false",
                         "-o", common.folder(), cwd=os.path.join(FOLDER, "sgd"))
    return "this machine has no" not in result.err


def run(name, backend):
    try:
        if backend in ("avx2", "sse2") and not has_isa(backend):
            raise common.Skip(f"this machine has no {backend}")
        if backend == "c-noblas" and not has_products(name):
            return None
        case = Case(name, backend)
        case.run()
        return "\n".join(case.problems) or None
    except AssertionError as problem:
        return str(problem)
