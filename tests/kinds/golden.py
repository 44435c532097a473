"""Golden tests, tests/golden/*.nnd: what a command prints for a program.

`# run: ir --after=fuse` gives the command (several are run one after the other); then
`# check: text` must occur, in the order of the lines; `# check-not: text` must not occur;
`# count N: text` must occur exactly N times. Blanks in a row count as one; `...` stands for
anything on the line."""
import glob
import os
import re

from . import common

FOLDER = os.path.join(common.ROOT, "tests", "golden")


def tests():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.nnd"))):
        yield os.path.basename(path)[:-4], lambda path=path: run(path)


def line_pattern(text):
    parts = [re.escape(" ".join(part.split())) for part in text.split("...")]
    return re.compile("[^\n]*?".join(parts))


def run(path):
    text = common.read(path)
    output, problems = "", []
    for command in re.findall(r"^# run: (.*)", text, re.M):
        words = command.split()
        result = common.nndc(words[0], path, *words[1:])
        output += result.out
        if result.status:
            problems.append(result.text())
    plain = "\n".join(" ".join(line.split()) for line in output.split("\n"))
    at = 0
    for kind, count, wanted in re.findall(r"^# (check|check-not|count (\d+)): (.*)", text, re.M):
        pattern = line_pattern(wanted)
        if kind == "check":
            match = pattern.search(plain, at)
            if not match:
                problems.append(f"missing{' behind what came before' if at else ''}: {wanted}")
            else:
                at = match.end()
        elif kind == "check-not":
            if pattern.search(plain):
                problems.append(f"should not be there: {wanted}")
        elif len(pattern.findall(plain)) != int(count):
            problems.append(f"{len(pattern.findall(plain))} instead of {count}: {wanted}")
    if not output and not problems:
        problems.append("the test runs nothing")
    return "\n".join(problems + [plain[-6000:]]) if problems else None
