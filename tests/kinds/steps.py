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


CONDITIONS = """
model A(x: [2]) -> real = dense(x, 1) |> scalar
model B like A
data d { x[n < 50, i < 2] = rand(); y[n] = x[n, 0] - x[n, 1] }
const EPOCHS = 6
train t on d {
    batch: 8
    epochs: EPOCHS
    state base = 1
    state last: [5] = 0
    z = y + 0.01 * randn()
    next base = 0.9 * base + 0.1 * mean(z)
    next last[i] = if i == step % 5 then next base else last[i]
    every 3 { minimize mean((A(x) - z)^2) using adam(0.1 * 0.9^epoch) }
    if epoch % 2 == 1 { update B = 0.5 * B + 0.5 * A } else { minimize mean((B(x) - base)^2) using sgd(0.1) }
    report err = mean((A(x) - y)^2)
    report base = base
}
"""


def test_conditions_resume():
    work = program(CONDITIONS)
    problem = train_all(work, ("whole",), ("parts", "--set", "EPOCHS=3"), ("parts", "--resume"))
    logs = [] if problem else [common.read(os.path.join(work, f, "log.csv")) for f in ("whole", "parts")]
    return problem or same_parameters(work, "whole", "parts") or \
        (None if logs[0] == logs[1] else "\n".join(logs))


# Statements under conditions of every kind: on kept values that the step changes, inside each other, on what is
# computed under another condition, in a scan that is itself under one; subscripts found under a condition.
SKIPPED = """
model A(x: [5]) -> [4] = dense(x, 6, tanh) |> dense(4)
model B like A
model C(x: [5]) -> [4] = dense(x, 4)
layer gate(x: [T], open: bool) -> real {
    param w = 0.5
    scan t < T carry h: real = 0, on: bool = false, k: int = 0, last: [3] = 0 {
        if on {
            z[i] = last[i] + x[t] * w
            next last[i] = 0.9 * z[i]
            next k = argmax(z)
            if open {
                q[i] = exp(-z[i]^2)
                next h = h + sum(q)
            }
        }
        next on = x[t] > 0.1
    }
    return h + last[k]
}
model G(x: [5], open: bool) -> real = gate(x, open)
data d {
    x[n < 60, i < 5] = randn()
    a[n < 60, k < 4] = x[n, k] * x[n, k + 1]
    c[n < 60] = n % 4
}
fn pick(y: [K], x: [5], c: int) -> real = y[c] - x[0]
const STEPS = 60
train t on d {
    batch: 12
    steps: STEPS
    seed: 5
    state flag: bool = false
    state n: int = 0
    state p: [4] = 0
    state q: [4] = 1
    state r: [4] = 0
    state worst: int = 0
    loss = mean((A(x) - a)^2)
    if n % 5 == 4 {
        next p[i] = q[i] + 1
        next q[i] = 2 * p[i]
        y = A(x)
        mean_of[k] = mean[m] abs(y[m, k])
        next worst = argmax(mean_of)
        if loss > 1.2 {
            minimize loss + 0.01 * mean(A(x)[:, 0]) over A using adam(0.01)
        } else {
            update B = 0.5 * A + 0.5 * B
            if flag { minimize mean((C(x) - stop(B(x)))^2) over C using sgd(0.1, momentum = 0.5) }
        }
    } else {
        minimize mean((A(x) - a + 0.001 * p[worst])^2) over A using adam(0.02)
        if flag {
            update C = 0.99 * C
            minimize mean(pick(C(x), x, c)^2) over C using rmsprop(0.01)
        }
        g = mean(G(x, flag) - 1)
        minimize g^2 over G using adam(0.01)
    }
    if next worst > 1 and not flag { next r[i] = r[i] + p[next worst] + q[i] }
    next flag = loss > 1.3 or n % 2 == 1
    next n = n + 1
    report loss = loss
}
"""


def test_skipped_reference_agrees():
    """The reference evaluator computes what is not needed, too; C must not miss it."""
    work = program(SKIPPED)
    exact = ("--real", "f64")
    return train_all(work, ("c", *exact), ("plain", "-O0", *exact), ("e", "--eval", *exact)) or \
        same_parameters(work, "c", "plain", 1e-9) or same_parameters(work, "c", "e", 1e-9)


def test_skipped_resume():
    work = program(SKIPPED)
    return train_all(work, ("whole",), ("parts", "--set", "STEPS=31"), ("parts", "--resume")) or \
        same_parameters(work, "whole", "parts")


