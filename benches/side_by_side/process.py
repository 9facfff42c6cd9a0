"""Processes on a core of their own, and what they cost.

Owns the reading of /proc. Knows nothing of proxies or of load.
"""

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# A proxy that has not stopped by then is killed: nothing is left to flush that the figures need.
STOP_SECONDS_MAX = 15
START_SECONDS_MAX = 30
# At rest is who uses less than this share of a core over that time; longer is not waited for.
REST_SHARE = 0.02
REST_PROBE_SECONDS = 0.25
REST_SECONDS_MAX = 10


class Failed(Exception):
    """A part of the benchmark does not work; the message says which, and where its log is."""


def placed(core, nice):
    """What a child does first: settle on its core, with its priority."""

    def settle():
        os.sched_setaffinity(0, {core})
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            # Where the scheduler groups by session, the priority that counts is the group's.
            group = Path("/proc/self/autogroup")
            if group.exists():
                group.write_text(str(nice))

    return settle


class Running:
    """A process that we started, pinned to one core, with its output in a file."""

    def __init__(self, name, command, core, nice, directory, environment=None):
        self.name = name
        self.log = Path(directory) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                preexec_fn=placed(core, nice),
                start_new_session=True,
            )
        self.pid = self.child.pid

    def fail(self, what):
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
        raise Failed(f"{self.name} {what}\nThe end of {self.log}:\n{tail}")

    def wait_for(self, what, ready):
        """Returns what `ready` answers once that is true."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                self.fail(f"ended with {self.child.returncode} before it {what}")
            answer = ready()
            if answer:
                return answer
            time.sleep(0.02)
        self.fail(f"had not {what} after {START_SECONDS_MAX} s")

    def wait_listening(self, port):
        self.wait_for(f"listened on port {port}", lambda: accepts(port))

    def stop(self):
        if self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            # The session is the child's own, so this reaches it and its workers and nobody else.
            os.killpg(self.pid, signal.SIGKILL)
            self.child.wait()


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    """A port that nobody listens on; peers that cannot bind port 0 and tell are given one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Cost:
    """What a process and its children used up to a moment, or between two."""

    user_seconds: float
    system_seconds: float
    # (name, pid, tid) to seconds on a core, as the scheduler has counted them.
    threads: dict

    def since(self, before):
        return Cost(
            self.user_seconds - before.user_seconds,
            self.system_seconds - before.system_seconds,
            {key: spent - before.threads.get(key, 0.0) for key, spent in self.threads.items()},
        )

    @property
    def seconds(self):
        return self.user_seconds + self.system_seconds


def family(pid):
    """The process and all its descendants."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat_fields(entry)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue.extend(children.get(current, []))
    return found


def stat_fields(directory):
    """/proc/.../stat from the third field (the state) on; the second may hold any character."""
    try:
        return (directory / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def cost(pid):
    user = system = 0
    threads = {}
    for member in family(pid):
        directory = Path(f"/proc/{member}")
        fields = stat_fields(directory)
        if not fields:
            continue
        user += int(fields[11])
        system += int(fields[12])
        for task in (directory / "task").iterdir():
            try:
                name = (task / "comm").read_text().strip()
                nanoseconds = int((task / "schedstat").read_text().split()[0])
            except (OSError, ValueError):
                continue
            threads[(name, member, int(task.name))] = nanoseconds / 1e9
    return Cost(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND, threads)


def cost_at_rest(pid):
    """The cost once the process has nothing more to do, or does not come to rest.

    What a proxy puts off until after the answer, such as writing down what was used, is a cost of
    the call all the same.
    """
    spent = cost(pid)
    deadline = time.monotonic() + REST_SECONDS_MAX
    while time.monotonic() < deadline:
        time.sleep(REST_PROBE_SECONDS)
        before, spent = spent, cost(pid)
        if sum(spent.since(before).threads.values()) < REST_PROBE_SECONDS * REST_SHARE:
            break
    return spent


def resident_bytes(pid):
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return total


@dataclass(frozen=True)
class CoreTime:
    busy_seconds: float
    stolen_seconds: float
    at: float


def core_time(core):
    """How long a core has worked, for whomever, and how long its host took it away."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, ticks[:8])
            busy = user + nice + system + irq + softirq
            return CoreTime(busy / TICKS_PER_SECOND, steal / TICKS_PER_SECOND, time.monotonic())
    raise Failed(f"/proc/stat knows no core {core}")
