"""Running nndc and trainers on input that may be anything: with limits of time and memory."""
import functools
import os
import resource
import shutil
import subprocess

TIMEOUT = 5           # seconds; sanitizers take longer
MEMORY = 4 << 30      # bytes of address space; sanitizers need all of it


class Result:
    def __init__(self, status, out, err, hung):
        self.status, self.out, self.err, self.hung = status, out, err, hung


@functools.lru_cache(maxsize=None)
def sanitized(program):
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


def run(command, cwd, timeout=TIMEOUT, env=None, memory=MEMORY):
    slow = sanitized(command[0])

    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
        if memory and not slow:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    full = dict(os.environ, NND_THREADS="1", UBSAN_OPTIONS="print_stacktrace=1",
                ASAN_OPTIONS="detect_leaks=0:hard_rss_limit_mb=3000:allocator_may_return_null=1",
                **(env or {}))
    try:
        done = subprocess.run(command, cwd=cwd, env=full, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout * (6 if slow else 1),
                              preexec_fn=limit)
    except subprocess.TimeoutExpired as late:
        return Result(-1, "", (late.stderr or b"").decode(errors="replace"), True)
    return Result(done.returncode, done.stdout.decode(errors="replace"),
                  done.stderr.decode(errors="replace"), False)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def beside(path, work):
    """A folder like the one of `path`, so that the program finds its data."""
    os.makedirs(work, exist_ok=True)
    base = os.path.dirname(os.path.abspath(path))
    for name in os.listdir(base):
        target = os.path.join(work, name)
        own = name == os.path.basename(path) or name.endswith(".run")
        if not own and not os.path.exists(target):
            os.symlink(os.path.join(base, name), target)
    data = os.path.join(os.path.dirname(base), "data")
    if os.path.isdir(data) and not os.path.exists(os.path.join(os.path.dirname(work), "data")):
        os.symlink(data, os.path.join(os.path.dirname(work), "data"))


def remove(work):
    shutil.rmtree(work, ignore_errors=True)
