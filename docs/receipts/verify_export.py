#!/usr/bin/env python3
"""usage: verify_export.py EXPORT.jsonl... --manifest cluster.json
Verifies exports of Quorate offline with the cluster's manifest alone; shares no code with Quorate (see ../EXPORT.md).
Several files are one export, each going on where the one before ends. Prints what is proven and exits with 0, or
prints the line and what is wrong with it and exits with 24; 64 is wrong usage. Needs Python 3.11 and the package
cryptography."""
import json, struct, sys
from verify_receipt import (
    DIGEST, DIRECTIONS, HEX, SIGNATURE, TEXT, U8, U16, U32, Reader, Wrong, account, call_path, call_response, check, conform, end, is_signed, issued_call,
    load_manifest, merkle_root, parse, sha256, shown, status, tag)

LONGEST = 1 << 26  # bytes of a line
OUTCOMES = dict(enumerate((
    "voted_yes", "voted_no", "committed", "aborted", "aborted", "acknowledged", "read", "running", "returned", "failed", "closed"), 1))
OPEN = ("voted_yes", "running")
BATCH = {
    "type": TEXT, "shard": U16, "sequence": TEXT, "time": object, "previous_history": DIGEST, "history": DIGEST, "batch": DIGEST,
    "leaves_root": DIGEST, "transactions": range(16385), "signatures": [{"replica": U8, "signature": SIGNATURE}], "batch_bytes": HEX}
BEGIN = {"type": TEXT, "format": range(1, 2), "cluster": DIGEST, "epoch": U32, "from": TEXT}
KEYS = {"type", "shard", "sequence", "index", "request", "principal", "number", "mode", "legs", "leaf_bytes", "request_bytes", "signature"}

def decimal(text, place):
    check(type(text) is str and len(text) <= 20 and text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and int(text) < 2**64, place, "not a decimal number")
    return int(text)
def cursor(text, shards):
    known = {}
    for part in text.split(",") if text else []:
        shard, _, sequence = part.partition(":")
        shard, sequence = decimal(shard, "cursor"), decimal(sequence, "cursor")
        check(shard < shards and 0 < sequence < 2**62 and all(shard > one for one in known), "cursor", "unknown shard, wrong order, or 0")
        known[shard] = sequence
    return known
def spelled(known): return ",".join(f"{shard}:{known[shard]}" for shard in sorted(known))

def operation(r):  # as the HTTP API has it
    match r.choice(range(1, 8), "operation kind"):
        case 1: return {"kind": "transfer", "from": account(r).hex(), "to": account(r).hex(), "asset": r.uint(4), "amount": str(r.uint(16))}
        case 2: return {"kind": "open", "owner": r.raw(32).hex(), "asset": r.uint(4), "index": str(r.uint(8))}
        case 3: return {"kind": "issue", "to": account(r).hex(), "asset": r.uint(4), "amount": str(r.uint(16))}
        case 4: return {"kind": "read", "account": account(r).hex()}
        case 5:
            target = {"key": r.blob(240).hex()} if r.choice((1, 2), "call target") == 1 else {"account": account(r).hex()}
            call = {"kind": "call", "target": target, "procedure": r.string(64), "version": r.uint(2), "arguments": r.blob(16384).hex()}
            return call | ({"continues": str(r.uint(8))} if r.bool() else {})
        case 6: return {"kind": "freeze", "account": account(r).hex(), "direction": DIRECTIONS[r.choice(DIRECTIONS, "freeze direction")], "reason": r.uint(4)}
        case 7: return {"kind": "release", "account": account(r).hex()}
def leg(r):
    number = r.uint(2)
    r.check(r.at < len(r.data), "truncated")
    kind = r.data[r.at]
    _vote, why, text = status(r)
    reason = {2: why, 4: why, 5: "no record by the deadline", 10: text.removeprefix("aborted: ")}.get(kind)
    return number, OUTCOMES[kind], reason
def leaf(data):
    r = Reader(data, "leaf_bytes")
    request, legs = r.raw(32), r.array(leg, 1024)
    r.check(all(a[0] < b[0] for a, b in zip(legs, legs[1:])), "wrong order of legs")
    calls = r.bool() and (r.uint(8), r.bool(), [r.array(issued_call, 64), r.array(call_response, 64), r.array(call_path, 64)])[2]
    r.check(calls is False or any(calls), "empty report of calls")
    r.finish()
    return request, legs
