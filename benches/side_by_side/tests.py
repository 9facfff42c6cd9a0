"""Tests of the parts that only compute: `python3 -m unittest benches/side_by_side/tests.py`."""

import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))

import instructions
import perf
import report
from load import Measurement, check
from process import Cost, Failed


def measurement(cpu_us, calls=1000, threads=None, p99_us=2000.0, round_trips=None):
    return Measurement(
        calls=calls,
        seconds=1.0,
        p50_us=1000.0,
        p99_us=p99_us,
        p999_us=3000.0,
        cost=Cost(cpu_us * calls / 1e6, 0.0, threads or {("proxy", 1, 1): cpu_us * calls / 1e6}),
        resident_bytes=2**20,
        own_share=1.0,
        foreign_share=0.0,
        stolen_share=0.0,
        round_trips=round_trips,
    )


class Ratios(unittest.TestCase):
    def test_a_ratio_is_taken_inside_its_round(self):
        rounds = [
            {"nginx": measurement(10), "hyper": measurement(11)},
            # A noisy round: both cost three times as much, and the ratio stays.
            {"nginx": measurement(30), "hyper": measurement(33)},
        ]

        found = report.ratios(rounds, "hyper", "nginx")

        self.assertEqual([round(ratio, 6) for ratio in found], [1.1, 1.1])

    def test_a_round_without_the_yardstick_has_no_ratio(self):
        self.assertEqual(report.ratios([{"hyper": measurement(11)}], "hyper", "nginx"), [])

    def test_the_spread_is_that_of_the_quartiles(self):
        self.assertEqual(report.spread([1.0, 2.0, 3.0, 4.0, 100.0], 1), "3.0 (2.0-4.0)")
        self.assertEqual(report.spread([1.25], 2), "1.25")


class Shared(unittest.TestCase):
    PEERS = [SimpleNamespace(name=name, title=name) for name in ("tollgate-proxy", "shared")]

    def test_it_is_held_against_the_gateway_that_counts_in_itself(self):
        rounds = {
            "proxied": [
                {"tollgate-proxy": measurement(10), "shared": measurement(11, round_trips=5)}
            ],
            "alone": [
                {
                    "tollgate-proxy": measurement(10, p99_us=100.0),
                    "shared": measurement(10, p99_us=130.0, round_trips=0),
                }
            ],
        }

        row = report.shared_table(self.PEERS, rounds).splitlines()[-1]

        self.assertEqual(row, "| shared | 1.10 | 0.50 | - | 1000 | 130 | 30 |")

    def test_without_redis_there_is_no_such_table(self):
        rounds = {"proxied": [{"tollgate-proxy": measurement(10)}]}

        self.assertIsNone(report.shared_table(self.PEERS, rounds))


class Threads(unittest.TestCase):
    def test_what_ended_threads_used_counts_as_other_threads(self):
        one = measurement(20, threads={("proxy", 1, 2): 0.012, ("admin", 1, 3): 0.003})

        self.assertAlmostEqual(one.busiest_thread_us, 12)
        self.assertAlmostEqual(one.other_threads_us, 8)
        self.assertEqual([name for name, _ in one.threads_us()], ["proxy", "admin"])


class Checks(unittest.TestCase):
    def test_figures_of_failed_calls_are_no_figures(self):
        seen = {"requests": 100, "status_errors": 1, "socket_errors": 0}

        with self.assertRaises(Failed):
            check("proxy", "proxied", seen)
        with self.assertRaises(Failed):
            check("proxy", "refused", seen)

    def test_the_first_call_over_the_limit_may_pass(self):
        check("proxy", "refused", {"requests": 1000, "status_errors": 999, "socket_errors": 0})


class Stacks(unittest.TestCase):
    SCRIPT = """proxy thread  4711
\t    55d0a1b2 alloc::vec::Vec<T>::push::h0123456789abcdef+0x12
\t    55d0a1b3 main+0x3

proxy thread  4711
\t    55d0a1b2 alloc::vec::Vec<T>::push::h0123456789abcdef+0x40
\t    55d0a1b3 main+0x3

other  4712
\tffffffff81000000 [unknown]
"""

    def test_samples_of_one_stack_are_folded_into_one_line(self):
        stacks = perf.folded(self.SCRIPT)

        self.assertEqual(stacks["proxy thread;main;alloc::vec::Vec<T>::push"], 2)
        self.assertEqual(stacks["other;[unknown]"], 1)
        self.assertEqual(sum(stacks.values()), 3)


class Instructions(unittest.TestCase):
    def test_what_a_called_function_takes_is_not_the_callers(self):
        text = "\n".join([
            "thread: 10",
            "ob=(1) /bin/tollgate",
            "fn=(1) tollgate::serve::h0123456789abcdef",
            "12 100",
            "cfn=(2) memcpy",
            "calls=3 0",
            "+1 60",
            "* 5",
            "",
            "fn=(2)",
            "7 60",
            "totals: 165",
        ])

        self.assertEqual(
            instructions.by_function(text), {"tollgate::serve": 105, "memcpy": 60}
        )


if __name__ == "__main__":
    unittest.main()
