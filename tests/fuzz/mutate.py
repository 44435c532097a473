"""Mutated sources: whatever the text, nndc ends by itself, in bounded time and memory, and a failure
is an error message with a place.

A mutation swaps, drops, doubles or replaces words (also by extreme numbers and words of other
programs), moves lines, or changes bytes. A case is a function of its seed alone, so that a failure
can be repeated: tests/fuzz/run sources --seed N --count 1."""
import glob
import os
import random
import re

from . import process

TOKEN = re.compile(
    r'#[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|\d+\.\d+|\d+|\|>|->|[<>=!]=|//|\.\.|[^\w\s]|\n|[ \t]+')
EXTREMES = ["0", "-1", "1", "2", "1000000000", "2147483647", "99999999999", "0.5", "1e30", "1e-30",
            "inf", "-inf", "(0 / 0)", "true", '"a"', "[1, 2]", "[]", "relu", "pi", "step",
            "training", "each", "batch", "x", "n", "rand()", "2147483647 * 2147483647"]
WORDS = ("+ - * / // % ^ == < <= and or not |> -> .. : ; , ( ) [ ] { } = . sum mean max min argmax "
         "any all prod where outside if then else for in fn layer model optimizer param state fit "
         "next return train data test minimize using over report grad stop concat reshape flatten "
         "order size int real bool u8 reversed dense relu softmax conv2d sgd adam import const like "
         "load scan yield update repeat every phase require").split()


def sources(root):
    """The programs that mutations start from, and what lies beside them."""
    found = []
    for pattern in ("tests/lang/*.nnd", "tests/num/*/model.nnd", "tests/golden/*.nnd",
                    "examples/*/model.nnd", "lang/std/*.nnd", "tests/errors/*.nnd"):
        found += sorted(glob.glob(os.path.join(root, pattern)))
    return found


def words_of(text):
    return TOKEN.findall(text)


def solid(words):
    return [i for i, word in enumerate(words) if not word.isspace() and not word.startswith("#")]


OPERATORS = "+ - * / // % ^ == != < > <= >= and or".split()
REDUCTIONS = "sum mean prod max min argmax argmin any all".split()


def kind_of(word):
    """Words of one kind often replace each other without a syntax error."""
    if word in OPERATORS:
        return "operator"
    if word in REDUCTIONS:
        return "reduction"
    if word[0].isdigit():
        return "number"
    if word in WORDS[:WORDS.index("dense")] or not (word[0].isalpha() or word[0] == "_"):
        return word
    return "name"


def mutate_kind(random_, words, other):
    """Replaces a word by one of its kind."""
    kinds = "operator", "reduction", "number", "name"
    places = [i for i in solid(words) if kind_of(words[i]) in kinds]
    if not places:
        return words
    i = random_.choice(places)
    kind = kind_of(words[i])
    if kind == "operator":
        words[i] = random_.choice(OPERATORS)
    elif kind == "reduction":
        words[i] = random_.choice(REDUCTIONS)
    elif kind == "number":
        words[i] = random_.choice(EXTREMES)
    else:
        pool = words if random_.random() < 0.8 else other + EXTREMES
        names = [w for w in pool if kind_of(w) == "name"]
        words[i] = random_.choice(names) if names else words[i]
    return words


def mutate_words(random_, words, other):
    places = solid(words)
    if not places:
        return words
    i, j = random_.choice(places), random_.choice(places)
    kind = random_.randrange(8)
    if kind == 0:
        words[i], words[j] = words[j], words[i]
    elif kind == 1:
        del words[i]
    elif kind == 2:
        words.insert(i, words[j])
    elif kind == 3:
        words[i] = words[j]
    elif kind == 4:
        words[i] = random_.choice(EXTREMES)
    elif kind == 5:
        words[i] = random_.choice(WORDS)
    elif kind == 6:
        numbers = [k for k in places if words[k][0].isdigit()]
        if numbers:
            words[random_.choice(numbers)] = random_.choice(EXTREMES)
    elif other:
        names = [w for w in other if w[0].isalpha()]
        words[i] = random_.choice(names) if names else words[i]
    return words


