"""Mutated data files and checkpoints: a trainer ends by itself, and a failure names the file."""
import gzip
import os
import random
import re
import shutil
import struct
import zipfile

from kinds import arrays

from . import process

PROGRAM = """
data d {
    image = idx("image.gz")
    label = idx("label")
    a, b = csv("table.csv", "a"), csv("table.csv", "b")
    t = csv("table.csv", ["b", "c"])
    v = npy("v.npy")
    z = npz("z.npz", "z")
    s = safetensors("s.safetensors", "s")
}
model M(image: u8[3, 2], a: real, t: [2], v: [2], z: [2], s: [2]) -> [3] =
    dense(concat(flatten(image) / 255, [a], t, v, z, s), 4, tanh) |> dense(3)
train t on d {
    batch: 4
    epochs: 2
    seed: 1
    logits = M(image, a, t, v, z, s)
    minimize mean(cross_entropy(logits, label)) using adam(0.01)
    report accuracy = mean(argmax(logits) == label) + 0 * mean(b)
}
"""
FILES = ["image.gz", "label", "table.csv", "v.npy", "z.npz", "s.safetensors"]
COUNT = 10
INSERTED = (b"nan", b"inf", b"1e999", b"\r\n", b"\n\n", b'"', b",,", b"\0" * 9, b"9" * 21, b"-1", b"{",
            b"[" * 9, b"\xef\xbb\xbf")


def idx(extents, values):
    return struct.pack(f">BBBB{len(extents)}I", 0, 0, 8, len(extents), *extents) + bytes(values)


def make(work):
    """The program and its data, whole."""
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "p.nnd"), "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    with open(os.path.join(work, "image.gz"), "wb") as file:
        pixels = [7 * k % 256 for k in range(6 * COUNT)]
        file.write(gzip.compress(idx([COUNT, 3, 2], pixels), mtime=0))
    with open(os.path.join(work, "label"), "wb") as file:
        file.write(idx([COUNT], [k % 3 for k in range(COUNT)]))
    rows = [f"{k},{k * 0.5},{-k}e-1" for k in range(COUNT)]
    with open(os.path.join(work, "table.csv"), "w", encoding="utf-8") as file:
        file.write("\n".join(["a,b,c"] + rows) + "\n")
    numbers = [0.1 * k for k in range(2 * COUNT)]
    arrays.npy_write(os.path.join(work, "v.npy"), [COUNT, 2], numbers)
    arrays.npy_write(os.path.join(work, "z.npy"), [COUNT, 2], numbers)
    with zipfile.ZipFile(os.path.join(work, "z.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(os.path.join(work, "z.npy"), "z.npy")
    arrays.safetensors_write(os.path.join(work, "s.safetensors"), {"s": ([COUNT, 2], numbers)})


def mutate(random_, raw):
    """Some bytes changed, removed, added, doubled; or cut short; or empty."""
    data = bytearray(raw)
    for _ in range(random_.choice((1, 1, 2, 5))):
        kind = random_.randrange(8)
        i = random_.randrange(len(data) + 1)
        j = min(len(data), i + random_.randrange(1, 12))
        if kind == 0 and data:
            data[i % len(data)] = random_.randrange(256)
        elif kind == 1 and data:
            data[i % len(data)] = random_.choice(b"\0\xff\x7f\x80-+.,eE\"'{}[]:\n 0919nN")
        elif kind == 2:
            del data[i:j]
        elif kind == 3:
            data[i:i] = data[i:j] * random_.choice((1, 3, 200))
        elif kind == 4:
            data[i:i] = random_.choice(INSERTED)
        elif kind == 5:
            data = data[:i]
        elif kind == 6 and len(data) > 8:
            k = random_.randrange(min(len(data) - 8, 120))
            data[k:k + 8] = struct.pack(random_.choice("<>") + "q", random_.choice(
                (0, -1, 1 << 62, 1 << 31, (1 << 31) - 1, 1 << 40, -(1 << 63), 255, 65536)))
        elif kind == 7 and random_.random() < 0.2:
            data = bytearray()
    return bytes(data)


def problem_of(result, name):
    if result.hung:
        return "does not end"
    if result.status not in (0, 1) or "runtime error:" in result.err or "Sanitizer" in result.err:
        return f"exit status {result.status}"
    if result.status == 1 and not re.search(r"error: .", result.err):
        return "a failure without an error"
    if result.status == 1 and name not in result.err and ".nnd:" not in result.err:
        return f"the error names neither {name} nor a line of the program"
    return None


class Trainer:
    """The trainer of the program, built once; its data are copied for each case."""

    def __init__(self, nndc, folder):
        self.nndc, self.whole = nndc, os.path.join(folder, "whole")
        make(self.whole)
        options = ["--blas=none"]
        if process.sanitized(nndc):
            options += ["--cc", "gcc -fsanitize=address,undefined"]
        self.check([nndc, "build", "p.nnd", "-o", "trainer"] + options)
        self.check([os.path.join(self.whole, "trainer"), "train", "--quiet", "-o", "run"])

    def check(self, command):
        result = process.run(command, self.whole, timeout=60, memory=None)
        if result.status:
            raise AssertionError(f"{' '.join(command)}: exit status {result.status}\n{result.err}")

    def case(self, seed, folder):
        """None, or a text that says what went wrong with one mutated file."""
        random_ = random.Random(seed)
        work = os.path.join(folder, f"d{seed}")
        shutil.copytree(self.whole, work, ignore=shutil.ignore_patterns("trainer*"))
        name = random_.choice(FILES + ["run/checkpoint.safetensors"] * 2)
        path = os.path.join(work, name)
        with open(path, "rb") as file:
            raw = file.read()
        with open(path, "wb") as file:
            file.write(mutate(random_, raw))
        trainer = [os.path.join(self.whole, "trainer")]
        if name in FILES:
            commands = [trainer + ["train", "--quiet", "--data", work, "-o", "new"],
                        [self.nndc, "check", "p.nnd"],
                        [self.nndc, "train", "p.nnd", "--eval", "--quiet", "-o", "new"]]
        else:
            commands = [trainer + ["train", "--quiet", "--resume", "-o", "run"],
                        trainer + ["eval", "--quiet", "--weights", "run"],
                        [self.nndc, "eval", "p.nnd", "--eval", "--quiet", "--weights", "run"]]
        for command in commands:
            result = process.run(command, work)
            problem = problem_of(result, os.path.basename(name))
            if problem:
                return (f"data of seed {seed} ({work}/{name}): "
                        f"{' '.join(command)}: {problem}\n{result.err[-2000:]}")
        process.remove(work)
        return None
