"""Data files that are not as they should be: each gives an error that names the file and the place,
exit status 1, and leaves the checkpoint as it was."""
import gzip
import os
import re
import shutil
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

# Files of readers for which a library may be missing; the field is put in.
SOURCES = """
model Line(x: [2]) -> real = dense(x, 1) |> scalar
data points {
    FIELD
}
train line on points {
    epochs: 1
    seed: 1
    minimize mean(Line(x)^2) using sgd(0.1)
}
"""
RAW = SOURCES.replace("FIELD", 'x = raw("x.bin", "f32", [10, 2])')
TEXT = SOURCES.replace("FIELD", 'x[n < 10, k < 2] = real(text("x.txt")[2 * n + k])')
HDF5 = SOURCES.replace("FIELD", 'x = hdf5("x.h5", "x")')
IMAGES = SOURCES.replace("FIELD", 'x[n < 3, k < 2] = real(images("x")[n, k, 0, 0])')


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
                      PICTURES, ["m.nnd:11: in cross_entropy(), `label` is 7, but its axis has 3 elements",
                                 "example 19 (from 0) of pictures, split train (train digit)"]),
    "csv_text": (lambda w: table(w, ["1.5,50", "1.6,heavy"]), TABLE, ["people.csv:3", "heavy"]),
    "csv_missing_field": (lambda w: table(w, ["1.5,50", "1.6", "1.7,60"]), TABLE, ["people.csv:3"]),
    "csv_too_many": (lambda w: table(w, ["1.5,50", "1.6,55,3"]), TABLE, ["people.csv:3"]),
    "csv_empty_value": (lambda w: table(w, ["1.5,50", "1.6,"]), TABLE, ["people.csv:3", "missing"]),
    "csv_no_rows": (lambda w: table(w, []), TABLE, ["people.csv"]),
    "csv_column": (lambda w: table(w, ["1.5,50"], "height,wait"), TABLE, ["people.csv", "weight"]),
    "raw_missing": (lambda w: os.remove(w + "/x.bin"), RAW, ["x.bin"]),
    "raw_truncated": (lambda w: truncate(w + "/x.bin", 0.5), RAW, ["x.bin", "40 bytes", "80"]),
    "raw_longer": (lambda w: common.write(w + "/x.bin", "0" * 84), RAW, ["x.bin", "84 bytes", "80"]),
    "text_shorter": (lambda w: truncate(w + "/x.txt", 0.5), TEXT, ["m.nnd:4", "10"]),
    "text_empty": (lambda w: common.write(w + "/x.txt", ""), TEXT, ["x.txt", "empty"]),
    "hdf5_truncated": (lambda w: truncate(w + "/x.h5", 0.5), HDF5, ["x.h5", "truncated"]),
    "hdf5_text": (lambda w: common.write(w + "/x.h5", "1,2\n"), HDF5, ["x.h5", "not an HDF5 file"]),
    "images_none": (lambda w: shutil.rmtree(w + "/x"), IMAGES, ["x: ", "folder"]),
    "images_size": (lambda w: other_image(w, "red.jpg"), IMAGES,
                    ["b.jpg", "[2, 3, 3]", "a.jpg", "[2, 3, 1]"]),
    "images_truncated": (lambda w: truncate(w + "/x/b.jpg", 0.97), IMAGES, ["b.jpg", "truncated"]),
    "images_other": (lambda w: other_image(w, "small.h5"), IMAGES, ["b.jpg", "no JPEG"]),
    "csv_binary": (lambda w: common.write(w + "/people.csv", "height,weight\n\0\1\2,3\n"), TABLE,
                   ["people.csv"]),
}


def sources(work):
    fixed = os.path.join(common.ROOT, "tests", "data")
    with open(os.path.join(work, "x.bin"), "wb") as file:
        file.write(struct.pack("<20f", *range(20)))
    common.write(os.path.join(work, "x.txt"), "hello, dear readers!")
    shutil.copy(os.path.join(fixed, "small.h5"), os.path.join(work, "x.h5"))
    os.makedirs(os.path.join(work, "x"))
    for name in "abc":
        shutil.copy(os.path.join(fixed, "grey.jpg"), os.path.join(work, "x", name + ".jpg"))


def other_image(work, name):
    shutil.copy(os.path.join(common.ROOT, "tests", "data", name), os.path.join(work, "x", "b.jpg"))


def bad_file(case):
    make, text, said = case
    work = program(text)
    pictures(work)
    sources(work)
    missing = re.search("was built without.*", common.nndc("check", "m.nnd", cwd=work).err)
    if missing:
        raise common.Skip(missing[0])
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
