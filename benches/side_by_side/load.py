"""Load from wrk, and what the proxy under it used meanwhile."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from process import Cost, Failed, core_time, cost, cost_at_rest, placed, resident_bytes

CONNECTIONS = 64
# `alone`: a single connection, for what a caller waits when nobody else calls.
SCENARIOS = {"proxied": CONNECTIONS, "refused": CONNECTIONS, "alone": 1}
PATH = "/bench/ping"
SCRIPT = Path(__file__).with_name("load.lua")
# Of the calls of a scenario, the part that may be answered otherwise. Over the limit the first
# call of a minute passes; under it none may fail.
REFUSED_SHARE_MIN = 0.99


@dataclass(frozen=True)
class Endpoint:
    port: int
    key: str


@dataclass(frozen=True)
class Measurement:
    calls: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    cost: Cost
    resident_bytes: int
    # Parts of the time on the proxy's core: its own, that of other processes, the host's.
    own_share: float
    foreign_share: float
    stolen_share: float
    # What the proxy's Redis was asked; `None` where the proxy has none.
    round_trips: int | None = None

    @property
    def cpu_us(self):
        return self.cost.seconds / self.calls * 1e6

    @property
    def user_us(self):
        return self.cost.user_seconds / self.calls * 1e6

    @property
    def system_us(self):
        return self.cost.system_seconds / self.calls * 1e6

    @property
    def calls_per_second(self):
        return self.calls / self.seconds

    def threads_us(self):
        """Microseconds per call of each thread that did anything, the busiest first."""
        spent = sorted(self.cost.threads.items(), key=lambda item: -item[1])
        return [(key[0], seconds / self.calls * 1e6) for key, seconds in spent if seconds > 0]

    @property
    def busiest_thread_us(self):
        return max(self.cost.threads.values()) / self.calls * 1e6

    @property
    def other_threads_us(self):
        """From the total, so that threads which have ended meanwhile are in it."""
        return max(0.0, self.cpu_us - self.busiest_thread_us)


def wrk(endpoint, scenario, seconds, core, nice):
    command = ["wrk", "-t1", f"-c{SCENARIOS[scenario]}", f"-d{seconds}s", "-s", str(SCRIPT)]
    command.append(f"http://127.0.0.1:{endpoint.port}{PATH}")
    done = subprocess.run(
        command,
        env={**os.environ, "BENCH_KEY": endpoint.key},
        preexec_fn=placed(core, nice),
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    raise Failed(f"wrk said nothing of use:\n{done.stdout}{done.stderr}")


def check(who, scenario, seen):
    """A figure of calls that went wrong would be a figure of something else."""
    if seen["requests"] == 0:
        raise Failed(f"{who}: no call was answered")
    if seen["socket_errors"]:
        raise Failed(f"{who}: {seen['socket_errors']} calls failed on the socket ({scenario})")
    refused = seen["status_errors"] / seen["requests"]
    if scenario != "refused" and refused > 0:
        raise Failed(f"{who}: {seen['status_errors']} calls were not answered with success")
    if scenario == "refused" and refused < REFUSED_SHARE_MIN:
        raise Failed(f"{who}: only {refused:.1%} of the calls over the limit were refused")


def measure(who, started, scenario, settings):
    pid, endpoint = started.process.pid, started.endpoint(scenario)
    asked_before = started.round_trips()
    core_before, before = core_time(settings.proxy_core), cost(pid)
    seen = wrk(endpoint, scenario, settings.seconds, settings.load_core, settings.nice)
    meanwhile, core_after = cost(pid).since(before), core_time(settings.proxy_core)
    used = cost_at_rest(pid).since(before)
    asked_after = started.round_trips()
    check(who, scenario, seen)
    wall = core_after.at - core_before.at
    busy = core_after.busy_seconds - core_before.busy_seconds
    return Measurement(
        calls=seen["requests"],
        seconds=seen["duration_us"] / 1e6,
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        p999_us=seen["p999_us"],
        cost=used,
        resident_bytes=resident_bytes(pid),
        own_share=meanwhile.seconds / wall,
        foreign_share=max(0.0, (busy - meanwhile.seconds) / wall),
        stolen_share=(core_after.stolen_seconds - core_before.stolen_seconds) / wall,
        round_trips=None if asked_before is None else asked_after - asked_before,
    )
