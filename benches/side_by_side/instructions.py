#!/usr/bin/env python3
"""Counts the instructions of a call outside of the kernel, by thread and by function.

    benches/side_by_side/instructions.py [PROGRAM]

The gateway runs in valgrind's callgrind, so it is slow, and the count is the same however busy the machine is. It says
nothing of the kernel and of waiting for memory. Functions have names as long as the program was not stripped.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.dont_write_bytecode = True
import process
import tollgate
from load import check, wrk
from peers import Stage, start_upstream
from perf import HASH
from process import Failed, free_port
from tollgate import TollgateProxy

SCENARIOS = ["proxied", "refused"]
WARM_UP_SECONDS = 2
SECONDS = 6
# What runs in valgrind starts some fifty times slower.
START_SECONDS_MAX = 300
TOP_LINES = 40
NAME = re.compile(r"\((\d+)\)(?: (.*))?$")


def main(program):
    if not shutil.which("valgrind"):
        raise Failed("valgrind is not installed (apt-get install valgrind)")
    if not program.exists():
        raise Failed(f"there is no {program} (cargo build --release -p tollgate)")
    process.START_SECONDS_MAX = tollgate.KEY_IN_FORCE_SECONDS_MAX = START_SECONDS_MAX
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as directory:
            calls, threads = count(program, scenario, Path(directory))
        total = sum(sum(thread.values()) for thread in threads)
        print(f"\n{scenario}: {total / calls:,.0f} instructions per call, {calls} calls")
        busiest = max(threads, key=lambda thread: sum(thread.values()))
        print(f"of them in the thread that serves: {sum(busiest.values()) / calls:,.0f}")
        for name, instructions in busiest.most_common(TOP_LINES):
            print(f"{instructions / calls:9.1f}  {name}")


def count(program, scenario, directory):
    """Calls, and for each thread the instructions of each function."""
    output = directory / "counts"
    tollgate.BINARY = wrapper(program, output, directory)
    stage = Stage(directory, free_port(), proxy_core=1, load_core=0, nice=0)
    try:
        start_upstream(stage, stage.load_core)
        started = TollgateProxy().start(stage)
        endpoint = started.endpoint(scenario)
        wrk(endpoint, scenario, WARM_UP_SECONDS, stage.load_core, stage.nice)
        control(started, "--instr=on")
        seen = wrk(endpoint, scenario, SECONDS, stage.load_core, stage.nice)
        control(started, "--instr=off")
        control(started, "--dump")
    finally:
        stage.stop()
    check("the gateway in valgrind", scenario, seen)
    return seen["requests"], [by_function(file.read_text()) for file in directory.glob("counts.1-*")]


def wrapper(program, output, directory):
    """A program that is the gateway in callgrind, and for every other command the program itself."""
    options = f"--tool=callgrind --instr-atstart=no --separate-threads=yes --callgrind-out-file={output}"
    path = directory / "tollgate"
    path.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = proxy ] || exec {program} "$@"\n'
        f'exec valgrind {options} --fair-sched=yes {program} "$@"\n'
    )
    path.chmod(0o755)
    return path


def control(started, option):
    command = ["callgrind_control", option, str(started.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def by_function(text):
    """The instructions of each function itself, from what callgrind writes for one thread."""
    names, own, function, is_call = {}, Counter(), None, False
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key in ("fn", "cfn"):
            number, name = NAME.match(value).groups()
            names[number] = names.get(number) or HASH.sub("", name)
            function = names[number] if key == "fn" else function
        elif key == "calls":
            # What the next line says is of the function that is called.
            is_call = True
        elif re.match(r"[0-9+*-]", line):
            if not is_call:
                own[function] += int(line.split()[-1])
            is_call = False
    return own


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else tollgate.BINARY)
    except Failed as failure:
        sys.exit(f"instructions: {failure}")
