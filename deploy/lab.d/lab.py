"""What deploy/lab runs; its header says how."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from network import PREFIX, LabError, Network, remove_left_over
from payers import Payer, longest_gap

HOSTS = ["h0", "h1", "h2", "h3"]
# More than a phase is long: what waits for a mended network need not be given up.
ISSUED = 1_000_000
# A link that was cut is noticed, and what was on its way has arrived.
SETTLED = 1.0


class Lab:
    def __init__(self, options):
        self.options = options
        self.tool = options.quorate
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.bank = self.folder / "bank"
        self.network = Network(HOSTS + ["gw", "cl"])
        self.delays = ["--network", options.network] if options.network else []
        self.processes = []
        self.payers = []
        self.phases = []
        self.problems = []
        self.begun = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.begun:6.1f} s  {text}", flush=True)

    # Processes

    def start(self, node, words, log):
        """It ends when this process does, however that ends: its standard input is ours."""
        process = subprocess.Popen([*self.network.within(node), self.tool, *words, "--exit-on-stdin-eof"],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log.open("wb"))
        self.processes.append((node, process))

    def run(self, words, node="cl", timeout=60, allowed=(0,)):
        done = subprocess.run([*self.network.within(node), self.tool, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
        if allowed is not None and done.returncode not in allowed:
            raise LabError(f"quorate {' '.join(words)}: exit code {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()[-600:]}")
        return done

    def asked(self, words, **more):
        return json.loads(self.run([*words, "--json"], **more).stdout.splitlines()[-1])

    def set_up(self):
        remove_left_over()
        self.network.build()
        hosts = ",".join(f"{self.network.address(host)}:7100" for host in HOSTS)
        gateway = f"{self.network.address('gw')}:7200"
        self.run(["cluster", "init", str(self.bank), "--shards", str(self.options.shards), "--hosts", hosts,
                  "--gateways", gateway])
        # Each machine gets its own folder and no other; the client keeps the issuer's key and the public part.
        for number, host in enumerate(HOSTS):
            machine = self.folder / host
            shutil.move(self.bank / "hosts" / str(number), machine)
            self.start(host, ["host", "run", str(machine), *self.delays], self.folder / f"{host}.log")
        shutil.rmtree(self.bank / "hosts")
        shutil.move(self.bank / "gateways" / "0", self.folder / "gw")
        self.start("gw", ["gateway", "run", str(self.folder / "gw"), "--listen", gateway, *self.delays],
                   self.folder / "gw.log")
        self.wait_until_well(30)
        self.say(f"four hosts and a gateway, each in its own namespace; {self.options.shards} shards commit")
        for number in range(self.options.clients):
            # Half of them pay within a shard, half between two.
            shards = self.options.shards
            home = number % shards
            away = (home + (number // shards) % 2) % shards
            self.run(["account", "create", f"payer{number}", "--shard", str(home), "--issue", str(ISSUED),
                      "--cluster", str(self.bank)])
            self.run(["account", "create", f"payee{number}", "--shard", str(away), "--cluster", str(self.bank)])
        for number in range(self.options.clients):
            # It waits for an answer before it sees that its input has ended.
            command = [*self.network.within("cl"), "setpriv", "--pdeathsig", "KILL", self.tool, "shell", "--cluster", str(self.bank), "--json"]
            self.payers.append(Payer(number, command, f"payer{number}", f"payee{number}"))
        for payer in self.payers:
            payer.start()

    def wait_until_well(self, limit):
        """Until all hosts and gateways answer, and all replicas vote. Returns: how long that took."""
        begin = time.monotonic()
        while True:
            done = self.run(["cluster", "status", str(self.bank)], allowed=None)
            if done.returncode == 0:
                return time.monotonic() - begin
            if time.monotonic() - begin > limit:
                raise LabError(f"not well after {limit} s:\n{done.stdout.strip()}{done.stderr.strip()}")
            for node, process in self.processes:
                if process.poll() is not None:
                    raise LabError(f"{node} ended with {process.returncode}:\n{self.tail(node)}")
            time.sleep(0.2)

    def tail(self, node):
        return "\n".join((self.folder / f"{node}.log").read_text(errors="replace").splitlines()[-5:])

    # Phases

    def commits(self):
        return [when for payer in self.payers for when, _, _ in list(payer.committed.values())]

    def phase(self, name, seconds, may_stop=False):
        """Lets time pass, and counts what was committed in it."""
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            time.sleep(0.1)
            for payer in self.payers:
                if payer.failure is not None:
                    raise LabError(f"{payer.name}: {payer.failure}")
            for node, process in self.processes:
                if process.poll() is not None:
                    raise LabError(f"{node} ended with {process.returncode}:\n{self.tail(node)}")
        return self.count(name, begin, time.monotonic(), may_stop)

    def count(self, name, begin, end, may_stop):
        inside = [one for payer in self.payers for one in list(payer.committed.values()) if begin <= one[0] <= end]
        # A shard that stands still is not seen among the commits of the others.
        gap, since, shard = max(
            (*longest_gap([when for when, _, shards in inside if shard in shards], begin, end), shard)
            for shard in range(self.options.shards))
        times = sorted(took for _, took, _ in inside)
        figures = {
            "phase": name, "seconds": round(end - begin, 2), "committed": len(inside),
            "per_second": round(len(inside) / (end - begin), 1),
            "p50_ms": round(times[len(times) // 2], 1) if times else None,
            "max_ms": round(times[-1], 1) if times else None,
            "gap_ms": round(gap * 1000), "gap_at_s": round(since - begin, 2), "gap_shard": shard,
            "unanswered": sum(begin <= when <= end for payer in self.payers for when, _ in list(payer.unanswered)),
        }
        self.phases.append(figures)
        self.say(f"{name:34}  {figures['committed']:5} committed, {figures['per_second']:6} a second, "
                 f"p50 {figures['p50_ms'] or '-':>6} ms, longest gap {figures['gap_ms']:5} ms (shard {shard})")
        if not inside and not may_stop:
            self.problems.append(f"{name}: nothing was committed")
        return figures

    def after_mending(self, name, seconds):
        """The phase after a cut: also says how long the first commit took, and until every replica votes."""
        mended = time.monotonic()
        self.network.mend()
        well = None
        first = None
        limit = max(30.0, 4 * seconds)
        while True:
            now = time.monotonic()
            if first is None:
                first = min((when for when in self.commits() if when > mended), default=None)
            if well is None and self.run(["cluster", "status", str(self.bank)], allowed=None).returncode == 0:
                well = time.monotonic()
            if first is not None and well is not None and now - mended > seconds:
                break
            if now - mended > limit:
                break
            time.sleep(0.1)
        figures = self.count(name, mended, time.monotonic(), False)
        figures["first_commit_ms"] = None if first is None else round((first - mended) * 1000)
        figures["all_well_ms"] = None if well is None else round((well - mended) * 1000)
        if well is None:
            self.problems.append(f"{name}: not all replicas voted again within {limit:.0f} s")
        else:
            self.say(f"{'':34}  first commit after {figures['first_commit_ms']} ms, "
                     f"all hosts answer and vote after {figures['all_well_ms']} ms")

    def harm(self):
        network, seconds = self.network, self.options.seconds
        self.phase("all links whole", seconds)

        network.cut([("h0", "h1")])
        self.phase("link host 0 - host 1 cut", seconds)
        self.after_mending("mended", seconds / 2)

        network.cut(network.between(["h0"], [node for node in network.nodes if node != "h0"]))
        self.phase("host 0 wholly cut off", seconds)
        self.after_mending("mended", seconds / 2)

        pairs = network.between(HOSTS, HOSTS)
        problem = network.lose(self.options.loss, pairs)
        if problem is None:
            name = f"{self.options.loss:g} % of packets lost"
            figures = self.phase(name, seconds)
            figures["packets_lost"] = network.keep()
            self.say(f"{'':34}  {figures['packets_lost']} packets between hosts were dropped")
            if figures["packets_lost"] == 0:
                self.problems.append(f"{name}: no packet was dropped")
        else:
            network.keep()
            self.say(f"left out: losses. This kernel's packet filter cannot: {problem}")

        # The gateway and the client are on one side. No side has the three votes that a shard needs.
        left = ["h0", "h1", "gw", "cl"]
        network.cut(network.between(left, ["h2", "h3"]))
        figures = self.phase("parted: hosts 0, 1 | hosts 2, 3", seconds, may_stop=True)
        end = time.monotonic()
        late = [when for when in self.commits() if end - seconds + SETTLED < when <= end]
        if late:
            self.problems.append(f"{len(late)} transfers were committed while no side had a quorum")
        figures["committed_without_quorum"] = len(late)
        status = self.run(["cluster", "status", str(self.bank)], allowed=None)
        if status.returncode != 43:
            self.problems.append(f"parted: cluster status ended with {status.returncode}, expected 43")
        self.after_mending("mended", seconds)

    # The end

    def settle(self):
        for payer in self.payers:
            payer.leaving.set()
        for payer in self.payers:
            payer.join(timeout=60)
            if payer.is_alive():
                raise LabError(f"{payer.name} has no answer a minute after the end")
        # What was signed and never answered: paid, or certified not to be.
        for line in self.asked(["tx", "list", "--cluster", str(self.bank)])["transactions"]:
            said = self.run(["tx", "resolve", line["txid"], "--cluster", str(self.bank), "--json"], allowed=(0, 20))
            for payer in self.payers:
                if payer.payer == line["key"] and said.returncode == 0:
                    payer.committed.setdefault(line["txid"], (time.monotonic(), 0.0, []))

    def check(self):
        self.wait_until_well(30)
        committed = sum(len(payer.committed) for payer in self.payers)
        holds = {account["name"]: int(account["posted"])
                 for account in self.asked(["account", "list", "--cluster", str(self.bank)])["accounts"]}
        for payer in self.payers:
            paid = len(payer.committed)
            if holds[payer.payer] != ISSUED - paid or holds[payer.payee] != paid:
                self.problems.append(
                    f"{payer.name} was told of {paid} payments, and {payer.payer} holds {holds[payer.payer]}, "
                    f"{payer.payee} holds {holds[payer.payee]}")
        total, issued = sum(holds.values()), ISSUED * len(self.payers)
        if total != issued:
            self.problems.append(f"money is not conserved: {issued} were issued, and accounts hold {total}")

        # Offline, by the manifest alone.
        receipts = {path.stem: path for path in (self.bank / "receipts").glob("*.json")}
        missing = [txid for payer in self.payers for txid in payer.committed if txid not in receipts]
        if missing:
            self.problems.append(f"{len(missing)} committed transfers have no receipt")
        paths = [str(path) for path in receipts.values()]
        for index in range(0, len(paths), 500):
            done = self.run(["receipt", "verify", *paths[index:index + 500], "--manifest",
                             str(self.bank / "cluster.json")], allowed=None)
            if done.returncode != 0:
                self.problems.append(f"receipts are refused: {done.stderr.strip()[-300:]}")

        # Every host reads its whole state. An idle shard is at rest in a moment.
        end = time.monotonic() + 20
        while True:
            audit = self.asked(["doctor", str(self.bank), "--audit"], allowed=None, timeout=60)
            codes = {finding["code"] for finding in audit["findings"] if finding["severity"] != "notice"}
            # What the disk of this machine has left is not what is asked here.
            wrong = codes - {"disk_low", "disk_full"}
            if not wrong or time.monotonic() > end:
                break
            time.sleep(0.5)
        if wrong:
            self.problems.append(f"doctor --audit finds {', '.join(sorted(wrong))}")
        status = self.asked(["cluster", "status", str(self.bank)])
        left = sum(replica["undecided"] for host in status["hosts"] for replica in host["replicas"])
        if left:
            self.problems.append(f"{left} transactions are undecided")
        self.say(f"{committed} transfers committed, {sum(len(payer.aborted) for payer in self.payers)} aborted; "
                 f"{len(paths)} receipts verified offline")
        for why in sorted({why or "" for payer in self.payers for why in payer.aborted.values()}):
            self.say(f"aborted: {why}")

    def end(self):
        for payer in self.payers:
            payer.leaving.set()
        for _, process in self.processes:
            process.terminate()
        for _, process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for payer in self.payers:
            payer.shell.kill()
            payer.shell.wait()
        self.network.remove()
        if self.options.keep is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            # Another name, so that the next lab leaves it.
            kept = self.folder.rename(self.folder.with_name("kept-" + self.folder.name))
            print(f"logs and states are in {kept}")


def options():
    parser = argparse.ArgumentParser(prog="deploy/lab", add_help=False)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--loss", type=float, default=5)
    parser.add_argument("--network")
    parser.add_argument("--json")
    parser.add_argument("--keep", action="store_const", const=True, help="the folder with logs and states")
    parser.add_argument("quorate", nargs="?", default=os.environ.get("QUORATE_DEFAULT"))
    given = parser.parse_args()
    if given.seconds is None:
        given.seconds = 7.0 if given.check else 15.0
    if not 2 <= given.seconds <= 3600 or not 1 <= given.shards <= 64 or not 1 <= given.clients <= 64:
        parser.error("--seconds from 2 to 3600, --shards and --clients from 1 to 64")
    if not 0 < given.loss <= 50:
        parser.error("--loss above 0, and 50 at most")
    given.quorate = os.path.abspath(given.quorate)
    if not os.access(given.quorate, os.X_OK):
        parser.error(f"{given.quorate} is no program; build it with: swift build -c release --product quorate")
    return given


def main():
    lab = Lab(options())

    def interrupted(number, _):
        raise KeyboardInterrupt(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        lab.set_up()
        lab.harm()
        lab.settle()
        lab.check()
    except LabError as error:
        lab.problems.append(str(error))
    except subprocess.TimeoutExpired as error:
        lab.problems.append(f"no end of {' '.join(map(str, error.cmd))} within {error.timeout} s")
    except KeyboardInterrupt:
        lab.problems.append("interrupted")
    finally:
        # Nothing interrupts the end.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        lab.end()
    took = time.monotonic() - lab.begun
    if lab.options.check and took > 90 and not lab.problems:
        print(f"warning: it took {took:.0f} s, more than 90", file=sys.stderr)
    if lab.options.json:
        document = {"schema": 1, "seconds": round(took, 1), "phases": lab.phases, "problems": lab.problems}
        pathlib.Path(lab.options.json).write_text(json.dumps(document, indent=2) + "\n")
    for problem in lab.problems:
        print(f"error: {problem}", file=sys.stderr)
    if lab.problems:
        return 1
    print(f"nothing was lost, money is conserved, and the replicas are identical; {took:.0f} s")
    return 0


sys.exit(main())
