"""Random programs, mutated sources, mutated data: a short part here, a longer one with --all;
tests/fuzz/run goes on from there."""
import concurrent.futures
import glob
import os
import shutil

from fuzz import compare, damage, inputs, mutate

from . import common

# (first seed, how many) in make test, and with --all
SOURCES = (1, 160), (1000, 3000)
DATA = (1, 30), (1000, 600)
INPUTS = (1, 300), (1000, 6000)
# (seed, models, large, smooth, backends)
PROGRAMS = [(1, 4, False, False, ("O0", "O2")), (2, 3, True, True, ("f32",))]
MORE = ([(k, 5, False, False, ("O0", "O2", "O2-noblas")) for k in range(100, 112)] +
        [(k, 4, True, k % 2 == 0, ("O2", "f32", "f32-noblas") if k % 2 == 0 else ("O0", "O2"))
         for k in range(200, 212)])


def tests():
    yield "sources", lambda: sources(*SOURCES[common.ALL])
    yield "data", lambda: data(*DATA[common.ALL])
    yield "inputs", lambda: predictions(*INPUTS[common.ALL])
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests/fuzz/programs/*.nnd"))):
        yield os.path.basename(path)[:-4], lambda path=path: written(path)
    for case in PROGRAMS + (MORE if common.ALL else []):
        kind = "".join([", large" * case[2], ", smooth" * case[3]])
        yield f"program {case[0]}{kind}", lambda case=case: program(*case)


def gather(problems):
    found = [problem for problem in problems if problem]
    return "\n".join(found[:5] + [f"{len(found)} cases failed"]) if found else None


def sources(first, count):
    folder = common.folder()
    files = mutate.sources(common.ROOT)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        return gather(pool.map(lambda seed: mutate.run(common.NNDC, seed, files, folder),
                               range(first, first + count)))


def data(first, count):
    folder = common.folder()
    try:
        trainer = damage.Trainer(common.NNDC, folder)
    except AssertionError as problem:
        return str(problem)
    return gather(trainer.case(seed, folder) for seed in range(first, first + count))


def predictions(first, count):
    try:
        models = inputs.Models(common.NNDC, common.folder())
    except AssertionError as problem:
        return str(problem)
    return gather(models.case(seed) for seed in range(first, first + count))


def written(path):
    """A program of tests/fuzz/programs, which none of the random ones resembles."""
    work = os.path.join(common.folder(), os.path.basename(path)[:-4])
    os.makedirs(work, exist_ok=True)
    shutil.copy(path, os.path.join(work, "p.nnd"))
    try:
        return "\n".join(compare.compare(common.NNDC, work, ("O0", "O2", "f32-noblas"))[:12]) or None
    except compare.Problem as problem:
        return str(problem)


def program(seed, models, large, smooth, backends):
    folder = os.path.join(common.folder(), "programs")
    return compare.seed_problem(common.NNDC, seed, models, folder, backends, large, smooth)
