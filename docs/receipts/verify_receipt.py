#!/usr/bin/env python3
"""usage: verify_receipt.py RECEIPT.json --manifest cluster.json
Verifies a receipt of Quorate offline with the cluster's manifest alone; shares no code with Quorate (see README.md).
Prints what the receipt proves and exits with 0, or prints in one line what is wrong and where and exits with 22;
64 is wrong usage, such as a manifest that is none. Needs Python 3.11 and the package cryptography."""
import hashlib, json, re, struct, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ABORTS = dict(enumerate((
    "insufficient funds", "unknown account", "the signer does not own the account", "the account holds another asset", "a balance would exceed its limit",
    "the account exists already", "the request is malformed", "another attempt with the same request number holds or committed", "another shard aborted",
    "a call failed", "the account is frozen", "the manifest names no compliance authority"), 1))
FAILURES = dict(enumerate((
    "the procedure failed", "no such procedure", "the arguments cannot be read", "an older transaction holds what it needs", "the deadline passed",
    "a limit is exceeded", "the procedure is not deterministic", "parallel calls touch the same", "the transaction does not balance",
    "the account does not allow it", "too many unfinished calls", "the deadline passed while it waited for a lock", "the account is frozen"), 1))
DIRECTIONS = {1: "debits", 2: "credits", 3: "both"}
# What a status is for the decision (None: not enough), why it aborts, and how it reads.
STATUSES = {
    1: ("yes", None, "voted yes"), 3: ("commit", None, "committed"), 5: ("abort", ABORTS[9], "aborted: no record by the deadline"),
    6: (None, None, "refused: the number was acknowledged"), 8: (None, None, "running"), 11: (None, None, "closed")}

class Wrong(Exception): pass
def check(holds, place, what):
    if not holds: raise Wrong(f"{place}: {what}")
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def tag(domain): return bytes([10 + len(domain)]) + b"quorate/1/" + domain.encode()
def little(data): return int.from_bytes(data, "little")
def is_signed(key, signature, domain, digest):
    # Quorate verifies with BoringSSL, which refuses S >= L; so does OpenSSL, but not every library that cryptography
    # can be built with.
    if little(signature[32:]) >= 2**252 + 27742317777372353535851937790883648493: return False
    try: return Ed25519PublicKey.from_public_bytes(key).verify(signature, tag(domain) + digest) is None
    except (InvalidSignature, ValueError): return False

class Reader:  # of canonical bytes: each value has one encoding, and everything else is refused
    def __init__(self, data, place): self.data, self.place, self.at = data, place, 0
    def check(self, holds, what): check(holds, self.place, f"{what} at byte {self.at}")
    def raw(self, count):
        self.check(self.at + count <= len(self.data), f"truncated, {count} bytes are needed")
        self.at += count
        return self.data[self.at - count:self.at]
    def uint(self, size): return little(self.raw(size))
    def choice(self, allowed, what, size=1):
        self.check((value := self.uint(size)) in allowed, f"invalid {what} {value}")
        return value
    def blob(self, limit): return self.raw(self.choice(range(limit + 1), "count", 4))
    def array(self, element, limit): return [element(self) for _ in range(self.choice(range(limit + 1), "count", 4))]
    def bool(self): return self.choice((0, 1), "boolean") == 1
    def string(self, limit):
        try: return self.blob(limit).decode()
        except UnicodeDecodeError: self.check(False, "invalid UTF-8")
    def finish(self): self.check(self.at == len(self.data), "bytes after the end of the value")
def account(r): return r.raw(16)[::-1]
def invocation(r):
    if r.choice((1, 2), "call target") == 1:
        r.check(key := r.blob(240), "empty key")
        tagged, target = re.match(rb"[^{]*\{([^}]+)\}", key), key.decode(errors="replace")  # what is in the first braces keeps keys together
        hashed = sha256(tag("key"), tagged[1] if tagged else key)
    else: target = (hashed := account(r)).hex()
    return f"call {r.string(64)} of {target}", [hashed], r.uint(2), r.blob(16384)
