"""Data files that are not as they should be: each gives an error that names the file and the place,
exit status 1, and leaves the checkpoint as it was."""
import gzip
import os
import re
import struct

from . import common
from .programs import must, program

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
    for name, case in BAD_FILES.items():
        yield name, lambda case=case: bad_file(case)


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
    "csv_binary": (lambda w: common.write(w + "/people.csv", "height,weight\n\0\1\2,3\n"), TABLE,
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
