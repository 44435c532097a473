"""Mutated data files and checkpoints: a trainer ends by itself, and a failure names the file."""
import gzip
import os
import random
import re
import shutil
import struct
import zipfile
import zlib

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
    r = raw("r.bin", "f32", [10, 2])
    c[n < 10, k < 2] = text("c.txt")[2 * n + k]
    OPTIONAL
}
model M(image: u8[3, 2], a: real, t: [2], v: [2], z: [2], s: [2], r: [2], c: u8[2], h: [2],
        p: u8[2, 3, 1]) -> [3] =
    dense(concat(flatten(image) / 255, [a], t, v, z, s, r, c / 255, h, flatten(p) / 255), 4, tanh) |> dense(3)
model P(image: u8[3, 2], t: [2], v: [2], z: [2], s: [2], r: [2], c: u8[2], h: [2], p: u8[2, 3, 1]) -> [2] {
    return t + v + z + s + r + h + mean(image) + mean(c) + mean(p)
}
train t on d {
    batch: 4
    epochs: 2
    seed: 1
    logits = M(image, a, t, v, z, s, r, c, h, p)
    minimize mean(cross_entropy(logits, label)) using adam(0.01)
    report accuracy = mean(argmax(logits) == label) + 0 * mean(b)
}
"""
# Readers of libraries that may be missing: the field, the same without them, the files.
OPTIONAL = [('h = hdf5("h.h5", "x")', "h[n < 10, k < 2] = 1.0", ["h.h5"]),
            ('p = images("p")', "p[n < 10, i < 2, j < 3, k < 1] = u8(1)",
             ["p/2.png", "p/3.png", "p/8.jpg"])]
FILES = ["image.gz", "label", "table.csv", "v.npy", "z.npz", "s.safetensors", "r.bin", "c.txt"]
COUNT = 10
INSERTED = (b"nan", b"inf", b"1e999", b"\r\n", b"\n\n", b'"', b",,", b"\0" * 9, b"9" * 21, b"-1", b"{",
            b"[" * 9, b"\xef\xbb\xbf")


def idx(extents, values):
    return struct.pack(f">BBBB{len(extents)}I", 0, 0, 8, len(extents), *extents) + bytes(values)


def png(rows, columns, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    lines = b"".join(b"\0" + bytes(pixels[columns * i:columns * (i + 1)]) for i in range(rows))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def reader_missing(nndc, work, field):
    """Whether nndc was built without the library that reads this field."""
    path = os.path.join(work, "reader.nnd")
    with open(path, "w", encoding="utf-8") as file:
        file.write("data d { " + field + " }\n")
    return "was built without" in process.run([nndc, "check", path], work, memory=None).err


def make_optional(work):
    """The files of the readers that may be missing."""
    data = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
    os.makedirs(os.path.join(work, "p"), exist_ok=True)
    shutil.copy(os.path.join(data, "small.h5"), os.path.join(work, "h.h5"))
    for k in range(COUNT):
        if k >= 7:
            shutil.copy(os.path.join(data, "grey.jpg"), os.path.join(work, "p", f"{k}.jpg"))
            continue
        with open(os.path.join(work, "p", f"{k}.png"), "wb") as file:
            file.write(png(2, 3, [40 * i + k for i in range(6)]))


def make(work, optional):
    """The program and its data, whole; `optional` is the text of the fields that not every nndc reads."""
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "p.nnd"), "w", encoding="utf-8") as file:
        file.write(PROGRAM.replace("OPTIONAL", "; ".join(optional)))
    make_optional(work)
    with open(os.path.join(work, "r.bin"), "wb") as file:
        file.write(struct.pack(f"<{2 * COUNT}f", *range(2 * COUNT)))
    with open(os.path.join(work, "c.txt"), "w", encoding="utf-8") as file:
        file.write("abcdefghijklmnopqrst")
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
        os.makedirs(self.whole, exist_ok=True)
        make_optional(self.whole)
        self.files, fields = list(FILES), []
        for field, instead, files in OPTIONAL:
            missing = reader_missing(nndc, self.whole, field)
            fields.append(instead if missing else field)
            self.files += [] if missing else files
        make(self.whole, fields)
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
        name = random_.choice(self.files + ["run/checkpoint.safetensors"] * 2)
        path = os.path.join(work, name)
        with open(path, "rb") as file:
            raw = file.read()
        with open(path, "wb") as file:
            file.write(mutate(random_, raw))
        trainer = [os.path.join(self.whole, "trainer")]
        if name in self.files:
            commands = [trainer + ["train", "--quiet", "--data", work, "-o", "new"],
                        trainer + ["predict", "P", "--weights", "run", "--quiet", "--data", work],
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
