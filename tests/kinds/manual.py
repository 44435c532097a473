"""The documentation's programs: every fenced ```nnd block of README.md and lang/MANUAL.md passes
`nndc check`. A block whose first line is `# part of a program` is only parsed; the blocks of one
file stand alone. And the programs of tests/language, which together use the whole language, become
trainers, or libraries where a host program feeds them, that the C compiler accepts; where they say
what to expect (`# expect: NAME == NUMBER`), compiled C and the reference evaluator must give it."""
import glob
import os
import re

from . import common


def tests():
    for name in ("README.md", "lang/MANUAL.md"):
        path = os.path.join(common.ROOT, name)
        if not os.path.exists(path):
            continue
        text = common.read(path)
        for match in re.finditer(r"^```nnd\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, match.start()) + 2
            yield f"{name}:{line}", lambda block=match[1]: run(block)
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "language", "*.nnd"))):
        yield f"language/{os.path.basename(path)}", lambda program=path: build(program)


def build(program):
    text = common.read(program)
    if "# expect:" in text:
        for flags in ([], ["--eval"]):
            result = common.nndc("train", program, "-o", common.folder(), *flags)
            if result.status:
                return result.text()
        return None
    fed = ["--lib"] if re.search(r"\bfeed \w+:", text) else []
    result = common.nndc("build", *fed, program, "-o", os.path.join(common.folder(), "program"))
    return result.text() if result.status else None


def run(block):
    work = common.folder()
    os.symlink(os.path.join(common.ROOT, "examples", "data"), os.path.join(work, "data"))
    common.write(os.path.join(work, "block.nnd"), block)
    part = block.startswith("# part of a program")
    result = common.nndc("check", "block.nnd", *(["--parse-only"] if part else []), cwd=work)
    return result.text() if result.status else None
