#!/usr/bin/env python3
"""What deploy/monitoring/live does with the cluster and the Prometheus that it has started.

    live.py QUORATE CLUSTER URL_OF_PROMETHEUS FOLDER_OF_TARGETS
"""

import json
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(__file__).resolve().parent
TOOL, CLUSTER, URL, TARGETS = sys.argv[1:]
BEGUN = time.monotonic()


def fail(text):
    print(f"error: {text}", file=sys.stderr)
    sys.exit(1)


def say(text):
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}", flush=True)


def api(path, **query):
    address = f"{URL}/api/v1/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)["data"]


def run(*words):
    done = subprocess.run([TOOL, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        fail(f"quorate {' '.join(words)}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait(what, ready, limit=30):
    """Returns: how long it took."""
    begin = time.monotonic()
    while True:
        try:
            if ready():
                return time.monotonic() - begin
        except (OSError, urllib.error.URLError):
            # It still starts.
            pass
        if time.monotonic() - begin > limit:
            fail(f"{what}: not within {limit} s; alerts: {alerts()}")
        time.sleep(0.1)


def alerts():
    return {(alert["labels"]["alertname"], alert["labels"].get("instance", alert["labels"].get("shard"))): alert["state"]
            for alert in api("alerts")["alerts"]}


def is_up(count):
    return sum(target["health"] == "up" for target in api("targets")["activeTargets"]) == count


def kill(host, name, about):
    """Kills a host, and says when the alert was pending and when it fired, on the test's clock."""
    run("cluster", "kill-host", CLUSTER, str(host))
    say(f"host {host} killed")
    pending = wait(f"{name} is pending", lambda: all((name, one) in alerts() for one in about))
    say(f"{name} is {'pending' if 'pending' in [alerts().get((name, one)) for one in about] else 'active'}")
    firing = pending + wait(f"{name} fires", lambda: all(alerts().get((name, one)) == "firing" for one in about))
    say(f"{name} fires: {firing:.1f} s after the host was killed, of which it was pending for {firing - pending:.1f} s")


def dashboards():
    """Every expression of every panel, with a host, gateway and cluster that there are. Returns: how many, and how
    many had something to show."""
    asked = answered = 0
    for path in sorted((FOLDER / "dashboards").glob("*.json")):
        panels = list(json.loads(path.read_text())["panels"])
        while panels:
            panel = panels.pop()
            panels += panel.get("panels", [])
            for target in panel.get("targets", []):
                expression = target["expr"]
                for name, value in (("$cluster", pathlib.Path(CLUSTER).name), ("$host", "host-0"),
                                    ("$gateway", "gateway-0"), ("$__rate_interval", "10s")):
                    expression = expression.replace(name, value)
                try:
                    found = api("query", query=expression)["result"]
                except urllib.error.HTTPError as error:
                    fail(f"{path.name}: {panel['title']}: {error.read().decode(errors='replace')}")
                asked += 1
                answered += bool(found)
    return asked, answered


def main():
    wait("Prometheus sees four hosts and a gateway", lambda: is_up(5))
    rules = sum(len(group["rules"]) for group in api("rules")["groups"])
    say(f"Prometheus scrapes four hosts and a gateway, and evaluates {rules} alerts")
    run("account", "create", "alice", "--shard", "0", "--issue", "1000", "--cluster", CLUSTER)
    run("account", "create", "bob", "--shard", "1", "--cluster", CLUSTER)
    for _ in range(20):
        run("transfer", "alice", "bob", "1", "--cluster", CLUSTER)
    # Longer than a rule waits here.
    time.sleep(7)
    others = sorted(alerts())
    if any(name in ("QuorateHostDown", "QuorateShardWithoutQuorum") for name, _ in others):
        fail(f"alerts of a cluster that is well: {others}")
    say("no host is said to be down" + (f"; other alerts of this machine: {others}" if others else ""))
    asked, answered = dashboards()
    say(f"all {asked} expressions of the dashboards are answered, {answered} of them with values")
    if answered < asked / 2:
        fail("most panels would be empty")

    kill(3, "QuorateHostDown", ["host-3"])
    if any(name == "QuorateShardWithoutQuorum" for name, _ in alerts()):
        fail("QuorateShardWithoutQuorum although three of four hosts run")
    run("transfer", "alice", "bob", "1", "--cluster", CLUSTER)
    say("with three of four hosts a transfer commits")
    kill(2, "QuorateShardWithoutQuorum", ["0", "1"])

    run("cluster", "up", CLUSTER)
    # They answer at other ports now.
    subprocess.run([FOLDER / "targets" / "write", CLUSTER, TARGETS], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, check=True, timeout=10)
    restarted = time.monotonic()
    say("both hosts started again")
    for name in ("QuorateShardWithoutQuorum", "QuorateHostDown"):
        wait(f"{name} is resolved", lambda: not any(found == name for found, _ in alerts()))
        say(f"{name} is resolved: {time.monotonic() - restarted:.1f} s after the start")
    run("transfer", "alice", "bob", "1", "--cluster", CLUSTER)
    say("a transfer commits")
    print("alerts were pending, fired and resolved; alerts.yml waits longer: 1 minute for a host, 30 s for a quorum")


main()
