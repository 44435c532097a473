"""What happens around the steps of a run: monitor and patience, best weights, what a run folder holds."""
import csv
import html.parser
import io
import json
import os
import shutil
import struct
import zipfile
import zlib

from . import arrays, common
from .programs import LINE, must, named_tests, parameters, program

# The rate grows until it does harm, so the weights are best somewhere in the middle.
MONITORED = """
model Line(x: [2]) -> real = dense(x, 1) |> scalar
data points {
    train { x[n < 90, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
    valid { x[n < 25, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
    test  { x[n < 20, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
}
train line on points {
    batch: 16
    epochs: 30
    seed: 3
    monitor: error
    p = Line(x)
    minimize mean(mse(p, y)) using sgd(0.05 + 0.002 * step * step)
    report error = mean(l1(p, y))
}
"""
PATIENT = MONITORED.replace("monitor: error", "monitor: error\n    patience: 3")


def tests():
    yield from named_tests(globals())


def log(work, folder="m.run"):
    return list(csv.DictReader(io.StringIO(common.read(os.path.join(work, folder, "log.csv")))))


def best(work, folder="m.run"):
    return arrays.safetensors_read(os.path.join(work, folder, "best.safetensors"))


def file_bytes(work, folder, name):
    with open(os.path.join(work, folder, name), "rb") as file:
        return file.read()


def train(work, *flags):
    result = common.nndc("train", "m.nnd", "--quiet", *flags, cwd=work)
    if result.status:
        raise AssertionError(result.text())
    return result


def test_best_is_smallest():
    """best.safetensors belongs to the row of log.csv with the smallest monitor, and to no other."""
    work = program(MONITORED.replace("epochs: 30", "epochs: 6"))
    train(work)
    rows = [row for row in log(work) if row["name"] == "line"]
    smallest = min(rows, key=lambda row: float(row["error"]))
    metadata = best(work)["__metadata__"]
    if smallest in (rows[0], rows[-1]):
        return f"the program is no test: {rows}"
    if metadata["step"] != smallest["step"]:
        return f"best is of step {metadata['step']}, smallest is {smallest}"
    # A run that ends there has the same weights.
    train(work, "-o", "short", "--set", f"epochs={int(smallest['epoch'])}")
    kept, ended = best(work), parameters(work, "short")
    wrong = [name for name in kept if name != "__metadata__" and kept[name] != ended[name]]
    return f"{wrong} differ" if wrong or not kept.get("Line.dense1.w") else None


def test_best_ends_the_run():
    """The figures at the end, of eval and of predict are those of the best weights."""
    work = program(MONITORED.replace("epochs: 30", "epochs: 6"))
    result = common.nndc("train", "m.nnd", "--json", "--quiet", cwd=work)
    problem = must(result, 0)
    evaluated = common.nndc("eval", "m.nnd", "--json", cwd=work)
    figures = json.loads(result.out)["line"] if not problem else None
    if problem or json.loads(evaluated.out) != {"line": figures}:
        return problem or result.out + evaluated.out
    path = os.path.join(work, "m.run", "best.safetensors")
    named = common.nndc("eval", "m.nnd", "--json", "--weights", path, cwd=work)
    os.remove(path)
    last = common.nndc("eval", "m.nnd", "--json", cwd=work)
    if named.out != evaluated.out or last.out == evaluated.out or last.status:
        return named.text() + last.text()
    return must(named) or (named.text() if "warning" in named.err else None)


def test_patience_stops():
    work = program(PATIENT)
    result = common.nndc("train", "m.nnd", cwd=work)
    rows = [float(row["error"]) for row in log(work) if row["name"] == "line"]
    after = len(rows) - 1 - rows.index(min(rows))
    problem = must(result, 0, "stopped early", "in 3 reports")
    return problem or (f"{after} rows after the best: {rows}" if after != 3 else None)


def test_patience_unused():
    """A monitor that gets better until the end stops nothing."""
    work = program(LINE.replace("seed: 3", "seed: 1\n    monitor: mean(mse(p, y))\n    patience: 1")
                   .replace("adam(0.05)", "sgd(0.1)").replace("batch: 16", "batch: 90"))
    result = common.nndc("train", "m.nnd", cwd=work)
    problem = must(result, 0, "epoch 6/6", "`monitor` looks at the test split")
    return problem or (result.text() if "stopped early" in result.out else None)


