#!/usr/bin/env python3
"""Compares proxies on one machine: `benches/side_by_side/run.py --help`.

One upstream, one proxy thread each, kept-alive connections, interleaved rounds. README.md beside
this file says what is measured and why it is measured so.
"""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import install
import perf
import report
import tollgate
from load import CONNECTIONS, SCENARIOS, check, measure, wrk
from peers import ROOT, Envoy, HAProxy, Nginx, NginxRedis, PassThrough, Stage, first_line, start_upstream
from process import Failed, free_port
from tollgate import Tollgate, TollgateProxy, TollgateShared

OUTPUT = ROOT / "target" / "side_by_side"
RESULTS = ROOT / "benches" / "RESULTS.md"
PEERS = [
    Nginx(),
    NginxRedis(),
    HAProxy(),
    Envoy(),
    PassThrough("hyper", "hyper", "pass-through on hyper"),
    PassThrough("pingora", "pingora-proxy", "pass-through on Pingora's ProxyHttp"),
    Tollgate(),
    TollgateProxy(),
    TollgateShared(),
]


@dataclass(frozen=True)
class Settings:
    rounds: int
    seconds: int
    warm_up: int
    nice: int
    proxy_core: int
    load_core: int
    upstream_core: int

    def __str__(self):
        return (
            f"{CONNECTIONS} kept-alive connections, {self.rounds} interleaved rounds of "
            f"{self.seconds} s after a warm-up of {self.warm_up} s each; proxies with one thread on "
            f"core {self.proxy_core}, load (wrk, one thread) on core {self.load_core}, upstream "
            f"(nginx) on core {self.upstream_core}" + (f"; nice {self.nice}" if self.nice else "")
        )


