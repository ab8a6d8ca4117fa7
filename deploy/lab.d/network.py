"""Network namespaces of one machine, with a link between each two of them."""

import os
import pathlib
import shutil
import subprocess
import tempfile

PREFIX = "quorate-lab-"
# For documentation (RFC 5737): nobody's. They are on the namespaces' loopback, and each has a route over each link.
NETWORK = "192.0.2."


class LabError(Exception):
    """What a person is told, and nothing else."""


def call(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def is_left_over(name):
    """Whether it is of a lab whose process is gone."""
    owner = name[len(PREFIX):].split("-")[0]
    return name.startswith(PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}")


def remove_left_over():
    """What a lab that was killed could not remove. Its processes have ended with it."""
    for line in call("ip", "netns", "list").splitlines():
        name = (line.split() or [""])[0]
        if is_left_over(name) and not call("ip", "netns", "pids", name).split():
            call("ip", "netns", "delete", name)
    for folder in pathlib.Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        if is_left_over(folder.name) and folder.is_dir() and folder.stat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)


class Network:
    """A full mesh. An interface is named for whom it leads to; what is cut is the link itself."""

    def __init__(self, nodes):
        self.nodes = list(nodes)
        self.made = []
        self.cut_links = set()
        self.can_lose = None

    def name(self, node):
        return f"{PREFIX}{os.getpid()}-{node}"

    def address(self, node):
        return NETWORK + str(1 + self.nodes.index(node))

    def within(self, node):
        """What to put before a command that is to run there."""
        return ["ip", "netns", "exec", self.name(node)]

    def build(self):
        for node in self.nodes:
            call("ip", "netns", "add", self.name(node))
            self.made.append(node)
            call("ip", "-n", self.name(node), "link", "set", "lo", "up")
            call("ip", "-n", self.name(node), "address", "add", self.address(node) + "/32", "dev", "lo")
        for one, other in self.links():
            call("ip", "link", "add", "to-" + other, "netns", self.name(one), "type", "veth",
                 "peer", "name", "to-" + one, "netns", self.name(other))
            self.raise_link(one, other)

    def links(self):
        return [(one, other) for index, one in enumerate(self.nodes) for other in self.nodes[index + 1:]]

    def raise_link(self, one, other):
        for here, there in ((one, other), (other, one)):
            call("ip", "-n", self.name(here), "link", "set", "to-" + there, "up")
            call("ip", "-n", self.name(here), "route", "replace", self.address(there) + "/32", "dev", "to-" + there,
                 "src", self.address(here))

    def cut(self, pairs):
        """Both ends learn that the cable is out, at once; nothing else does."""
        for pair in pairs:
            one, other = pair
            call("ip", "-n", self.name(one), "link", "set", "to-" + other, "down")
            self.cut_links.add(pair)

    def mend(self):
        for one, other in sorted(self.cut_links):
            self.raise_link(one, other)
        self.cut_links.clear()

    def between(self, some, others):
        """The links that lead from one group to another."""
        return [(a, b) for a, b in self.links() if (a in some and b in others) or (b in some and a in others)]

    def lose(self, percent, pairs):
        """Each end of these links drops so many of the packets that come, at random.
        Returns: why that cannot be, or None."""
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                rules = (f'table inet lab {{\nchain from-{there} {{\ntype filter hook input priority 0\n'
                         f'iifname "to-{there}" numgen random mod 1000 < {round(percent * 10)} counter drop\n}}\n}}\n')
                done = subprocess.run(
                    [*self.within(here), "nft", "-f", "-"], input=rules, capture_output=True, text=True)
                if done.returncode != 0:
                    return done.stderr.strip().splitlines()[0]
        return None

    def keep(self):
        """Ends the losses. Returns: how many packets were dropped."""
        dropped = 0
        for node in self.nodes:
            done = subprocess.run([*self.within(node), "nft", "list", "table", "inet", "lab"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                continue
            words = done.stdout.split()
            dropped += sum(int(words[i + 1]) for i, word in enumerate(words[:-1]) if word == "packets")
            call(*self.within(node), "nft", "delete", "table", "inet", "lab")
        return dropped

    def remove(self):
        for node in self.made:
            subprocess.run(["ip", "netns", "delete", self.name(node)], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.made = []