def test_patience_resumed():
    """Cut into parts of two epochs, the best value and the count of patience survive."""
    work = program(PATIENT)
    train(work, "-o", "whole")
    train(work, "-o", "parts", "--set", "epochs=2")
    for epochs in range(4, 12, 2):
        train(work, "-o", "parts", "--resume", "--set", f"epochs={epochs}")
    train(work, "-o", "parts", "--resume")
    for file in ("checkpoint.safetensors", "best.safetensors", "log.csv"):
        if file_bytes(work, "whole", file) != file_bytes(work, "parts", file):
            return f"{file} differs"
    return None


def test_patience_reference_agrees():
    work = program(PATIENT)
    train(work)
    train(work, "--eval", "-o", "e")
    steps = [best(work, folder)["__metadata__"]["step"] for folder in ("m.run", "e")]
    return None if steps[0] == steps[1] else f"{steps}"


def test_best_of_another_block():
    """A block without a monitor leaves no best weights of the block before it."""
    text = MONITORED.replace("epochs: 30", "epochs: 4")
    second = text[text.index("train line"):].replace("train line", "train again").replace(
        "    monitor: error\n", "")
    work = program(text + second)
    train(work)
    listing = os.listdir(os.path.join(work, "m.run"))
    return f"{listing}" if "best.safetensors" in listing else None


def test_evaluate_steps():
    work = program(LINE.replace("seed: 3", "seed: 3\n    evaluate: 4"))
    result = common.nndc("train", "m.nnd", cwd=work)
    steps = [int(row["step"]) for row in log(work)]
    problem = must(result, 0, "step 4  loss", "step 36  loss")
    return problem or (None if steps == list(range(4, 37, 4)) else f"{steps}")


def test_evaluate_set():
    work = program(LINE)
    train(work, "--set", "evaluate=10")
    steps = [int(row["step"]) for row in log(work)]
    return None if steps == [10, 20, 30, 36] else f"{steps}"


def test_monitor_expression():
    """Of reports, names of the block and numbers; not a number is never the best."""
    work = program(MONITORED.replace("monitor: error", "monitor: -(4 * error + mean(p) * 0) / 4")
                   .replace("epochs: 30", "epochs: 4"))
    train(work)
    rows = [row for row in log(work) if row["name"] == "line"]
    largest = max(rows, key=lambda row: float(row["error"]))
    if any(abs(float(row["error"]) + float(row["monitor"])) > 1e-5 for row in rows):
        return f"{rows}"
    return None if best(work)["__metadata__"]["step"] == largest["step"] else f"{rows}"


def test_monitor_nan():
    work = program(MONITORED.replace("monitor: error", "monitor: log(-error)")
                   .replace("epochs: 30", "epochs: 3\n    patience: 2"))
    result = common.nndc("train", "m.nnd", cwd=work)
    listing = os.listdir(os.path.join(work, "m.run"))
    return must(result, 0, "epoch 2/3") or ("a best" if "best.safetensors" in listing else None)


# --- load -----------------------------------------------------------------------------------

LOADED = """
load Line = safetensors("m.run/checkpoint.safetensors")
model Line(x: [2]) -> real = standardize(x) |> dense(1) |> scalar
model Twice(x: [2]) -> real = 2 * Line(x) + dense(x, 1)[0]
data points { x[n < 50, i < 2] = rand(); y[n] = 6 * x[n, 0] - 2 * x[n, 1] }
train again on points {
    batch: 10
    epochs: 1
    minimize mean(mse(Twice(x), y)) over Twice using sgd(0.01)
    report error = mean(l1(2 * Line(x), y))
}
"""


def loaded(text, *flags):
    """A program whose model is loaded from the checkpoint of another, trained before."""
    work = program(LINE.replace("dense(x, 1)", "standardize(x) |> dense(1)"))
    train(work)
    common.write(os.path.join(work, "n.nnd"), text)
    return work, common.nndc("train", "n.nnd", *flags, cwd=work)


def test_load_checkpoint():
    """Parameters and fitted values are those of the file, and a frozen model keeps them."""
    for flags in ([], ["--eval"]):
        work, result = loaded(LOADED, "--quiet", *flags)
        problem = must(result)
        if problem:
            return problem
        before, after = parameters(work), parameters(work, "n.run")
        names = [name for name in after if name.startswith("Line.")]
        if len(names) != 4:
            return f"{names}"
        for name in names:
            if arrays.difference(after[name], before[name], 1e-6):
                return f"{name} of {flags}: {before[name]} {after[name]}"
    return None


