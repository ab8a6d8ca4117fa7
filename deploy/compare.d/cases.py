"""What is measured: each case is one load or two on either system, and the figures that are read from them."""
from dataclasses import dataclass, field
from typing import Callable

# Members that sign the bundles, and own all accounts.
PRINCIPALS = 16


@dataclass(frozen=True)
class Load:
    clients: int
    shards: int = 1
    cross: int | None = None  # percent; None on one shard
    workload: str = "uniform"
    bundle: int = 1  # Quorate's transfers under one signature
    peer_clients: int | None = None  # PostgreSQL's, where they are others
    stretch: int = 1  # times --duration


@dataclass(frozen=True)
class Figure:
    name: str
    read: Callable  # of {load's name: its result} and the seconds of the load
    digits: int = 2
    # Not where the figure is itself a ratio of two figures of one system.
    is_compared: bool = True


@dataclass(frozen=True)
class Case:
    name: str
    about: str
    figures: tuple
    loads: dict = field(default_factory=dict)

    def seconds(self, duration):
        return sum(load.stretch * duration for load in self.loads.values())


def warmup(seconds):
    return min(2, seconds / 4)


def rate(load="load"):
    return Figure("transfers/s", lambda results, _: results[load]["throughput_tps"], digits=0)


def latency(percentile, kind, load="load", name=""):
    key = f"p{percentile}_us"
    return Figure(f"{name}p{percentile} ms", lambda results, _: results[load][kind][key] / 1000)


def quotient(name, numerator, denominator):
    def read(results, seconds):
        below = denominator.read(results, seconds)
        return numerator.read(results, seconds) / below if below else 0

    return Figure(name, read, is_compared=False)


def last_to_first(load):
    """Commits in the last sixth of the time, to those in the first sixth after the warm-up."""

    def read(results, seconds):
        timeline = results[load]["timeline"]
        per_second = 1000 / timeline["interval_ms"]
        # What ended after the time is no part of it.
        commits = timeline["committed"][: round(seconds * per_second)]
        window = round(seconds / 6 * per_second)
        first = round(warmup(seconds) * per_second)
        before = sum(commits[first : first + window])
        return sum(commits[-window:]) / before if before else 0

    return Figure("last/first sixth", read, is_compared=False)


def plain(name, about, load, kind):
    figures = (rate(), latency(50, kind), latency(99, kind))
    return Case(name, about, figures, {"load": load})


def bundled(name, about, bundle, **options):
    load = Load(clients=64, bundle=bundle, peer_clients=256, **options)
    return Case(name, about, (rate(),), {"load": load})


CASES = (
    plain("intra-256", "1 shard, 256 clients", Load(256), "intra"),
    plain("intra-1", "1 shard, 1 client", Load(1), "intra"),
    plain("cross-64", "2 shards, 64 clients, all transfers cross", Load(64, 2, 100), "cross"),
    plain("cross-256", "2 shards, 256 clients, all transfers cross", Load(256, 2, 100), "cross"),
    Case(
        "cross-1",
        "2 shards, 1 client: all transfers cross, and then none",
        (
            latency(50, "cross", "cross", "cross "),
            latency(50, "intra", "intra", "intra "),
            quotient("cross/intra p50", latency(50, "cross", "cross"), latency(50, "intra", "intra")),
        ),
        {"cross": Load(1, 2, 100), "intra": Load(1, 2, 0)},
    ),
    bundled("bundle-100", "1 shard, 100 transfers under one signature; PostgreSQL: 256 clients", 100),
    bundled("bundle-1000", "1 shard, 1,000 transfers under one signature; PostgreSQL: 256 clients", 1000),
    bundled("bundle-100-cross-half", "the same over 2 shards, of which half cross", 100, shards=2, cross=50),
    Case(
        "skewed",
        "1 shard, 256 clients, twice as long: accounts of skewed popularity, and then of an even one",
        (
            rate("skewed"),
            quotient("skewed/uniform", rate("skewed"), rate("uniform")),
            last_to_first("skewed"),
        ),
        {"skewed": Load(256, workload="skewed", stretch=2), "uniform": Load(256, stretch=2)},
    ),
)