def operation(r):  # how it reads, and the hashes that say on which shards it is
    match r.choice(range(1, 8), "operation kind"):
        case 1:
            source, to, asset, amount = account(r), account(r), r.uint(4), r.uint(16)
            return f"transfer {amount} of asset {asset} from {source.hex()} to {to.hex()}", [source, to]
        case 2:
            owner, asset, index = r.raw(32), r.raw(4), r.raw(8)
            opened = sha256(tag("account"), owner, asset, index)[:16]
            return f"open account {opened.hex()} of asset {little(asset)} for {owner.hex()}", [opened]
        case 3:
            to, asset, amount = account(r), r.uint(4), r.uint(16)
            return f"issue {amount} of asset {asset} to {to.hex()}", [to]
        case 4: return f"read {(of := account(r)).hex()}", [of]
        case 5: return (invocation(r)[:2], r.bool() and r.uint(8))[0]  # with the number of the attempt that it continues
        case 6:
            of, way, reason = account(r), DIRECTIONS[r.choice(DIRECTIONS, "freeze direction")], r.uint(4)
            return f"freeze {way} of {of.hex()} for reason {reason}", [of]
        case 7: return f"release {(of := account(r)).hex()}", [of]
def call_path(r): return r.raw(2 * r.choice(range(9), "depth of calls"))
def issued_call(r): return call_path(r), invocation(r), r.choice(range(3), "reach of a call")
def consumed_call(r): return call_path(r), r.uint(2), r.raw(32)
def call_failure(r):
    reason, shard, procedure, text = r.choice(FAILURES, "call failure"), r.uint(2), r.string(64), r.string(256)
    return f"aborted: {procedure} on shard {shard}: {text or FAILURES[reason]}"
def call_response(r):
    call_path(r), r.blob(16384) if r.choice((1, 2), "call answer") == 1 else call_failure(r)
    r.array(consumed_call, 64), r.array(lambda r: r.raw(4 + 16 + 16), 64)
def status(r):
    match kind := r.choice(range(1, 12), "leg status"):
        case 2 | 4: return "abort", (why := ABORTS[r.choice(ABORTS, "abort reason")]), f"{'voted no' if kind == 2 else 'aborted'}: {why}"
        case 7:  # what is posted, of a view; behind that of an account that is frozen, how
            if not (form := r.choice((0, 1, 2), "account view")): return "commit", None, "read: no such account"
            posted, _freeze = little(r.raw(36 + 16 + 32)[36:52]), form == 2 and (r.choice(DIRECTIONS, "freeze direction"), r.uint(4))
            return "commit", None, f"read: {posted}"
        case 9: return "commit", None, f"returned {len(r.blob(16384))} bytes, {len(r.array(consumed_call, 64))} calls committed"
        case 10: return "abort", ABORTS[10], call_failure(r)
        case _: return STATUSES[kind]
def leaf(r):
    request, legs = r.raw(32), r.array(lambda r: (r.uint(2), status(r)), 1024)
    r.check(all(a[0] < b[0] for a, b in zip(legs, legs[1:])), "wrong order of legs")
    calls = r.bool() and (r.uint(8), r.bool(), [r.array(issued_call, 64), r.array(call_response, 64), r.array(call_path, 64)])[2]
    r.check(calls is False or any(calls), "empty report of calls")
    r.finish()
    return request, dict(legs)
def merkle_root(digest, index, count, siblings):  # RFC 9162; None if there are not as many siblings as index and count ask for
    while count > 1:
        if index ^ 1 < count:
            if (other := next(siblings, None)) is None: return None
            digest = sha256(b"\1", other, digest) if index & 1 else sha256(b"\1", digest, other)
        index, count = index >> 1, (count + 1) >> 1
    return digest if next(siblings, None) is None else None
def decision(statuses):  # the AND of the votes; a shard commits only with every yes in hand, so its word for that decides
    votes = [known and known[0] for known in statuses]
    if "commit" in votes or all(vote == "yes" for vote in votes): return "committed"
    return "aborted: " + statuses[votes.index("abort")][1] if "abort" in votes else None

LONGEST = 1 << 24  # bytes of a file
TEXT, HEX, DIGEST, SIGNATURE = (re.compile(form) for form in ("(?s:.*)", "([0-9a-f]{2})*", "[0-9a-f]{64}", "[0-9a-f]{128}"))
ADDRESS, U8, U16, U32, U64 = re.compile("[0-9A-Za-z.:_%-]{1,255}"), *(range(2**n) for n in (8, 16, 32, 64))
MANIFEST = {"cluster": DIGEST, "epoch": U32, "hosts": [{"address": ADDRESS, "port": U16[1:], "public_key": DIGEST}], "issuer": DIGEST, "compliance?": DIGEST, "shards": [[U16]], "version": U8[1:2]}  # "?": may be missing
STATEMENT = {"cluster": DIGEST, "epoch": U32, "shard": U16, "sequence": U64, "previous_history": DIGEST, "batch": DIGEST, "leaves_root": DIGEST}
CERTIFICATE = {
    "shard": U16, "statement": STATEMENT, "leaf": {"bytes": HEX, "request": DIGEST, "legs": [{"leg": U16, "status": TEXT}]},
    "path": {"index": U32, "count": U32, "siblings": [DIGEST]}, "signatures": [{"replica": U8, "signature": SIGNATURE}]}
