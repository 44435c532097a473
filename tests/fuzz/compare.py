"""Random programs on every backend: the reference evaluator, and emitted C at several levels, train
them for a few steps and must agree on every parameter, state, loss and report."""
import os

from kinds import arrays

from . import generate, process

# How each backend is called, and what may differ. Mostly in double precision, where hardly any
# choice hangs on rounding; smooth programs also in single.
BACKENDS = {
    "O0": (["-O0", "--real=f64", "--blas=none"], 1e-6),
    "O2": (["-O2", "--real=f64"], 1e-6),
    "O2-noblas": (["-O2", "--real=f64", "--blas=none"], 1e-6),
    "f32": (["-O2"], 3e-3),
    "f32-noblas": (["-O2", "--blas=none"], 3e-3),
}
TIMEOUT = 120


class Problem(Exception):
    pass


def run(command, work, what):
    result = process.run(command, work, timeout=TIMEOUT, memory=None)
    if result.hung:
        raise Problem(f"{what}: does not end")
    if result.status:
        raise Problem(f"{what}: exit status {result.status}\n{result.err[-2500:]}")
    if "warning:" in result.err:
        raise Problem(f"{what}: the C compiler warns\n{result.err[-2500:]}")
    return result


def table(path, found, label):
    """The numbers of a csv file but times, by line and column."""
    lines = process.read(path).split("\n")
    for number, line in enumerate(lines[1:]):
        for column, text in zip(lines[0].split(","), line.split(",")):
            if column == "seconds":
                continue
            try:
                found[f"{label}:{number}:{column}"] = [], [float(text)]
            except ValueError:
                pass


def results(work, folder):
    """Everything that a run leaves: {name: (shape, values)}."""
    found = arrays.safetensors_read(os.path.join(work, folder, "checkpoint.safetensors"))
    found.pop("__metadata__", None)
    table(os.path.join(work, folder, "log.csv"), found, "log")
    table(os.path.join(work, folder + ".trace.csv"), found, "trace")
    return found


def differences(wanted, got, where, tolerance):
    problems = []
    for name in sorted(set(wanted) | set(got)):
        if name not in wanted or name not in got:
            problems.append(f"{where}: only one has {name}")
            continue
        problem = arrays.difference(got[name], wanted[name], tolerance)
        if problem:
            problems.append(f"{where}: {name}: {problem}")
    return problems


def seed_problem(nndc, seed, models, folder, backends=("O0", "O2", "O2-noblas"), large=False,
                 smooth=False):
    """None, or a text that says where the backends differ."""
    work = os.path.join(folder, f"p{seed}{'l' if large else ''}{'s' if smooth else ''}")
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "p.nnd"), "w", encoding="utf-8") as file:
        file.write(generate.program(seed, models, large, smooth))
    try:
        problems = compare(nndc, work, backends)
    except Problem as problem:
        problems = [str(problem)]
    if problems:
        kind = f"{', large' * large}{', smooth' * smooth}"
        return (f"program of seed {seed} ({models} models{kind}), {work}/p.nnd:\n" + "\n".join(problems[:12]))
    process.remove(work)
    return None


def compare(nndc, work, backends):
    run([nndc, "train", "p.nnd", "--eval", "--quiet", "-o", "eval", "--trace", "eval.trace.csv"],
        work, "eval")
    wanted = results(work, "eval")
    problems = []
    for name in backends:
        options, tolerance = BACKENDS[name]
        if process.sanitized(nndc):
            options = options + ["--cc", "gcc -fsanitize=address,undefined"]
        run([nndc, "build", "p.nnd", "-o", "out-" + name, "--quiet"] + options, work, name)
        run([os.path.join(work, "out-" + name), "train", "--quiet", "-o", name, "--trace",
             name + ".trace.csv"], work, name)
        problems += differences(wanted, results(work, name), name, tolerance)
    return problems
