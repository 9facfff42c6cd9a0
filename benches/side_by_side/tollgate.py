"""Tollgate as a peer: everything on, set up through its own admin API."""

import json
import secrets
import time
import urllib.error
import urllib.request
from dataclasses import replace

from load import PATH, Endpoint
from peers import ROOT, Started, first_line, missing_redis, start_redis
from process import START_SECONDS_MAX, Failed

BINARY = ROOT / "target" / "release" / "tollgate"
PRODUCT = PATH.split("/")[1]
# Far above what one core can do, and within what a rate per minute can be (32 bits).
AMPLE_CALLS_PER_MINUTE = 1_000_000_000
AMPLE_QUOTA = 1_000_000_000_000
# The first call of a minute passes, all others are refused.
TIGHT_CALLS_PER_MINUTE = 1
# A change is in force within 100 ms; more means that something is broken.
KEY_IN_FORCE_SECONDS_MAX = 10


class Tollgate:
    """`tollgate run`: proxy and admin plane in one process, and all of it counts."""

    name = "tollgate"
    title = "Tollgate, everything on"
    package = "tollgate"
    apt = None

    def missing(self):
        return None if BINARY.exists() else "tollgate (cargo build --release -p tollgate)"

    def version(self):
        return first_line([BINARY, "--version"])

    def start(self, stage):
        token = secrets.token_urlsafe(32)
        environment = {**settings(stage, self.name, token), **proxy_settings()}
        process = stage.start(self.name, [BINARY, "run"], environment=environment)
        proxy_address, admin_address = listening(process, "proxy"), listening(process, "admin")
        return set_up(stage, process, proxy_address, admin_address, token)


class TollgateProxy(Tollgate):
    """`tollgate proxy` alone: the admin plane is a process of its own, on the load's core."""

    name = "tollgate-proxy"
    title = "Tollgate, proxy process only"

    def start(self, stage):
        token, node_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        environment = settings(stage, f"{self.name}-admin", token)
        environment["TOLLGATE_NODE_TOKEN"] = node_token
        environment["TOLLGATE_PROXY__ALLOW_LOOPBACK_UPSTREAMS"] = "true"
        admin = stage.start(
            f"{self.name}-admin", [BINARY, "admin"], core=stage.load_core, environment=environment
        )
        admin_address = listening(admin, "admin")
        environment = {**settings(stage, self.name, token), **proxy_settings()}
        del environment["TOLLGATE_ADMIN__BOOTSTRAP_TOKEN"]
        environment["TOLLGATE_NODE_TOKEN"] = node_token
        environment["TOLLGATE_PROXY__ADMIN_URL"] = f"http://{admin_address}"
        redis_port = self.redis(stage)
        if redis_port:
            environment["TOLLGATE_COUNTERS__REDIS_URL"] = f"redis://127.0.0.1:{redis_port}"
        process = stage.start(self.name, [BINARY, "proxy"], environment=environment)
        started = set_up(stage, process, listening(process, "proxy"), admin_address, token)
        return replace(started, redis_port=redis_port)

    def redis(self, stage):
        """The port of the Redis that counts the limits; none: they are counted in the gateway."""
        return None


class TollgateShared(TollgateProxy):
    """As `tollgate-proxy`, with limits that other gateways could share."""

    name = "tollgate-shared"
    title = "Tollgate, limits shared over Redis"

    def missing(self):
        return super().missing() or missing_redis()

    def redis(self, stage):
        return start_redis(stage)


def settings(stage, name, token):
    data = stage.directory / f"{name}-data"
    data.mkdir()
    return {
        "TOLLGATE_DATA_DIR": str(data),
        "TOLLGATE_ADMIN__LISTEN": "127.0.0.1:0",
        "TOLLGATE_ADMIN__BOOTSTRAP_TOKEN": token,
        "TOLLGATE_METRICS__LISTEN": "127.0.0.1:0",
    }


def proxy_settings():
    return {
        "TOLLGATE_PROXY__LISTEN": "127.0.0.1:0",
        "TOLLGATE_PROXY__THREADS": "1",
        "TOLLGATE_PROXY__ALLOW_LOOPBACK_UPSTREAMS": "true",
    }


def listening(process, role):
    """The address that a role says it is bound to, on standard output."""

    def said():
        for line in process.log.read_text(errors="replace").splitlines():
            if not line.startswith("{"):
                continue
            try:
                event = json.loads(line)
            except ValueError:
                continue  # The line is still being written.
            if event.get("event") == "listening" and event.get("role") == role:
                return event["address"]
        return None

    return process.wait_for(f"said where its {role} listens", said)


def set_up(stage, process, proxy_address, admin_address, token):
    """A product with an ample and a tight plan, and a subscriber to each."""
    port = int(proxy_address.rpartition(":")[2])
    api = Api(admin_address, token)
    api.post(
        "products",
        name=PRODUCT,
        title="Benchmark",
        gateway_endpoint=f"http://127.0.0.1:{stage.upstream_port}",
        status="active",
    )
    ample = subscribe(api, "ample", rate_limit=AMPLE_CALLS_PER_MINUTE, monthly_quota=AMPLE_QUOTA)
    tight = subscribe(api, "tight", rate_limit=TIGHT_CALLS_PER_MINUTE, monthly_quota=AMPLE_QUOTA)
    for key in (ample, tight):
        wait_in_force(port, key)
    return Started(process, Endpoint(port, ample), Endpoint(port, tight))


def subscribe(api, name, **limits):
    plan = api.post(
        f"products/{PRODUCT}/plans", name=name, billing_mode="metered", price_label=name, **limits
    )
    consumer = api.post("consumers", name=name, email=f"{name}@example.com")
    subscription = api.post("subscriptions", consumer_id=consumer["id"], plan_id=plan["id"])
    return subscription["api_key"]


def wait_in_force(port, key):
    """Returns once the gateway knows the key: until then it answers 401."""
    deadline = time.monotonic() + KEY_IN_FORCE_SECONDS_MAX
    while time.monotonic() < deadline:
        status = call(port, key)
        if status in (200, 429):
            return
        if status not in (401, 403, 404):
            raise Failed(f"tollgate answered {status} to a good key")
        time.sleep(0.05)
    raise Failed(f"tollgate did not know a new key after {KEY_IN_FORCE_SECONDS_MAX} s")


def call(port, key):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", headers={"X-API-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


class Api:
    def __init__(self, address, token):
        self.base = f"http://{address}/api/v1/"
        self.token = token

    def post(self, path, **body):
        request = urllib.request.Request(
            self.base + path,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            text = refused.read().decode(errors="replace")
            raise Failed(f"POST {path} was answered with {refused.code}: {text}") from refused