def mutate_lines(random_, text, other):
    lines = text.split("\n")
    i, j = random_.randrange(len(lines)), random_.randrange(len(lines))
    kind = random_.randrange(5)
    if kind == 0:
        del lines[i]
    elif kind == 1:
        lines.insert(i, lines[j])
    elif kind == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == 3:
        lines.insert(i, random_.choice(other.split("\n")))
    else:
        lines = lines[:i]
    return "\n".join(lines)


def mutate_bytes(random_, text):
    data = bytearray(text.encode())
    for _ in range(random_.randrange(1, 4)):
        if not data:
            break
        i = random_.randrange(len(data))
        kind = random_.randrange(4)
        if kind == 0:
            data[i] = random_.randrange(256)
        elif kind == 1:
            del data[i]
        elif kind == 2:
            data.insert(i, random_.choice(b"\0\xff\x80(){}[]\"#\n.|"))
        else:
            data[i:i] = data[i:i + random_.randrange(1, 40)] * random_.choice((1, 2, 300))
    return bytes(data)


def nested(random_):
    """Deep nesting of one construct."""
    n = random_.choice((20, 300, 5000))
    opening, closing = random_.choice((
        ("(", ")"), ("[", "]"), ("-", ""), ("not ", ""), ("relu(", ")"), ("x |> relu", ""),
        ("if x > 0 then x else ", ""), ("sum[i < 2] ", ""), ("2 ^ ", ""), ("int(", ")"),
        ("1 + (", ")"), ("x + ", ""), ("f(x)[0]", ""), ("a.", "")))
    body = random_.choice(("x", "1", ""))
    if random_.random() < 0.2:
        block = random_.choice(("if x > 0 {", "for k in 0..2 {", "if true {", "{"))
        return "model M(x: real) -> real {\n" + block * n + " x = x\n" + "}" * n + "\nreturn x\n}\n"
    return f"model M(x: real) -> real = {opening * n}{body}{closing * n}\n"


def case(seed, files):
    """The path that it is written beside, and the bytes."""
    random_ = random.Random(seed)
    path = random_.choice(files)
    if f"{os.sep}errors{os.sep}" in path: # its error would hide the next
        path = random_.choice(files)
    if random_.random() < 0.03:
        return path, nested(random_).encode()
    text = process.read(path)
    other = process.read(random_.choice(files))
    kind = random_.random()
    if kind < 0.7:
        words, others = words_of(text), words_of(other)
        for _ in range(random_.choice((1, 1, 1, 2, 3, 8))):
            change = mutate_kind if random_.random() < 0.75 else mutate_words
            words = change(random_, words, others)
        return path, "".join(words).encode()
    if kind < 0.9:
        for _ in range(random_.choice((1, 1, 2))):
            text = mutate_lines(random_, text, other)
        return path, text.encode()
    return path, mutate_bytes(random_, text)


PLACE = re.compile(r"(^|\n)(error: )?[^\s:]*\.nnd:\d+(:\d+)?: (error: )?\S")


def problem_of(result, allowed=(0, 1)):
    """What is wrong with how nndc ended, or None."""
    if result.hung:
        return "does not end"
    if result.status not in allowed or "runtime error:" in result.err or "Sanitizer" in result.err:
        return f"exit status {result.status}"
    if result.status == 1 and not PLACE.search(result.err):
        return "a failure without an error that has a place"
    return None


def run(nndc, seed, files, folder):
    """None, or a text that says what went wrong."""
    path, text = case(seed, files)
    work = os.path.join(folder, f"s{seed}")
    process.beside(path, work)
    name = os.path.basename(path)
    with open(os.path.join(work, name), "wb") as file:
        file.write(text)
    after = random.Random(seed).choice((None, "simplify", "inline", "lower", "plan"))
    commands = [["check", name], ["ir", name] + (["--after", after] if after else []),
                ["build", name, "-o", "out.c"]]
    for command in commands:
        result = process.run([nndc] + command, work)
        problem = problem_of(result)
        if problem:
            return (f"source of seed {seed} ({path}): nndc {' '.join(command)}: {problem}\n"
                    f"{result.err[-2500:]}")
        if result.status:
            break
    process.remove(work)
    return None
