"""What the kinds of tests share: where things are, running nndc, temporary folders."""
import os
import re
import shutil
import subprocess
import tempfile

BUILD = NNDC = None
ALL = False
SCRATCH = None
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Skip(Exception):
    """Raised by a test that cannot be run here; says why."""


def setup(build, run_all):
    global BUILD, NNDC, ALL, SCRATCH
    BUILD, NNDC, ALL = build, os.path.join(build, "nndc"), run_all
    SCRATCH = tempfile.mkdtemp(prefix="nnd-tests-")


def cleanup():
    shutil.rmtree(SCRATCH, ignore_errors=True)


def folder():
    """A new empty folder, removed at the end."""
    return tempfile.mkdtemp(dir=SCRATCH)


class Result:
    def __init__(self, command, process):
        self.command, self.status = command, process.returncode
        self.out, self.err = process.stdout, process.stderr

    def text(self):
        """What happened, for a message."""
        return (f"{' '.join(self.command)}\nexit status {self.status}\n{self.out[-3000:]}"
                f"{self.err[-3000:]}")


def run(*command, cwd=None, timeout=300, env=None, stdin=None):
    full = dict(os.environ, **(env or {}))
    process = subprocess.run(command, cwd=cwd, env=full, input=stdin, capture_output=True,
                             text=True, errors="replace", timeout=timeout)
    return Result(command, process)


def nndc(*arguments, **options):
    return run(NNDC, *arguments, **options)


def pattern(text):
    """A regular expression for text in which ` ... ` or `...` stands for anything."""
    parts = [re.escape(part.strip()) for part in text.split("...")]
    return re.compile(".*?".join(parts), re.S)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def listing(path):
    """Every file below a folder with its contents, to see whether something changed."""
    found = {}
    for base, _, files in os.walk(path):
        for name in files:
            full = os.path.join(base, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, path)] = file.read()
    return found
