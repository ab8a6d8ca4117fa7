#!/usr/bin/env python3
"""Makes the manual page of what the tool says of itself.

    quorate --experimental-dump-help | deploy/package.d/manual.py VERSION SECONDS_SINCE_1970 >quorate.1
"""

import datetime
import json
import sys

# As the tool's own help has it.
DISPLAYED = "shouldDisplay"


def escaped(text):
    """Text as troff shows it: nothing of it is a request, and a hyphen can be copied into a shell."""
    out = "".join(
        "\\e" if c == "\\" else "\\-" if c == "-" else c if " " <= c < "\x7f" else f"\\[u{ord(c):04X}]" for c in text)
    return "\\&" + out if out[:1] in (".", "'") else out


def word(text):
    """One argument of a request."""
    return '"' + escaped(text).replace('"', '\\(dq') + '"'


def prose(text):
    """Paragraphs; lines that are indented, and tables, stay as they are."""
    out = []
    literal = False
    for line in text.strip("\n").split("\n"):
        indented = line.startswith("  ")
        if not line.strip():
            if literal:
                out.append("")
            else:
                out.append(".PP")
            continue
        if indented != literal:
            if literal and out[-1] == "":
                out.pop()
            out.append(".PP\n.RS 4\n.nf" if indented else ".fi\n.RE\n.PP")
            literal = indented
        out.append(escaped(line[2:] if indented else line))
    if literal:
        out.append(".fi\n.RE")
    lines = []
    for line in out:
        # A paragraph begins once, and not at the end.
        if line == ".PP" and lines and lines[-1] == ".PP":
            continue
        if line.startswith(".PP\n") and lines and lines[-1] == ".PP":
            line = line[4:]
        lines.append(line)
    return lines


def flag(name):
    return ("--" if name["kind"] == "long" else "-") + name["name"]


def value(argument):
    return "<" + argument.get("valueName", "value") + ">"


def usage(argument):
    """As in the synopsis of a command."""
    if argument["kind"] == "positional":
        text = value(argument)
    else:
        text = flag(argument["preferredName"])
        if argument["kind"] == "option":
            text += " " + value(argument)
    if argument["isRepeating"]:
        text += " ..."
    return f"[{text}]" if argument["isOptional"] else text


def described(argument):
    names = ", ".join(flag(name) for name in argument.get("names", [])) or value(argument)
    if argument["kind"] == "option":
        names += " " + value(argument)
    out = [".TP", ".B " + word(names)]
    text = argument.get("abstract", "")
    if argument.get("allValues"):
        text += f" (values: {', '.join(argument['allValues'])})"
    if argument.get("defaultValue"):
        text += f" (default: {argument['defaultValue']})"
    out.append(escaped(text.strip()) or "\\&")
    if argument.get("discussion"):
        out.append(escaped(" ".join(argument["discussion"].split())))
    return out


def shown(command):
    # --help and --version belong to the tool; they are not repeated for every command.
    return [argument for argument in command.get("arguments", [])
            if argument[DISPLAYED] and not {"help", "version"} & {name["name"] for name in argument.get("names", [])}]


def commands(command, path):
    """One section for each command that does something, in the order of the help."""
    out = []
    for child in command.get("subcommands", []):
        name = path + [child["commandName"]]
        if child["commandName"] == "help":
            continue
        arguments = shown(child)
        if not child.get("subcommands"):
            out.append(".SS " + word(" ".join(name + [usage(argument) for argument in arguments])))
        elif child.get("discussion"):
            out.append(".SS " + word(" ".join(name)))
        else:
            out += commands(child, name)
            continue
        out += prose(child.get("abstract", ""))
        if child.get("discussion"):
            out += [".PP"] + prose(child["discussion"])
        for argument in arguments:
            out += described(argument)
        out += commands(child, name)
    return out


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    version, seconds = sys.argv[1], int(sys.argv[2])
    tool = json.load(sys.stdin)["command"]
    date = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d")
    abstract = tool["abstract"].rstrip(".")
    out = [
        f'.TH QUORATE 1 "{date}" "quorate {version}" "User Commands"',
        ".SH NAME", "quorate \\- " + escaped(abstract[0].lower() + abstract[1:]),
        ".SH SYNOPSIS", ".B quorate", ".I command", "[options]",
        ".SH DESCRIPTION", *prose(tool.get("discussion", "")),
        ".SH COMMANDS", *commands(tool, ["quorate"]),
        ".SH FILES",
        ".TP", ".I /var/lib/quorate/NAME", "The folder of the host that the unit quorate\\-host@NAME runs.",
        ".TP", ".I /etc/quorate/gateway", "The folder of one gateway of a cluster, with which the unit quorate\\-gateway runs.",
        ".TP", ".I /etc/quorate/host\\-NAME.env, /etc/quorate/gateway.env", "Settings of these units.",
        ".SH SEE ALSO",
        "/usr/share/doc/quorate has all pages; operations/first\\-cluster.md is where to begin, and CONFIGURATION.md has "
        "every setting.",
    ]
    print("\n".join(out))
    return 0


sys.exit(main())
