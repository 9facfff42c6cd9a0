"""What the scripts that ask a real control plane share: a program of this tree, a store that has something of
everything, and tools at the versions that are written down."""

import contextlib
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
BINARY = TARGET / "debug" / "tollgate"
DESCRIPTION = "/api/v1/openapi.json"
START_SECONDS_MAX = 30


class Failed(Exception):
    """Something could not be done; the message says what."""


def build():
    command = ["cargo", "build", "--locked", "--quiet", "--workspace", "--bin", "tollgate"]
    subprocess.run(command, cwd=ROOT, check=True)


def is_installed(tools, wanted):
    """Whether a directory of tools has what is written down, as `note_installed` says of it."""
    stamp = tools / "installed.txt"
    return stamp.exists() and stamp.read_text() == wanted


def note_installed(tools, wanted):
    (tools / "installed.txt").write_text(wanted)


def install_python(tools, requirements):
    """A virtual environment, made anew where its requirements have changed."""
    wanted = requirements.read_text()
    if is_installed(tools, wanted):
        return
    print("installing", requirements.relative_to(ROOT), "into", tools, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", tools], check=True)
    pip = [tools / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--requirement", requirements], check=True)
    note_installed(tools, wanted)


class ControlPlane:
    """`tollgate admin` on a free port, with a store that goes with it."""

    def __init__(self, directory):
        self.directory = directory
        self.token = secrets.token_urlsafe(32)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
        environment |= {
            "TOLLGATE_DATA_DIR": str(directory / "data"),
            "TOLLGATE_ADMIN__LISTEN": "127.0.0.1:0",
            "TOLLGATE_METRICS__LISTEN": "127.0.0.1:0",
            "TOLLGATE_ADMIN__BOOTSTRAP_TOKEN": self.token,
            "TOLLGATE_NODE_TOKEN": secrets.token_urlsafe(32),
        }
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [BINARY, "admin"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        self.url = None

    def __enter__(self):
        try:
            self.url = f"http://{self.address()}"
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def address(self):
        """What it says on standard output, which ends with the process."""
        for line in self.child.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "listening" and event.get("role") == "admin":
                    return event["address"]
        raise Failed(f"the control plane has not started:\n{self.log.read_text()}")

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as answer:
            return json.load(answer)

    def expect_alive(self):
        """A process that has ended answers nothing, and a panic is an answer that was lost."""
        self.call("GET", "/api/v1/products")
        if "panicked" in self.log.read_text(errors="replace"):
            raise Failed(f"the control plane has panicked:\n{self.log.read_text(errors='replace')[-4_000:]}")

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


def seed(control):
    """Something of everything: the value of each parameter in a path, by the path's first segment."""

    def post(path, **body):
        return control.call("POST", f"/api/v1/{path}", body)

    product = post("products", name="weather", status="active", gateway_endpoint="https://api.example.com")
    post("products", name="maps", hosts=["maps.example.com"], routes=[{"path": "/tiles/{z}", "cost": 3}])
    plan = post("products/weather/plans", name="free", monthly_quota=1_000, rate_limit=60, burst=10)
    prices = [
        {"name": "base", "currency": "USD", "amount": 4_900},
        {"name": "calls", "currency": "USD", "usage_type": "metered", "amount": "0.5", "meter": "calls"},
    ]
    post("products/weather/plans", name="pro", billing_mode="metered", prices=prices)
    consumer = post("consumers", name="Ada", email="ada@example.com")
    subscription = post("subscriptions", consumer_id=consumer["id"], plan_id=plan["id"])
    key = post(f"subscriptions/{subscription['id']}/keys")
    webhook = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "settings": {"url": "https://hooks.example"}}
    destination = post("destinations", name="billing", kind="webhook", status="paused", **webhook)
    return {
        "products": product["id"],
        "plans": plan["id"],
        "consumers": consumer["id"],
        "subscriptions": subscription["id"],
        "keys": key["id"],
        "destinations": destination["id"],
    }
