"""The command line and the trainer: usage, results, files, resuming, data that are not as they
should be. Programs are written into a temporary folder."""
import gzip
import json
import os
import re
import resource
import signal
import struct
import subprocess
import time

from . import arrays, common

LINE = """
model Line(x: [2]) -> real = dense(x, 1) |> scalar
data points {
    train { x[n < 90, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
    test  { x[n < 25, i < 2] = rand(); y[n] = 3 * x[n, 0] - x[n, 1] }
}
train line on points {
    batch: 16
    epochs: 6
    seed: 3
    p = Line(x)
    minimize mean(mse(p, y)) using adam(0.05)
    report error = mean(l1(p, y))
}
"""

PICTURES = """
model Digit(image: u8[4, 4]) -> [3] = flatten(image) / 255 |> dense(3)
data pictures {
    train { image = idx("images.gz"); label = idx("labels.gz") }
}
train digit on pictures {
    batch: 8
    epochs: 1
    seed: 1
    logits = Digit(image)
    minimize mean(cross_entropy(logits, label)) using sgd(0.1)
    report accuracy = mean(argmax(logits) == label)
}
"""

TABLE = """
model Weight(height: real) -> real = dense([height], 1) |> scalar
data people {
    height = csv("people.csv", "height")
    weight = csv("people.csv", "weight")
}
train weight on people {
    epochs: 1
    seed: 1
    minimize mean(l1(Weight(height), weight)) using sgd(0.1)
}
"""


def tests():
    for name, function in sorted(globals().items()):
        if name.startswith("test_"):
            yield name[5:], function
    for name, make in BAD_FILES.items():
        yield f"bad_{name}", lambda make=make: bad_file(make)


def program(text=LINE):
    work = common.folder()
    common.write(os.path.join(work, "m.nnd"), text)
    return work


def must(result, status=0, *patterns):
    """None if the status is right and each pattern occurs in what was printed."""
    if result.status != status:
        return f"exit status {result.status} instead of {status}\n{result.text()}"
    for text in patterns:
        if not common.pattern(text).search(result.out + result.err):
            return f"missing: {text}\n{result.text()}"
    return None


def checkpoint(work, folder="m.run"):
    return arrays.safetensors_read(os.path.join(work, folder, "checkpoint.safetensors"))


def parameters(work, folder="m.run"):
    found = checkpoint(work, folder)
    found.pop("__metadata__")
    return found


# --- usage ------------------------------------------------------------------------------------------

def test_usage_nothing():
    return must(common.nndc(), 2, "usage:")


def test_usage_help():
    return must(common.nndc("--help"), 0, "usage:", "train", "predict", "exit status")


def test_usage_help_of_command():
    return must(common.nndc("train", "--help"), 0, "--resume", "--threads")


def test_usage_version():
    return must(common.nndc("--version"), 0, "nndc 0.")


def test_usage_unknown_command():
    return must(common.nndc("trian", "m.nnd"), 2, "trian", "did you mean `train`")


def test_usage_file_without_command():
    return must(common.nndc("m.nnd"), 2, "nndc train m.nnd")


def test_usage_unknown_option():
    return must(common.nndc("train", "m.nnd", "--thread=2"), 2, "--thread", "did you mean --threads")


def test_usage_option_of_another_command():
    return must(common.nndc("check", "m.nnd", "--resume"), 2, "check has no option --resume")


def test_usage_bad_value():
    return must(common.nndc("train", "m.nnd", "--blas=mkl"), 2, "openblas|none", "mkl")


def test_usage_bad_number():
    return must(common.nndc("train", "m.nnd", "--threads", "two"), 2, "--threads", "two")


def test_usage_value_missing():
    return must(common.nndc("train", "m.nnd", "--seed"), 2, "--seed wants N")


def test_usage_file_missing():
    return must(common.nndc("train"), 2, "train wants FILE")


def test_usage_too_many():
    return must(common.nndc("check", "a.nnd", "b.nnd"), 2, "b.nnd")


def test_usage_set_without_value():
    return must(common.nndc("train", "m.nnd", "--set", "epochs"), 2, "NAME=VALUE")


