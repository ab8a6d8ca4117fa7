#!/usr/bin/env python3
"""usage: damage_receipts.py QUORATE [SEED]
Damages every genuine vector in every field and in every way that JSON can be damaged, and compares what QUORATE, the
built tool, says of each with what verify_receipt.py says. What changes the document must be refused by both; what
changes only how it is written must be accepted by both, and mean the same. Three vectors are damaged exhaustively, of
the others and of the manifest a sample is drawn by SEED. Prints what repeats a difference, and exits with 1 if there
is one."""
import json, pathlib, random, subprocess, sys, tempfile
here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
sys.dont_write_bytecode = True
import verify_receipt as v

WHOLE = ["real-transfer-two-shards", "call-returned-with-report", "independent-legs"]
SAMPLE, MANIFESTS, BATCH = 45, 110, 400
SAME, OTHER, EITHER = "the same", "another", "either"  # what the damaged document is, beside the genuine one

# A document as it is written: what stands in it, piece by piece. An object is a list of pairs of a raw key and a
# value, an array a list of values, and everything else its raw text.

class Object(list): pass
class Array(list): pass
def raw(value):
    if type(value) is dict: return Object([[json.dumps(key), raw(one)] for key, one in value.items()])
    if type(value) is list: return Array(map(raw, value))
    return json.dumps(value, ensure_ascii=False)
def text(node):
    if type(node) is Object: return "{" + ", ".join(f"{key}: {text(value)}" for key, value in node) + "}"
    if type(node) is Array: return "[" + ", ".join(map(text, node)) + "]"
    return node
def places(node, path=()):
    """Every value below: its parent, its place in it, and its path."""
    for i, one in enumerate(node):
        value, step = (one[1], one[0][1:-1]) if type(node) is Object else (one, i)
        yield node, i, path + (step,)
        if type(value) in (Object, Array): yield from places(value, path + (step,))
def names(path): return "".join(f"[{step}]" if type(step) is int else f".{step}" for step in path)[1:]

def damages(path, key, value):
    """What may happen to a value, and to its key if it has one: name, what it is then, the pieces that stand in its
    place."""
    def as_is(name, what, *pieces): return name, what, pieces
    is_text, is_number = type(value) is str and value[0] == '"', type(value) is str and value[0] in "-0123456789"
    def values():
        for other in ("null", "true", "false", "0", '""', "[]", "{}", "NaN", "Infinity", "-", "nul", "", "'x'", "undefined", "[" * 40 + "]" * 40):
            if other != text(value): yield f"{other or 'nothing'} for it", OTHER, other
        yield "in an array", OTHER, Array([value])
        yield "in an object", OTHER, Object([['"value"', value]])
        yield "twice", OTHER, text(value) + " " + text(value)
        yield "a control character before it", OTHER, "\x0b" + text(value)
        yield "a no-break space before it", OTHER, "\xa0" + text(value)
        yield "a comment before it", OTHER, "/* */" + text(value)
        yield "spaces around it", SAME, " \n\t\r" + text(value) + "\r\n"
        if is_number:
            number = int(value)
            for other in (number + 1, number - 1, -number - 1, number + 2**8, number + 2**16, number + 2**32, number + 2**64, number + 2**128, 2**64):
                yield f"{other} for it", OTHER, str(other)
            for other in (value + ".0", value + "e0", value + "E+0", "0" + value, "+" + value, value + ".", hex(number), f'"{value}"', "-0", value + "0" * 5000, value + "_0", value + "1e400"):
                if other != value: yield f"{other[:24]} for it", OTHER, other
            yield "in digits of another script", OTHER, value.translate({48 + i: 0x660 + i for i in range(10)})
        if is_text:
            inner = value[1:-1]
            for name, more in (("a space", " "), ("NUL", "\\u0000"), ("a line break", "\\n"), ("half of a pair", "\\ud800"), ("the other half", "\\udc00"), ("a letter", "a"), ("a combining accent", "\u0301"), ("nothing visible", "\u200b"), ("two digits", "00")):
                yield f"{name} after it", OTHER, f'"{inner}{more}"'
            for name, more in (("a raw line break", "\n"), ("a raw NUL", "\0"), ("a raw escape", "\x1b"), ("a wrong escape", "\\x"), ("half an escape", "\\u00"), ("a byte that is no UTF-8", "\udcff"), ("half a character", "\udcc3"), ("a long form", "\udcc0\udcaf"), ("an encoded surrogate", "\udced\udca0\udc80")):
                yield f"{name} after it", OTHER, f'"{inner}{more}"'
            if inner:
                yield "without its end", OTHER, f'"{inner[:-1]}"' if inner[-2:-1] != "\\" else '""'
                yield "without a quote", OTHER, f'"{inner}'
                if inner.upper() != inner: yield "in upper case", OTHER, f'"{inner.upper()}"'
                if inner[0] != "\\": yield "with an escape", SAME, f'"\\u{ord(inner[0]):04X}{inner[1:]}"' if ord(inner[0]) < 0x10000 else value
                if inner[0] in "0123456789abcdef": yield "another digit", OTHER, f'"{"1" if inner[0] == "0" else "0"}{inner[1:]}"'
            else: yield "a digit pair for it", OTHER, '"00"'
        if type(value) is Array:
            yield "a comma after its end", OTHER, "[" + ", ".join(map(text, value)) + ",]"
            yield "null after its end", OTHER, Array([*value, "null"])
            # More certificates than are needed, or in another order, prove the same.
            what = EITHER if path == ("certificates",) else OTHER
            if value: yield "without its last", what, Array(value[:-1])
            if value: yield "its first twice", what, Array([value[0], *value])
            if len(value) > 1 and text(value[0]) != text(value[-1]): yield "backwards", what, Array(value[::-1])
        if type(value) is Object:
            yield "a comma after its end", OTHER, "{" + ", ".join(f"{k}: {text(one)}" for k, one in value) + ",}"
            yield "its keys backwards", SAME, Object(value[::-1])
            yield "another key", OTHER, Object([*value, ['"note"', '"paid in full"']])
            yield "an empty key", OTHER, Object([['""', "0"], *value])
            yield "a deep key", OTHER, Object([['"note"', "[" * 3000 + "]" * 3000], *value])
    if key is None:
        for name, what, other in values(): yield as_is(name, what, other)
        return
    for name, what, other in values(): yield as_is(name, what, [key, other])
    inner = key[1:-1]
    yield as_is("without the key", OTHER)
    yield as_is("the key twice, alike", OTHER, [key, value], [key, value])
    yield as_is("the key twice, null first", OTHER, [key, "null"], [key, value])
    yield as_is("the key twice, null last", OTHER, [key, value], [key, "null"])
    if is_text: yield as_is("the key twice, another text first", OTHER, [key, '"transfer 999999"'], [key, value])
    escaped = f'"\\u{ord(inner[0]):04x}{inner[1:]}"'
    yield as_is("the key twice, once in escapes", OTHER, [escaped, "0"], [key, value])
    yield as_is("the key in escapes", SAME, [escaped, value])
    for name, other in (("upper case", inner.upper()), ("a capital", inner.capitalize()), ("a space", inner + " "), ("NUL", inner + "\\u0000"), ("an accent", inner + "\u0301"), ("half of a pair", inner + "\\ud800"), ("a letter less", inner[:-1]), ("another letter", "x" + inner)):
        yield as_is(f"the key with {name}", OTHER, [f'"{other}"', value])
        yield as_is(f"beside it the key with {name}", OTHER, [key, value], [f'"{other}"', value])
    yield as_is("the key without quotes", OTHER, [inner, value])