def test_load_arrays():
    """An .npz without the model's name in front; what is fitted and not in the file is fitted."""
    text = LOADED.replace('safetensors("m.run/checkpoint.safetensors")', 'npz("line.npz")')
    work = program(LINE)
    with zipfile.ZipFile(os.path.join(work, "line.npz"), "w") as archive:
        for name, shape, values in (("dense1.w", [2, 1], [6, -2]), ("dense1.b", [1], [0.5])):
            arrays.npy_write(os.path.join(work, "a.npy"), shape, values)
            archive.write(os.path.join(work, "a.npy"), name + ".npy")
    common.write(os.path.join(work, "n.nnd"), text)
    problem = must(common.nndc("train", "n.nnd", "--quiet", cwd=work))
    if problem:
        return problem
    kept = parameters(work, "n.run")
    good = kept["Line.dense1.w"][1] == [6, -2] and kept["Line.dense1.b"][1] == [0.5]
    fitted = [name for name in kept if name.startswith("Line.standardize")]
    return None if good and all(kept[n][1][0] for n in fitted) else f"{kept}"


PARTS = """
load Part = safetensors("WEIGHTS")
model Part[3](x: [2]) -> real = standardize(x) |> dense(1) |> scalar
data points { x[n < 50, i < 2] = rand(); y[n] = x[n, 0] }
train t on points {
    batch: 10
    epochs: 1
    minimize mean(mse(Part[0](x) + Part[2](x), y)) over Part[2] using sgd(0.01)
}
"""


def parts(prefix):
    """The tensors of three models of PARTS, the fitted values of the last one but in part."""
    return {f"{prefix}[{k}].{name}": (shape, [k + value for _ in range(shape[0])])
            for k in range(3)
            for name, shape, value in (("dense1.w", [2, 1], 0.5), ("dense1.b", [1], 0.25),
                                       ("standardize1.m", [2], 0.125), ("standardize1.v", [2], 2))
            if (k, name) != (2, "standardize1.v")}


def parts_train(tensors, *flags):
    work = program(PARTS.replace("WEIGHTS", "w.safetensors"))
    arrays.safetensors_write(os.path.join(work, "w.safetensors"), tensors)
    return work, common.nndc("train", "m.nnd", "--quiet", *flags, cwd=work)


def test_load_array_of_models():
    """By path, with the array's name in front or without; a fitted value that is not in the file is fitted by
    those that are: the mean square distance from 2.125 of numbers in [0, 1) is over 1.2."""
    for prefix, flags in (("Part", []), ("", []), ("Part", ["--eval"])):
        tensors = parts(prefix)
        work, result = parts_train(tensors, *flags)
        problem = must(result)
        if problem:
            return problem
        kept = parameters(work)
        for name, wanted in parts("Part").items():
            trained = name.startswith("Part[2].dense1")
            if (arrays.difference(kept[name], wanted, 1e-6) is None) == trained:
                return f"{prefix} {flags}: {name} is {kept[name]}"
        if not all(v > 1.2 for v in kept["Part[2].standardize1.v"][1]):
            return f"{flags}: {kept['Part[2].standardize1.v']}"
    return None


def test_load_array_does_not_fit():
    tensors = parts("Part")
    del tensors["Part[1].dense1.b"]
    tensors["Part[0].dense1.w"] = ([3, 1], [1, 2, 3])
    tensors["Part[3].dense1.b"] = ([1], [1])
    _, result = parts_train(tensors)
    return must(result, 1, "m.nnd:2:1: error: w.safetensors does not fit Part", "missing: Part[1].dense1.b ([1]);",
                "Part[0].dense1.w is [3, 1] there, and [2, 1] is wanted", "Part has no such tensor: Part[3].dense1.b")


def test_load_does_not_fit():
    _, result = loaded(LOADED.replace("|> dense(1)", "|> dense(3, relu) |> dense(1)", 1))
    return must(result, 1, "n.nnd:2:1: error: m.run/checkpoint.safetensors does not fit Line",
                "missing: Line.dense2.w ([3, 1]), Line.dense2.b ([1])",
                "Line.dense1.w is [2, 1] there, and [2, 3] is wanted")


def test_load_unexpected():
    _, result = loaded(LOADED.replace("standardize(x) |> dense(1)", "dense(x, 1)", 1))
    return must(result, 1, "does not fit Line", "Line has no such tensor: Line.standardize1.")


def test_load_gone():
    """The file is read again when the program runs."""
    work, result = loaded(LOADED, "--quiet")
    common.nndc("build", "n.nnd", "-o", "n", cwd=work)
    shutil.rmtree(os.path.join(work, "m.run"))
    return must(result) or must(common.run(os.path.join(work, "n"), "train", cwd=work), 1,
                                "checkpoint.safetensors")