def test_usage_set_unknown():
    return must(common.nndc("check", "m.nnd", "--set", "epoch=3", cwd=program()), 1, "epoch",
                "epochs")


def test_usage_only_unknown():
    return must(common.nndc("train", "m.nnd", "--only", "lines", cwd=program()), 1, "lines", "line")


def test_file_not_there():
    return must(common.nndc("check", "nowhere.nnd"), 1, "nowhere.nnd")


def test_file_is_folder():
    return must(common.nndc("check", "."), 1, ".")


# --- check, doc, ir -----------------------------------------------------------------------------------

def test_check_table():
    return must(common.nndc("check", "examples/mnist_mlp/model.nnd"), 0, "MLP", "669,706")


def test_check_json():
    result = common.nndc("check", "m.nnd", "--json", cwd=program())
    models = json.loads(result.out)["models"]
    return None if models[0]["parameters"] == 3 else result.text()


def test_doc_list():
    return must(common.nndc("doc"), 0, "dense", "cross_entropy", "adam", "built in")


def test_doc_one():
    return must(common.nndc("doc", "softmax"), 0, "fn softmax(x: [N])", "example:")


def test_doc_misspelt():
    return must(common.nndc("doc", "sotfmax"), 1, "sotfmax", "`softmax`")


def test_options():
    return must(common.nndc("options"), 0, "--threads N", "--blas openblas|none")


def test_passes():
    return must(common.nndc("passes"), 0, "lower", "plan")


def test_ir():
    return must(common.nndc("ir", "m.nnd", cwd=program()), 0, "sum[")


def test_ir_unknown_pass():
    return must(common.nndc("ir", "m.nnd", "--after", "plam", cwd=program()), 2, "plam", "`plan`")


def test_self_check():
    result = common.nndc("--self-check")
    return must(result, 0, " passed, 0 failed") or (result.text() if result.err else None)


# --- train, build, eval, predict ---------------------------------------------------------------------------

def test_train_writes():
    work = program()
    problem = must(common.nndc("train", "m.nnd", cwd=work), 0, "error")
    if problem:
        return problem
    missing = [f for f in ("trainer.c", "checkpoint.safetensors", "log.csv")
               if not os.path.exists(os.path.join(work, "m.run", f))]
    left = [f for f in os.listdir(os.path.join(work, "m.run")) if "tmp" in f]
    return f"missing {missing}, left over {left}" if missing or left else None


def test_train_log():
    work = program()
    result = common.nndc("train", "m.nnd", "--quiet", cwd=work)
    lines = common.read(os.path.join(work, "m.run", "log.csv")).strip().split("\n")
    if result.status or len(lines) != 7 or "error" not in lines[0]:
        return result.text() + "\n".join(lines)
    return None


def test_train_quiet():
    result = common.nndc("train", "m.nnd", "--quiet", cwd=program())
    return must(result) or (result.text() if result.out or result.err else None)


def test_train_plain_when_piped():
    result = common.nndc("train", "m.nnd", cwd=program())
    return must(result, 0, "epoch 6/6") or (result.text() if "\r" in result.out + result.err else None)


def test_train_set():
    return must(common.nndc("train", "m.nnd", "--set", "epochs=2", cwd=program()), 0, "epoch 2/2")


def test_train_expect_ok():
    work = program("# expect: error <= 5\n" + LINE)
    return must(common.nndc("train", "m.nnd", cwd=work), 0, "error <= 5", "ok")


def test_train_expect_failed():
    work = program("# expect: error <= 0\n" + LINE)
    return must(common.nndc("train", "m.nnd", cwd=work), 1, "error <= 0", "FAILED")


def test_train_json():
    result = common.nndc("train", "m.nnd", "--json", "--quiet", cwd=program())
    return None if "error" in json.loads(result.out)["line"] else result.text()