RECEIPT = {
    "schema": U8[1:2], "cluster": DIGEST, "certificates": [CERTIFICATE],
    "request": {"bytes": HEX, "digest": DIGEST, "signature": SIGNATURE, "principal": DIGEST, "number": U64},
    "transactions": [{"txid": DIGEST, "operations": [TEXT], "shards": [U16], "outcome": TEXT}]}

def conform(value, shape, place):
    if type(shape) is dict:
        known = {key.removesuffix("?"): (part, key[-1] == "?") for key, part in shape.items()}
        right = type(value) is dict and value.keys() <= known.keys() and all(key in value or optional for key, (_, optional) in known.items())
        check(right, place, f"not an object with the keys {', '.join(sorted(shape))}")
        for key in value: conform(value[key], known[key][0], f"{place}.{key}")
    elif type(shape) is list:
        check(type(value) is list, place, "not an array")
        for i, element in enumerate(value): conform(element, shape[0], f"{place}[{i}]")
    elif type(shape) is range: check(type(value) is int and value in shape, place, f"not an integer from {shape.start} to {shape.stop - 1}")
    else: check(type(value) is str and shape.fullmatch(value), place, "not text of the right form")
    return value
def parse(data, place):  # RFC 8259 in UTF-8, without a byte order mark; what Python's parser takes beyond it is refused
    def once(pairs):
        keys = [key for key, _ in pairs]
        return check(len(keys) == len(set(keys)), place, f"a key is there twice: {next((key for key in keys if keys.count(key) > 1), None)!r}") or dict(pairs)
    def no(text): raise ValueError(f"{text} is no JSON")
    def integer(text): return int(text) if text != "-0" and len(text) < 30 else float("nan")  # which no shape has: one spelling each
    try:
        value = json.loads(data.decode(), object_pairs_hook=once, parse_int=integer, parse_constant=no)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
        return value
    except (ValueError, RecursionError) as error: raise Wrong(f"{place}: not valid JSON: {error}")
def load(path, shape, place):  # exactly the keys of the shape, each once; integers written as such
    with open(path, "rb") as file: data = file.read(LONGEST + 1)
    check(len(data) <= LONGEST, place, f"longer than {LONGEST} bytes")
    return conform(parse(data, place), shape, place)
def load_manifest(path):  # the cluster, the epoch, and the public keys of each shard's replicas
    manifest = load(path, MANIFEST, "manifest")
    hosts, shards = [bytes.fromhex(host["public_key"]) for host in manifest["hosts"]], manifest["shards"]
    check(len(set(hosts)) == len(hosts) and 1 <= len(shards) <= 4096, "manifest", "two hosts have one key, or there are not 1 to 4096 shards")
    for shard in shards:
        check(4 <= len(shard) <= 64 and len(shard) % 3 == 1, "manifest.shards", "not 3f + 1 replicas, 4 to 64")
        check(len(set(shard)) == len(shard) and max(shard) < len(hosts), "manifest.shards", "a host twice, or an unknown one")
    return bytes.fromhex(manifest["cluster"]), manifest["epoch"], [[hosts[host] for host in shard] for shard in shards]

