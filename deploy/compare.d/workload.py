"""The transfers that both systems make, and the balances that their accounts open with."""
import bisect
import itertools
import math

ACCOUNTS = 10_000
SEED = 1
# Exponent of Zipf's law and rows.
KINDS = {"uniform": (0.0, 100_000), "skewed": (0.9, 20_000)}
# Row for row what "quorate bench" makes by itself (SkewedWorkload in Sources/Workload).
BUILT_IN = "skewed"
MASK = 2**64 - 1


class SplitMix64:
    """As in Sources/Randomness: the same numbers for the same seed and stream."""

    def __init__(self, seed, stream):
        self.state = 0xCBF29CE484222325
        for byte in stream.encode():
            self.state = ((self.state ^ byte) * 0x100000001B3) & MASK
        self.state ^= seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def unit(self):
        return (self.next() >> 11) * 2.0**-53

    def below(self, bound):
        return (self.next() * bound) >> 64


def make(kind):
    """A list of (from, to, amount): accounts from 0 to ACCOUNTS - 1, amounts from 1 to 1,000."""
    exponent, count = KINDS[kind]
    random = SplitMix64(SEED, "skewed workload")
    sums = list(itertools.accumulate(math.pow(rank, -exponent) for rank in range(1, ACCOUNTS + 1)))
    cumulative = [value / sums[-1] for value in sums]
    rows = []
    while len(rows) < count:
        payer = bisect.bisect_right(cumulative, random.unit())
        payee = bisect.bisect_right(cumulative, random.unit())
        if payer != payee:
            rows.append((payer, payee, random.below(1000) + 1))
    return rows


def cross(rows, percent):
    """The rows over two shards, even accounts and odd ones, of which so many percent cross. Changes payees only, to an
    account that is about as popular, as "quorate bench --cross-shard" does on the shards that its hash gives."""
    random = SplitMix64(SEED, "cross-shard mix")
    owed = len(rows) * percent // 100
    result = []
    for index, (payer, payee, amount) in enumerate(rows):
        wanted = random.below(len(rows) - index) < owed
        owed -= wanted
        if ((payer ^ payee) & 1 == 1) != wanted:
            payee ^= 1
            if payee == payer:
                payee = (payee + 2) % ACCOUNTS
        result.append((payer, payee, amount))
    return result


def opening_balances(rows, duration):
    """What "quorate bench" funds its accounts with (Funding in Sources/Workload): the least with which every row can
    be paid, for as many passes over the rows as 100,000 transfers a second would make."""
    passes = max(1, math.ceil(duration * 100_000 / len(rows)))
    balance = [0] * ACCOUNTS
    lowest = [0] * ACCOUNTS
    for payer, payee, amount in rows:
        balance[payer] -= amount
        lowest[payer] = min(lowest[payer], balance[payer])
        balance[payee] += amount
    return [-((passes - 1) * min(0, end) + low) for end, low in zip(balance, lowest)]


def write_trace(rows, path):
    """As "quorate bench --trace" reads it."""
    with open(path, "w") as file:
        file.write("timestamp,from,to,amount\n")
        file.writelines(f"0,{payer},{payee},{amount}\n" for payer, payee, amount in rows)


def write_rows(rows, path):
    """As transfers.c reads them."""
    with open(path, "w") as file:
        file.writelines(f"{payer},{payee},{amount}\n" for payer, payee, amount in rows)
