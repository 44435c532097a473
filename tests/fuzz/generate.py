"""Random well-typed programs: models of a few statements each, and a train block for every model.
Small ones meet every construct; large ones have sizes at which kernels are tiled, made of vectors
and called from libraries; smooth ones have no choice that could hang on rounding.

Values stay of moderate size, and every choice is made by the seed, so that a program can be written
again. What a program means is not known here: that all backends agree on it is the test."""
import random

UNARY = ["tanh({})", "sigmoid({})", "sin({})", "cos({})", "exp(tanh({}))", "sqrt(abs({}) + 0.5)",
         "log1p({}^2)", "relu({})", "leaky_relu({})", "softplus({})", "gelu({})", "elu({})",
         "abs({})", "0.3 * {}^2", "-{}", "0.1 * {}^3", "floor({}) * 0.2", "erf({})", "atan({})",
         "max({}, 0.1)", "min({}, -0.2)", "swish({})", "stop({})", "(if {} > 0.2 then {} else 0.5)",
         "sign({}) * 0.5", "1 / (1 + {}^2)", "expm1(-abs({}))"]
BINARY = ["{} + {}", "{} - {}", "{} * {}", "{} / (1.5 + abs({}))", "max({}, {})", "min({}, {})",
          "atan2({}, 2 + abs({}))", "(if {0} > {1} then {0} else 0.5 * {1})",
          "(if {0} < 0 and {1} < 0.3 or not ({0} < {1}) then 0.2 else {1})", "mse({}, {})",
          "huber({}, {})"]
REDUCE = ["sum", "mean", "max", "min", "prod"]
INDEX = "ijklabcd"
SMOOTH = [form for form in UNARY if not any(word in form for word in
          ("relu", "abs", "max", "min", "if", "floor", "sign", "sqrt"))]
SMALL = {"shapes": ([3], [4], [2, 3], [3, 3], [4, 4], [2, 3, 2], [5]), "units": (1, 2, 3, 4),
         "filters": (2,), "batches": (1, 3, 4, 7), "examples": (7, 5), "joined": 12}
LARGE = {"shapes": ([37], [64], [9, 16], [12, 12], [8, 24], [10, 9, 3], [16, 16]),
         "units": (8, 16, 17, 33, 64), "filters": (3, 8, 16), "batches": (8, 13, 32),
         "examples": (37, 21), "joined": 80}


class Value:
    def __init__(self, name, shape):
        self.name, self.shape = name, shape


