"""Arrays in .npy and safetensors files, without numpy: (shape, [numbers in row-major order])."""
import ast
import json
import struct

NPY = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u1": "B", "u2": "H",
       "u4": "I", "b1": "?"}
SAFE = {"F64": "d", "F32": "f", "I64": "q", "I32": "i", "U8": "B", "BOOL": "?"}


def npy_read(path):
    with open(path, "rb") as file:
        raw = file.read()
    if raw[:6] != b"\x93NUMPY":
        raise ValueError(f"{path}: no .npy file")
    wide = raw[6] > 1
    size = struct.unpack_from("<I" if wide else "<H", raw, 8)[0]
    start = 12 if wide else 10
    header = ast.literal_eval(raw[start:start + size].decode("latin1"))
    if header["fortran_order"] and len(header["shape"]) > 1:
        raise ValueError(f"{path}: column-major")
    code, count = NPY[header["descr"][1:]], product(header["shape"])
    order = ">" if header["descr"][0] == ">" else "<"
    values = struct.unpack_from(f"{order}{count}{code}", raw, start + size)
    return list(header["shape"]), list(values)


def npy_write(path, shape, values, descr="<f4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}{NPY[descr[1:]]}", *values))


def safetensors_read(path):
    """{name: (shape, values)}; the metadata under the name `__metadata__`."""
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack_from("<Q", raw)[0]
    header = json.loads(raw[8:8 + size])
    found = {"__metadata__": header.pop("__metadata__", {})}
    for name, entry in header.items():
        count = product(entry["shape"])
        found[name] = (entry["shape"], list(struct.unpack_from(
            f"<{count}{SAFE[entry['dtype']]}", raw, 8 + size + entry["data_offsets"][0])))
    return found


def safetensors_write(path, tensors):
    """tensors: {name: (shape, values)}, written as F32."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        blob = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(blob)]}
        data += blob
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def product(shape):
    count = 1
    for extent in shape:
        count *= extent
    return count


def deviation(got, wanted):
    """(largest error, its element): relative where what is wanted exceeds 1, infinite if shapes differ
    or for NaN; equal infinities agree."""
    if list(got[0]) != list(wanted[0]):
        return float("inf"), None
    worst, where = 0.0, None
    for i, (a, b) in enumerate(zip(got[1], wanted[1])):
        a, b = float(a), float(b)
        if a == b:
            continue
        error = abs(a - b) / max(1.0, abs(b))
        error = error if error == error else float("inf")
        if error >= worst:
            worst, where = error, i
    return worst, where


def difference(got, wanted, tolerance):
    """None if both agree as tests/num/README.md says, else text."""
    if list(got[0]) != list(wanted[0]):
        return f"shape {list(got[0])} instead of {list(wanted[0])}"
    worst, where = deviation(got, wanted)
    if worst <= tolerance:
        return None
    return (f"element {where} is {got[1][where]!r}, not {wanted[1][where]!r} "
            f"(error {worst:.2g}, allowed {tolerance:.2g})")
