"""What a train block does per step: phases, conditions, states; and resuming in the middle of it."""
import os

from . import common
from .driver import same_parameters, train_all
from .programs import must, named_tests, parameters, program


def tests():
    yield from named_tests(globals())


PHASES = """
# expect: err <= 0.02
const FIRST = 7
const SECOND = 30
model Enc(x: [4]) -> [3] = dense(x, 3, tanh) |> dropout(0.1)
model Dec(h: [3]) -> [4] = dense(h, 4)
model Out(h: [3]) -> real = dense(h, 1) |> scalar
data d { x[n < 100, i < 4] = rand(); y[n] = x[n, 0] - x[n, 1] }
train t on d {
    batch: 20
    epochs: SECOND
    h = Enc(x)
    phase pretrain {
        batch: 30
        steps: FIRST
        z[n < batch, i < 4] = 0.01 * randn()
        minimize mean(mse(Dec(h), x + z)) using adam(0.01)
        report rec = mean(mse(Dec(h), x))
    }
    phase tune { minimize mean(mse(Out(h), y)) using adam(0.03 * 0.99^epoch) }
    phase finish {
        epochs: 3
        minimize mean(mse(Out(h), y)) over Out using sgd(0.01 / (1 + step))
    }
    report err = mean(mse(Out(h), y))
}
"""


def test_phases_resume():
    """Stopped in the first phase and in the second: bit for bit as if never stopped."""
    work = program(PHASES)
    common.nndc("train", "m.nnd", "-o", "parts", "--quiet", "--only", "t.pretrain", "--set",
                "FIRST=4", cwd=work)
    common.nndc("train", "m.nnd", "-o", "parts", "--quiet", "--resume", "--only", "t.pretrain",
                cwd=work)
    tune = common.nndc("train", "m.nnd", "-o", "parts", "--quiet", "--resume", "--set", "SECOND=4",
                       "--only", "t.tune", cwd=work)
    problem = train_all(work, ("whole",), ("parts", "--resume"))
    if problem:
        return tune.text() + problem
    logs = [common.read(os.path.join(work, folder, "log.csv")) for folder in ("whole", "parts")]
    return same_parameters(work, "whole", "parts") or \
        (None if logs[0] == logs[1] else "\n".join(logs))


def test_phases_reference_agrees():
    work = program(PHASES)
    return train_all(work, ("c",), ("e", "--eval")) or same_parameters(work, "c", "e", 1e-4)


def test_phases_log():
    """Rows and expectations per phase; the expectation is about the last phase that reports it."""
    work = program(PHASES)
    problem = must(common.nndc("train", "m.nnd", "-o", "run", cwd=work), 0, "err <= 0.02", "ok")
    rows = common.read(os.path.join(work, "run", "log.csv")).strip().split("\n")
    names = [row.split(",")[2] for row in rows[1:]]
    wanted = ["t.pretrain"] * 2 + ["t.tune"] * 30 + ["t.finish"] * 3
    return problem or (None if names == wanted else "\n".join(rows))


def test_phases_states_of_their_own():
    """Each phase's minimize has its own optimiser state."""
    work = program(PHASES)
    problem = train_all(work, ("run",))
    names = parameters(work, "run")
    wanted = ["t.pretrain.minimize1.t", "t.tune.minimize1.t", "t.finish.minimize1.t"]
    missing = [name for name in wanted if name not in names]
    return problem or (f"no {missing} in {sorted(names)}" if missing else None)