def cases(document, draw, sample):
    """Name, what it is, bytes."""
    def encode(text): return text.encode(errors="surrogateescape")
    node = raw(document)
    plain = text(node)
    made = []
    for parent, i, path in places(node):
        key, value = parent[i] if type(parent) is Object else (None, parent[i])
        for name, what, pieces in damages(path, key, value): made.append((parent, i, path, name, what, pieces))
    if sample is not None: made = draw.sample(made, min(sample, len(made)))
    for parent, i, path, name, what, pieces in made:
        kept = parent[i]
        parent[i:i + 1] = pieces
        yield f"{names(path)}: {name}", what, encode(text(node))
        parent[i:i + len(pieces)] = [kept]
    data = encode(plain)
    assert data == encode(text(node))
    yield "as it is", SAME, data
    yield "with much space", SAME, encode(json.dumps(document, indent=7, ensure_ascii=False).replace("\n", "\r\n") + " \t\n")
    yield "in ASCII, keys sorted", SAME, json.dumps(document, sort_keys=True).encode()
    for name, other in {
        "nothing": b"", "a space": b" ", "a byte order mark": b"\xef\xbb\xbf" + data, "UTF-16": plain.encode("utf-16"), "UTF-16LE": plain.encode("utf-16-le"),
        "UTF-32": plain.encode("utf-32"), "NUL after it": data + b"\0", "twice": data + b"\n" + data, "a brace after it": data + b"}", "a comma after it": data + b",",
        "a comment after it": data + b" // paid", "text after it": data + b" genuine", "in an array": b"[" + data + b"]", "as a text": json.dumps(plain).encode(),
        "a form feed after it": data + b"\x0c", "a byte after it": data + b"\xff", "deep": b"[" * 100000, "longer than any": data + b" " * (1 << 24),
        "NUL before it": b"\0" + data, "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\3", "its end missing": data[:-1],
    }.items(): yield name, OTHER, other
    for _ in range(12 if sample is None else 2):
        cut = draw.randrange(len(data))
        yield f"the first {cut} bytes", OTHER, data[:cut]
    for _ in range(60 if sample is None else 8):
        bit = draw.randrange(8 * len(data))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} turned", EITHER, bytes(flipped)

