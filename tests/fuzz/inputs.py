"""Inputs of predictions: whatever stands in the file or on standard input, a model runs or says, with the name of
the file, why not."""
import os
import random
import re
import struct
import subprocess

from . import damage, process

PROGRAM = """
model Whole(x: [3], token: int) -> [2] {
    t = [[1.0, 2], [3, 4], [5, 6], [7, 8]]
    return [x[0], x[1] + x[2]] + t[token]
}
model Bytes(x: u8[2, 2], on: bool) -> real = (if on then mean(flatten(x)) else 0.0)
model Rows(x: [T <= 4, 2]) -> [T] {
    y[t] = sum[k] x[t, k]
    return y
}
"""
MODELS = {"Whole": [("<f4", (5, 3), "real"), ("<i4", (5,), "index")],
          "Bytes": [("|u1", (5, 2, 2), "byte"), ("|b1", (5,), "truth")],
          "Rows": [("<f4", (5, 4, 2), "real"), ("<i4", (5,), "size")]}
DTYPES = ("<f4", ">f4", "<f8", "<f2", "<i4", ">i4", "<i8", "<u4", "<u8", "<i2", "|i1", "|u1", "|b1", "<c8", "|O",
          "<U3", "|S4", "|V8", "<M8[s]", "<f16", "f", "<f", "<f99", "<i3", "")
SHAPES = ((), (0,), (0, 3), (5,), (5, 3), (5, 2), (1, 3), (3,), (6,), (5, 4, 2), (5, 2, 2), (2, 2), (-1, 3),
          (1 << 40, 3), (1 << 62, 1 << 62), (5, 3, 1), (0, 0), (1,) * 40, (1 << 31,), (0, 1 << 62))
TEXTS = ("1 2 3", "1,2,3\n4,5,6", "", " ", "nan nan nan", "inf -inf 1e999", "1 2", "1 2 x", "0x10 1 2", "1e 2 3",
         "99999999999 1 2", "1.5.2 1 2", "\0\0\0", "1;2;3", "--1 2 3", "1 2 3 " * 4000, "\xff\xfe", "1" * 5000)


def npy(dtype, shape, data, order="False"):
    header = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) % 65536) + header + data


def whole(port):
    """A valid file for an input."""
    dtype, shape, what = port
    count = 1
    for extent in shape:
        count *= extent
    code = {"<f4": "f", "<i4": "i", "|u1": "B", "|b1": "?"}[dtype]
    return npy(dtype, shape, struct.pack(f"<{count}{code}", *[k % (2 if what == "truth" else 4)
                                                             for k in range(count)]))


def spoil(random_, path, port):
    """Writes something else in place of the file; its name stays."""
    kind = random_.randrange(10)
    raw = whole(port)
    if kind == 0:
        return
    if kind == 1:
        os.mkdir(path)
        return
    if kind == 2:
        raw = npy(random_.choice(DTYPES), random_.choice(SHAPES), random_.randbytes(random_.randrange(200)),
                  random_.choice(("False", "True")))
    elif kind == 3:
        raw = npy(random_.choice(DTYPES), port[1], random_.randbytes(8 * 40))
    elif kind == 4:
        raw = npy(port[0], random_.choice(SHAPES), random_.randbytes(480))
    elif kind == 5:
        raw = npy(port[0], port[1], random_.choice((b"\xff", b"\x7f\xc0\0\0", b"\x80\xff\xff\xff")) * 200)
    elif kind == 6:
        raw = random_.choice((b"", b"a,b,c\n1,2,3\n", b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08\0", b"PK\3\4", b"\x93NUMPY",
                              b"\x93NUMPY\x02\0\xff\xff\xff\xff", b"\x93NUMPY\x09\0\x10\0", b"\0\0\x08\3"))
    else:
        raw = damage.mutate(random_, raw)
    with open(path, "wb") as file:
        file.write(raw)


class Models:
    """The program, built once."""

    def __init__(self, nndc, folder):
        self.work, self.nndc = folder, nndc
        with open(os.path.join(folder, "p.nnd"), "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        options = ["--cc", "gcc -fsanitize=address,undefined"] if process.sanitized(nndc) else []
        done = process.run([nndc, "build", "p.nnd", "-o", "program"] + options, folder, timeout=60, memory=None)
        assert not done.status, done.err
        self.program = os.path.join(folder, "program")

    def case(self, seed):
        """None, or what went wrong."""
        random_ = random.Random(seed)
        work = os.path.join(self.work, f"i{seed}")
        os.mkdir(work)
        model = random_.choice(list(MODELS))
        names, spoilt = [], random_.randrange(3)
        for i, port in enumerate(MODELS[model]):
            names.append(os.path.join(work, f"in{i}.npy"))
            if spoilt in (i, 2):
                spoil(random_, names[i], port)
            else:
                with open(names[i], "wb") as file:
                    file.write(whole(port))
        text = None
        if random_.random() < 0.2:
            text, names[random_.randrange(len(names))] = random_.choice(TEXTS), "-"
        if random_.random() < 0.1:
            names = names[:1] if random_.random() < 0.5 else names + names[:1]
        return self.verdict(work, model, names, text, seed)

    def verdict(self, work, model, names, text, seed):
        # Messages may be long, but say where.
        command = [self.program, "predict", model, "--input", ",".join(names), "--json"]
        try:
            done = subprocess.run(command, cwd=work, input=(text or "").encode("latin-1"), capture_output=True,
                                  timeout=30, check=False)
        except subprocess.TimeoutExpired:
            return f"inputs of seed {seed}: {' '.join(command)}: does not end"
        error = done.stderr.decode(errors="replace")
        problem = None
        if done.returncode not in (0, 1) or "runtime error:" in error or "Sanitizer" in error:
            problem = f"exit status {done.returncode}"
        elif done.returncode == 1 and not re.search(r"error: .*(in[01]\.npy|standard input|--input|p\.nnd:)", error):
            problem = "the error names neither a file nor a line"
        elif done.returncode == 0 and not done.stdout.strip():
            problem = "no result"
        return f"inputs of seed {seed}: {' '.join(command)}: {problem}\n{error[-2000:]}" if problem else None
