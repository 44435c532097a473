"""Memory: how close plans come to what must live at the same time."""
import glob
import os
import re

from . import common
from .programs import named_tests


def tests():
    yield from named_tests(globals())


PLAN = re.compile(r"^# (\w+): \d+ kernels, (\d+) bytes of work memory, of which (\d+) live at the same time$", re.M)


def test_plans():
    """Work memory is at most a tenth more than what lives at the same time, in every program that is measured."""
    checked = 0
    for path in sorted(glob.glob(os.path.join(common.ROOT, "tests", "bench", "*.nnd")) +
                       glob.glob(os.path.join(common.ROOT, "examples", "*", "model.nnd"))):
        result = common.nndc("ir", path, "--after", "plan")
        if result.status:
            return result.text()
        for entry, size, bound in PLAN.findall(result.out):
            if not int(bound) <= int(size) <= 1.1 * int(bound):
                return f"{path}: {entry} takes {size} bytes, {bound} live at the same time"
            checked += int(bound) > 0
    return None if checked > 30 else f"only {checked} plans were found"
