"""Looks at the dashboard of a running cluster in chromium: see deploy/dashboard/check, which starts both.

usage: page.py QUORATE CLUSTER PICTURES
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

PATIENCE = 40

# What is wrong with the page for who does not see it or has no mouse, a line each.
ACCESSIBILITY = r"""
const wrong = [];
const all = (query) => [...document.querySelectorAll(query)];
const shown = (element) => element.getClientRects().length > 0;
const named = (element) => (element.getAttribute('aria-label') || '').trim()
  || (element.getAttribute('aria-labelledby') || '').split(' ').some((id) => document.getElementById(id))
  || element.textContent.trim();
if (!document.documentElement.lang) wrong.push('the page has no language');
if (!document.title) wrong.push('the page has no title');
if (all('h1').length !== 1) wrong.push('not one h1');
for (const landmark of ['header', 'main', 'footer']) {
  if (all('body > ' + landmark).length !== 1) wrong.push('not one ' + landmark);
}
for (const section of all('section')) {
  const label = document.getElementById(section.getAttribute('aria-labelledby'));
  if (!label || !/^H[2-6]$/.test(label.tagName)) wrong.push('a section without a heading: ' + section.outerHTML.slice(0, 80));
}
let level = 0;
for (const heading of all('h1, h2, h3, h4').filter(shown)) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) wrong.push('a level is left out before: ' + heading.textContent);
  level = own;
}
for (const table of all('table').filter(shown)) {
  if (!table.caption || !table.caption.textContent.trim()) wrong.push('a table without a caption: ' + table.id);
  for (const head of table.querySelectorAll('th')) if (!head.scope) wrong.push('a th without scope in ' + table.id);
  if (!table.tHead || !table.tHead.querySelector('th')) wrong.push('a table without column headers: ' + table.id);
}
for (const input of all('input')) if (!input.labels.length) wrong.push('an input without a label');
for (const control of all('button, a')) if (!named(control)) wrong.push('a control without a name');
for (const region of all('[role=region]')) {
  if (region.tabIndex !== 0 || !named(region)) wrong.push('a region that cannot be reached or has no name');
}
for (const image of all('main .chart > svg')) {
  if (image.getAttribute('role') !== 'img' || !named(image)) wrong.push('a chart without a text');
}
const ids = all('[id]').map((element) => element.id);
if (new Set(ids).size !== ids.length) wrong.push('an id twice');
return wrong;
"""

# Contrast of text that is shown against what is behind it, below 4.5 : 1 (WCAG 2.2, 1.4.3).
CONTRAST = r"""
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const over = (color, under) => {
  canvas.globalCompositeOperation = 'copy';
  canvas.fillStyle = under;
  canvas.fillRect(0, 0, 1, 1);
  canvas.globalCompositeOperation = 'source-over';
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return 'rgb(' + [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).join(',') + ')';
};
const behind = (element) => {
  const chain = [];
  for (let e = element; e; e = e.parentElement) chain.unshift(getComputedStyle(e).backgroundColor);
  return chain.reduce((under, color) => over(color, under), 'rgb(255,255,255)');
};
const luminance = (color) => {
  const [r, g, b] = color.match(/\d+/g).map((v) => v / 255).map((v) =>
    v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const wrong = new Set();
let seen = 0;
for (const element of document.querySelectorAll('body *')) {
  const hasText = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!hasText || !element.getClientRects().length || element.closest('.hidden, noscript')) continue;
  const style = getComputedStyle(element);
  const ground = behind(element);
  const ink = over(element.namespaceURI.endsWith('svg') ? style.fill : style.color, ground);
  const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  seen += 1;
  if (ratio < 4.5) wrong.add(ratio.toFixed(2) + ' ' + element.textContent.trim().slice(0, 40));
}
return [seen, [...wrong]];
"""


class Failure(Exception):
    """What the page should have shown, and did not."""


class Page:
    """The dashboard in a browser without a window."""

    def __init__(self, address, pictures):
        self.address, self.pictures = address, pictures
        options = Options()
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]:
            options.add_argument(argument)
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.problems = []
        self.size(1280, 900)
        self.driver.get(address)

    def size(self, width, height):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def scheme(self, name):
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def text(self, query):
        return self.driver.execute_script(
            "const e = document.querySelector(arguments[0]); return e ? e.textContent : '';", query)

    def wait(self, what, condition):
        """Until the condition holds: returns how long it took."""
        start = time.monotonic()
        while time.monotonic() < start + PATIENCE:
            if condition():
                return time.monotonic() - start
            time.sleep(0.2)
        raise Failure(f"the page does not show within {PATIENCE} s: {what}; its verdict is {self.text('#verdict')!r}, "
                      f"its connection {self.text('#connection')!r}")

    def shows(self, query, *words):
        self.wait(f"{words} in {query}", lambda: all(word in self.text(query) for word in words))

    def look(self, name):
        """Pictures in both schemes and widths; whether it fits and can be read."""
        for width in [1280, 400]:
            for scheme in ["light", "dark"]:
                self.size(width, 900)
                self.scheme(scheme)
                time.sleep(1.5)
                wide, high = self.driver.execute_script(
                    "const e = document.documentElement; return [e.scrollWidth, e.scrollHeight];")
                if wide > width:
                    self.problems.append(f"{name}: at {width} px the page is {wide} px wide")
                seen, wrong = self.driver.execute_script(CONTRAST)
                if seen < 50:
                    self.problems.append(f"{name}: only {seen} texts were found")
                self.problems += [f"{name}, {scheme}: contrast {what}" for what in wrong]
                self.size(width, high)
                time.sleep(0.5)
                self.driver.save_screenshot(os.path.join(self.pictures, f"{name}-{width}-{scheme}.png"))
        self.size(1280, 900)
        self.scheme("light")

    def check_keyboard(self):
        """Tab goes through all that can be used, in the order of the page, and one sees where one is."""
        body = self.driver.find_element(By.TAG_NAME, "body")
        body.click()
        expected = self.driver.execute_script(
            "return [...document.querySelectorAll('a[href], button, input, [tabindex=\"0\"]')]"
            ".filter((e) => e.getClientRects().length).length;")
        self.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0); window.passed = [];"
                                   "getSelection().removeAllRanges(); document.body.tabIndex = -1; document.body.focus();")
        for _ in range(expected):
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
            self.driver.execute_script("window.passed.push(document.activeElement);")
            style = self.driver.execute_script(
                "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)];")
            if style[0] == "none" or style[1] < 1:
                self.problems.append("focus cannot be seen on " + self.driver.execute_script(
                    "return document.activeElement.outerHTML.slice(0, 80);"))
        in_order = self.driver.execute_script(
            "return window.passed.every((e, i, all) => i === 0 || "
            "Boolean(all[i - 1].compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING));")
        first = self.driver.execute_script("return window.passed[0].className;")
        if not in_order:
            self.problems.append("Tab does not follow the order of the page")
        if first != "skip":
            self.problems.append(f"the first Tab does not reach the link to the content, but {first!r}")

    def check_requests(self):
        """All that was asked for came from the gateway."""
        asked = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.add(message["params"]["request"]["url"])
        foreign = sorted(url for url in asked if not url.startswith(self.address) and not url.startswith("data:"))
        if foreign:
            self.problems.append(f"requests to elsewhere: {foreign}")
        if not any(url.endswith("/api/v1/events") for url in asked):
            self.problems.append("the log of requests has no stream of events")

    def check_console(self):
        self.problems += [f"console: {entry['message']}" for entry in self.driver.get_log("browser")
                          if entry["level"] in ("SEVERE", "WARNING")]


def check_headers(address):
    problems = []
    for path in ["/", "/app.js", "/app.css", "/api/v1/picture"]:
        with urllib.request.urlopen(address + path, timeout=10) as response:
            headers, body = response.headers, response.read()
        policy = headers.get("Content-Security-Policy", "")
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]:
            if part not in policy:
                problems.append(f"{path}: no {part} in its policy")
        if headers.get("X-Content-Type-Options") != "nosniff":
            problems.append(f"{path}: its type may be guessed")
        if headers.get("Access-Control-Allow-Origin") is not None:
            problems.append(f"{path}: other origins may read it")
        if path == "/api/v1/picture" and json.loads(body)["schema"] != 1:
            problems.append("the picture has another schema")
    return problems


def process(cluster, name):
    with open(os.path.join(cluster, "run", f"{name}.pid"), encoding="utf-8") as file:
        return int(json.load(file)["pid"])


def run(quorate, *arguments):
    subprocess.run([quorate, *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)


def check(page, quorate, cluster):
    page.shows("#connection", "live")
    page.shows("#verdict", "All is well")
    page.wait("committed transactions across shards", lambda: "–" not in page.text("#tiles div:nth-child(6) dd"))
    page.shows("#aborts", "insufficient funds")
    page.wait("traffic from shard 0 to shard 1", lambda: page.text(
        "#traffic tbody tr:nth-child(1) td:nth-child(3)").strip() not in ("", "0"))
    # Host 0 leads shard 0.
    page.wait("the delay from host 0 to host 1", lambda: page.text(
        "#links tbody tr:nth-child(1) td:nth-child(3)").strip() != "")
    page.shows("#steps", "2f + 1 have it", "all have executed it")
    page.driver.find_element(By.CSS_SELECTOR, "#recent button").click()
    page.shows("#spans", "gateway 0", "(primary)", "commit")
    page.problems += page.driver.execute_script(ACCESSIBILITY)
    page.check_keyboard()
    page.look("before")

    run(quorate, "cluster", "kill-host", cluster, "0")
    page.shows("#verdict", "host 0 does not answer")
    page.shows("#shards tbody tr:nth-child(1)", "no answer")
    page.shows("#problems", "3 of 4 replicas vote")
    page.look("during")

    run(quorate, "cluster", "restart-host", cluster, "0")
    page.shows("#verdict", "All is well")
    page.wait("no host without an answer", lambda: "no answer" not in page.text("#hosts tbody"))
    page.look("after")

    # A gateway that says nothing any more.
    gateway = process(cluster, "gateway-0")
    os.kill(gateway, signal.SIGSTOP)
    try:
        page.shows("#connection", "disconnected, since")
        page.shows("#verdict", "Not known now")
        page.driver.save_screenshot(os.path.join(page.pictures, "disconnected.png"))
    finally:
        os.kill(gateway, signal.SIGCONT)
    page.shows("#connection", "live")
    page.shows("#verdict", "All is well")
    page.check_requests()
    page.check_console()

    # And one that is gone.
    os.kill(gateway, signal.SIGTERM)
    page.shows("#connection", "disconnected, since")


def main():
    quorate, cluster, pictures = sys.argv[1:]
    with open(os.path.join(cluster, "run", "gateway-0.http"), encoding="utf-8") as file:
        address = f"http://127.0.0.1:{int(file.read())}"
    problems = check_headers(address)
    page = Page(address, pictures)
    try:
        check(page, quorate, cluster)
    except Failure as failure:
        page.driver.save_screenshot(os.path.join(pictures, "failure.png"))
        problems.append(str(failure))
    finally:
        problems += page.problems
        page.driver.quit()
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print("the dashboard shows a host's death and its return, and the gateway's silence; nothing is wrong with the page")


if __name__ == "__main__":
    main()
