#!/usr/bin/env python3
"""Puts a short load of each kind on a `tollgate` that counts what it does, for scripts/release.

Calls and refusals over HTTP/1.1 and HTTP/2, in one process with its control plane and apart from it.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import tollgate
from load import PATH, check, wrk
from peers import Stage, start_upstream
from process import Failed, free_port
from tollgate import Tollgate, TollgateProxy

SECONDS = 4
SCENARIOS = ["proxied", "refused"]


def train(binary):
    tollgate.BINARY = binary
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory), free_port(), proxy_core=0, load_core=0, nice=0)
        try:
            start_upstream(stage, stage.load_core)
            for peer in (Tollgate(), TollgateProxy()):
                started = peer.start(stage)
                for scenario in SCENARIOS:
                    endpoint = started.endpoint(scenario)
                    seen = wrk(endpoint, scenario, SECONDS, stage.load_core, stage.nice)
                    check(peer.title, scenario, seen)
                    h2load(endpoint)
        finally:
            # The counts are written when a process ends by itself.
            stage.stop()


def h2load(endpoint):
    url = f"http://127.0.0.1:{endpoint.port}{PATH}"
    command = ["h2load", "-t1", "-c8", "-m8", f"-D{SECONDS}", "-H", f"x-api-key: {endpoint.key}", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answered = re.search(r" ([1-9]\d*) done,.* 0 errored, 0 timeout", done.stdout)
    if done.returncode or not answered:
        raise Failed(f"calls over HTTP/2 were not answered:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        train(Path(sys.argv[1]))
    except Failed as failure:
        sys.exit(f"train: {failure}")
