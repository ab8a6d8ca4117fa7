"""Errors with their exit codes, and child processes that never outlive this one."""
import ctypes
import os
import signal
import subprocess

USAGE, UNAVAILABLE, FAILED, OUTPUT, INTERRUPTED = 64, 2, 1, 40, 130


class Problem(Exception):
    """Ends the command with this exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Interrupted(BaseException):
    """By a signal. No Exception, so that nothing takes it for a failed run."""


def raise_on_signals():
    def interrupt(number, _):
        # A second one must not cut short what the first has begun: the servers are being stopped.
        ignore_signals()
        raise Interrupted(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
# Children that may still run, with the signal that ends each.
running = {}


def start(arguments, end=signal.SIGTERM, **options):
    """A child that is sent `end` should this process be killed. It has a process group of its own: Ctrl-C in a
    terminal reaches only this process, which then stops its children in order. The session stays this one's, because
    Linux divides the processor between sessions first."""

    def prepare():
        os.setpgid(0, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        LIBC.prctl(PR_SET_PDEATHSIG, int(end))

    child = subprocess.Popen(arguments, preexec_fn=prepare, **({"stdin": subprocess.DEVNULL} | options))
    running[child] = end
    return child


def stop(child, *signals, seconds=20):
    """Each signal in turn, until one has ended it."""
    for number in (*signals, signal.SIGKILL):
        if child.poll() is not None:
            break
        child.send_signal(number)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    running.pop(child, None)


def stop_all():
    """Those that an interrupt has left while others were being stopped."""
    for child, end in list(running.items()):
        stop(child, end)


def output(arguments, what, stderr, timeout, **options):
    """Runs a program to its end. Its messages go to the file `stderr`, and their last lines into the error if it fails.
    - Returns: its standard output."""
    with open(stderr, "wb") as messages:
        try:
            child = start(arguments, stdout=subprocess.PIPE, stderr=messages, **options)
        except OSError as error:
            raise Problem(UNAVAILABLE, f"{arguments[0]} cannot be started: {error.strerror}") from None
        try:
            out, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Problem(FAILED, f"{what} did not end within {timeout:.0f} s{tail(stderr)}") from None
        finally:
            stop(child, signal.SIGTERM, seconds=60)
            child.stdout.close()
    if child.returncode != 0:
        how = f"exit code {child.returncode}" if child.returncode > 0 else signal.Signals(-child.returncode).name
        raise Problem(FAILED, f"{what} failed ({how}){tail(stderr)}")
    return out


def tail(path, lines=5):
    """The last lines of a log, to follow a message."""
    with open(path, errors="replace") as file:
        kept = [line.rstrip() for line in file if line.strip()][-lines:]
    return ":\n  " + "\n  ".join(kept) if kept else ""