def test_train_seed():
    """The same seed gives the same bits, another seed others, with any number of threads."""
    work = program()
    for folder, seed, threads in (("a", "5", "1"), ("b", "5", "2"), ("c", "6", "1")):
        result = common.nndc("train", "m.nnd", "--seed", seed, "-o", folder, "--quiet", "--threads",
                             threads, cwd=work)
        if result.status:
            return result.text()
    a, b, c = (parameters(work, folder) for folder in "abc")
    return None if a == b and a != c else f"{a}\n{b}\n{c}"


def test_train_reference_agrees():
    """The reference evaluator and compiled C end on the same parameters, but for rounding."""
    work = program()
    for folder, flags in (("c", []), ("e", ["--eval"])):
        result = common.nndc("train", "m.nnd", "-o", folder, "--quiet", *flags, cwd=work)
        if result.status:
            return result.text()
    c, e = parameters(work, "c"), parameters(work, "e")
    for name in e:
        problem = arrays.difference(c[name], e[name], 1e-4)
        if problem:
            return f"{name}: {problem}"
    return None


def test_resume_bit_for_bit():
    """Stopped after three of six epochs and resumed: as if never stopped."""
    work = program()
    for folder, flags in (("whole", []), ("parts", ["--set", "epochs=3"]), ("parts", ["--resume"])):
        result = common.nndc("train", "m.nnd", "-o", folder, "--quiet", *flags, cwd=work)
        if result.status:
            return result.text()
    if parameters(work, "whole") != parameters(work, "parts"):
        return f"{parameters(work, 'whole')}\n{parameters(work, 'parts')}"
    logs = [common.read(os.path.join(work, folder, "log.csv")) for folder in ("whole", "parts")]
    return None if logs[0] == logs[1] else "\n".join(logs)


def test_resume_nothing():
    return must(common.nndc("train", "m.nnd", "--resume", cwd=program()), 1, "checkpoint")


def test_resume_another_model():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    common.write(os.path.join(work, "m.nnd"), LINE.replace("dense(x, 1)",
                                                           "dense(x, 5) |> dense(1)"))
    before = common.listing(os.path.join(work, "m.run"))["checkpoint.safetensors"]
    problem = must(common.nndc("train", "m.nnd", "--resume", cwd=work), 1, "another model")
    if common.listing(os.path.join(work, "m.run"))["checkpoint.safetensors"] != before:
        return "the checkpoint was changed"
    return problem


