#!/usr/bin/env python3
"""Rules and dashboards name only metrics of docs/METRICS.md, which a test holds to the program, with labels that those
have. Each alert says what to do and has a test; dashboards have no two panels of one place or number."""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROW = re.compile(r"\| `([a-z0-9_]+)(?:\{([a-z, ]*)\})?` \| (counter|gauge|histogram) \|")
NAME = re.compile(r"\b(?:quorate|process)_[a-z0-9_]+")
# By whoever scrapes: see prometheus.yml. And what Prometheus adds itself.
TARGET_LABELS = {"cluster", "instance", "job"}
OTHER = {"up"}

problems = []


def table():
    """What is said of each metric: its labels, by the names of its series."""
    series = {}
    text = (FOLDER.parent.parent / "docs" / "METRICS.md").read_text()
    for name, labels, kind in ROW.findall(text):
        labels = {label.strip() for label in labels.split(",") if label.strip()} | TARGET_LABELS
        if kind == "histogram":
            series[name + "_bucket"] = labels | {"le"}
            series[name + "_sum"] = series[name + "_count"] = labels
        else:
            series[name] = labels
        KINDS[name] = kind
    return series


KINDS = {}
SERIES = table()


def check_expression(expression, where):
    for match in NAME.finditer(expression):
        name = match.group()
        if name not in SERIES:
            problems.append(f"{where}: {name} is not in docs/METRICS.md")
            continue
        rest = expression[match.end():]
        if rest.startswith("{"):
            for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", rest[:rest.index("}")]):
                if label not in SERIES[name]:
                    problems.append(f"{where}: {name} has no label {label}")
        if name.endswith("_total") and KINDS.get(name) == "counter":
            before = expression[:match.start()].rstrip()
            if not before.endswith(("rate(", "increase(", "label_values(")):
                problems.append(f"{where}: {name} counts; rate or increase of it says something")
    known = set().union(*SERIES.values())
    for labels in re.findall(r"\b(?:by|on|group_left) \(([a-z_, ]*)\)", expression):
        for label in labels.replace(" ", "").split(","):
            if label and label not in known:
                problems.append(f"{where}: no metric has a label {label}")


def check_rules():
    """As much of YAML as alerts.yml uses."""
    text = (FOLDER / "alerts.yml").read_text()
    tests = (FOLDER / "alerts_test.yml").read_text()
    blocks = re.split(r"^ +- alert: ", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        alert = block.split("\n", 1)[0].strip()
        for key in ("expr", "for", "severity", "summary", "description"):
            if not re.search(rf"^ +{key}:", block, flags=re.MULTILINE):
                problems.append(f"alerts.yml: {alert} has no {key}")
        if not re.search(r"severity: (critical|warning)$", block, flags=re.MULTILINE):
            problems.append(f"alerts.yml: {alert} is neither critical nor a warning")
        expression = re.search(r"expr:(.*?)^ +for:", block, flags=re.MULTILINE | re.DOTALL)
        if expression:
            check_expression(expression.group(1), f"alerts.yml: {alert}")
        for name in NAME.findall(block):
            if name not in SERIES and name not in KINDS:
                problems.append(f"alerts.yml: {alert}: {name} is not in docs/METRICS.md")
        if f'alertname="{alert}"' not in tests:
            problems.append(f"alerts.yml: {alert} has no test in alerts_test.yml")
    for name in NAME.findall(tests):
        if name not in SERIES:
            problems.append(f"alerts_test.yml: {name} is not in docs/METRICS.md")
    return len(blocks)


def expressions(value):
    """Of a dashboard: everything that is asked of Prometheus."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr", "query") and isinstance(inner, str):
                yield inner
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def check_dashboard(path):
    board = json.loads(path.read_text())
    for expression in expressions(board):
        check_expression(expression, path.name)
    panels = board["panels"]
    numbers = [panel["id"] for panel in panels]
    if len(set(numbers)) != len(numbers):
        problems.append(f"{path.name}: two panels have one number")
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or taken.setdefault((x, y), panel["title"]) != panel["title"]:
                    problems.append(f"{path.name}: {panel['title']} lies over another panel")
    return board["uid"]


def main():
    if len(KINDS) < 40:
        problems.append(f"docs/METRICS.md has {len(KINDS)} metrics in its tables, which cannot be all")
    alerts = check_rules()
    boards = [check_dashboard(path) for path in sorted((FOLDER / "dashboards").glob("*.json"))]
    if len(boards) < 3 or len(set(boards)) != len(boards):
        problems.append(f"dashboards: {boards}")
    for problem in sorted(set(problems)):
        print(f"error: {problem}", file=sys.stderr)
    if not problems:
        print(f"{alerts} alerts and {len(boards)} dashboards name metrics of docs/METRICS.md only")
    return 1 if problems else 0


sys.exit(main())