def test_conditions_trace():
    """A loss that a step leaves out is empty in the trace, and no part of the mean in the log."""
    work = program(CONDITIONS)
    result = common.nndc("train", "m.nnd", "-o", "run", "--trace", "trace.csv", "--quiet", cwd=work)
    rows = [r.split(",") for r in common.read(os.path.join(work, "trace.csv")).strip().split("\n")[1:]]
    log = [r.split(",") for r in common.read(os.path.join(work, "run", "log.csv")).strip().split("\n")]
    for row in rows:
        step = int(row[1])
        if (row[3] == "") != (step % 3 != 0) or (row[4] == "") != (step // 7 % 2 == 1):
            return f"{row}\n{result.text()}"
    examples = [2 if int(row[1]) % 7 == 6 else 8 for row in rows[:7]]
    done = [(float(row[3]), n) for row, n in zip(rows, examples) if row[3]]
    mean = sum(x * n for x, n in done) / sum(n for _, n in done)
    wrong = abs(float(log[1][3]) - mean) > 1e-6 or log[2][4] != ""
    return f"{log[:3]}, mean {mean}" if wrong else None


# Learning by trying, with a memory of what happened, and a slow copy of the network. Steps to the
# right pay at the end only.
REPLAY = """# expect: goes_right >= 0.9
const PLACES = 10
const MEMORY = 1000
fn one_place(p: int) {
    x[k < PLACES] = if k == p then 1.0 else 0.0
    return x
}
model Q(p: int) -> [2] = one_place(p) |> dense(32, relu) |> dense(2)
model Slow like Q

train chain {
    steps: 3000
    evaluate: 1000
    seed: 2
    state place: int = 0
    state count: int = 0
    state from: int[MEMORY] = 0
    state action: int[MEMORY] = 0
    state pay: [MEMORY] = 0
    state to: int[MEMORY] = 0
    explore = max(0.1, 1 - step / 1000)
    coin = rand()
    side = rand()
    greedy = argmax(Q(place))
    move = if coin < explore then int(2 * side) else greedy
    goal = place == PLACES - 1 and move == 1
    there = if goal then 0 else if move == 1 then place + 1 else max(place - 1, 0)
    t = count % MEMORY
    next from[i]   = if i == t then place else from[i]
    next action[i] = if i == t then move else action[i]
    next pay[i]    = if i == t then (if goal then 1.0 else 0.0) else pay[i]
    next to[i]     = if i == t then there else to[i]
    next place = there
    next count = count + 1
    if step >= 64 {
        pick[b < 32] = int(rand() * min(next count, MEMORY))
        s[b] = (next from)[pick[b]]
        s2[b] = (next to)[pick[b]]
        a[b] = (next action)[pick[b]]
        r[b] = (next pay)[pick[b]]
        q = Q(s)
        q2 = Slow(s2)
        target[b] = r[b] + 0.9 * (if r[b] > 0.5 then 0.0 else max[k] q2[b, k])
        minimize mean[b] (q[b, a[b]] - stop(target[b]))^2 using adam(0.003)
    }
    every 20 { update Slow = Q }
    all_places[k < PLACES] = k
    report goes_right = mean(argmax(Q(all_places)) == 1)
    report visits = count
}
"""


def test_replay_learns():
    """Q learning whose world, memory and exploration are in the program."""
    return must(common.nndc("train", "m.nnd", cwd=program(REPLAY)), 0, "goes_right >= 0.9", "ok")


def test_replay_resume():
    """What a block remembers is saved with the rest."""
    work = program(REPLAY.replace("# expect", "# no"))
    return train_all(work, ("whole", "--set", "steps=300"), ("parts", "--set", "steps=170"),
                     ("parts", "--resume", "--set", "steps=300")) or \
        same_parameters(work, "whole", "parts")


def test_replay_reference_agrees():
    work = program(REPLAY.replace("# expect", "# no"))
    short = ("--set", "steps=90")
    return train_all(work, ("c", "--real=f64", *short), ("e", "--eval", *short)) or \
        same_parameters(work, "c", "e", 1e-9)


UPDATES = """
model Q(s: [N]) -> [2] = batch_norm(s) |> dense(4, tanh) |> dense(2)
model T like Q
model Net[3](x: [2]) -> real = dense(x, 1) |> scalar
model Slow[3](x: [2]) -> real = dense(x, 1) |> scalar
model One(x: [2]) -> real = dense(x, 1) |> scalar
data d { x[n < 12, i < 2] = rand(); y[n] = x[n, 0] - x[n, 1] }
train t on d {
    epochs: 3
    minimize mean(Q(x)^2) using sgd(0.1)
    for k in 0..3 { minimize mean((Net[k](x) - y)^2) over Net[k] using sgd(0.1 * (k + 1)) }
    update Slow = 0.5 * Net
    update One = (Net[0] + Net[1] + Net[2]) / 3
    update T = Q
}
"""


def test_updates():
    """Of models that were never called: copies with states, means over arrays, arrays member by member."""
    work = program(UPDATES)
    problem = train_all(work, ("c",), ("e", "--eval")) or same_parameters(work, "c", "e", 1e-4)
    if problem:
        return problem
    found = parameters(work, "c")
    values = lambda path: found[path][1]
    for path in [p for p in found if p.startswith("Q.")]:
        if values(path) != values("T" + path[1:]):
            return f"{path} is not copied"
    nets = [values(f"Net[{k}].dense1.w") for k in range(3)]
    for i, one in enumerate(values("One.dense1.w")):
        if abs(one - sum(net[i] for net in nets) / 3) > 1e-6 or \
           abs(values("Slow[2].dense1.w")[i] - 0.5 * nets[2][i]) > 1e-6:
            return f"{found}"
    return None


# The numbers 0 .. 3 and 0 .. 9; `few` has no split for tests.
SETS = """
# expect: low == 0.75
# expect: high == HIGH
# expect: top == 9
# expect: n == COUNT
layer fitted(x: real) -> real, real {
    fit m = mean[each] x
    fit top = max[each] x
    return m, top
}
model A(x: real) -> real, real = fitted(x)
model B(x: real) -> real, real = fitted(x)
model C(x: real) -> real, real = fitted(x)
model W() -> real {
    param w = 1
    return w
}
data few { train { x[n < 4] = n } }
data many {
    train { z[n < 10] = n }
    test { z[n < 4] = 4 + n }
}
train t on FIRST {
    batch: 3
    epochs: 1
    ax, at = A(x)
    bz, bt = B(z)
    cx, ct = C(x)
    cz, cu = C(z)
    minimize W() + 0 * mean(ax + bz + cx + cz + at + bt + ct + cu) using sgd(0)
    report low = mean(x) / 2
    report high = mean(z)
    report top = max(bt)
    report n = sum[i] (if z[i] >= 0 then 1 else 0)
}
"""


def sets(first, high, count):
    """What is fitted is about all training examples of its own data set, and so are reports about the split of
    the first data set; a set that lacks it gives all that it has."""
    work = program(SETS.replace("FIRST", first).replace("HIGH", high).replace("COUNT", count))
    for flags in ([], ["--eval"]):
        problem = must(common.nndc("train", "m.nnd", *flags, cwd=work), 0, "ok")
        if problem:
            return problem
    found = parameters(work)
    wanted = {"A.fitted1.m": 1.5, "A.fitted1.top": 3, "B.fitted1.m": 4.5, "B.fitted1.top": 9,
              "C.fitted1.m": 51 / 14, "C.fitted1.top": 9}
    wrong = [name for name, value in wanted.items() if abs(found[name][1][0] - value) > 1e-6]
    return f"wrong: {wrong} in {found}" if wrong else None


def test_two_sets_short_first():
    return sets("few, many", "4.5", "10")


def test_two_sets_long_first():
    return sets("many, few", "5.5", "4")


AHEAD = """
const STEPS = 40
model Net(x: [3000]) -> real = dense(x, 1) |> scalar
model Table(k: int) -> real {
    param w: [3] = 0
    return w[k]^2
}
data d { x[n < 330, i < 3000] = rand(); y[n] = x[n, 0]; k[n < 330] = if n == 321 then LAST else 1 }
data e { z[n < 70, i < 3000] = rand() }
train t on d, e {
    batch: 50
    steps: STEPS
    evaluate: 5
    seed: 2
    minimize mean(mse(Net(x), y) + Table(k)) + mean(Net(z)^2) using adam(0.001)
    report err = mean(mse(Net(x), y))
}
"""


def test_examples_ahead():
    """Batches so large that a thread gathers them ahead: the same bits as without it, over the ends of epochs of two
    data sets, and as if never stopped."""
    work = program(AHEAD.replace("LAST", "2"))
    problem = train_all(work, ("one", "--threads", "1"), ("two", "--threads", "2"),
                        ("parts", "--threads", "2", "--set", "STEPS=17"), ("parts", "--threads", "2", "--resume"))
    logs = [common.read(os.path.join(work, folder, "log.csv")) for folder in ("one", "two")]
    return problem or same_parameters(work, "one", "two") or same_parameters(work, "one", "parts") or \
        (None if logs[0] == logs[1] else "\n".join(logs))


def test_examples_ahead_wrong():
    """A wrong example is named although the batch behind it is being gathered."""
    work = program(AHEAD.replace("LAST", "3"))
    return must(common.nndc("train", "m.nnd", "--threads", "2", cwd=work), 1, "this is example 321 (from 0) of d")