class Judge:
    def __init__(self, tool, folder):
        self.tool, self.folder, self.count, self.accepted, self.problems = tool, pathlib.Path(folder), 0, 0, []
    def say(self, problem):
        self.problems.append(problem)
        if len(self.problems) <= 20: print(problem)
    def tell(self, arguments, codes):
        done = subprocess.run([self.tool, "receipt", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        if done.returncode not in codes: self.say(f"quorate receipt {arguments[0]}: exit code {done.returncode}: {done.stderr[-300:]}")
        return done
    def receipts(self, name, manifest, genuine, all):
        """Judges all, with a genuine receipt's manifest."""
        cluster, wanted = v.load_manifest(manifest), v.load(genuine, v.RECEIPT, "receipt")["transactions"]
        for start in range(0, len(all), BATCH):
            batch = all[start:start + BATCH]
            files = [self.folder / f"{i}.json" for i in range(len(batch))]
            for file, (_, _, data) in zip(files, batch): file.write_bytes(data)
            done = self.tell(["verify", *map(str, files), "--manifest", str(manifest), "--json"], (0, 14, 22))
            verdicts = [json.loads(line) for line in done.stdout.splitlines()]
            if [one["file"] for one in verdicts] != list(map(str, files)): return self.say(f"{name}: {len(verdicts)} verdicts on {len(batch)} receipts")
            for file, (damage, what, data), verdict in zip(files, batch, verdicts):
                try: theirs = bool(v.verify(v.load(file, v.RECEIPT, "receipt"), *cluster))
                except v.Wrong: theirs = False
                self.count, self.accepted = self.count + 1, self.accepted + theirs
                expected = {SAME: {True}, OTHER: {False}, EITHER: {True, False}}[what]
                if theirs != verdict["valid"] or theirs not in expected or verdict["valid"] and verdict["transactions"] != wanted:
                    self.say(f"{name}, {damage}: it is {what} document; the verifier says {theirs}, the tool {verdict['valid']} ({verdict.get('problem', verdict['transactions'])})")
    def shown(self, name, damage, what, data):
        """What is refused for its JSON is not shown either, and what is shown is what was signed."""
        file = self.folder / "shown.json"
        file.write_bytes(data)
        done = self.tell(["show", str(file)], (0,) if what == SAME else (14, 22))
        if what == OTHER and done.stdout: self.say(f"{name}, {damage}: shown as {done.stdout[:200]}")
    def manifest(self, name, damage, what, data, genuine):
        file = self.folder / "cluster.json"
        file.write_bytes(data)
        theirs = self.tell(["verify", str(genuine), "--manifest", str(file)], (0, 11, 14, 22)).returncode
        try: ours = 0 if v.verify(v.load(genuine, v.RECEIPT, "receipt"), *v.load_manifest(file)) else 22
        except v.Wrong as error: ours = 64 if str(error).startswith("manifest") else 22
        self.count, self.accepted = self.count + 1, self.accepted + (ours == 0)
        if (ours, theirs) not in ((0, 0), (22, 22), (64, 11), (64, 14)) or what == SAME and ours != 0:
            self.say(f"{name}, {damage}: it is {what} document; the verifier says {ours}, the tool {theirs}")

def main():
    if not 2 <= len(sys.argv) <= 3: sys.exit(__doc__)
    seed = int(sys.argv[2]) if len(sys.argv) == 3 else 1
    vectors = here / "vectors"
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(sys.argv[1], folder)
        for one in json.loads((vectors / "vectors.json").read_text()):
            file, manifest = vectors / one["file"], vectors / one["manifest"]
            if one["exit"] != 0 or file.stat().st_size > 100_000: continue
            draw = random.Random(f"{seed} {file.stem}")
            all = list(cases(json.loads(file.read_text()), draw, None if file.stem in WHOLE else SAMPLE))
            if file.stem not in WHOLE: all = [case for case in all if case[0] not in ("longer than any", "deep")]
            judge.receipts(file.stem, manifest, file, all)
            if file.stem == WHOLE[0]:
                # A bit of a signature is no damage to who does not check signatures.
                readable = [case for case in all if case[1] == SAME or case[1] == OTHER and (case[0].startswith("transactions") or ": " not in case[0])]
                for case in draw.sample(readable, 40): judge.shown(file.stem, *case)
        genuine, manifest = vectors / f"genuine/{WHOLE[0]}.json", vectors / "manifests/real.json"
        draw = random.Random(f"{seed} manifest")
        # Another address is another manifest, by which the receipt is as genuine.
        for case in cases(json.loads(manifest.read_text()), draw, MANIFESTS): judge.manifest("manifest", *case, genuine)
    print(f"{judge.count - len(judge.problems)} of {judge.count} damaged documents judged alike, {judge.accepted} of them accepted (seed {seed})")
    sys.exit(1 if judge.problems else 0)

if __name__ == "__main__": main()