def request(data, cluster, epoch):  # principal, number, whether its legs are on their own, operations
    check(len(data) <= 128 * 1024, "request_bytes", "longer than 128 KiB")
    r = Reader(data, "request_bytes")
    belongs, principal, number, _times, mode = (r.raw(32), r.uint(4)), r.raw(32), r.uint(8), r.raw(8 + 8 + 8), r.choice((0, 1, 2, 3), "request mode")
    if mode & 2: r.check(r.array(lambda r: r.raw(2 + 8 + 8), 64), "no predecessors")
    r.check(operations := r.array(operation, 1024), "no operations")
    r.finish()
    check(belongs == (cluster, epoch), "request_bytes", "of another cluster or epoch")
    return principal, number, mode & 1, operations
def root(leaves):  # of the tree over all leaves: an odd last node moves up as it is
    level = [sha256(b"\0", one) for one in leaves] or [sha256(b"\0")]
    while len(level) > 1:
        level = [sha256(b"\1", *level[i:i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]
def is_inside(batch, digest, cluster):  # whether the batch holds the request with this digest, signed
    at = batch.find(cluster)
    while at >= 0:
        size = int.from_bytes(batch[max(0, at - 4):at], "little")
        data, signature = batch[at:at + size], batch[at + size:at + size + 64]
        if size >= 100 and len(signature) == 64 and sha256(tag("request"), data) == digest and is_signed(data[36:68], signature, "request", digest): return True
        at = batch.find(cluster, at + 1)
    return False

class Export:
    def __init__(self, cluster, epoch, shards):
        self.cluster, self.epoch, self.shards = cluster, epoch, shards
        self.known, self.start, self.histories, self.outcomes = None, None, {}, {}
        self.ended, self.batch, self.batches, self.transactions, self.bare = False, None, 0, 0, 0
    def line(self, data):
        check(len(data) <= LONGEST, "line", "too long")
        given = parse(data, "line")
        check(type(given) is dict and type(given.get("type")) is str, "type", "not an object with a type")
        fresh = self.known is None or self.ended
        match given["type"]:
            case "export" if fresh: self.begin(conform(given, BEGIN, "line"))
            case "batch" if not fresh and not self.batch: self.open(given)
            case "transaction" if self.batch: self.transaction(given)
            case "end" if not fresh and not self.batch:
                check(given == {"type": "end", "cursor": spelled(self.known)}, "cursor", f"not where the batches end: {spelled(self.known)}")
                self.ended = True
            case other: check(False, "type", f"{other!r} does not belong here")
    def begin(self, given):
        check((given["cluster"], given["epoch"]) == (self.cluster.hex(), self.epoch), "line", "of another cluster or epoch")
        known = cursor(given["from"], len(self.shards))
        check(given["from"] == spelled(known) and self.known in (None, known), "from", "not where the export before ends")
        if self.known is None: self.start = dict(known)
        self.known, self.ended = known, False
    def open(self, given):
        shape = {key: BATCH[key] for key in BATCH if key != "time"}
        time = given.pop("time", 0)
        conform(given, shape, "line")
        shard, sequence, batch = given["shard"], decimal(given["sequence"], "sequence"), bytes.fromhex(given["batch_bytes"])
        check(shard < len(self.shards), "shard", "the manifest has no such shard")
        wanted = self.known.get(shard, 0) + 1
        check(sequence == wanted, "sequence", f"batch {sequence} of shard {shard} is here, and {wanted} is the next: one is missing, twice or out of order")
        previous, digest, leaves_root = (bytes.fromhex(given[key]) for key in ("previous_history", "batch", "leaves_root"))
        known = bytes(32) if wanted == 1 else self.histories.get(shard, previous)
        check(previous == known, "previous_history", "does not follow the batch before")
        check(digest == (sha256(tag("batch"), batch) if batch else bytes(32)), "batch_bytes", "not the batch that was signed")
        check(time == (str(int.from_bytes(batch[:8], "little")) if batch else None), "time", "not the batch's")
        history = sha256(tag("history"), previous, digest, leaves_root)
        check(given["history"] == history.hex(), "history", "does not follow from the batch")
        signed = sha256(tag("attestation"), self.cluster, struct.pack("<IHQ", self.epoch, shard, sequence), previous, digest, leaves_root)
        keys, replicas = self.shards[shard], [one["replica"] for one in given["signatures"]]
        check(len(replicas) > (len(keys) - 1) // 3, "signatures", f"{len(replicas)} where f + 1 of {len(keys)} replicas are needed")
        check(replicas == sorted(set(replicas)) and replicas[-1] < len(keys), "signatures", "not of replicas of the shard, ascending, each once")
        for replica, one in zip(replicas, given["signatures"]):
            check(is_signed(keys[replica], bytes.fromhex(one["signature"]), "attestation", signed), "signatures", f"not by replica {replica}")
        self.batch = (given, batch, history, leaves_root, [])
        self.close()
    def transaction(self, given):
        head, batch, _history, _root, leaves = self.batch
        check(given.keys() == KEYS and type(given["leaf_bytes"]) is str and HEX.fullmatch(given["leaf_bytes"]), "line", "not a transaction's keys")
        data = bytes.fromhex(given["leaf_bytes"])
        about, legs = leaf(data)
        signed = None
        if given["request_bytes"] is None:
            check(not is_inside(batch, about, self.cluster), "request_bytes", "the batch holds the request")
            self.bare += 1
        else:
            for key, shape in (("request_bytes", HEX), ("signature", SIGNATURE)):
                check(type(given[key]) is str and shape.fullmatch(given[key]), key, "not hexadecimal digits")
            raw = bytes.fromhex(given["request_bytes"])
            check(sha256(tag("request"), raw) == about, "request_bytes", "not the request that the leaf is about")
            signed = request(raw, self.cluster, self.epoch)
            check(is_signed(signed[0], bytes.fromhex(given["signature"]), "request", about), "signature", "not by the principal")
        def written(number, outcome, reason):
            txid = operations = None
            if signed:
                txid = (sha256(tag("leg"), about, number.to_bytes(2, "little")) if signed[2] else about).hex()
                operations = signed[3][number:number + 1] if signed[2] else signed[3] if number == 0 else []
            return {"leg": number, "txid": txid, "outcome": outcome, "reason": reason, "operations": operations}
        wanted = {
            "type": "transaction", "shard": head["shard"], "sequence": head["sequence"], "index": len(leaves), "request": about.hex(),
            "principal": signed and signed[0].hex(), "number": signed and str(signed[1]), "mode": signed and ("atomic", "independent")[signed[2]],
            "legs": [written(*one) for one in legs], "leaf_bytes": data.hex(), "request_bytes": given["request_bytes"],
            "signature": given["signature"] if signed else None}
        # As text: to Python, 0, 0.0 and False are equal.
        check(json.dumps(given, sort_keys=True) == json.dumps(wanted, sort_keys=True), "line", "does not say what was signed")
        leaves.append(data)
        self.transactions += 1
        for _, outcome, _ in legs:
            if outcome not in OPEN: self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.close()
    def close(self):
        head, _batch, history, leaves_root, leaves = self.batch
        if len(leaves) < head["transactions"]: return
        check(root(leaves) == leaves_root, "line", f"the transactions of batch {head['sequence']} of shard {head['shard']} are not those that were signed")
        self.known[head["shard"]], self.histories[head["shard"]] = int(head["sequence"]), history
        self.batch, self.batches = None, self.batches + 1
    def finish(self):
        check(self.known is not None, "file", "it is empty")
        check(not self.batch, "file", "it ends within a batch")
        yield f"complete and genuine: from {spelled(self.start) or 'the beginning'} to {spelled(self.known)}"
        yield f"{self.batches} batches, {self.transactions} transactions"
        bare = [str(shard) for shard in range(len(self.shards)) if self.known.get(shard, 0) == self.start.get(shard, 0)]
        for outcome in sorted(self.outcomes): yield f"  {self.outcomes[outcome]} {outcome}"
        if bare: yield f"no batch at all is here of these shards: {', '.join(bare)}"
        if self.bare: yield f"{self.bare} transactions stand without their request"
        if not self.ended: yield "there is no last line, so more may have followed"

def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    if words in (["-h"], ["--help"]): return print(__doc__)
    if "--manifest" not in words[:-1] or len(words) < 3: end(64, __doc__.splitlines()[0])
    at = words.index("--manifest")
    manifest, files = words[at + 1], words[:at] + words[at + 2:]
    try: export = Export(*load_manifest(manifest))
    except (OSError, Wrong) as error: end(64, error)
    number, file = 0, files[0]
    try:
        for file in files:
            number = 0
            with open(file, "rb") as lines:
                while line := lines.readline(LONGEST + 2):
                    number += 1
                    export.line(line.removesuffix(b"\n"))
        print("\n".join(map(shown, export.finish())))
    except OSError as error: end(64, error)
    except (Wrong, RecursionError) as error: end(24, f"{shown(file)}: line {number}: {error}")
if __name__ == "__main__": main()