def test_weights_compared():
    work = program(LINE)
    train(work)
    common.write(os.path.join(work, "n.nnd"), LINE.replace("dense(x, 1)", "dense(x, 1, tanh) |> dense(1)"))
    result = common.nndc("train", "n.nnd", "--weights", "m.run", cwd=work)
    return must(result, 0, 'has no tensor "Line.dense2.w"; it keeps its initial value')


# --- reports that are drawn, and reports of every example ---------------------------------------

DRAWN = """
model Side(x: [2]) -> [2] = dense(x, 2)
data points {
    train { x[n < 90, i < 2] = rand(); label[n] = int(x[n, 0] + 0.3 * rand() > x[n, 1]) }
    test  { x[n < 57, i < 2] = rand(); label[n] = int(x[n, 0] + 0.3 * rand() > x[n, 1]) }
}
fn shade(x: [2]) {
    y[i < 3, j < 4] = x[0] * i / 2 + x[1] * j
    return y
}
fn colour(x: [2]) {
    y[i < 3, j < 4, c < 3] = if c == 1 then x[0] else 0.0
    return y
}
fn word(label: int) -> int[3] = [72 + label, 10, 60]
train side on points {
    batch: 16
    epochs: 3
    seed: 3
    logits = Side(x)
    minimize mean(cross_entropy(logits, label)) using adam(0.05)
    score[n] = int(20 * (logits[n, 1] - logits[n, 0]))
    report auc       = auc(score, label == 1)
    report confusion = confusion(logits, label)
    report roc       = roc(score, label)
    report bars      = histogram(x, 10)
    report shades    = image(shade(x))
    report colours   = image(colour(x))
    report words     = letters(word(label))
    report score     = score
    report label     = label
    report x         = x
    report sorted    = order(score)
    report nearest   = nearest(x)
}
fn nearest(x: [N, 2]) {
    d[n] = min[m where m != n] ((x[n, 0] - x[m, 0])^2 + (x[n, 1] - x[m, 1])^2)
    return d
}
"""


def drawn(work, *flags):
    result = common.nndc("train", "m.nnd", "--json", "--quiet", *flags, cwd=work)
    if result.status:
        raise AssertionError(result.text())
    return json.loads(result.out)["side"]


def test_drawn_values():
    """Against the definitions, computed here one by one; by compiled C and by the evaluator."""
    work = program(DRAWN)
    for flags in ([], ["--eval"]):
        got = drawn(work, *flags)
        score, label, x = got["score"], got["label"], got["x"]
        if len(score) != 57 or len(x) != 57:
            return f"{len(score)} examples"
        yes = [s for s, t in zip(score, label) if t == 1]
        no = [s for s, t in zip(score, label) if t != 1]
        pairs = sum((a > b) + 0.5 * (a == b) for a in yes for b in no)
        wanted = {
            "auc": pairs / len(yes) / len(no),
            "sorted": sorted(range(57), key=lambda i: score[i]),
            "nearest": [min((x[n][0] - x[m][0])**2 + (x[n][1] - x[m][1])**2 for m in range(57)
                            if m != n) for n in range(57)],
        }
        if abs(got["auc"] - wanted["auc"]) > 1e-5 or got["sorted"] != wanted["sorted"]:
            return f"{flags}: {got} {wanted}"
        if any(abs(a - b) > 1e-5 for a, b in zip(got["nearest"], wanted["nearest"])):
            return f"{flags}: {got['nearest']} {wanted['nearest']}"
        counts = got["confusion"]
        if sum(counts[1]) != len(yes) or sum(counts[0]) != len(no) or min(map(min, counts)) < 0:
            return f"{counts}"
        values = [v for row in x for v in row]
        width = (max(values) - min(values)) / 10
        bars = [0] * 10
        for v in values:
            bars[min(9, int((v - min(values)) / width))] += 1
        if sum(abs(a[1] - b) for a, b in zip(got["bars"], bars)) > 2 or sum(
                a[1] for a in got["bars"]) != 114:  # rounding moves an element at an edge
            return f"{flags}: {got['bars']} {bars}"
        curve = got["roc"]
        area = sum((a[1] + b[1]) / 2 * (b[0] - a[0]) for a, b in zip(curve, curve[1:]))
        if len(curve) != 101 or curve[-1] != [1, 1] or abs(area - wanted["auc"]) > 0.03:
            return f"{flags}: area {area}, {wanted['auc']}"
    return None