class Body:
    """The statements of one model."""

    def __init__(self, random_, prefix, sizes, smooth):
        self.random, self.prefix, self.sizes, self.smooth = random_, prefix, sizes, smooth
        self.lines, self.values, self.ints, self.count = [], [], [], 0
        self.helpers = []

    def pick(self, rank=None, low=1):
        found = [v for v in self.values if (rank is None or len(v.shape) == rank)
                 and all(n >= low for n in v.shape)]
        return self.random.choice(found) if found else None

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def add(self, shape, expression, indices=None):
        name = self.fresh()
        left = name + (f"[{', '.join(indices)}]" if indices else "")
        self.lines.append(f"{left} = {expression}")
        value = Value(name, shape)
        self.values.append(value)
        return value

    # --- statements: each returns False if there is nothing to make it from -----------------------

    def unary(self):
        x = self.pick()
        form = self.random.choice(SMOOTH if self.smooth else UNARY)
        self.add(x.shape, form.format(*[x.name] * form.count("{}")))

    def binary(self):
        x = self.pick()
        same = [v for v in self.values if v.shape == x.shape or not v.shape]
        y = self.random.choice(same)
        if self.random.random() < 0.5 and x.shape:
            x, y = (y, x) if not y.shape else (x, y)
        shape = x.shape or y.shape
        forms = BINARY[:3] if self.smooth else BINARY
        self.add(shape, self.random.choice(forms).format(x.name, y.name))

    def transpose(self):
        x = self.pick(2) or self.pick(3)
        if not x:
            return False
        order = list(range(len(x.shape)))
        self.random.shuffle(order)
        indices = [INDEX[k] for k in order]
        extra = f" + 0.1 * {INDEX[order[0]]}" if self.random.random() < 0.3 else ""
        self.add([x.shape[k] for k in order],
                 f"{x.name}[{', '.join(INDEX[:len(x.shape)])}]{extra}", indices)

    def outer(self):
        x, y = self.pick(1), self.pick(1)
        if not x or not y:
            return False
        self.add([x.shape[0], y.shape[0]], f"{x.name}[i] * {y.name}[j]", ["i", "j"])

    def contract(self):
        x, y = self.pick(2), self.pick(2)
        if not x or not y:
            return False
        if x.shape[1] == y.shape[0]:
            self.add([x.shape[0], y.shape[1]], f"0.5 * (sum[j] {x.name}[i, j] * {y.name}[j, k])",
                     ["i", "k"])
        elif x.shape[0] == y.shape[0]:
            self.add([x.shape[1], y.shape[1]],
                     f"(mean[j] {x.name}[j, i] * {y.name}[j, k] * {x.name}[j, i])", ["i", "k"])
        elif x.shape[1] == y.shape[1]:
            self.add([x.shape[0], y.shape[0]], f"(sum[j] {x.name}[i, j] * {y.name}[k, j]) / 3",
                     ["i", "k"])
        else:
            return False

    def reduce(self):
        x = self.pick(low=1)
        if not x or not x.shape:
            return False
        if self.random.random() < 0.3:
            reduce = self.random.choice(["mean"] if self.smooth else REDUCE[:4])
            self.add([], f"{reduce}({x.name}) * 0.5")
            return True
        keep = [k for k in range(len(x.shape)) if self.random.random() < 0.5]
        over = [INDEX[k] for k in range(len(x.shape)) if k not in keep]
        if not over:
            return False
        reduce = self.random.choice(REDUCE[:2] if self.smooth else REDUCE)
        if reduce == "prod" and len(over) > 2:
            reduce = "mean"
        where = ""
        if self.random.random() < 0.35 and not self.smooth:
            where = " where " + self.random.choice([
                f"{over[0]} > 0", f"{x.name}[{', '.join(INDEX[:len(x.shape)])}] > 0.1",
                f"{over[0]} % 2 == 0", f"({over[0]} + 1) // 2 != 1"])
        body = f"{x.name}[{', '.join(INDEX[:len(x.shape)])}]"
        if self.random.random() < 0.4:
            body = f"tanh({body})"
        guard = f"{reduce}[{', '.join(over)}{where}] {body}"
        if where and reduce in ("max", "min"):
            guard = f"max(-3, min(3, {guard}))"
        else:
            guard = f"({guard}) * {0.1 if reduce == 'sum' else 0.5}"
        self.add([x.shape[k] for k in keep], guard, [INDEX[k] for k in keep] or None)

    def window(self):
        x = self.pick(1) or self.pick(2)
        if not x:
            return False
        n = x.shape[-1]
        lead = ["r"] if len(x.shape) == 2 else []
        at = ", ".join(lead + ["{}"])
        kind = self.random.randrange(5)
        if kind == 0:
            outside = self.random.choice(["0", "0.5", "-1"])
            self.add(x.shape, f"mean[p < 3] {x.name}[{at.format('i + p - 1')}] outside {outside}",
                     lead + [f"i < {n}"])
        elif kind == 1 and n >= 2:
            self.add(x.shape[:-1] + [n - 1], f"{x.name}[{at.format('i + 1')}] - "
                     f"{x.name}[{at.format('i')}]", lead + [f"i < {n - 1}"])
        elif kind == 2:
            self.add(x.shape, f"{x.name}[{at.format(f'{n - 1} - i')}]", lead + ["i"])
        elif kind == 3:
            stride, size = self.random.choice(((2, 2), (2, 3), (3, 2), (1, 2)))
            out = (n + 1) // stride + 1
            reduce = self.random.choice(("sum", "mean") if self.smooth else ("max", "sum", "mean"))
            outside = "-2" if reduce == "max" else "0"
            self.add(x.shape[:-1] + [out], f"{reduce}[p < {size}] "
                     f"{x.name}[{at.format(f'{stride} * i + p - 1')}] outside {outside}",
                     lead + [f"i < {out}"])
        else:
            at2 = at.format(f"(i * 2 + 1) % {n}")
            self.add(x.shape, f"{x.name}[{at2}] * 0.7 + {x.name}[{at.format('i // 2')}]",
                     lead + [f"i < {n}"])

    def conv(self):
        x = self.pick(2, 2)
        if not x:
            return False
        self.count += 1
        k = self.count
        size, stride, pad = self.random.choice(((2, 1, 0), (3, 1, 1), (2, 2, 1), (3, 2, 1),
                                               (2, 1, 1)))
        rows = (x.shape[0] + 2 * pad - size) // stride + 1
        cols = (x.shape[1] + 2 * pad - size) // stride + 1
        if rows < 1 or cols < 1:
            return False
        self.lines.append(f"m{k} = reshape({x.name}, [{x.shape[0]}, {x.shape[1]}, 1])")
        act = self.random.choice(["tanh", "identity"] if self.smooth else ["relu", "tanh"])
        filters = self.random.choice(self.sizes["filters"])
        self.lines.append(f"c{k} = conv2d(m{k}, {filters}, {size}, {stride}, {pad}, act = {act})")
        self.values.append(Value(f"c{k}", [rows, cols, filters]))

    def pool(self):
        x = self.pick(3, 2)
        if not x:
            return False
        form = self.random.choice(["max_pool({}, 2)", "average_pool({}, 2)", "max_pool({}, 2, 1)",
                                   "average_pool({}, 2, 1)"])
        if self.smooth:
            form = form.replace("max", "average")
        stride = 1 if form.endswith("1)") else 2
        self.add([(x.shape[0] - 2) // stride + 1, (x.shape[1] - 2) // stride + 1, x.shape[2]],
                 form.format(x.name))

    def slice(self):
        x = self.pick(low=2)
        if not x or not x.shape:
            return False
        k = self.random.randrange(len(x.shape))
        n = x.shape[k]
        a = self.random.randrange(n)
        b = self.random.randrange(a + 1, n + 1)
        subs = [":"] * len(x.shape)
        shape = list(x.shape)
        if self.random.random() < 0.4:
            subs[k] = str(a)
            del shape[k]
        else:
            subs[k] = f"{a}:{b}"
            shape[k] = b - a
        self.add(shape, f"{x.name}[{', '.join(subs)}] * 1.1")

    def concat(self):
        x = self.pick()
        if not x.shape:
            return False
        same = [v for v in self.values
                if v.shape[1:] == x.shape[1:] and len(v.shape) == len(x.shape)]
        y = self.random.choice(same)
        if x.shape[0] + y.shape[0] > self.sizes["joined"]:
            return False
        self.add([x.shape[0] + y.shape[0]] + x.shape[1:], f"concat({x.name}, {y.name}, axis = 0)")

    def stack(self):
        x = self.pick()
        same = [v for v in self.values if v.shape == x.shape]
        if len(x.shape) >= 3:
            return False
        parts = [self.random.choice(same).name for _ in range(self.random.choice((1, 2, 3)))]
        self.add([len(parts)] + x.shape, f"[{', '.join(parts)}]")

    def reshape(self):
        x = self.pick()
        if not x.shape:
            return False
        n = 1
        for k in x.shape:
            n *= k
        if self.random.random() < 0.5 or n > 40:
            self.add([n], f"flatten({x.name})") if n <= 24 else None
            return n <= 24
        a = self.random.choice([k for k in range(1, n + 1) if n % k == 0])
        self.add([a, n // a], f"reshape({x.name}, [{a}, {n // a}])")

    def dense(self):
        x = self.pick(1) or self.pick(2)
        if not x:
            return False
        units = self.random.choice(self.sizes["units"])
        acts = ["tanh", "sigmoid", "softmax", "identity", "gelu", "relu"]
        act = self.random.choice(acts[:5] if self.smooth else acts)
        bias = self.random.choice(["", ", bias = false"])
        self.add(x.shape[:-1] + [units], f"dense({x.name}, {units}, {act}{bias})")

    def softmax(self):
        x = self.pick(1) or self.pick(2)
        if not x:
            return False
        self.add(x.shape, self.random.choice(["softmax({})", "{} - logsumexp({})"]).format(
            *[x.name] * 2) if len(x.shape) == 1 else f"softmax({x.name})")

    def param(self):
        self.count += 1
        x = self.pick()
        name = f"w{self.count}"
        init = self.random.choice(["0.3 * randn()", "0.5", "rand() - 0.5"])
        type_ = f": [{', '.join(map(str, x.shape))}]" if x.shape else ": real"
        self.lines.append(f"param {name}{type_} = {init}")
        op = "*" if self.random.random() < 0.7 else "+"
        self.add(x.shape, f"{x.name} {op} {name}")

    def gather(self):
        x = self.pick(1, 2)
        if not x or self.smooth:
            return False
        n = x.shape[0]
        kind = self.random.randrange(5)
        if kind == 0:
            self.add([n], f"{x.name}[order({x.name})[i]] * (1 + i)", ["i"])
        elif kind == 1:
            self.add([], f"{x.name}[argmax({x.name})] + argmin({x.name}) * 0.1")
        elif kind == 2:
            index = f"int(abs({x.name}[i]) * 3) % {n}"
            self.add([n], f"{x.name}[{index}]", ["i"])
        elif kind == 3:
            index = f"int(abs({x.name}[i]) * 4)"
            self.add([n], f"{x.name}[{index} - 1] outside 0.25", ["i"])
        else:
            self.count += 1
            name = f"n{self.count}"
            self.lines.append(f"{name}[i] = int(abs({x.name}[i]) * 5) % 3")
            self.add([3], f"sum[e where {name}[e] == v] {x.name}[e]", ["v < 3"])

    def guard(self):
        x = self.pick(2, 2)
        if not x or self.smooth:
            return False
        form = self.random.choice([
            "sum[j where j <= i] {x}[i, j] * 0.3", "max[j where j <= i] {x}[i, j]",
            "sum[j] (if j > i then 0.0 else {x}[i, j]^2)", "mean[j where {x}[i, j] > 0] {x}[i, j]",
            "sum[j where j == i] {x}[i, j]", "sum[j where j + 1 == i] {x}[i, j]",
            "sum[j where 2 * j == i] {x}[i, j]"])
        self.add([x.shape[0]], form.format(x=x.name), ["i"])

    def gradient(self):
        x = self.pick()
        forms = ["sum({0}^2) * 0.3", "mean(tanh({0}) * {0})", "sum(exp(-({0}^2)))",
                 "sum(sigmoid({0}))", "max({0})"]
        form = self.random.choice(forms[:4] if self.smooth else forms)
        if not x.shape:
            form = self.random.choice(["{0}^3 * 0.1", "tanh({0})", "exp(-({0}^2))"])
        k = self.count = self.count + 1
        self.lines.append(f"s{k} = {form.format(x.name)}")
        self.add(x.shape, f"grad(s{k}, {x.name})")

    def jacobian(self):
        x = self.pick(1)
        if not x or x.shape[0] > 16:
            return False
        k = self.count = self.count + 1
        self.lines.append(f"q{k}[i] = {x.name}[i]^2 * (sum[j] {x.name}[j]) * 0.2")
        self.add([x.shape[0]] * 2, f"grad(q{k}[i], {x.name})[j]", ["i", "j"])

    def helper(self):
        """A function of a vector, mapped over what it is given."""
        x = self.pick(1) or self.pick(2) or self.pick(3)
        if not x:
            return False
        k = self.count = self.count + 1
        name = f"f{self.prefix}_{k}"
        forms = [
            ("{ s = sum(x^2) + 1\n    return x / sqrt(s) }", True),
            ("{ m = mean(x)\n    y[i] = x[i] - m\n    return y * 0.5 }", True),
            ("{ y = sum(tanh(x))\n    return grad(y, x) }", True),
            ("= max(x) - min(x)", False),
            ("{ return if sum(x) > 0 then x else -0.5 * x }", True),
            ("{ if x[0] > 0.1 { y = x * 2 } else { y = x^2 }\n    return y }", True)]
        body, keep = self.random.choice(forms[:3] if self.smooth else forms)
        self.helpers.append(f"fn {name}(x: [N]) {body}")
        self.add(x.shape if keep else x.shape[:-1], f"{name}({x.name})")

    def bounded(self):
        """A function of as many elements of a vector as an instance says."""
        x = self.pick(1) or self.pick(2)
        if not x or self.smooth:
            return False
        k = self.count = self.count + 1
        name, most = f"f{self.prefix}_{k}", x.shape[-1]
        scalar = self.pick(0)
        size = f"mean({x.name})" if scalar is None else scalar.name
        forms = [
            ("mean(tanh(y))", False),
            ("sum[t] softmax(y)[t] * y[t] * 0.5", False),
            ("max(-2, max[t] sin(y[t])) + 0.1 * T", False),
            ("mean[s, t where s < t] y[s] * sin(y[t])", False),
            ("prod(1 + 0.1 * tanh(y)) + argmax(y) * 0.01", False),
            ("slope(y)", None),
            ("if T > 1 then y[T - 1] * y[T - 2] else 0.3", False)]
        body, keep = self.random.choice(forms)
        if self.random.random() < 0.3:
            body, keep = "windows(y)", None
        if keep is None:
            inner = (f"fn {name}_slope(y: [T]) {{ q = sum(y^2) * mean(sin(y))\n    return grad(q, y) }}"
                     if body == "slope(y)" else
                     f"fn {name}_windows(y: [T]) {{ d[t < T] = y[t] - (y[t - 1] outside 0.5)\n"
                     "    return d }")
            self.helpers.append(inner)
            call = f"{name}_{body}"
            self.helpers.append(f"fn {name}(x: [N], n: int) {{ z = {call.replace('(y)', '(x[:n])')}\n"
                                "    r[i < N] = 0.5 * z[i] outside 0.25\n    return r }")
        else:
            self.helpers.append(f"fn {name}_part(y: [T]) = {body}")
            self.helpers.append(f"fn {name}(x: [N], n: int) = {name}_part(x[:n])")
        self.add(x.shape if keep is None else x.shape[:-1],
                 f"{name}({x.name}, int(abs({size}) * 4) % {most + 1})")

    def loop(self):
        x = self.pick()
        k = self.count = self.count + 1
        name = f"r{k}"
        self.lines.append(f"{name} = {x.name}")
        rounds = self.random.choice((0, 1, 3))
        self.lines.append(f"for k in 0..{rounds} {{ {name} = tanh({name} + 0.1 * k) }}")
        self.values.append(Value(name, x.shape))

    def scan(self):
        """A recurrence over the first axis: the yields, the last value, or both are kept."""
        x = self.pick(1) or self.pick(2)
        if not x:
            return False
        k = self.count = self.count + 1
        steps, shape = x.shape[0], x.shape[1:]
        type_ = f"[{shape[0]}]" if shape else "real"
        forms = ["tanh({x}[t] + 0.5 * h{k})", "0.7 * h{k} + 0.1 * {x}[t]",
                 "h{k} * cos({x}[t]) + 0.01 * t", "sin(h{k} + {x}[t] * c{k})"]
        if not self.smooth:
            forms += ["if t % 2 == 0 then {x}[t] else 0.5 * h{k}", "max(h{k}, {x}[t]) * 0.9",
                      "0.5 * h{k} + 0.1 * rand()"]
        lines = [f"next h{k} = " + self.random.choice(forms).format(x=x.name, k=k)]
        if shape and self.random.random() < 0.5:
            n = shape[0]
            self.lines.append(f"param u{k}: [{n}, {n}] = 0.3 * randn() / sqrt({n})")
            lines = [f"p{k}[j] = sum[i] h{k}[i] * u{k}[i, j]",
                     f"next h{k} = tanh({x.name}[t] + p{k})"]
        lines.append(f"next c{k} = " + self.random.choice(["next h{k}", "h{k}", "c{k} * 0.5"])
                     .format(k=k))
        lines.append(f"yield y{k} = " + self.random.choice(["next h{k}", "h{k} * c{k}", "next c{k}"])
                     .format(k=k))
        way = self.random.choice(["", " reversed"])
        self.lines.append(f"scan t < {steps}{way} carry h{k}: {type_} = 0.1, c{k}: {type_} = 0.3 "
                          f"{{ " + "; ".join(lines) + " }")
        self.values.append(Value(f"y{k}", [steps] + shape))
        if self.random.random() < 0.5:
            self.values.append(Value(f"h{k}", shape))

    def choose(self):
        x = self.pick()
        condition = self.pick(0)
        if not condition or self.smooth:
            return False
        k = self.count = self.count + 1
        self.lines.append(f"if {condition.name} > 0.1 {{ b{k} = {x.name} * 2 }} else "
                          f"{{ b{k} = sin({x.name}) }}")
        self.values.append(Value(f"b{k}", x.shape))

    def draw(self):
        x = self.pick()
        if self.smooth:
            return False
        forms = ["dropout({}, 0.3)", "{} + rand()", "{} * (1 + 0.1 * randn())"]
        self.add(x.shape, self.random.choice(forms).format(x.name))

    def normalize(self):
        x = self.pick(1)
        if not x:
            return False
        self.add(x.shape, f"{'standardize' if x.name == 'x' else 'centred'}({x.name})")

    STATEMENTS = [unary, unary, binary, binary, transpose, outer, contract, contract, reduce,
                  reduce, window, window, conv, pool, slice, concat, stack, reshape, dense, dense,
                  softmax, param, gather, guard, gradient, jacobian, helper, helper, bounded, loop, scan, scan,
                  choose, draw, normalize]


LIBRARY = """# A layer with a state: subtracts the running mean, in training that of the batch.
layer centred(x: [C]) -> [C] {
    state m: [C] = 0.1
    if training {
        b[c] = mean[each] x[c]
        next m = 0.5 * m + 0.5 * b
        return x - b
    }
    return x - m
}
"""


def model(random_, number, sizes, smooth):
    """One model and its train block."""
    body = Body(random_, number, sizes, smooth)
    shape = random_.choice(sizes["shapes"])
    body.values.append(Value("x", shape))
    if random_.random() < 0.5:
        body.values.append(Value("s", []))
    uses_s = len(body.values) > 1
    body.dense() or body.param()
    wanted = len(body.lines) + random_.choice((3, 5, 8, 12))
    while len(body.lines) < wanted:
        random_.choice(Body.STATEMENTS)(body)
    total = " + ".join(f"mean({v.name})" if v.shape else v.name for v in body.values[-4:])
    lines = "\n    ".join(body.lines)
    inputs = "x: [" + ", ".join(map(str, shape)) + "]" + (", s: real" if uses_s else "")
    call = f"M{number}(d{number}.x" + (f", d{number}.s)" if uses_s else ")")
    axes = ", ".join(f"{INDEX[k]} < {n}" for k, n in enumerate(shape))
    optimizers = ["sgd(0.05)", "sgd(0.02, 0.9)", "adam(0.01)", "rmsprop(0.01)"]
    optimizer = random_.choice(optimizers[:2] if smooth else optimizers)
    batch, (train, test) = random_.choice(sizes["batches"]), sizes["examples"]
    helpers = "\n".join(body.helpers)
    return f"""{helpers}
model M{number}({inputs}) -> real {{
    param gain = 0.5
    {lines}
    return 0.2 * ({total}) + 0.1 * gain
}}
data d{number} {{
    train {{ x[n < {train}, {axes}] = 2 * rand() - 1; s[n < {train}] = randn() }}
    test {{ x[n < {test}, {axes}] = randn(); s[n < {test}] = randn() }}
}}
train t{number} on d{number} {{
    batch: {batch}
    epochs: 2
    seed: {random_.randrange(1000)}
    minimize mean(tanh({call})^2) using {optimizer}
    report value = mean({call})
    report most = max({call}^2)
}}
"""


def program(seed, models, large=False, smooth=False):
    random_ = random.Random(seed)
    sizes = LARGE if large else SMALL
    return LIBRARY + "\n".join(model(random_, k, sizes, smooth) for k in range(models))