def arguments():
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help=f"comma-separated, of: {', '.join(names)}")
    parser.add_argument("--scenario", default="proxied,refused", help=f"of: {', '.join(SCENARIOS)}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2, help="of load, per round and scenario")
    parser.add_argument("--warm-up", type=int, default=2, help="seconds before the first round")
    parser.add_argument("--smoke", action="store_true", help="one round of one second")
    parser.add_argument("--nice", type=int, default=0, help="of all parts; below 0 needs root")
    parser.add_argument("--proxy-core", type=int)
    parser.add_argument("--load-core", type=int)
    parser.add_argument("--upstream-core", type=int)
    parser.add_argument("--install", action="store_true", help="install absent packages and peers")
    parser.add_argument("--no-build", action="store_true", help="take our programs as they are")
    parser.add_argument("--tollgate", type=Path, help="this program instead of a build of the tree")
    parser.add_argument("--append", nargs="?", const=RESULTS, type=Path, help="default: RESULTS.md")
    parser.add_argument("--profile", metavar="PEER", choices=names, help="perf one peer, no table")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of this run")
    return parser.parse_args()


def chosen(given):
    only = [given.profile] if given.profile else given.only and given.only.split(",")
    if not only:
        return PEERS
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise Failed(f"no such peer: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in only]


def scenarios(given):
    wanted = given.scenario.split(",")
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        raise Failed(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    return [name for name in SCENARIOS if name in wanted]


def settle(given):
    """Settings with a core for each part: proxies never share theirs with the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("at least two cores are needed: one for the proxy, one for the load")
    upstream_core, proxy_core = cores[0], cores[1]
    load_core = cores[2] if len(cores) > 2 else cores[0]
    settings = Settings(
        rounds=given.rounds,
        seconds=given.seconds,
        warm_up=given.warm_up,
        nice=given.nice,
        proxy_core=proxy_core if given.proxy_core is None else given.proxy_core,
        load_core=load_core if given.load_core is None else given.load_core,
        upstream_core=upstream_core if given.upstream_core is None else given.upstream_core,
    )
    return replace(settings, rounds=1, seconds=1, warm_up=1) if given.smoke else settings


def prepare(peers, given):
    """Installs and builds as told; returns the peers that can run and what is absent."""
    if given.install:
        install.system_packages(peers, given.profile)
        if any(isinstance(peer, Envoy) and peer.missing() for peer in peers):
            install.envoy()
    if not given.no_build:
        install.build(peers, given.tollgate)
    for tool in ("nginx", "wrk"):
        if not shutil.which(tool):
            raise Failed(f"{tool} is needed; run as root with --install")
    absent = [peer.missing() for peer in peers if peer.missing()]
    for what in absent:
        say(f"not to be had: {what}")
    return [peer for peer in peers if not peer.missing()], absent


def start_all(peers, wanted, stage, absent, settings):
    """Starts each peer and warms it up. One that does not work is left out, and named."""
    started = {}
    for peer in peers:
        try:
            one = peer.start(stage)
            for scenario in wanted:
                endpoint = one.endpoint(scenario)
                if endpoint:
                    seen = wrk(endpoint, scenario, settings.warm_up, stage.load_core, stage.nice)
                    check(peer.title, scenario, seen)
            started[peer.name] = one
            say(f"started {peer.title}")
        except Failed as failure:
            say(f"does not work: {peer.title}: {failure}")
            absent.append(f"{peer.title}: {str(failure).splitlines()[0]}")
    if not started:
        raise Failed("no peer could be started")
    return started


def run_rounds(peers, started, wanted, settings):
    """All peers in turn, again and again, so that the noise of the machine hits all alike.

    Each round begins with another peer, so that nobody always follows the same neighbour. A
    measurement with failed calls is left out, and the report says so.
    """
    rounds, spoilt = {scenario: [] for scenario in wanted}, []
    for number in range(1, settings.rounds + 1):
        for scenario in wanted:
            rounds[scenario].append({})
        first = (number - 1) % len(peers)
        for peer in peers[first:] + peers[:first]:
            for scenario in wanted:
                one = started[peer.name]
                if not one.endpoint(scenario):
                    continue
                try:
                    seen = measure(peer.title, one, scenario, settings)
                except Failed as failure:
                    spoilt.append(f"round {number}: {failure}")
                    say(f"left out: {failure}")
                    continue
                rounds[scenario][-1][peer.name] = seen
                say(
                    f"{number}/{settings.rounds} {scenario:8} {peer.name:14} "
                    f"{seen.cpu_us:7.2f} us  {seen.calls_per_second:7.0f}/s  "
                    f"core {seen.own_share:4.0%}  others {seen.foreign_share:4.0%}"
                )
    rounds = {scenario: each for scenario, each in rounds.items() if any(each)}
    if not rounds:
        raise Failed("no measurement succeeded")
    return rounds, spoilt


def compare(peers, stage, absent, given, settings):
    wanted = scenarios(given)
    started = start_all(peers, wanted, stage, absent, settings)
    peers = [peer for peer in peers if peer.name in started]
    rounds, spoilt = run_rounds(peers, started, wanted, settings)
    load_generator = " ".join(first_line(["wrk", "-v"]).split()[:2])
    versions = [peer.version() for peer in peers] + [load_generator]
    text = report.written(peers, rounds, settings, sorted(set(versions)), absent, spoilt)
    print(text)
    (OUTPUT / "last.md").write_text(text)
    if given.append:
        new = not given.append.exists()
        with given.append.open("a") as results:
            results.write("# Results of the benchmarks\n\n" if new else "\n")
            results.write(text)


def profile(peer, stage, given, settings):
    started, scenario = peer.start(stage), scenarios(given)[0]
    if not started.endpoint(scenario):
        raise Failed(f"{peer.title} has no scenario {scenario}")
    measured, stacks = perf.profile(peer.title, started, scenario, settings, stage.directory)
    files = perf.write(stacks, measured.cpu_us, f"{peer.name}-{scenario}", OUTPUT)
    print(files[1].read_text())
    print(f"written: {files[0]} and {files[1]}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    given = arguments()
    if given.tollgate:
        tollgate.BINARY = given.tollgate.resolve()
    settings = settle(given)
    peers, absent = prepare(chosen(given), given)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=OUTPUT))
    stage = Stage(directory, free_port(), settings.proxy_core, settings.load_core, settings.nice)
    try:
        start_upstream(stage, settings.upstream_core)
        if given.profile:
            if not peers:
                raise Failed(f"cannot profile {given.profile}")
            profile(peers[0], stage, given, settings)
        else:
            compare(peers, stage, absent, given, settings)
    finally:
        stage.stop()
        if not given.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"side_by_side: {failure}")
    except KeyboardInterrupt:
        sys.exit("side_by_side: stopped")
