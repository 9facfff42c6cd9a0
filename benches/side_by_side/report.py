"""Figures of all rounds into Markdown tables.

Ratios are taken inside a round, where noise hits both sides alike, and then the median of the
rounds is shown with its quartiles. Beside them stands the least cost of all rounds: neighbours on
the machine can only make a call dearer, so the least is what they have spoilt the least.
Pure, apart from the words about the machine.
"""

import os
import platform
import statistics
from datetime import datetime, timezone
from pathlib import Path

YARDSTICKS = [("nginx", "÷ nginx"), ("hyper", "÷ hyper")]
# The gateway that counts in itself, for what it costs to share the limits with others.
LOCAL = "tollgate-proxy"
# Beyond this share of the core in other hands the figures are marked: caches and batching suffer.
ALIEN_SHARE_MAX = 0.05


def spread(values, digits):
    """Median and quartiles: `20.1 (19.8-20.6)`."""
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratios(rounds, of, to):
    """Ratios of cost per call inside each round that has both."""
    return [
        one[of].cpu_us / one[to].cpu_us for one in rounds if of in one and to in one
    ]


def least(rounds, name):
    return min((one[name].cpu_us for one in rounds if name in one), default=None)


def quotient(of, to):
    return f"{of / to:.2f}" if of and to else "-"


def median(measurements, face):
    return statistics.median(face(one) for one in measurements)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def ratio_cells(rounds, name):
    cells = []
    for yardstick, _ in YARDSTICKS:
        found = ratios(rounds, name, yardstick)
        cells.append(spread(found, 2) if found and name != yardstick else "1" if found else "-")
    return cells


def proxied_table(peers, rounds):
    head = ["proxy", "CPU us per call"]
    head += [title for _, title in YARDSTICKS]
    head += ["least us", "least ÷ nginx's", "user", "system", "busiest thread", "other threads"]
    head += ["calls/s", "core", "p50 ms", "p99 ms", "p99.9 ms", "RSS MiB"]
    rows = []
    for peer in peers:
        seen = [one[peer.name] for one in rounds if peer.name in one]
        if not seen:
            continue
        row = [peer.title, spread([one.cpu_us for one in seen], 2)]
        row += ratio_cells(rounds, peer.name)
        row += [
            f"{least(rounds, peer.name):.2f}",
            quotient(least(rounds, peer.name), least(rounds, "nginx")),
            f"{median(seen, lambda one: one.user_us):.1f}",
            f"{median(seen, lambda one: one.system_us):.1f}",
            f"{median(seen, lambda one: one.busiest_thread_us):.2f}",
            f"{median(seen, lambda one: one.other_threads_us):.2f}",
            f"{median(seen, lambda one: one.calls_per_second):.0f}",
            f"{median(seen, lambda one: one.own_share):.0%}",
        ]
        row += [f"{value:.2f}" for value in latencies_ms(seen)]
        row.append(f"{max(one.resident_bytes for one in seen) / 2**20:.0f}")
        rows.append(row)
    return table(head, rows)


def refused_table(peers, refused, proxied):
    head = ["proxy", "CPU us per 429", "÷ its proxied call", "÷ nginx's 429"]
    head += ["least us", "least ÷ its call's", "user", "system", "429/s", "core", "p50 ms", "p99 ms"]
    head.append("p99.9 ms")
    rows = []
    for peer in peers:
        seen = [one[peer.name] for one in refused if peer.name in one]
        if not seen:
            continue
        to_own = [
            over[peer.name].cpu_us / under[peer.name].cpu_us
            for over, under in zip(refused, proxied, strict=True)
            if peer.name in over and peer.name in under
        ]
        to_nginx = ratios(refused, peer.name, "nginx")
        row = [peer.title, spread([one.cpu_us for one in seen], 2)]
        row.append(spread(to_own, 2) if to_own else "-")
        row.append("1" if peer.name == "nginx" else spread(to_nginx, 2) if to_nginx else "-")
        row += [
            f"{least(refused, peer.name):.2f}",
            quotient(least(refused, peer.name), least(proxied, peer.name)),
            f"{median(seen, lambda one: one.user_us):.1f}",
            f"{median(seen, lambda one: one.system_us):.1f}",
            f"{median(seen, lambda one: one.calls_per_second):.0f}",
            f"{median(seen, lambda one: one.own_share):.0%}",
        ]
        row += [f"{value:.2f}" for value in latencies_ms(seen)]
        rows.append(row)
    return table(head, rows)


