#!/usr/bin/env python3
"""How soon a change is in force on a fleet: `benches/fleet/run.py --help`.

One admin plane and several gateways, each a process of its own. A catalog of many subscriptions is
loaded through the API; then keys are issued and revoked one by one, and each gateway is asked with
that key until its answer changes. What is measured is what a caller sees.
"""

import argparse
import http.client
import json
import os
import platform
import queue
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "side_by_side"))

from process import START_SECONDS_MAX, Failed, Running, resident_bytes  # noqa: E402
from tollgate import BINARY, Api, listening  # noqa: E402

RESULTS = ROOT / "benches" / "RESULTS.md"
# A change that takes longer is counted as this long, and named.
IN_FORCE_SECONDS_MAX = 5
LOADERS = 8


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--no-build", action="store_true", help="take the program as it is")
    parser.add_argument("--append", nargs="?", const=RESULTS, type=Path, help="default: RESULTS.md")
    return parser.parse_args()


class Fleet:
    """An admin plane and its gateways, on free ports of loopback."""

    def __init__(self, directory, gateways):
        self.directory = Path(directory)
        self.token, self.node_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.running = []
        try:
            self.admin = self.start("admin", self.environment("admin", bootstrap=True))
            self.admin_address = listening(self.admin, "admin")
            self.gateways = [self.gateway(number) for number in range(gateways)]
        except BaseException:
            self.stop()
            raise

    def environment(self, name, bootstrap=False):
        data = self.directory / name
        data.mkdir()
        environment = {
            "TOLLGATE_DATA_DIR": str(data),
            "TOLLGATE_ADMIN__LISTEN": "127.0.0.1:0",
            "TOLLGATE_METRICS__LISTEN": "127.0.0.1:0",
            "TOLLGATE_NODE_TOKEN": self.node_token,
            "TOLLGATE_PROXY__ALLOW_LOOPBACK_UPSTREAMS": "true",
        }
        if bootstrap:
            environment["TOLLGATE_ADMIN__BOOTSTRAP_TOKEN"] = self.token
        return environment

    def start(self, role, environment, name=None):
        core = min(os.sched_getaffinity(0))
        process = Running(name or role, [BINARY, role], core, 0, self.directory, environment)
        # Processes share the machine as its scheduler likes: nothing of cost is measured here.
        os.sched_setaffinity(process.pid, os.sched_getaffinity(0))
        self.running.append(process)
        return process

    def gateway(self, number):
        environment = self.environment(f"gateway-{number}")
        environment["TOLLGATE_PROXY__ADMIN_URL"] = f"http://{self.admin_address}"
        environment["TOLLGATE_PROXY__LISTEN"] = "127.0.0.1:0"
        process = self.start("proxy", environment, f"gateway-{number}")
        return listening(process, "proxy")

    def stop(self):
        while self.running:
            self.running.pop().stop()


class Line:
    """A kept-alive connection for JSON questions, made anew when it was closed."""

    def __init__(self, address, headers):
        self.address, self.headers, self.connection = address, headers, None

    def ask(self, method, path, body=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=START_SECONDS_MAX)
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise


def load(fleet, subscriptions):
    """Subscriptions of one consumer to one plan; gives back the first one's id."""
    api = Api(fleet.admin_address, fleet.token)
    api.post(
        "products",
        name="fleet",
        title="Fleet",
        gateway_endpoint="http://127.0.0.1:9/",
        status="active",
    )
    plan = api.post(
        "products/fleet/plans",
        name="gold",
        billing_mode="metered",
        price_label="gold",
        rate_limit=1_000_000,
        monthly_quota=1_000_000_000,
    )
    consumer = api.post("consumers", name="Everyone", email="everyone@example.com")
    body = {"consumer_id": consumer["id"], "plan_id": plan["id"]}
    first = api.post("subscriptions", **body)
    bearer = {"Authorization": f"Bearer {fleet.token}"}
    lines = threading.local()

    def one(_):
        if not hasattr(lines, "line"):
            lines.line = Line(fleet.admin_address, bearer)
        status, answer = lines.line.ask("POST", "/api/v1/subscriptions", body)
        if status != 201:
            raise Failed(f"a subscription was answered with {status}: {answer[:500]}")

    begun = time.monotonic()
    with ThreadPoolExecutor(LOADERS) as pool:
        for done, _ in enumerate(pool.map(one, range(subscriptions - 1)), 2):
            if done % 10_000 == 0:
                say(f"{done} subscriptions after {time.monotonic() - begun:.0f} s")
    return first["id"]


