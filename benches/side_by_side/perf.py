"""A profile of one proxy under load, by `perf record -e cpu-clock`.

Two files come of it: stacks folded for a flame graph, and the functions with the most time.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from load import measure, wrk
from process import Failed, family

SAMPLES_PER_SECOND = 499
# Bytes of stack per sample. Release builds have no frame pointers, so perf unwinds from a copy.
STACK_BYTES = 16_384
TOP_LINES = 60
HEAD = re.compile(r"^(?P<thread>.+?)\s+(?P<tid>\d+)(?:\s|$)")
FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.+?)(?:\+0x[0-9a-f]+)?(?: \([^()]*\))?$")
HASH = re.compile(r"::h[0-9a-f]{16}$")


def profile(who, started, scenario, settings, directory):
    if not shutil.which("perf"):
        raise Failed("perf is not installed (apt-get install linux-perf)")
    data = Path(directory) / "perf.data"
    pids = ",".join(map(str, family(started.process.pid)))
    command = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", str(SAMPLES_PER_SECOND)]
    command += ["--call-graph", f"dwarf,{STACK_BYTES}", "-o", str(data), "-p", pids]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as recorder:
        try:
            endpoint = started.endpoint(scenario)
            # Time for perf to attach; a sample of the warm-up is as good as any other.
            wrk(endpoint, scenario, settings.warm_up, settings.load_core, settings.nice)
            measured = measure(who, started, scenario, settings)
        finally:
            recorder.terminate()
    stacks = folded(script(data))
    if not stacks:
        raise Failed("perf recorded no sample")
    return measured, stacks


def script(data):
    command = ["perf", "script", "--no-inline", "-i", str(data), "-F", "comm,tid,ip,sym"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise Failed(f"perf script: {done.stderr}")
    return done.stdout


def folded(text):
    """`thread;outermost;...;innermost` to its number of samples."""
    stacks, thread, frames = Counter(), None, []

    def close():
        if thread is not None and frames:
            stacks[";".join([thread, *reversed(frames)])] += 1

    for line in text.splitlines():
        frame = FRAME.match(line)
        head = None if frame else HEAD.match(line)
        if frame:
            frames.append(HASH.sub("", frame["symbol"]).replace(";", ":"))
        elif head:
            close()
            thread, frames = head["thread"].strip(), []
    close()
    return stacks


def top(stacks, cpu_us):
    """The functions that have most of the samples themselves, as shares and as time per call."""
    own, inclusive, total = Counter(), Counter(), sum(stacks.values())
    for stack, samples in stacks.items():
        frames = stack.split(";")[1:]
        own[frames[-1]] += samples
        for frame in set(frames):
            inclusive[frame] += samples
    lines = [
        f"{total} samples, {cpu_us:.2f} us of CPU per call.",
        "Sampling makes a call dearer: the shares are what counts.",
        "",
        "own     us/call  with callees  function",
    ]
    for name, samples in own.most_common(TOP_LINES):
        share = samples / total
        lines.append(f"{share:6.2%} {share * cpu_us:8.3f} {inclusive[name] / total:13.2%}  {name}")
    lines += ["", "with callees  us/call  function"]
    for name, samples in inclusive.most_common(TOP_LINES):
        share = samples / total
        lines.append(f"{share:12.2%} {share * cpu_us:8.3f}  {name}")
    return "\n".join(lines) + "\n"


def write(stacks, cpu_us, name, directory):
    stem = Path(directory) / f"profile-{name}"
    flame, listing = stem.with_suffix(".folded"), stem.with_suffix(".txt")
    flame.write_text("".join(f"{stack} {count}\n" for stack, count in sorted(stacks.items())))
    listing.write_text(top(stacks, cpu_us))
    return flame, listing