def png_read(path):
    """(rows, columns, colours, bytes) of a PNG without filters; checks every CRC."""
    with open(path, "rb") as file:
        raw = file.read()
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise AssertionError("no PNG")
    at, head, data = 8, None, b""
    while at < len(raw):
        size, kind = struct.unpack_from(">I4s", raw, at)
        body = raw[at + 8:at + 8 + size]
        if zlib.crc32(kind + body) != struct.unpack_from(">I", raw, at + 8 + size)[0]:
            raise AssertionError("CRC")
        head = struct.unpack(">IIBBBBB", body) if kind == b"IHDR" else head
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    columns, rows, colours = head[0], head[1], 3 if head[3] == 2 else 1
    lines = zlib.decompress(data)
    line = columns * colours + 1
    if any(lines[i * line] for i in range(rows)) or len(lines) != rows * line:
        raise AssertionError("filters")
    return rows, columns, colours, [list(lines[i * line + 1:(i + 1) * line]) for i in range(rows)]


def level(value):
    return int(255 * min(1, max(0, value)) + 0.5)


def test_drawn_files():
    work = program(DRAWN)
    got = drawn(work)
    folder = os.path.join(work, "m.run")
    rows, columns, colours, pixels = png_read(os.path.join(folder, "side.shades.png"))
    if (rows, columns, colours) != (23, 29, 1):  # 36 pictures, six in a row, a line apart
        return f"{rows} {columns} {colours}"
    for n in range(36):
        for i in range(3):
            for j in range(4):
                wanted = level(got["x"][n][0] * i / 2 + got["x"][n][1] * j)
                if abs(pixels[n // 6 * 4 + i][n % 6 * 5 + j] - wanted) > 1:
                    return f"picture {n}, pixel {i}, {j}: {wanted} is wanted"
    rows, columns, colours, pixels = png_read(os.path.join(folder, "side.colours.png"))
    green = level(got["x"][1][0])
    if colours != 3 or pixels[0][15] != 0 or abs(pixels[0][16] - green) > 1:
        return f"{colours} {pixels[0]}"
    if common.read(os.path.join(folder, "side.words.txt")) != "".join(chr(72 + k) + "\n<\n" for k in got["label"][:36]):
        return "side.words.txt"
    shape, values = arrays.npy_read(os.path.join(folder, "side.score.npy"))
    if shape != [57] or values != got["score"]:
        return f"{shape} {values}"
    table = common.read(os.path.join(folder, "side.confusion.csv")).split("\n")
    counts = got["confusion"]
    return None if table[:2] == ["label,said 0,said 1", f"0,{counts[0][0]},{counts[0][1]}"] else f"{table}"


def test_drawn_few_examples():
    """Fewer examples than a sheet of pictures has places."""
    work = program(DRAWN.replace("n < 57", "n < 5"))
    result = common.nndc("train", "m.nnd", cwd=work)
    rows, columns, _, _ = png_read(os.path.join(work, "m.run", "side.shades.png"))
    problem = must(result, 0, "shades [5, 3, 4], in side.shades.png of the run folder")
    return problem or (None if (rows, columns) == (7, 14) else f"{rows} {columns}")


def test_drawn_drawn_split():
    """Where the splits are drawn, and as a monitor."""
    text = DRAWN[:DRAWN.index("    test ")] + "}" + DRAWN[DRAWN.index("\nfn shade"):]
    text = text.replace("train { x", "x").replace("> x[n, 1]) }\n}", "> x[n, 1])\n    split: [0.5, 0.2, 0.3]\n}")
    work = program(text.replace("seed: 3", "seed: 3\n    monitor: -auc"))
    got = drawn(work)
    return None if len(got["score"]) == 27 and sorted(got["sorted"]) == list(range(27)) else f"{got}"


class Checker(html.parser.HTMLParser):
    """The text of a page; fails on anything that it would fetch."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith("data:"):
                raise AssertionError(f"{tag} fetches {value}")

    def handle_data(self, data):
        self.text += data


def test_html():
    """One file with curves, figures, drawings, and the program's text as it stands in the source."""
    work = program(DRAWN + "# 1 < 2 & <b>\n")
    got = drawn(work)
    page = Checker()
    page.feed(common.read(os.path.join(work, "m.run", "report.html")))
    if page.tags.count("svg") != 4 or page.tags.count("img") != 2 or page.tags.count("table") != 2:
        return f"{page.tags}"
    if "1 < 2 & <b>" not in page.text or f"{got['auc']:.5g}" not in page.text:
        return page.text
    return None if "b" in page.tags and page.tags.count("polyline") == 3 else f"{page.tags}"
