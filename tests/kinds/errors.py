"""Wrong programs, tests/errors/*.nnd: all and only the errors that they announce, in source order,
exit status 1, and nothing written.

`# error: text` stands on the line of the error, `# error-at N: text` anywhere; `...` in the text
stands for anything. The text may go on into the hint: `# error: dens ... hint: ...dense`. `# run: ARGS`
gives another command than `check` (or `train`, where the file has a train block)."""
import glob
import os
import re
import shutil

from . import common

FOLDER = os.path.join(common.ROOT, "tests", "errors")


def tests():
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.nnd"))):
        yield os.path.basename(path)[:-4], lambda path=path: run(path)


def expected_errors(text):
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        at = re.search(r"# error-at (\d+): (.*)", line)
        if at:
            found.append((int(at[1]), at[2]))
        for part in re.split(r"# error: ", line)[1:]:
            found.append((number, part))
    return sorted(found, key=lambda e: e[0])


def reported_errors(text, name):
    """[(line, message with its notes and hints)]"""
    found = []
    for line in text.split("\n"):
        match = re.match(r"(.*):(\d+):(\d+): error: (.*)", line)
        if match and os.path.basename(match[1]) == name:
            found.append([int(match[2]), match[4]])
        elif re.match(r"nndc: error: ", line) or match:
            found.append([0, line])
        elif found and (line.startswith("hint: ") or ": note: " in line):
            found[-1][1] += " " + line
    return found


def run(path):
    name = os.path.basename(path)
    work = common.folder()
    shutil.copy(path, work)
    shutil.copytree(os.path.join(FOLDER, "data"), os.path.join(work, "data"))
    text = common.read(path)
    before = common.listing(work)
    command = re.search(r"^# run: (.*)", text, re.M)
    verb = command[1].split() if command else ["train" if re.search(r"^train ", text, re.M)
                                               else "check"]
    result = common.nndc(*verb, name, cwd=work)
    wanted, found = expected_errors(text), reported_errors(result.err, name)
    problems = []
    if result.status != 1:
        problems.append(f"exit status {result.status}, not 1")
    if common.listing(work) != before:
        problems.append("files were written or changed")
    if len(wanted) != len(found):
        problems.append(f"{len(found)} errors instead of {len(wanted)}")
    for (line, text_), (at, message) in zip(wanted, found):
        if line != at or not common.pattern(text_).search(message):
            problems.append(f"wanted line {line}: {text_}\nfound  line {at}: {message}")
    return "\n".join(problems + [result.text()]) if problems else None
