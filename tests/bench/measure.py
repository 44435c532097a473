"""What the benchmarks share: programs are made by nndc, trained for some seconds on pinned cores, and stopped."""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def cpu_time(command):
    """Runs it; seconds of CPU time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cores(threads):
    allowed = sorted(os.sched_getaffinity(0))
    return set(allowed[-threads:])


def train(program, threads, seconds):
    """Seconds of every step of a training that is stopped after some time, and until the first."""
    with tempfile.TemporaryDirectory() as folder:
        trace = os.path.join(folder, "trace.csv")
        command = [program, "train", "--quiet", "-o", folder, "--trace", trace,
                   "--threads", str(threads)]
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=lambda: os.sched_setaffinity(0, cores(threads)))
        while process.poll() is None and not os.path.exists(trace):
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait()
        if not os.path.exists(trace):
            sys.exit(f"{program}: ended with status {process.returncode} before its first step")
        wall = time.monotonic() - start
        with open(trace) as file:
            rows = [line.split(",") for line in file.read().split("\n")[1:] if line]
    times = [float(row[2]) for row in rows]
    if len(times) < 3:
        sys.exit(f"{program}: {len(times)} steps in {seconds} s; --seconds gives it more time")
    return times[2:], max(wall - sum(times), 0) + times[0]


def infer(timer, batch, threads, seconds):
    """What infer.c prints: "ms" of a call, ..."""
    text = subprocess.run([timer, str(batch), str(threads), str(seconds)], check=True,
                          stdout=subprocess.PIPE,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores(threads))).stdout
    return json.loads(text)
