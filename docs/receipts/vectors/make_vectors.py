#!/usr/bin/env python3
"""usage: make_vectors.py [QUORATE]
Makes the vectors anew: receipts that are forged from those of a real cluster, receipts that are put together and signed
with keys drawn here and thrown away, and vectors.json. With QUORATE, the built tool, it makes those of a real cluster
first: on loopback, in a temporary folder, on ports from 28640. ../README.md says what there is; deploy/verify-receipts
judges them.
"""
import copy, hashlib, json, os, pathlib, subprocess, sys, tempfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))
sys.dont_write_bytecode = True
import verify_receipt as v

index = []

def write(name, manifest, receipt, what, exit=22):
    file = f"{'genuine' if exit == 0 else 'forged'}/{name}.json"
    (here / file).parent.mkdir(exist_ok=True)
    text = receipt if type(receipt) in (str, bytes) else json.dumps(receipt, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (here / file).write_bytes(text if type(text) is bytes else text.encode())
    entry = {"file": file, "manifest": f"manifests/{manifest}.json", "exit": exit, "what": what}
    if exit == 0: entry["outcomes"] = [one["outcome"] for one in (json.loads(receipt) if type(receipt) in (str, bytes) else receipt)["transactions"]]
    assert all(one["file"] != file for one in index), file
    index.append(entry)

# Canonical bytes

def u(size): return lambda number: number.to_bytes(size, "little")
u8, u16, u32, u64, u128 = (u(size) for size in (1, 2, 4, 8, 16))
def blob(data):
    data = data.encode() if type(data) is str else data
    return u32(len(data)) + data
def array(values): return u32(len(values)) + b"".join(values)
def transfer(source, to, amount=5, asset=1): return u8(1) + source[::-1] + to[::-1] + u32(asset) + u128(amount)
def opening(owner, asset=1, number=0): return u8(2) + owner + u32(asset) + u64(number)
def issue(to, amount=5, asset=1): return u8(3) + to[::-1] + u32(asset) + u128(amount)
def read(account): return u8(4) + account[::-1]
def freeze(account, direction, reason): return u8(6) + account[::-1] + u8(direction) + u32(reason)
def release(account): return u8(7) + account[::-1]
def invocation(target, procedure="pay", arguments=b"", version=1):
    return (u8(1) + blob(target) if type(target) is str or len(target) != 16 else u8(2) + target[::-1]) + blob(procedure) + u16(version) + blob(arguments)
def call(*arguments, continues=None, **more):
    return u8(5) + invocation(*arguments, **more) + (u8(0) if continues is None else u8(1) + u64(continues))
def path(*steps): return u8(len(steps)) + b"".join(u8(group) + u8(number) for group, number in steps)
def consumed(*steps, shard=1): return path(*steps) + u16(shard) + hashlib.sha256(repr(steps).encode()).digest()
def failure(reason, procedure="pay", text="", shard=1): return u8(reason) + u16(shard) + blob(procedure) + blob(text)
def response(steps, answer, below=(), flows=()): return path(*steps) + answer + array(below) + array(flows)
def report(issued=(), responses=(), never=(), age=1_700_000_000_000_000, order=0): return u64(age) + u8(order) + array(issued) + array(responses) + array(never)
def issued(path, called, reach=0): return path + called + u8(reach)
def view(posted, freeze=b""): return u8(7) + u8(2 if freeze else 1) + bytes(32) + u32(1) + u128(posted) + u128(1) + u128(2) + freeze
YES, COMMITTED, NO_RECORD, ACKNOWLEDGED, NO_ACCOUNT, RUNNING, CLOSED = u8(1), u8(3), u8(5), u8(6), u8(7) + u8(0), u8(8), u8(11)
def no(reason): return u8(2) + u8(reason)
def aborted(reason): return u8(4) + u8(reason)
def returned(data=b"", calls=()): return u8(9) + blob(data) + array(calls)
def failed(*arguments, **more): return u8(10) + failure(*arguments, **more)
def leaf(digest, statuses, calls=None):
    """statuses: of legs 0, 1, ...; or pairs of a leg and its status."""
    pairs = [one if type(one) is tuple else (leg, one) for leg, one in enumerate(statuses)]
    return digest + array([u16(leg) + one for leg, one in pairs]) + (u8(0) if calls is None else u8(1) + calls)

# The readable part. Of bytes that are not canonical it is what a lax reader would take them for, so that nothing else
# is wrong.

class Lax(v.Reader):
    def check(self, holds, what):
        if not holds and "truncated" in what: raise v.Wrong(what)
    def bool(self): return self.uint(1) > 0
    def string(self, limit): return self.blob(limit).decode(errors="replace")

def read_leniently(parse, data, otherwise):
    """As `otherwise` where even a lax reader takes the data for nothing."""
    try: return parse(v.Reader(data, ""))
    except v.Wrong: pass
    try: return parse(Lax(data, ""))
    except (v.Wrong, KeyError): return parse(v.Reader(otherwise, ""))

def readable_certificate(statement, data, reads, index, count, siblings, signatures):
    about, legs = read_leniently(v.leaf, data, reads)
    return {"shard": statement["shard"], "statement": statement, "path": {"index": index, "count": count, "siblings": [one.hex() for one in siblings]},
            "leaf": {"bytes": data.hex(), "request": about.hex(), "legs": [{"leg": leg, "status": one[2]} for leg, one in legs.items()]},
            "signatures": [{"replica": replica, "signature": signature.hex()} for replica, signature in signatures]}

def parse_request(r):
    cluster, epoch, principal, number, _, mode = r.raw(32), r.uint(4), r.raw(32), r.uint(8), r.raw(24), r.uint(1)
    if mode & 2: r.array(lambda r: r.raw(2 + 8 + 8), 64)
    mode &= 1
    operations = r.array(v.operation, 1024)
    if None in operations: raise v.Wrong("an unknown operation")
    return cluster, principal, number, mode, operations

def readable(receipt, shards, reads=None):
    """Fills in everything that is said of the bytes."""
    data = bytes.fromhex(receipt["request"]["bytes"])
    cluster, principal, number, mode, operations = read_leniently(parse_request, data, reads)
    digest = v.sha256(v.tag("request"), data)
    receipt["request"] |= {"digest": digest.hex(), "principal": principal.hex(), "number": number}
    receipt |= {"schema": 1, "cluster": cluster.hex(), "transactions": []}
    for leg, steps in enumerate([[one] for one in operations] if mode else [operations]):
        places = sorted({int.from_bytes(hashed[:8], "big") * shards >> 64 for _, hashes in steps for hashed in hashes})
        statuses = [next((one["_legs"][leg] for one in receipt["certificates"] if one["shard"] == place and leg in one["_legs"]), None) for place in places]
        receipt["transactions"].append({
            "txid": (v.sha256(v.tag("leg"), digest, u16(leg)) if mode else digest).hex(), "operations": [text for text, _ in steps],
            "shards": places, "outcome": v.decision(statuses) or "unknown"})
    for one in receipt["certificates"]: del one["_legs"]
    return receipt

def reread(receipt, shards):
    """As readable, for a receipt whose leaves can be read."""
    for one in receipt["certificates"]:
        about, legs = v.leaf(v.Reader(bytes.fromhex(one["leaf"]["bytes"]), "leaf"))
        one["_legs"], one["shard"] = legs, one["statement"]["shard"]
        one["leaf"] |= {"request": about.hex(), "legs": [{"leg": leg, "status": status[2]} for leg, status in legs.items()]}
    return readable(receipt, shards)

# Ed25519 in integers, for signatures that no library makes

p, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
d, root = -121665 * pow(121666, -1, p) % p, pow(2, (p - 1) // 4, p)
def add(a, b):
    k = d * a[0] * b[0] * a[1] * b[1]
    return (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, p) % p, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, p) % p
def times(n, a):
    total = (0, 1)
    while n: total, a, n = add(total, a) if n & 1 else total, add(a, a), n >> 1
    return total
def point(y):
    w, x2 = (d * y * y + 1) % p, None
    x2 = (y * y - 1) * pow(w, -1, p) % p
    x = pow(x2, (p + 3) // 8, p)
    return next(((one, y) for one in (x, x * root % p) if (one * one - x2) % p == 0), None)
def packed(a): return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")
base = point(4 * pow(5, -1, p) % p)
base = base if base[0] & 1 == 0 else (p - base[0], base[1])
order8 = next(one for one in (times(L, found) for found in map(point, range(2, 99)) if found) if times(4, one) != (0, 1))
def challenge(r, key, message): return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
def plus_order(signature): return signature[:32] + (int.from_bytes(signature[32:], "little") + L).to_bytes(32, "little")
def message(domain, digest): return v.tag(domain) + digest

# A cluster that exists here only: shard 0 has 7 replicas, shards 1 and 2 have 4

class Key:
    def __init__(self):
        self.secret = Ed25519PrivateKey.generate()
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    def sign(self, domain, digest): return self.secret.sign(message(domain, digest))

hosts, issuer, principal = [Key() for _ in range(7)], Key(), Key()
cluster, epoch = hashlib.sha256(b"".join(host.public for host in hosts)).digest(), 7
groups = [[6, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3], [3, 4, 5, 6]]

def write_manifest(name, public):
    (here / "manifests").mkdir(exist_ok=True)
    hosts = ",\n".join(f'    {{"address": "127.0.0.1", "port": {7100 + i}, "public_key": "{key.hex()}"}}' for i, key in enumerate(public))
    shards = ",\n".join(f"    [{', '.join(map(str, group))}]" for group in groups)
    (here / f"manifests/{name}.json").write_text(
        f'{{\n  "cluster": "{cluster.hex()}",\n  "epoch": {epoch},\n  "hosts": [\n{hosts}\n  ],\n  "issuer": "{issuer.public.hex()}",\n'
        f'  "shards": [\n{shards}\n  ],\n  "version": 1\n}}\n')

def account(shard, salt=0): return next(one for one in (hashlib.sha256(f"{shard} {salt} {i}".encode()).digest()[:16] for i in range(99)) if one[0] * 3 >> 8 == shard and one[0] % 85)
def key_on(shard): return next(one for one in (f"key {i}" for i in range(99)) if int.from_bytes(v.sha256(v.tag("key"), one.encode())[:8], "big") * 3 >> 64 == shard)

def request(operations, mode=0, by=None, number=41, cluster=cluster, epoch=epoch, follows=None):
    mode = u8(mode) if follows is None else u8(mode | 2) + array([u16(shard) + u64(before) + u64(1_790_000_029_000_000) for shard, before in follows])
    return cluster + u32(epoch) + (by or principal.public) + u64(number) + u64(1) + u64(1_790_000_000_000_000) + u64(1_790_000_030_000_000) + mode + array(operations)

class Made:
    """A receipt put together; every part can be given."""
    def __init__(self, data, reads=None, signature=None):
        self.data, self.reads, self.digest = data, reads, v.sha256(v.tag("request"), data)
        self.signature, self.certificates = signature or principal.sign("request", self.digest), []

    def certify(self, shard, statuses, calls=None, about=None, data=None, reads=None, index=0, count=1, replicas=None, claimed=None,
                edit=lambda one: None, domain="attestation", signers=None, sequence=9, **statement):
        """reads: a leaf that can be read, where data is another; edit changes the certificate after it is signed."""
        reads = reads or leaf(about or self.digest, statuses, calls)
        data = data or reads
        leaves = [v.sha256(b"\0", data if i == index else b"leaf %d" % i) for i in range(count)]
        siblings, level, at = [], leaves, index
        while len(level) > 1:
            if at ^ 1 < len(level): siblings.append(level[at ^ 1])
            level, at = [v.sha256(b"\1", *level[i:i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)], at >> 1
        said = {"cluster": cluster.hex(), "epoch": epoch, "shard": shard, "sequence": sequence, "leaves_root": level[0].hex(),
                "previous_history": hashlib.sha256(b"history").hexdigest(), "batch": hashlib.sha256(b"batch").hexdigest()} | statement
        digest = v.sha256(v.tag("attestation"), bytes.fromhex(said["cluster"]), u32(said["epoch"]), u16(said["shard"]), u64(said["sequence"]),
                          *(bytes.fromhex(said[key]) for key in ("previous_history", "batch", "leaves_root")))
        group = groups[shard] if shard < 3 else groups[1]
        replicas = replicas or range((len(group) - 1) // 3 + 1)
        sign = lambda replica: hosts[(signers or group)[replica]].sign(domain, digest)
        one = readable_certificate(said, data, reads, index, count, siblings, [(replica, sign(replica)) for replica in replicas])
        one["_legs"] = read_leniently(v.leaf, data, reads)[1]
        edit(one)
        self.certificates.append(one)
        return self

    def receipt(self):
        request = {"bytes": self.data.hex(), "signature": self.signature.hex()}
        return readable({"request": request, "certificates": self.certificates}, 3, self.reads)

def genuine(name, made, what): write(name, "made", made.receipt(), what, 0)
def forged(name, made, what): write(name, "made", made.receipt(), what)

def make_genuine():
    a, b, c = (account(shard) for shard in range(3))
    cross, home = request([transfer(a, b)]), request([call(key_on(1))])
    genuine("seven-replicas-three-signatures", Made(request([transfer(a, account(0, 1))])).certify(0, [COMMITTED], replicas=[1, 4, 6]), "f + 1 = 3 of 7 replicas")
    genuine("seven-replicas-all-signatures", Made(request([transfer(a, account(0, 1))])).certify(0, [COMMITTED], replicas=range(7)), "more signatures than are needed")
    genuine("one-shard-voted-yes", Made(request([transfer(b, account(1, 1))])).certify(1, [YES]), "the only participant's yes decides")
    genuine("yes-and-committed", Made(cross).certify(0, [YES]).certify(1, [COMMITTED]), "one vote, and one shard's word for the decision")
    genuine("committed-alone", Made(cross).certify(1, [COMMITTED]), "a shard commits only with every yes in hand, so one is enough")
    genuine("no-alone", Made(cross).certify(1, [no(2)]), "one no is enough")
    genuine("first-reason-counts", Made(cross).certify(1, [no(2)]).certify(0, [no(1)]), "participants count by shard, not by place in the file")
    genuine("no-record-by-the-deadline", Made(cross).certify(0, [YES]).certify(1, [NO_RECORD]), "status 5")
    genuine("no-and-acknowledged", Made(cross).certify(0, [ACKNOWLEDGED]).certify(1, [no(2)]), "status 6 takes no vote back")
    genuine("committed-and-acknowledged", Made(cross).certify(0, [ACKNOWLEDGED]).certify(1, [COMMITTED]), "nor a commit")
    genuine("follows-two", Made(request([transfer(a, b)], follows=[(0, 40), (1, 12)])).certify(0, [YES]).certify(1, [YES]), "a request that follows others")
    genuine("follows-64", Made(request([issue(b), read(b)], 1, follows=[(shard, 40) for shard in range(64)])).certify(1, [COMMITTED, NO_ACCOUNT]), "as many as there may be, and legs of their own")
    genuine("committed-beats-no", Made(cross).certify(0, [no(1)]).certify(1, [COMMITTED]), "what no correct shards certify: the decision is still a function")
    genuine("shard-that-takes-no-part", Made(cross).certify(0, [YES]).certify(1, [YES]).certify(2, [no(1)]), "its word counts for nothing")
    genuine("two-certificates-of-a-shard", Made(home).certify(1, [returned()]).certify(1, [RUNNING], sequence=8), "the first that speaks of the leg counts")
    genuine("certificate-of-another-leg", Made(request([issue(b), issue(b)], 1)).certify(1, [(1, COMMITTED)]).certify(1, [(0, aborted(3))]), "two batches, each with one leg")
    genuine("legs-beyond-the-request", Made(request([issue(b)], 1)).certify(1, [COMMITTED, aborted(1)]), "a leg that the request does not have counts for nothing")
    genuine("read", Made(request([read(b)])).certify(1, [view(2**126)]), "status 7, an account")
    genuine("read-no-account", Made(request([read(b)])).certify(1, [NO_ACCOUNT]), "status 7, none")
    genuine("read-frozen", Made(request([read(b)])).certify(1, [view(7, u8(2) + u32(2**32 - 1))]), "status 7, an account that is frozen")
    genuine("frozen-and-released", Made(request([freeze(b, way, 17) for way in (1, 2, 3)] + [release(b)], 1)).certify(1, [COMMITTED] * 4), "operation kinds 6 and 7")
    reasons = [(leg, (no if leg % 2 else aborted)(leg + 1)) for leg in range(12)]
    genuine("every-abort-reason", Made(request([issue(b, leg + 1) for leg in range(12)], 1)).certify(1, reasons), "statuses 2 and 4")
    texts = ["", "no money", "\u20ac\u00fc\U0001f600", "x" * 256] + [""] * 9
    failures = [failed(reason, "p" * 64 if reason == 2 else "pay", text) for reason, text in enumerate(texts, 1)]
    genuine("every-call-failure", Made(request([issue(b, leg + 1) for leg in range(13)], 1)).certify(1, failures), "status 10")
    everything = [transfer(a, b), opening(principal.public, 3, 4), issue(c), read(a), call(key_on(2), "buy", b"\0\1"), call(b, "sell"), freeze(a, 3, 17), release(c)]
    genuine("every-operation", Made(request(everything)).certify(0, [YES]).certify(1, [YES]).certify(2, [YES]), "kinds 1 to 7, both targets of calls")
    legs = Made(request(everything, 1))
    shards = [[int.from_bytes(hashed[:8], "big") * 3 >> 64 for hashed in hashes] for _, hashes in parse_request(v.Reader(legs.data, ""))[4]]
    for shard in range(3): legs.certify(shard, [(leg, YES if leg else aborted(1)) for leg, places in enumerate(shards) if shard in places])
    genuine("independent-legs", legs, "each a transaction of its own, of several shards")
    calls = [consumed((0, 0)), consumed((0, 1), shard=2), consumed((0, 1), (3, 2), shard=0)]
    genuine("call-returned", Made(home).certify(1, [returned(b"result", calls)]), "status 9")
    full = report(
        [issued(path((0, 0)), invocation(a, "debit", bytes(9)), 2), issued(path((1, 255), (2, 0)), invocation("k" * 240, "\u00e4", b"", 65535), 1)],
        [response([(0, 0)], u8(1) + blob(b"ok"), calls, [u32(1) + u128(2**127) + u128(3)]), response([], u8(2) + failure(4, text="later"))],
        [path(*[(7, 7)] * 8), path()], order=1)
    genuine("call-returned-with-report", Made(home).certify(1, [returned(bytes(300), calls * 21)], full).certify(0, [CLOSED], report(never=[path((0, 0))])), "calls that wait, answers, calls that never run; 63 calls committed; status 11")
    genuine("call-continued", Made(request([call(key_on(1), continues=40)])).certify(1, [returned()]), "as old as an attempt that died")
    genuine("call-failed-with-report", Made(home).certify(1, [failed(1, text="sold out")], report(responses=[response([(0, 0)], u8(1) + blob(b""))])), "status 10")
    data = request([call(b"\xff\xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf \xe2\x82")])
    home_of = sorted({int.from_bytes(hashed[:8], "big") * 3 >> 64 for _, hashes in parse_request(v.Reader(data, ""))[4] for hashed in hashes})[0]
    genuine("key-that-is-no-text", Made(data).certify(home_of, [returned()]), "replacement characters in the readable part")
    # X stands for a letter for which the shard is another than that of the whole key.
    braces = {"{X}": "X", "a{X}c{z}": "X", "X}{a}": "a", "{{X}}": "{X", "{X\n}": "X\n", "{X": "{X", "{}{X}": "{}{X}", "X}": "X}"}
    def place(key): return int.from_bytes(v.sha256(v.tag("key"), key.encode())[:8], "big") * 3 >> 64
    for number, (key, counted) in enumerate(braces.items(), 1):
        key, counted = next(both for both in ((key.replace("X", x), counted.replace("X", x)) for x in "abcdefghijk") if key == counted or place(both[0]) != place(both[1]))
        what = f"the key {json.dumps(key)}: {json.dumps(counted)} of it says where it is"
        genuine(f"key-with-braces-{number}", Made(request([call(key)])).certify(place(counted), [returned()]), what)
    spoof = request([call(b, "pay\ngenuine: ok\x1b[1m", b"")])
    genuine("procedure-with-line-breaks", Made(spoof).certify(1, [returned()]), "nothing that is signed may add lines to what is printed")
    greatest = request([transfer(b, account(1, 1), 2**128 - 1, 2**32 - 1)], number=2**64 - 1)
    genuine("greatest-numbers", Made(greatest).certify(1, [aborted(7)], sequence=2**64 - 1), "of 64 and 128 bits")
    for index, count in ((1, 2), (2, 3), (4, 5), (3, 7), (6, 7), (1000, 1024)):
        genuine(f"leaf-{index}-of-{count}", Made(request([issue(b)], 1)).certify(1, [COMMITTED], index=index, count=count), "its Merkle path")

def make_forged():
    a, b, c = (account(shard) for shard in range(3))
    data, cross, home = request([issue(b)], 1), request([transfer(a, b)]), request([call(key_on(1))])
    good = [COMMITTED]
    # Signed by everyone, and not a canonical request.
    head = len(request([], 0)) - 4
    def odd(name, data, reads, what): forged(f"request-{name}", Made(data, reads).certify(0, [returned()]).certify(1, [returned()]).certify(2, [returned()]), what)
    odd("mode", home[:head - 1] + u8(4) + home[head:], home, "mode 4")
    odd("follows-nothing", request([call(key_on(1))], follows=[]), home, "predecessors are announced, and there is none")
    odd("follows-65", request([call(key_on(1))], follows=[(shard, 40) for shard in range(65)]), home, "65 predecessors")
    odd("without-operations", request([]), home, "no operations")
    odd("trailing-byte", home + b"\0", home, "a byte after the end")
    odd("truncated", home[:-1], home, "a byte is missing")
    odd("operation-kind-0", home[:head + 4] + u8(0) + home[head + 5:], home, "operation kind 0")
    odd("operation-kind-8", home[:head + 4] + u8(8) + home[head + 5:], home, "operation kind 8")
    odd("freeze-direction-0", request([freeze(b, 0, 1)], 1), home, "freeze direction 0")
    odd("freeze-direction-4", request([freeze(b, 4, 1)], 1), home, "freeze direction 4")
    odd("call-target-kind-3", home[:head + 5] + u8(3) + home[head + 6:], home, "call target kind 3")
    odd("call-continues-2", home[:-1] + u8(2), home, "a boolean that is 2")
    odd("call-empty-key", request([u8(5) + u8(1) + blob("") + blob("pay") + u16(1) + blob("") + u8(0)]), home, "an empty key")
    odd("call-long-key", request([call("k" * 241)]), home, "a key of 241 bytes")
    odd("call-long-procedure", request([call(key_on(1), "p" * 65)]), home, "a name of 65 bytes")
    odd("call-procedure-no-utf8", request([call(key_on(1), b"\xc3")]), home, "a name that is not UTF-8")
    odd("call-procedure-overlong-utf8", request([call(key_on(1), b"\xc0\x80")]), home, "a name in overlong UTF-8")
    odd("call-long-arguments", request([call(key_on(1), "pay", bytes(16385))]), home, "arguments of 16,385 bytes")
    odd("operations-1025", request([read(b)] * 1025), home, "1,025 operations")
    long = [call(b, arguments=bytes(16384))] * 7
    long.append(call(b, arguments=bytes(128 * 1024 + 1 - len(request(long + [call(b)])))))
    odd("long", request(long), home, "a byte more than 128 KiB")
    forged("request-other-epoch", Made(request([issue(b)], 1, epoch=8)).certify(1, good), "another epoch")
    forged("request-other-cluster", Made(request([issue(b)], 1, cluster=bytes(32))).certify(1, good), "another cluster")
    forged("request-not-by-principal", Made(data, signature=issuer.sign("request", v.sha256(v.tag("request"), data))).certify(1, good), "another key's signature")
    forged("request-other-domain", Made(data, signature=principal.sign("attestation", v.sha256(v.tag("request"), data))).certify(1, good), "signed as an attestation")
    # Signed by replicas, and not a canonical leaf.
    def bad(name, statuses, what, calls=None, reads=returned()):
        made = Made(home)
        forged(f"leaf-{name}", made.certify(1, [], data=leaf(made.digest, statuses, calls), reads=leaf(made.digest, [reads])), what)
    bad("status-0", [u8(0)], "status 0")
    bad("status-12", [u8(12)], "status 12")
    bad("abort-reason-0", [aborted(0)], "abort reason 0")
    bad("abort-reason-13", [no(13)], "abort reason 13")
    bad("call-failure-0", [failed(0)], "call failure 0")
    bad("call-failure-14", [failed(14)], "call failure 14")
    bad("call-failure-long-text", [failed(1, text="x" * 257)], "a text of 257 bytes")
    bad("call-failure-no-utf8", [failed(1, text=b"\xed\xa0\x80")], "a text that is not UTF-8")
    bad("call-failure-long-procedure", [failed(1, "p" * 65)], "a name of 65 bytes")
    bad("account-view-3", [u8(7) + u8(3)], "neither no account nor one")
    bad("account-view-without-freeze", [u8(7) + u8(2) + view(7)[2:]], "a frozen account without how it is frozen")
    bad("account-view-freeze-4", [view(7, u8(4) + u32(1))], "freeze direction 4")
    bad("legs-descending", [(1, COMMITTED), (0, COMMITTED)], "legs in the wrong order")
    bad("leg-twice", [(0, returned()), (0, returned())], "a leg twice")
    bad("empty-report", [returned()], "a report that reports nothing", report())
    bad("trailing-byte", [returned()], "a byte after the end", report(never=[path()]) + b"\0")
    bad("truncated", [returned()], "a byte is missing", report(never=[path()])[:-1])
    bad("returned-too-much", [returned(bytes(16385))], "a result of 16,385 bytes")
    bad("returned-65-calls", [returned(b"", [consumed((0, 0))] * 65)], "65 calls")
    bad("deep-call", [returned()], "a call nine deep", report(never=[u8(9) + bytes(18)]))
    bad("call-answer-3", [returned()], "call answer 3", report(responses=[response([], u8(3) + blob(b""))]))
    bad("report-order-2", [returned()], "a class of waiting that is 2", report(never=[path()], order=2))
    bad("issued-reach-3", [returned()], "a call whose reach is 3", report([issued(path(), invocation("k"), 3)]))
    bad("issued-65", [returned()], "65 calls that wait", report([issued(path(), invocation("k"))] * 65))
    bad("responses-65", [returned()], "65 answers", report(responses=[response([], u8(1) + blob(b""))] * 65))
    bad("never-65", [returned()], "65 calls that never run", report(never=[path()] * 65))
    bad("flows-65", [returned()], "65 flows", report(responses=[response([], u8(1) + blob(b""), [], [bytes(36)] * 65)]))
    made = Made(home)
    forged("leaf-report-flag-2", made.certify(1, [], data=leaf(made.digest, [returned()])[:-1] + u8(2), reads=leaf(made.digest, [returned()])), "a boolean that is 2")
    made = Made(home)
    forged("leaf-entries-1025", made.certify(1, [], data=leaf(made.digest, [COMMITTED] * 1025), reads=leaf(made.digest, [returned()])), "1,025 legs")
    # Genuine, and decides nothing.
    forged("undecided-one-vote", Made(cross).certify(0, [YES]), "one vote of two")
    forged("undecided-running", Made(home).certify(1, [RUNNING], report([issued(path((0, 0)), invocation(a))])), "status 8")
    forged("undecided-closed", Made(home).certify(1, [CLOSED]), "status 11: says nothing of what was")
    forged("undecided-running-first", Made(home).certify(1, [RUNNING], sequence=8).certify(1, [returned()]), "the first certificate of a shard that speaks of the leg counts")
    forged("undecided-acknowledged", Made(cross).certify(0, [ACKNOWLEDGED]), "status 6: says nothing of what was")
    forged("undecided-yes-and-acknowledged", Made(cross).certify(0, [ACKNOWLEDGED]).certify(1, [YES]), "an old yes vote beside it: the transaction may have committed")
    forged("undecided-one-leg", Made(request([issue(b), issue(c)], 1)).certify(1, [COMMITTED]), "the second transaction has no certificate")
    forged("undecided-no-certificates", Made(cross), "no certificates")
    def claimed(name, made, what):
        receipt = made.receipt()
        receipt["transactions"][0]["outcome"] = "committed"
        write(f"undecided-{name}-says-committed", "made", receipt, what)
    claimed("one-vote", Made(cross).certify(0, [YES]), "one vote of two, and says committed")
    claimed("running", Made(home).certify(1, [RUNNING]), "status 8, and says committed")
    claimed("closed", Made(home).certify(1, [CLOSED]), "status 11, and says committed")
    claimed("other-leg", Made(data).certify(1, [(1, COMMITTED)]), "a certificate of another leg, and says committed")
    forged("undecided-other-shards", Made(cross).certify(2, good), "certificates of a shard that takes no part")
    # Certificates that do not hold.
    def broken(name, what, shard=1, statuses=good, data=data, **more): forged(f"certificate-{name}", Made(data).certify(shard, statuses, **more), what)
    seven = request([transfer(a, account(0, 1))])
    broken("two-of-seven", "f signatures of 7 replicas", 0, data=seven, replicas=[0, 6])
    def relabel(number): return lambda one: one["signatures"][-1].update(replica=number)
    broken("unknown-replica", "replica 4 of 4", edit=relabel(4))
    broken("other-replica", "a signature under another replica's number", edit=relabel(2))
    broken("replica-twice", "one replica's signature twice", edit=lambda one: one["signatures"].__setitem__(1, one["signatures"][0]))
    broken("replicas-descending", "replicas in the wrong order", replicas=[1, 0])
    broken("one-bad-of-four", "three good signatures and a bad one", replicas=range(4), edit=lambda one: one["signatures"][2].update(signature="00" * 64))
    broken("other-domain", "signed as a request", domain="request")
    broken("other-shards-replicas", "signed by replicas of shard 2", signers=groups[2])
    broken("other-epoch", "another epoch", epoch=8)
    broken("other-cluster", "another cluster", cluster="00" * 32)
    broken("unknown-shard", "shard 3 of 3", 3)
    broken("other-request", "a leaf about another request", about=bytes(32))
    broken("index-beyond-count", "index 1 of 1", edit=lambda one: one["path"].update(index=1))
    broken("count-0", "index 0 of 0", edit=lambda one: one["path"].update(count=0))
    broken("extra-sibling", "a sibling too many", edit=lambda one: one["path"]["siblings"].append("00" * 32))
    broken("missing-sibling", "a sibling too few", index=2, count=5, edit=lambda one: one["path"]["siblings"].pop())
    broken("other-index", "the sibling on the wrong side", index=0, count=2, edit=lambda one: one["path"].update(index=1))
    broken("sequence-changed", "another batch than was signed", edit=lambda one: one["statement"].update(sequence=10))
    broken("node-as-leaf", "the bytes of an inner node for a leaf", index=0, count=2, edit=lambda one: (one["leaf"].update(
        bytes=v.sha256(b"\0", bytes.fromhex(one["leaf"]["bytes"])).hex() + one["path"]["siblings"][0]), one.update(path={"index": 0, "count": 1, "siblings": []})))

def make_odd_signatures():
    """What RFC 8032 leaves open, judged as BoringSSL does: S below L, the equation without the cofactor, R compared
    as bytes, any key that is a point, in any form."""
    b = account(1)
    one, small = bytes([1]) + bytes(31), [packed(times(i, order8)) for i in range(8)]
    def odd(name, key, sign, what, exit=22, wanted=lambda signature, digest: True):
        for number in range(999):
            data = request([issue(b)], 1, by=key, number=number)
            digest = v.sha256(v.tag("request"), data)
            if (signature := sign(message("request", digest))) and wanted(signature, digest): break
        write(f"ed25519-{name}", "made", Made(data, signature=signature).certify(1, [COMMITTED]).receipt(), what, exit)
    zero = bytes(32)
    odd("small-order-key", one, lambda m: one + zero, "the identity as a key: signs everything", 0)
    odd("order-8-key", packed(order8), lambda m: next((r + zero for r in small if r == packed(times((-challenge(r, packed(order8), m)) % 8, order8))), None), "a key of order 8", 0)
    odd("key-not-reduced", (p + 1).to_bytes(32, "little"), lambda m: one + zero, "a key whose y is p + 1", 0)
    odd("key-negative-zero", one[:31] + b"\x80", lambda m: one + zero, "a key whose x is 0 with its sign set", 0)
    odd("r-not-reduced", one, lambda m: (p + 1).to_bytes(32, "little") + zero, "an R whose y is p + 1")
    odd("r-negative-zero", one, lambda m: one[:31] + b"\x80" + zero, "an R whose x is 0 with its sign set")
    odd("s-is-order", one, lambda m: one + L.to_bytes(32, "little"), "S = L in place of 0")
    odd("s-top-bits", one, lambda m: one + bytes(31) + b"\x20", "S of more than 253 bits")
    odd("key-no-point", (2).to_bytes(32, "little"), lambda m: one + zero, "a key that is no point")
    secret, nonce = (int.from_bytes(os.urandom(32), "little") % L for _ in range(2))
    ordinary, r = times(secret, base), packed(times(nonce, base))
    mixed = packed(add(ordinary, order8))
    def close(m, key, r=r): return r + ((nonce + challenge(r, key, m) * secret) % L).to_bytes(32, "little")
    odd("mixed-key", mixed, lambda m: close(m, mixed) if challenge(r, mixed, m) % 8 == 0 else None, "a key with a part of small order, that plays no role here", 0)
    odd("mixed-key-cofactor", mixed, lambda m: close(m, mixed) if challenge(r, mixed, m) % 8 else None, "holds only if multiplied by the cofactor")
    rough = packed(add(times(nonce, base), order8))
    odd("mixed-r-cofactor", packed(ordinary), lambda m: close(m, packed(ordinary), rough), "holds only if multiplied by the cofactor")
    plain = principal.sign("request", v.sha256(v.tag("request"), request([issue(b)], 1)))
    write("ed25519-s-plus-order", "made", Made(request([issue(b)], 1), signature=plus_order(plain)).certify(1, [COMMITTED]).receipt(), "S + L in place of S")
    write_manifest("small-order-key", [one] + [host.public for host in hosts[1:]])
    made = Made(request([issue(b)], 1)).certify(1, [COMMITTED], edit=lambda one: one["signatures"][0].update(signature=(b"\1" + bytes(63)).hex()))
    write("ed25519-replica-of-small-order", "small-order-key", made.receipt(), "the manifest's word: a host whose key is the identity", 0)

def make_bad_manifests():
    """That are none, each with a receipt that would be genuine by it."""
    b = account(1)
    made = Made(request([issue(b)], 1)).certify(1, [COMMITTED]).receipt()
    good = json.loads((here / "manifests/made.json").read_text())
    def bad(name, what, **changes):
        (here / f"manifests/bad-{name}.json").write_text(json.dumps(good | changes, indent=1) + "\n")
        index.append({"file": "genuine/of-the-made-cluster.json", "manifest": f"manifests/bad-{name}.json", "exit": 64, "what": what})
    write("of-the-made-cluster", "made", made, "for what the manifest must be", 0)
    hosts, groups = good["hosts"], good["shards"]
    bad("version", "version 2", version=2)
    bad("host-twice", "a host that is two replicas of a shard", shards=[groups[0], [0, 1, 2, 0], groups[2]])
    bad("five-replicas", "a shard of 5 replicas", shards=[groups[0], [0, 1, 2, 3, 4], groups[2]])
    bad("one-replica", "a shard of 1 replica", shards=[groups[0], groups[1], [3]])
    bad("unknown-host", "host 7 of 7", shards=[groups[0], groups[1], [3, 4, 5, 7]])
    bad("no-shards", "no shards", shards=[])
    bad("key-twice", "two hosts with one key", hosts=hosts[:6] + [hosts[6] | {"public_key": hosts[0]["public_key"]}])
    bad("half-a-key", "a key of 31 bytes", hosts=hosts[:6] + [hosts[6] | {"public_key": hosts[6]["public_key"][:62]}])
    bad("port-0", "a port that is none", hosts=hosts[:6] + [hosts[6] | {"port": 0}])
    bad("more", "a key that is not its own", note="")
    (here / "manifests/bad-half.json").write_text((here / "manifests/made.json").read_text()[:-30])
    index.append({"file": "genuine/of-the-made-cluster.json", "manifest": "manifests/bad-half.json", "exit": 64, "what": "half a file"})

# Of a real cluster

def make_real(tool):
    with tempfile.TemporaryDirectory() as folder:
        demo = f"{folder}/demo"
        def run(*arguments, codes=(0,)):
            done = subprocess.run([tool, *arguments], stdout=subprocess.PIPE, text=True)
            assert done.returncode in codes, (arguments, done.returncode)
            return done.stdout
        run("cluster", "init", demo, "--shards", "2", "--base-port", "28640")
        try:
            run("cluster", "up", demo)
            def create(name, *more): return json.loads(run("account", "create", name, "--cluster", demo, "--json", *more))
            accounts = [create(f"a{i}", "--issue", "1000") for i in range(12)]
            left, right = ([one for one in accounts if one["shard"] == shard] for shard in (0, 1))
            assert len(left) > 1 and len(right) > 1, "all accounts are on one shard; run it again"
            kept = {"account-opened": left[0]["receipts"][0], "money-issued": left[0]["receipts"][1]}
            def pay(name, source, to, amount):
                out = json.loads(run("transfer", source["name"], to["name"], amount, "--cluster", demo, "--json", codes=(0, 20)))
                kept[name] = out["receipt"]
            pay("transfer-one-shard", left[0], left[1], "250")
            pay("transfer-two-shards", left[0], right[0], "250")
            pay("transfer-one-shard-insufficient-funds", left[0], left[1], "5000")
            pay("transfer-two-shards-insufficient-funds", right[0], left[1], "5000")
            for attempt in range(20):
                both = [subprocess.Popen([tool, "transfer", a["name"], b["name"], "1", "--cluster", demo, "--json"], stdout=subprocess.PIPE, text=True)
                        for a, b in zip(accounts, accounts[1:] + accounts[:1])]
                found = [json.loads(one.communicate()[0])["receipt"] for one in both]
                found = [one for one in found if any(cert["path"]["count"] > 2 for cert in json.loads(pathlib.Path(one).read_text())["certificates"])]
                if found: break
            kept["transfer-in-a-full-batch"] = found[0]
            (here / "manifests").mkdir(exist_ok=True)
            (here / "genuine").mkdir(exist_ok=True)
            (here / "manifests/real.json").write_bytes(pathlib.Path(f"{demo}/cluster.json").read_bytes())
            for old in (here / "genuine").glob("real-*.json"): old.unlink()
            for name, receipt in kept.items(): (here / f"genuine/real-{name}.json").write_bytes(pathlib.Path(receipt).read_bytes())
        finally: run("cluster", "down", demo)

REAL = {
    "account-opened": "an account is opened", "money-issued": "money is issued", "transfer-one-shard": "committed on one shard",
    "transfer-two-shards": "committed by two votes", "transfer-one-shard-insufficient-funds": "aborted on one shard",
    "transfer-two-shards-insufficient-funds": "aborted by a vote", "transfer-in-a-full-batch": "its leaf is one of several"}

def make_from_real():
    texts = {name: (here / f"genuine/real-{name}.json").read_text() for name in REAL}
    receipts = {name: json.loads(text) for name, text in texts.items()}
    for name, what in REAL.items(): index.append({
        "file": f"genuine/real-{name}.json", "manifest": "manifests/real.json", "exit": 0, "what": what,
        "outcomes": [one["outcome"] for one in receipts[name]["transactions"]]})
    def forge(name, what, change, source="transfer-two-shards", reread_after=False):
        receipt = copy.deepcopy(receipts[source])
        change(receipt)
        write(f"real-{name}", "real", reread(receipt, 2) if reread_after else receipt, what)
    def flip(text, at=0): return f"{int(text[at:at + 2], 16) ^ 1:02x}".join((text[:at], text[at + 2:]))
    first = lambda receipt: receipt["certificates"][0]
    def certificate(*keys, to):
        def change(receipt):
            value = first(receipt)
            for key in keys[:-1]: value = value[key]
            value[keys[-1]] = to(value[keys[-1]])
        return change
    def request(key, to): return lambda receipt: receipt["request"].update({key: to(receipt["request"][key])})
    forge("request-signature-bit", "a bit of the principal's signature", request("signature", flip))
    forge("request-signature-plus-order", "S + L in the principal's signature", request("signature", lambda text: plus_order(bytes.fromhex(text)).hex()))
    forge("signature-bit", "a bit of a replica's signature", certificate("signatures", 0, "signature", to=lambda text: flip(text, 70)))
    forge("signature-plus-order", "S + L in a replica's signature", certificate("signatures", 0, "signature", to=lambda text: plus_order(bytes.fromhex(text)).hex()))
    forge("amount", "another amount", request("bytes", lambda text: text[:-32] + u128(251).hex()))
    def amount_and_all(receipt):
        receipt["request"]["bytes"] = receipt["request"]["bytes"][:-32] + u128(251).hex()
        digest = v.sha256(v.tag("request"), bytes.fromhex(receipt["request"]["bytes"])).hex()
        for one in receipt["certificates"]: one["leaf"]["bytes"] = digest + one["leaf"]["bytes"][64:]
    forge("amount-and-leaves", "another amount, and leaves and readable part to match", amount_and_all, reread_after=True)
    forge("request-trailing-byte", "a byte after the request", request("bytes", lambda text: text + "00"))
    forge("leaf-trailing-byte", "a byte after a leaf", certificate("leaf", "bytes", to=lambda text: text + "00"))
    def committed(text): return text[:76] + "0300"
    forge("leaf-status", "an aborted transfer made a committed one", lambda receipt: [one["leaf"].update(bytes=committed(one["leaf"]["bytes"])) for one in receipt["certificates"]],
          "transfer-one-shard-insufficient-funds", True)
    def rerooted(receipt):
        for one in receipt["certificates"]:
            one["leaf"]["bytes"] = committed(one["leaf"]["bytes"])
            one["path"] = {"index": 0, "count": 1, "siblings": []}
            one["statement"]["leaves_root"] = v.sha256(b"\0", bytes.fromhex(one["leaf"]["bytes"])).hex()
    forge("leaf-status-and-root", "the same, with the root to match", rerooted, "transfer-one-shard-insufficient-funds", True)
    forge("other-shard", "another shard's number, everywhere", lambda receipt: [one["statement"].update(shard=1 - one["statement"]["shard"]) for one in receipt["certificates"]], reread_after=True)
    forge("certificate-shard", "another shard's number beside the statement", certificate("shard", to=lambda shard: 1 - shard))
    forge("path-sibling", "another sibling", lambda receipt: next(one for one in receipt["certificates"] if one["path"]["siblings"])["path"]["siblings"].__setitem__(0, "00" * 32), "transfer-in-a-full-batch")
    def swap(receipt):
        path = next(one for one in receipt["certificates"] if one["path"]["siblings"])["path"]
        path["index"] ^= 1
    forge("path-index", "another place in the batch", swap, "transfer-in-a-full-batch")
    forge("path-count", "another size of the batch", certificate("path", "count", to=lambda count: count + 1))
    forge("one-signature", "f signatures only", certificate("signatures", to=lambda all: all[:1]))
    forge("no-signatures", "no signatures", certificate("signatures", to=lambda all: []))
    forge("same-signature-twice", "one replica's signature twice", certificate("signatures", to=lambda all: [all[0], all[0]]))
    forge("same-signature-two-names", "one replica's signature under two numbers", certificate("signatures", to=lambda all: sorted(
        [all[0], all[0] | {"replica": (all[0]["replica"] + 1) % 4}], key=lambda one: one["replica"])))
    forge("signatures-swapped", "signatures under each other's number", certificate("signatures", to=lambda all: [all[0] | {"signature": all[1]["signature"]}, all[1] | {"signature": all[0]["signature"]}]))
    forge("signatures-descending", "replicas in the wrong order", certificate("signatures", to=lambda all: all[::-1]))
    forge("unknown-replica", "replica 4 of 4", certificate("signatures", 1, "replica", to=lambda replica: 4))
    forge("other-request", "the certificates of another request", lambda receipt: receipt.update(certificates=copy.deepcopy(receipts["transfer-one-shard"]["certificates"])), reread_after=True)
    forge("other-principal", "another principal's name beside the request", request("principal", lambda text: receipts["money-issued"]["request"]["principal"]))
    forge("without-one-vote", "one certificate left out", lambda receipt: receipt["certificates"].pop(), reread_after=True)
    forge("without-certificates", "no certificates", lambda receipt: receipt.update(certificates=[]), reread_after=True)
    forge("previous-history", "another history", certificate("statement", "previous_history", to=flip))
    forge("batch", "another batch", certificate("statement", "batch", to=flip))
    forge("sequence", "another number of the batch", certificate("statement", "sequence", to=lambda number: number + 1))
    forge("leaves-root", "another root", certificate("statement", "leaves_root", to=flip))
    forge("statement-epoch", "another epoch", certificate("statement", "epoch", to=lambda number: number + 1))
    # Only what people read is another.
    forge("says-other-outcome", "aborted, and says committed", lambda receipt: receipt["transactions"][0].update(outcome="committed"), "transfer-two-shards-insufficient-funds")
    forge("says-other-operation", "says another amount", lambda receipt: receipt["transactions"][0].update(operations=[receipt["transactions"][0]["operations"][0].replace("250", "2500")]))
    forge("says-other-shards", "says another shard", lambda receipt: receipt["transactions"][0].update(shards=[0]))
    forge("says-other-txid", "says another id", lambda receipt: receipt["transactions"][0].update(txid="00" * 32))
    forge("says-other-status", "says another vote", certificate("leaf", "legs", 0, "status", to=lambda text: "committed"))
    forge("says-other-number", "says another request number", request("number", lambda number: number + 1))
    forge("says-other-cluster", "says another cluster", lambda receipt: receipt.update(cluster="00" * 32))
    forge("leaf-upper-case", "hexadecimal digits in upper case in a leaf", certificate("leaf", "bytes", to=str.upper))
    forge("leaf-spaces", "spaces between hexadecimal digits", certificate("leaf", "bytes", to=lambda text: text[:64] + " " + text[64:]))
    forge("leaf-half-byte", "an odd number of hexadecimal digits", certificate("leaf", "bytes", to=lambda text: text + "0"))
    forge("signature-upper-case", "hexadecimal digits in upper case in a signature", certificate("signatures", 0, "signature", to=str.upper))
    forge("statement-upper-case", "hexadecimal digits in upper case in a statement", certificate("statement", "previous_history", to=str.upper))
    forge("certificates-as-object", "an object for an array", lambda receipt: receipt.update(certificates={}))
    forge("outcome-null", "null for a text", lambda receipt: receipt["transactions"][0].update(outcome=None))
    forge("says-more", "a field that is not its own", lambda receipt: receipt.update(note="paid in full"))
    forge("says-more-transactions", "a transaction twice", lambda receipt: receipt["transactions"].append(receipt["transactions"][0]))
    forge("says-less", "a field is missing", lambda receipt: receipt["transactions"][0].pop("operations"))
    forge("schema-2", "another schema", lambda receipt: receipt.update(schema=2))
    forge("upper-case", "hexadecimal digits in upper case", request("digest", str.upper))
    forge("number-as-text", "a number as text", request("number", str))
    forge("number-as-boolean", "a number as a boolean", certificate("path", "count", to=lambda count: True))
    forge("number-negative", "a negative number", certificate("path", "index", to=lambda count: -1))
    forge("replica-256", "a replica's number of nine bits", certificate("signatures", 1, "replica", to=lambda replica: replica + 256))
    write("real-truncated-file", "real", texts["transfer-two-shards"][:-40], "half a file")
    write("real-empty-file", "real", "", "nothing")
    write("made-by-another-cluster", "made", receipts["transfer-one-shard"], "a genuine receipt, with another cluster's manifest")

def make_badly_written():
    """Of a genuine receipt and its manifest: what a lax reader of JSON would take, or would take for something else."""
    text = (here / "genuine/real-transfer-two-shards.json").read_text()
    receipt = json.loads(text)
    number, count = receipt["request"]["number"], receipt["certificates"][0]["path"]["count"]
    def once(old, new, within=text):
        assert old in within, old
        return within.replace(old, new, 1)
    forged = json.dumps([one | {"operations": [one["operations"][0].replace("250", "999999")]} for one in receipt["transactions"]])
    last = text.rstrip()[:-1].rstrip()
    for name, what, bad in (
        ("duplicate-transactions", "a key twice, the forged one first", once("{", f'{{ "transactions": {forged},')),
        ("duplicate-transactions-last", "a key twice, the forged one last", f'{last}, "transactions": {forged} }}'),
        ("duplicate-in-escapes", "a key twice, once in escapes", once("{", f'{{ "tr\\u0061nsactions": {forged},')),
        ("duplicate-alike", "a key twice, with the same value", once('"number" :', f'"number" : {number}, "number" :')),
        ("duplicate-in-a-path", "a key twice, far inside", once('"count" :', f'"count" : {count + 1}, "count" :')),
        ("key-upper-case", "a key in another case", once('"schema"', '"Schema"')),
        ("key-upper-case-beside", "a key in another case beside the right one", once("{", '{ "Schema": 1,')),
        ("byte-order-mark", "a byte order mark", "\ufeff" + text), ("utf-16", "UTF-16", text.encode("utf-16")),
        ("no-utf-8", "a byte that is no UTF-8", once("committed", "committed\0").encode().replace(b"\0", b"\xff", 1)),
        ("half-a-pair", "half of a surrogate pair", once('"outcome" : "', '"outcome" : "\\ud800')),
        ("raw-control-character", "a control character in a text", once('"outcome" : "', '"outcome" : "\x1b')),
        ("trailing-text", "text after the end", text + "genuine\n"), ("trailing-brace", "a brace after the end", text.rstrip() + "}\n"),
        ("trailing-nul", "NUL after the end", text + "\0"), ("twice", "the receipt twice", text + text),
        ("trailing-comma", "a comma after the last field", f"{last},\n}}\n"), ("comment", "a comment", text + "// paid\n"),
        ("number-fraction", "1.0 for 1", once('"schema" : 1', '"schema" : 1.0')), ("number-exponent", "1e0 for 1", once('"schema" : 1', '"schema" : 1e0')),
        ("number-leading-zero", "01 for 1", once('"schema" : 1', '"schema" : 01')), ("number-minus-zero", "-0 for 0", once('"leg" : 0', '"leg" : -0')),
        ("number-65-bits", "2^64 more", once(f'"number" : {number}', f'"number" : {number + 2**64}')), ("number-nan", "NaN", once('"schema" : 1', '"schema" : NaN')),
        ("deep", "arrays in arrays", once("{", '{ "note": ' + "[" * 1000 + "]" * 1000 + ",")),
    ): write(f"written-{name}", "real", bad, what)
    write("written-in-escapes", "real", once('"outcome" : "c', '"\\u006futcome" : "\\u0063'), "a key and a text in escapes", 0)
    write("written-on-one-line", "real", json.dumps(receipt), "without line breaks, in another order", 0)
    write("written-with-crlf", "real", text.replace("\n", "\r\n") + "\t \r\n", "other spaces", 0)
    manifest = (here / "manifests/real.json").read_text()
    port = json.loads(manifest)["hosts"][0]["port"]
    for name, what, bad in (
        ("duplicate-shards", "a key twice", once("{", '{ "shards": [[0, 1, 2, 3]],', manifest)),
        ("duplicate-key-of-a-host", "a host's key twice", once('"port"', f'"port": {port}, "port"', manifest)),
        ("byte-order-mark", "a byte order mark", "\ufeff" + manifest), ("trailing-text", "text after the end", manifest + "{}"),
        ("number-fraction", "a port with a fraction", once(f'"port": {port}', f'"port": {port}.0', manifest)),
        ("upper-case", "hexadecimal digits in upper case", once(json.loads(manifest)["issuer"], json.loads(manifest)["issuer"].upper(), manifest)),
        ("key-upper-case", "a key in another case", once('"issuer"', '"Issuer"', manifest)),
    ):
        (here / f"manifests/bad-written-{name}.json").write_text(bad, encoding="utf-8", newline="")
        index.append({"file": "genuine/real-transfer-two-shards.json", "manifest": f"manifests/bad-written-{name}.json", "exit": 64, "what": what})

def main():
    if len(sys.argv) > 2: sys.exit(__doc__)
    if len(sys.argv) == 2: make_real(sys.argv[1])
    for old in [*here.glob("forged/*.json"), *here.glob("genuine/*.json")]:
        if old.parent.name == "forged" or not old.name.startswith("real-"): old.unlink()
    make_from_real()
    make_badly_written()
    write_manifest("made", [host.public for host in hosts])
    make_genuine()
    make_forged()
    make_odd_signatures()
    make_bad_manifests()
    (here / "vectors.json").write_text("[\n" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in index) + "\n]\n")
    print(f"{len(index)} vectors")

if __name__ == "__main__": main()