def test_interrupt():
    """SIGINT stops at the next step and leaves a checkpoint, from which it goes on."""
    work = program(LINE.replace("epochs: 6", "epochs: 1000000"))
    child = subprocess.Popen([common.NNDC, "train", "m.nnd"], cwd=work, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = os.path.join(work, "m.run", "log.csv")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        if os.path.exists(log) and common.read(log).count("\n") > 3:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    try:
        out, _ = child.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        return "SIGINT did not stop it"
    if child.returncode != 130 and child.returncode != -signal.SIGINT:
        return f"exit status {child.returncode}\n{out[-2000:]}"
    steps = int(checkpoint(work)["__metadata__"]["step"])
    epochs = steps // 6 + 2
    return must(common.nndc("train", "m.nnd", "--resume", "--set", f"epochs={epochs}", cwd=work), 0,
                f"epoch {epochs}/{epochs}")


def test_build_program():
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line", cwd=work))
    if problem:
        return problem
    return must(common.run(os.path.join(work, "line"), "train", cwd=work), 0, "epoch 6/6") or \
        (None if os.path.exists(os.path.join(work, "line.run", "checkpoint.safetensors"))
         else f"{os.listdir(work)}")


def test_build_source():
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line.c", cwd=work))
    return problem or (None if sorted(os.listdir(work)) == ["line.c", "m.nnd"]
                       else f"{os.listdir(work)}")


def test_build_amalgamated():
    """One C file that needs nothing but zlib and libm; it compiles without warnings."""
    work = program()
    problem = must(common.nndc("build", "m.nnd", "-o", "line.c", "--amalgamate", "--blas=none",
                               cwd=work))
    if problem:
        return problem
    compiled = common.run(*os.environ.get("CC", "cc").split(), "-std=c11", "-O1", "-Wall", "-Wextra",
                          "line.c", "-o", "line", "-lz", "-lm", cwd=work)
    if compiled.status or compiled.err:
        return compiled.text()
    return must(common.run(os.path.join(work, "line"), cwd=work), 0, "epoch 6/6")


def test_build_same_bytes():
    texts = []
    for _ in range(2):
        work = program()
        problem = must(common.nndc("build", "m.nnd", "-o", "line.c", cwd=work))
        if problem:
            return problem
        texts.append(common.read(os.path.join(work, "line.c")))
    return None if texts[0] == texts[1] else "they differ"


def test_eval():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    logged = common.read(os.path.join(work, "m.run", "log.csv")).strip().split("\n")[-1].split(",")
    result = common.nndc("eval", "m.nnd", "--json", cwd=work)
    problem = must(result)
    if problem:
        return problem
    value = json.loads(result.out)["line"]["error"]
    return None if abs(value - float(logged[-1])) < 1e-6 else f"{value} {logged}"


def test_eval_untrained():
    return must(common.nndc("eval", "m.nnd", cwd=program()), 1, "m.run", "nndc train")


def test_predict():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    arrays.npy_write(os.path.join(work, "x.npy"), [2, 2], [0, 0, 1, 1])
    result = common.nndc("predict", "m.nnd", "Line", "--input", "x.npy", "-o", "y.npy", cwd=work)
    if result.status:
        return result.text()
    shape, values = arrays.npy_read(os.path.join(work, "y.npy"))
    found = parameters(work)
    bias, weights = found["Line.dense1.b"][1][0], found["Line.dense1.w"][1]
    wanted = [bias, bias + sum(weights)]
    return arrays.difference((shape, values), ([2], wanted), 1e-6)


def test_predict_wrong_shape():
    work = program()
    common.nndc("train", "m.nnd", "--quiet", cwd=work)
    arrays.npy_write(os.path.join(work, "x.npy"), [2, 3], [0] * 6)
    return must(common.nndc("predict", "m.nnd", "Line", "--input", "x.npy", cwd=work), 1, "x.npy",
                "[2, 3]", "2]")


def test_predict_unknown_model():
    return must(common.nndc("predict", "m.nnd", "Lime", cwd=program()), 1, "Lime", "Line")


# --- disks, data ------------------------------------------------------------------------------------------

def test_disk_full():
    """A checkpoint that cannot be written: an error, and the old one stays as it was."""
    work = program(LINE.replace("dense(x, 1)", "dense(x, 500) |> dense(1)"))
    result = common.nndc("build", "m.nnd", "-o", "line", cwd=work)
    if result.status:
        return result.text()
    line = os.path.join(work, "line")
    common.run(line, "train", "--quiet", cwd=work)
    path = os.path.join(work, "line.run")
    before = common.listing(path)["checkpoint.safetensors"]

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    done = subprocess.run([line, "train", "--seed", "9"], cwd=work, text=True, capture_output=True,
                          preexec_fn=small_files)
    after = common.listing(path)
    if done.returncode != 1 or "line.run" not in done.stderr:
        return f"exit status {done.returncode}\n{done.stderr}"
    if after["checkpoint.safetensors"] != before:
        return "the checkpoint was changed"
    left = [name for name in after if "tmp" in name or "new" in name]
    return f"left over: {left}" if left else None


def test_folder_not_writable():
    return must(common.nndc("train", "m.nnd", "-o", "/proc/nowhere/run", cwd=program()), 1, "/proc")


def test_full_output():
    """A full disk behind standard output is an error."""
    if not os.path.exists("/dev/full"):
        raise common.Skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([common.NNDC, "doc"], stdout=full, stderr=subprocess.PIPE, text=True)
    return None if done.returncode == 3 and "write" in done.stderr else f"{done.returncode} {done.stderr}"


def idx(path, extents, values):
    raw = struct.pack(f">BBBB{len(extents)}I", 0, 0, 8, len(extents), *extents) + bytes(values)
    with open(path, "wb") as file:
        file.write(gzip.compress(raw, mtime=0))


def pictures(work):
    idx(os.path.join(work, "images.gz"), [20, 4, 4], [i % 256 for i in range(320)])
    idx(os.path.join(work, "labels.gz"), [20], [i % 3 for i in range(20)])


def truncate(path, share):
    with open(path, "rb") as file:
        raw = file.read()
    with open(path, "wb") as file:
        file.write(raw[:int(len(raw) * share)])


def corrupt(path):
    with open(path, "r+b") as file:
        file.seek(30)
        file.write(b"\xff\x00\xff\x00")


def table(work, rows, header="height,weight"):
    common.write(os.path.join(work, "people.csv"), "\n".join([header] + rows) + "\n")


def short_idx(work):
    raw = struct.pack(">BBBBI", 0, 0, 8, 1, 20) + bytes(15)
    with open(os.path.join(work, "labels.gz"), "wb") as file:
        file.write(gzip.compress(raw, mtime=0))


# name: what makes the file bad, its program, what must be said
BAD_FILES = {
    "idx_missing": (lambda w: os.remove(w + "/labels.gz"), PICTURES, ["labels.gz"]),
    "idx_truncated_gzip": (lambda w: truncate(w + "/images.gz", 0.6), PICTURES,
                           ["images.gz", "truncated"]),
    "idx_corrupt_gzip": (lambda w: corrupt(w + "/images.gz"), PICTURES, ["images.gz", "corrupt"]),
    "idx_truncated": (short_idx, PICTURES, ["labels.gz", "truncated"]),
    "idx_empty": (lambda w: common.write(w + "/labels.gz", ""), PICTURES, ["labels.gz"]),
    "idx_text": (lambda w: common.write(w + "/labels.gz", "1\n2\n3\n4\n5\n"), PICTURES,
                 ["labels.gz"]),
    "idx_counts": (lambda w: idx(w + "/labels.gz", [19], [0] * 19), PICTURES, ["19", "20"]),
    "idx_size": (lambda w: idx(w + "/images.gz", [20, 5, 4], [0] * 400), PICTURES, ["5, 4"]),
    "label_outside": (lambda w: idx(w + "/labels.gz", [20], [i % 3 for i in range(19)] + [7]),
                      PICTURES, ["losses.nnd:", "7", "3", "example 19", "pictures", "m.nnd:6"]),
    "csv_text": (lambda w: table(w, ["1.5,50", "1.6,heavy"]), TABLE, ["people.csv:3", "heavy"]),
    "csv_missing_field": (lambda w: table(w, ["1.5,50", "1.6", "1.7,60"]), TABLE, ["people.csv:3"]),
    "csv_too_many": (lambda w: table(w, ["1.5,50", "1.6,55,3"]), TABLE, ["people.csv:3"]),
    "csv_empty_value": (lambda w: table(w, ["1.5,50", "1.6,"]), TABLE, ["people.csv:3", "missing"]),
    "csv_no_rows": (lambda w: table(w, []), TABLE, ["people.csv"]),
    "csv_column": (lambda w: table(w, ["1.5,50"], "height,wait"), TABLE, ["people.csv", "weight"]),
    "csv_binary": (lambda w: open(w + "/people.csv", "wb").write(b"a,b\n\0\1\2,3\n") and None, TABLE,
                   ["people.csv"]),
}


def bad_file(case):
    make, text, said = case
    work = program(text)
    pictures(work)
    table(work, ["1.5,50", "1.6,55", "1.7,60"])
    problem = must(common.nndc("train", "m.nnd", "--quiet", cwd=work))
    if problem:
        return f"with good files: {problem}"
    before = common.listing(work)["m.run/checkpoint.safetensors"]
    make(work)
    result = common.nndc("train", "m.nnd", "--quiet", cwd=work)
    problem = must(result, 1, *said)
    if not problem and not re.search("error", result.err):
        problem = f"no error on stderr\n{result.text()}"
    if common.listing(work)["m.run/checkpoint.safetensors"] != before:
        problem = (problem or "") + "\nthe checkpoint was changed"
    return problem