def verify_certificate(given, place, request, cluster, epoch, shards):  # the shard, what it says of each leg, and the line that tells it
    statement, path, signatures, data = given["statement"], given["path"], given["signatures"], bytes.fromhex(given["leaf"]["bytes"])
    shard, (about, legs) = statement["shard"], leaf(Reader(data, f"{place}.leaf.bytes"))
    check(about == request, f"{place}.leaf", "about another request")
    check(statement["cluster"] == cluster.hex() and statement["epoch"] == epoch, f"{place}.statement", "of another cluster or epoch")
    check(shard < len(shards), f"{place}.statement.shard", "the manifest has no such shard")
    root = merkle_root(sha256(b"\0", data), path["index"], path["count"], map(bytes.fromhex, path["siblings"]))
    check(root and path["index"] < path["count"] and root.hex() == statement["leaves_root"], f"{place}.path", "does not lead from the leaf to the signed root")
    numbers = struct.pack("<IHQ", epoch, shard, statement["sequence"])
    signed = sha256(tag("attestation"), cluster, numbers, *(bytes.fromhex(statement[key]) for key in ("previous_history", "batch", "leaves_root")))
    keys, replicas = shards[shard], [one["replica"] for one in signatures]
    check(len(replicas) > (len(keys) - 1) // 3, f"{place}.signatures", f"{len(replicas)} where f + 1 of {len(keys)} replicas are needed")
    check(replicas == sorted(set(replicas)) and replicas[-1] < len(keys), f"{place}.signatures", "not of replicas of the shard, ascending, each once")
    for replica, one in zip(replicas, signatures):
        check(is_signed(keys[replica], bytes.fromhex(one["signature"]), "attestation", signed), f"{place}.signatures", f"not by replica {replica}")
    readable = given["shard"], given["leaf"]["request"], given["leaf"]["legs"]
    check(readable == (shard, about.hex(), [{"leg": leg, "status": one[2]} for leg, one in legs.items()]), place, "the readable part is not what is certified")
    words = "; ".join(one[2] for one in list(legs.values())[:4])
    return shard, legs, f"  shard {shard}, batch {statement['sequence']}: {words}, signed by replicas {', '.join(map(str, replicas))}"

def verify(given, cluster, epoch, shards):  # the lines that tell what the receipt proves
    data, signature = bytes.fromhex(given["request"]["bytes"]), bytes.fromhex(given["request"]["signature"])
    check(len(data) <= 128 * 1024, "request.bytes", "longer than 128 KiB")
    r, digest = Reader(data, "request.bytes"), sha256(tag("request"), data)
    belongs, principal, number, _times, mode = (r.raw(32), r.uint(4)), r.raw(32), r.uint(8), r.raw(8 + 8 + 8), r.choice((0, 1, 2, 3), "request mode")
    independent = mode & 1
    if mode & 2: r.check(r.array(lambda r: r.raw(2 + 8 + 8), 64), "no predecessors")
    r.check(operations := r.array(operation, 1024), "no operations")
    r.finish()
    check(belongs == (cluster, epoch), "request.bytes", "of another cluster or epoch")
    check(is_signed(principal, signature, "request", digest), "request.signature", "not by the principal")
    readable = {"bytes": data.hex(), "digest": digest.hex(), "signature": signature.hex(), "principal": principal.hex(), "number": number}
    check(given["request"] == readable and given["cluster"] == cluster.hex(), "request", "the readable part is not what was signed")
    certificates = [verify_certificate(one, f"certificates[{i}]", digest, cluster, epoch, shards) for i, one in enumerate(given["certificates"])]
    lines, transactions = [f"genuine: signed by principal {principal.hex()}, request number {number}"], []
    for leg, steps in enumerate([[one] for one in operations] if independent else [operations]):
        txid = (sha256(tag("leg"), digest, leg.to_bytes(2, "little")) if independent else digest).hex()
        participants = sorted({int.from_bytes(hashed[:8], "big") * len(shards) >> 64 for _, hashes in steps for hashed in hashes})
        outcome = decision([next((legs[leg] for shard, legs, _ in certificates if shard == one and leg in legs), None) for one in participants])
        check(outcome, "certificates", f"genuine, but do not decide transaction {leg} of the request")
        transactions.append({"txid": txid, "operations": [step for step, _ in steps], "shards": participants, "outcome": outcome})
        lines += [f"transaction {txid}: {outcome}"] + [f"  {step}" for step, _ in steps]
    check(given["transactions"] == transactions, "transactions", "not what the signed bytes and certificates say")
    return lines + [line for _, _, line in certificates]
def shown(line): return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
def end(code, error): sys.exit(print(f"error: {shown(str(error))}", file=sys.stderr) or code)
def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    match sys.argv[1:]:
        case ["-h" | "--help"]: return print(__doc__)
        case [receipt, "--manifest", manifest] | ["--manifest", manifest, receipt]: pass
        case _: end(64, __doc__.splitlines()[0])
    try: manifest = load_manifest(manifest)
    except (OSError, Wrong) as error: end(64, error)
    try: print("\n".join(map(shown, verify(load(receipt, RECEIPT, "receipt"), *manifest))))
    except OSError as error: end(64, error)
    except Wrong as error: end(22, error)
if __name__ == "__main__": main()