class Watcher(threading.Thread):
    """Asks one gateway with a key until it is answered with a status, and says when it was."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.wanted, self.seen = queue.Queue(), queue.Queue()
        self.start()

    def run(self):
        line = Line(self.address, {})
        while True:
            key, status = self.wanted.get()
            line.headers = {"Authorization": f"Bearer {key}"}
            deadline = time.monotonic() + IN_FORCE_SECONDS_MAX
            at = None
            while time.monotonic() < deadline:
                try:
                    answered, _ = line.ask("GET", "/.tollgate/usage")
                except (OSError, http.client.HTTPException):
                    continue
                if answered == status:
                    at = time.monotonic()
                    break
                time.sleep(0.0005)
            self.seen.put(at)


def change(act, key, status, watchers):
    """Seconds from before the change was asked for until the last gateway answers by it."""
    if key is not None:
        for watcher in watchers:
            watcher.wanted.put((key, status))
    begun = time.monotonic()
    result = act()
    if key is None:
        key = result["api_key"]
        for watcher in watchers:
            watcher.wanted.put((key, status))
    times = [watcher.seen.get() for watcher in watchers]
    if None in times:
        return result, None
    return result, max(times) - begun


def measure(fleet, subscription, changes):
    watchers = [Watcher(address) for address in fleet.gateways]
    line = Line(fleet.admin_address, {"Authorization": f"Bearer {fleet.token}"})
    issued, revoked, late = [], [], 0

    def act(method, path, body=None):
        status, answer = line.ask(method, path, body)
        if status not in (200, 201):
            raise Failed(f"{method} {path} was answered with {status}: {answer[:500]}")
        return json.loads(answer)

    for number in range(1, changes // 2 + 1):
        path = f"/api/v1/subscriptions/{subscription}/keys"
        key, took = change(lambda: act("POST", path, {}), None, 200, watchers)
        late += took is None
        issued.append(IN_FORCE_SECONDS_MAX if took is None else took)
        path_of_key = f"/api/v1/keys/{key['id']}"
        gone, took = change(lambda: act("DELETE", path_of_key), key["api_key"], 401, watchers)
        late += took is None
        revoked.append(IN_FORCE_SECONDS_MAX if took is None else took)
        if gone["nodes_current"] != gone["nodes_total"] or gone["nodes_total"] != len(watchers):
            say(f"in force on {gone['nodes_current']} of {gone['nodes_total']} when answered")
        if number % 100 == 0:
            say(f"{2 * number} changes")
    return issued, revoked, late


def row(what, times):
    times = sorted(times)
    share = lambda part: times[min(len(times) - 1, int(len(times) * part))] * 1_000  # noqa: E731
    middle = statistics.median(times) * 1_000
    return (
        f"| {what} | {len(times)} | {middle:.1f} | {share(0.99):.1f} | {times[-1] * 1_000:.1f} |"
    )


def written(given, issued, revoked, late, loaded_seconds, megabytes):
    cores, memory = os.cpu_count(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    lines = [
        f"## Changes on a fleet, {time.strftime('%Y-%m-%d')}",
        "",
        f"`benches/fleet/run.py`; {cores} cores, {memory} GiB, Linux {platform.release()}. "
        f"{given.gateways} gateways and one admin plane as processes of their own, "
        f"{given.subscriptions} subscriptions (loaded through the API in {loaded_seconds:.0f} s). "
        "From before the request to the API until the last gateway answers a caller by it.",
        "",
        "| change | times | median ms | p99 ms | longest ms |",
        "|---|---:|---:|---:|---:|",
        row("a key is issued", issued),
        row("a key is revoked", revoked),
        row("both", issued + revoked),
        "",
        f"Not in force within {IN_FORCE_SECONDS_MAX} s: {late}. "
        f"Memory: {', '.join(f'{name} {value} MiB' for name, value in megabytes.items())}.",
        "",
    ]
    return "\n".join(lines)


def say(what):
    print(what, file=sys.stderr, flush=True)


def run(given):
    if not given.no_build:
        cargo = os.environ.get("CARGO", "cargo")
        command = [cargo, "build", "--release", "--locked", "-p", "tollgate"]
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
            raise Failed("the build failed")
    with tempfile.TemporaryDirectory(prefix="tollgate-fleet-") as directory:
        fleet = Fleet(directory, given.gateways)
        try:
            begun = time.monotonic()
            subscription = load(fleet, given.subscriptions)
            loaded_seconds = time.monotonic() - begun
            issued, revoked, late = measure(fleet, subscription, given.changes)
            megabytes = {one.name: resident_bytes(one.pid) >> 20 for one in fleet.running}
        finally:
            fleet.stop()
    text = written(given, issued, revoked, late, loaded_seconds, megabytes)
    print(text)
    if given.append:
        with given.append.open("a") as results:
            results.write("\n" + text)


if __name__ == "__main__":
    try:
        run(arguments())
    except Failed as failure:
        sys.exit(f"error: {failure}")
