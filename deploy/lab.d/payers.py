"""Clients that make one transfer after the other, and remember what they were told."""

import json
import subprocess
import threading
import time


class Payer(threading.Thread):
    """One `quorate shell` in the client's namespace. It pays one unit at a time, from an account that nobody else uses,
    so what it was told can be held against the account's balance."""

    def __init__(self, number, command, payer, payee):
        super().__init__(name=f"payer {number}", daemon=True)
        self.payer, self.payee = payer, payee
        # txid: (when it was said to be committed, how long it took in ms, its shards), by the monotonic clock.
        self.committed = {}
        self.aborted = {}
        # (when, what was said): no outcome; the next command asks for it.
        self.unanswered = []
        self.failure = None
        self.leaving = threading.Event()
        self.shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True)

    def ask(self, line):
        """Returns: the object that the tool says."""
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()
        said = self.shell.stdout.readline()
        if not said:
            raise EOFError("the shell ended")
        return json.loads(said)

    def run(self):
        try:
            while not self.leaving.is_set():
                begun = time.monotonic()
                said = self.ask(f"transfer {self.payer} {self.payee} 1")
                now = time.monotonic()
                if "error" in said:
                    self.unanswered.append((now, said["error"]["message"]))
                    if said["error"]["code"] not in ("no_answer", "outcome_unknown"):
                        raise RuntimeError(said["error"]["message"])
                elif said["committed"]:
                    # One that was told before is the same one, and was paid once.
                    self.committed.setdefault(said["txid"], (now, (now - begun) * 1000, said["shards"]))
                else:
                    self.aborted[said["txid"]] = said["why"]
        except (OSError, EOFError, RuntimeError, ValueError) as error:
            if not self.leaving.is_set():
                self.failure = str(error)
        finally:
            self.end()

    def end(self):
        try:
            self.shell.stdin.close()
        except OSError:
            pass
        try:
            self.shell.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.shell.kill()
            self.shell.wait()


def longest_gap(times, begin, end):
    """The longest time without a commit between two moments, and when it began."""
    marks = [begin] + sorted(t for t in times if begin <= t <= end) + [end]
    return max(((after - before, before) for before, after in zip(marks, marks[1:])), default=(0, begin))
