#!/usr/bin/env python3
"""usage: make_vectors.py > signing_vectors.json
Makes the signing vectors: requests with their JSON form, canonical bytes, digest, signature and transaction ids. The
keys are made of public seeds and own nothing. The tests of Quorate itself read the same file."""
import json, pathlib, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True
import quorate_client as q

CLUSTER = bytes(range(32))
TOP = (1 << 64) - 1


def vectors():
    def vector(name, operations, seed=1, **changes):
        key = q.Key(bytes([seed]) * 32)
        fields = {"cluster": CLUSTER, "epoch": 1, "principal": key.public, "number": 7, "acknowledged_below": 5,
                  "issued_at": 1_760_000_000_000_000, "deadline": 1_760_000_030_000_000, **changes}
        signed = key.sign(q.Request(operations=tuple(operations), **fields))
        return {"name": name, "seed": (bytes([seed]) * 32).hex(), "json": signed.json(), "bytes": signed.encoded.hex(),
                "digest": signed.digest.hex(), "signature": signed.signature.hex(), "body": signed.body().hex(),
                "txids": signed.txids()}
    owner = q.Key(bytes([2]) * 32).public
    a, b = q.account_id(owner, 1), q.account_id(owner, 1, 1)
    yield vector("transfer", [q.transfer(a, b, 1, 250)])
    yield vector("two transfers, atomic", [q.transfer(a, b, 1, 250), q.transfer(b, a, 1, 1)])
    yield vector("two transfers, independent", [q.transfer(a, b, 1, 250), q.transfer(b, a, 1, 1)], independent=True)
    yield vector("accounts opened", [q.open_account(owner, 1), q.open_account(owner, 2, TOP)], independent=True)
    yield vector("money issued", [q.issue(a, 1, 1000)], independent=True)
    yield vector("read", [q.read(a)])
    yield vector("accounts frozen and released", [
        q.freeze(a, 7), q.freeze(b, (1 << 32) - 1, "debits"), q.freeze(b, 0, "credits"), q.release(a)], independent=True)
    yield vector("call of an account", [q.call(a, "credit", b"\1\2\3")])
    yield vector("call of a key, continued", [q.call(b"price/{GOLD}", "oracle.price", b"", version=3, continues=6)])
    yield vector("call of a key that is no text", [q.call(b"\0\xff", "naïve — 価格", bytes(range(256)))])
    yield vector("following others", [q.transfer(a, b, 1, 2)],
                 follows=(q.Predecessor(0, 5, 1_760_000_020_000_000), q.Predecessor(3, 6, TOP)))
    yield vector("following others, independent", [q.transfer(a, b, 1, 2)], independent=True,
                 follows=(q.Predecessor(0, 5, 0),))
    yield vector("greatest numbers", [q.transfer("f" * 32, "0" * 32, (1 << 32) - 1, (1 << 128) - 1)], seed=255,
                 number=TOP, acknowledged_below=TOP, issued_at=TOP, deadline=TOP, epoch=(1 << 32) - 1,
                 cluster=b"\xff" * 32)
    yield vector("zeros", [q.transfer("0" * 32, "0" * 32, 0, 0)], number=0, acknowledged_below=0, issued_at=0,
                 deadline=0, epoch=0, cluster=bytes(32))


if __name__ == "__main__":
    print(json.dumps({"schema": 1, "vectors": list(vectors())}, indent=1, ensure_ascii=True))