def shared_table(peers, rounds):
    """What it costs to share limits: over Redis, against the gateway that counts in itself."""
    head = ["proxy", "CPU us per call ÷ local", "round trips per 100 calls", "per 100 refusals"]
    head += ["alone: p50 us", "p99 us", "p99 us more than local"]
    proxied, refused, alone = (rounds.get(name, []) for name in ("proxied", "refused", "alone"))
    rows = []
    for peer in peers:
        if not any(asked(each, peer.name) for each in rounds.values()) and peer.name != LOCAL:
            continue
        to_local = ratios(proxied, peer.name, LOCAL)
        row = [peer.title, spread(to_local, 2) if to_local else "-"]
        for each in (proxied, refused):
            found = asked(each, peer.name)
            row.append(spread(found, 2) if found else "-")
        seen = [one[peer.name] for one in alone if peer.name in one]
        row.append(f"{median(seen, lambda one: one.p50_us):.0f}" if seen else "-")
        row.append(f"{median(seen, lambda one: one.p99_us):.0f}" if seen else "-")
        more = [
            one[peer.name].p99_us - one[LOCAL].p99_us
            for one in alone
            if peer.name in one and LOCAL in one
        ]
        row.append(spread(more, 0) if more else "-")
        rows.append(row)
    return table(head, rows) if len(rows) > 1 else None


def asked(rounds, name):
    """Round trips to Redis per 100 calls, in each round of a proxy that has one."""
    seen = [one[name] for one in rounds if name in one]
    return [one.round_trips / one.calls * 100 for one in seen if one.round_trips is not None]


def latencies_ms(seen):
    faces = (lambda one: one.p50_us, lambda one: one.p99_us, lambda one: one.p999_us)
    return [median(seen, face) / 1000 for face in faces]


def threads_lines(peers, rounds):
    """Where the time of each proxy goes, by thread, in its median round."""
    lines = []
    for peer in peers:
        seen = sorted(
            (one[peer.name] for one in rounds if peer.name in one), key=lambda one: one.cpu_us
        )
        if not seen:
            continue
        threads = seen[len(seen) // 2].threads_us()
        busy = [f"`{name}` {spent:.2f}" for name, spent in threads if spent >= 0.005]
        lines.append(f"- {peer.title}: {', '.join(busy[:12])}")
    return "\n".join(lines)


def quiet(rounds):
    """How much of the proxy's core others had, and whether that spoils the figures."""
    every = [one for scenario in rounds for each in scenario for one in each.values()]
    foreign = statistics.median(one.foreign_share for one in every)
    stolen = statistics.median(one.stolen_share for one in every)
    line = f"On the proxy's core others had {foreign:.1%} and the host {stolen:.1%} of the time."
    if foreign + stolen > ALIEN_SHARE_MAX:
        line += " **The machine was not quiet: ratios and least figures hold best.**"
    return line


def machine():
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    # The rule that paces a connection's bytes is a cost of the kernel, and not the same everywhere.
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, TCP {congestion}"


def written(peers, rounds, settings, versions, absent, spoilt):
    """The whole report. `rounds` is a list of {peer: Measurement} for each scenario."""
    now = datetime.now(timezone.utc)
    parts = [
        f"## Side by side, {now:%Y-%m-%d %H:%M} UTC",
        "\n".join(
            [
                f"- Machine: {machine()}",
                f"- Versions: {', '.join(versions)}",
                f"- {settings}",
                f"- {quiet(rounds.values())}",
                *[f"- Not to be had: {what}" for what in absent],
                *[f"- Left out: {what}" for what in spoilt],
            ]
        ),
    ]
    if "proxied" in rounds:
        parts += ["### A proxied call", proxied_table(peers, rounds["proxied"])]
        parts += ["CPU us per call by thread:", threads_lines(peers, rounds["proxied"])]
    if "refused" in rounds:
        proxied = rounds.get("proxied", [{}] * len(rounds["refused"]))
        parts += ["### A refusal (429)", refused_table(peers, rounds["refused"], proxied)]
    shared = shared_table(peers, rounds)
    if shared:
        parts += ["### Limits shared over Redis", shared]
    return "\n\n".join(parts) + "\n"
