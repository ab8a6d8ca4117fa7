"""Quorate's side: one "quorate bench" a load."""
import hashlib
import json
import os
import re

import cases
import workload
from processes import FAILED, UNAVAILABLE, Problem, output


class Quorate:
    def __init__(self, path, label, folder):
        self.path, self.label, self.folder = path, label, folder
        self.version = self._say("--version").strip()
        if not re.fullmatch(r"\d+\.\d+\.\S+", self.version):
            raise Problem(UNAVAILABLE, f"{path} is no quorate: of --version it makes {self.version[:60]!r}")
        with open(path, "rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    def _say(self, *arguments, timeout=60):
        # Its clusters are folders in TMPDIR, beside those of PostgreSQL and on the same disk.
        environment = os.environ | {"TMPDIR": self.folder}
        log = os.path.join(self.folder, "quorate.log")
        return output([self.path, *arguments], self.label, log, timeout, env=environment).decode()

    def measure(self, load, made, seconds):
        arguments = ["bench", "--json", "--shards", str(load.shards), "--clients", str(load.clients)]
        arguments += ["--duration", str(seconds), "--warmup", str(cases.warmup(seconds))]
        if load.workload == workload.BUILT_IN:
            # A trace has no accounts but those of its rows, and the built-in workload has.
            arguments += ["--accounts", str(workload.ACCOUNTS), "--rows", str(len(made.rows))]
            arguments += ["--seed", str(workload.SEED)]
        else:
            arguments += ["--trace", made.trace]
        if load.cross is not None:
            arguments += ["--cross-shard", str(load.cross)]
        if load.bundle > 1:
            arguments += ["--principals", str(cases.PRINCIPALS), "--bundle", str(load.bundle)]
        out = self._say(*arguments, timeout=3 * seconds + 300)
        try:
            run = json.loads(out)["runs"][0]
            # Only what the figures are read from; the curves would be most of the file.
            result = {key: run[key] for key in ("committed", "aborted", "elapsed_s", "throughput_tps", "timeline")}
            for kind in ("intra", "cross"):
                result[kind] = {key: run[kind][key] for key in ("count", "p50_us", "p99_us", "max_us")}
        except (ValueError, KeyError, IndexError) as error:
            raise Problem(FAILED, f"{self.label} printed no result of a bench: {error!r}") from None
        return result
