"""CUnit programs, $(BUILD)/tests/test_*: each must exit with 0."""
import glob
import os

from . import common


def tests():
    programs = sorted(p for p in glob.glob(os.path.join(common.BUILD, "tests", "test_*"))
                      if os.access(p, os.X_OK) and not p.endswith((".d", ".o")))
    for program in programs:
        yield os.path.basename(program), lambda program=program: run(program)


def run(program):
    result = common.run(program, cwd=common.folder())
    return result.text() if result.status else None
