"""A client of Quorate's HTTP API: keys, the canonical bytes of requests, signing, submitting, and the proofs of what
comes back. Shares no code with Quorate; docs/receipts/README.md and docs/HTTP.md have the formats. Needs Python 3.11
and the package cryptography.

A gateway is trusted with nothing. Whatever this module returns as an outcome or as a balance was checked against the
manifest, cluster.json, which has to come from somebody whom you trust."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import secrets
import ssl
import stat
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__version__ = "0.1.0"

MAX_REQUEST = 128 * 1024  # bytes
MAX_OPERATIONS = 1024
MAX_PREDECESSORS = 64
MAX_ANSWER = 1 << 24  # bytes of an HTTP answer, and of a file
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


class Malformed(Exception):
    """Bytes, JSON or arguments that are not what they should be; says where."""


class NotProven(Exception):
    """A receipt or a read that proves nothing; says why."""


class NotTrusted(Exception):
    """Whoever answers at an https:// address has no certificate of the authority for it. Nothing was sent to it."""


class OutcomeUnknown(Exception):
    """No receipt came in time. The request may have taken effect, or may yet: submit the same `signed` again."""

    def __init__(self, signed: SignedRequest, why: str):
        super().__init__(f"the outcome of request {signed.request.number} is unknown: {why}")
        self.signed = signed


class Problem(Exception):
    """An error of the gateway (RFC 9457)."""

    def __init__(self, status: int, document: dict):
        super().__init__(f"{document.get('title', 'HTTP error')} ({status}): {document.get('detail', '')}")
        self.status, self.document = status, document

    @property
    def kind(self) -> str:
        """What the problem's type ends with, such as "queue-full"."""
        return str(self.document.get("type", "")).rpartition("/")[2]


class Acknowledged(Problem):
    """The number of `signed` was acknowledged: it does nothing from now on, and what it did is known only from an earlier
    receipt. That is the gateway's word; `receipt` is the document that it has, which decides not all of it."""

    def __init__(self, signed: SignedRequest, problem: Problem):
        super().__init__(problem.status, problem.document)
        self.signed, self.receipt = signed, problem.document.get("receipt")


# Hashes and signatures

def _tag(domain: str) -> bytes:
    name = b"quorate/1/" + domain.encode()
    return bytes([len(name)]) + name


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _hash(domain: str, *parts: bytes) -> bytes:
    return _sha256(_tag(domain), *parts)


def _is_signed(key: bytes, signature: bytes, domain: str, digest: bytes) -> bool:
    # Not every library that cryptography can be built with refuses S >= L.
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _tag(domain) + digest)
        return True
    except (InvalidSignature, ValueError):
        return False


class Key:
    """An Ed25519 key: it owns accounts and signs requests. Whoever has its seed can spend."""

    def __init__(self, seed: bytes):
        if len(seed) != 32:
            raise Malformed("a seed has 32 bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def __repr__(self) -> str:
        return f"Key(public={self.public.hex()})"

    @classmethod
    def generate(cls) -> Key:
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Key:
        """From a key file such as a cluster folder's issuer.key: 64 hexadecimal digits, readable by its owner only."""
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Malformed(f"{path} may be read by others: run chmod 600 on it")
            text = file.read(4096)
        if not re.fullmatch(rb"[0-9a-f]{64}\n?", text):
            raise Malformed(f"{path} does not hold a key: 64 hexadecimal digits in lower case are expected")
        return cls(bytes.fromhex(text.decode()))

    def save(self, path: str | os.PathLike) -> None:
        """Into a new file that only its owner may read."""
        seed = self._private.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(seed.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def sign(self, request: Request) -> SignedRequest:
        if request.principal != self.public:
            raise Malformed("the request names another principal than this key")
        encoded = request.encode()
        digest = _hash("request", encoded)
        return SignedRequest(request, encoded, digest, self._private.sign(_tag("request") + digest))


# Canonical bytes

def _uint(value: int, size: int, what: str) -> bytes:
    if type(value) is not int or not 0 <= value < 1 << 8 * size:
        raise Malformed(f"{what} is {value!r}; it must be a whole number from 0 to 2^{8 * size} - 1")
    return value.to_bytes(size, "little")


def _fixed(value: bytes, size: int, what: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise Malformed(f"{what} must have {size} bytes")
    return value


def _blob(value: bytes, limit: int, what: str) -> bytes:
    if len(value) > limit:
        raise Malformed(f"{what} has {len(value)} bytes, of which {limit} are allowed")
    return struct.pack("<I", len(value)) + value


def account_bytes(account: str) -> bytes:
    """An account is written with its most significant digit first, and encoded with its least significant byte first."""
    if not isinstance(account, str) or not re.fullmatch("[0-9a-f]{32}", account):
        raise Malformed(f"account {account!r}: 32 hexadecimal digits in lower case are expected")
    return bytes.fromhex(account)[::-1]


def account_id(owner: bytes, asset: int, index: int = 0) -> str:
    """The identifier of an account; it follows from what the account is, open or not."""
    return _hash("account", _fixed(owner, 32, "owner"), _uint(asset, 4, "asset"), _uint(index, 8, "index"))[:16].hex()


def transfer(source: str, to: str, asset: int, amount: int) -> dict:
    return {"kind": "transfer", "from": source, "to": to, "asset": asset, "amount": amount}


def open_account(owner: bytes, asset: int, index: int = 0) -> dict:
    return {"kind": "open", "owner": owner, "asset": asset, "index": index}


def issue(to: str, asset: int, amount: int) -> dict:
    """Creates money. The manifest's issuer signs it."""
    return {"kind": "issue", "to": to, "asset": asset, "amount": amount}


def read(account: str) -> dict:
    """A read in order, which only the owner may ask for."""
    return {"kind": "read", "account": account}


def call(target: str | bytes, procedure: str, arguments: bytes, version: int = 1, continues: int | None = None) -> dict:
    """A call of a procedure. Of the target, text is an account, and bytes are a key."""
    return {"kind": "call", "target": target, "procedure": procedure, "version": version, "arguments": arguments,
            "continues": continues}


def freeze(account: str, reason: int, direction: str = "both") -> dict:
    """Keeps money from leaving an account ("debits"), entering it ("credits"), or both. The manifest's compliance
    authority signs it, in an independent request; the reason is a code of its own."""
    return {"kind": "freeze", "account": account, "direction": direction, "reason": reason}


def release(account: str) -> dict:
    """Ends a freeze. The manifest's compliance authority signs it, in an independent request."""
    return {"kind": "release", "account": account}


_DIRECTIONS = ("debits", "credits", "both")


def _encode_operation(operation: dict) -> bytes:
    match operation:
        case {"kind": "transfer", "from": source, "to": to, "asset": asset, "amount": amount}:
            return b"\1" + account_bytes(source) + account_bytes(to) + _uint(asset, 4, "asset") \
                + _uint(amount, 16, "amount")
        case {"kind": "open", "owner": owner, "asset": asset, "index": index}:
            return b"\2" + _fixed(owner, 32, "owner") + _uint(asset, 4, "asset") + _uint(index, 8, "index")
        case {"kind": "issue", "to": to, "asset": asset, "amount": amount}:
            return b"\3" + account_bytes(to) + _uint(asset, 4, "asset") + _uint(amount, 16, "amount")
        case {"kind": "read", "account": account}:
            return b"\4" + account_bytes(account)
        case {"kind": "call", "target": target, "procedure": procedure, "version": version, "arguments": arguments,
              "continues": continues}:
            if target == b"":
                raise Malformed("the key that is called is empty")
            where = b"\2" + account_bytes(target) if isinstance(target, str) else b"\1" + _blob(target, 240, "key")
            before = b"\0" if continues is None else b"\1" + _uint(continues, 8, "continues")
            return b"\5" + where + _blob(procedure.encode(), 64, "procedure") + _uint(version, 2, "version") \
                + _blob(arguments, 16384, "arguments") + before
        case {"kind": "freeze", "account": account, "direction": direction, "reason": reason}:
            if direction not in _DIRECTIONS:
                raise Malformed(f"direction {direction!r}: one of {', '.join(_DIRECTIONS)} is expected")
            return b"\6" + account_bytes(account) + bytes([_DIRECTIONS.index(direction) + 1]) \
                + _uint(reason, 4, "reason")
        case {"kind": "release", "account": account}:
            return b"\7" + account_bytes(account)
    raise Malformed(f"no operation: {operation!r}")


def _operation_json(operation: dict) -> dict:
    def value(key, one):
        if key == "target":
            return {"account": one} if isinstance(one, str) else {"key": one.hex()}
        if isinstance(one, bytes):
            return one.hex()
        return str(one) if key in ("amount", "index", "continues") else one
    return {key: value(key, one) for key, one in operation.items() if one is not None}


@dataclass(frozen=True)
class Predecessor:
    """An earlier request of the same principal that a request comes after on one shard."""
    shard: int
    number: int
    deadline: int

    def encode(self) -> bytes:
        return _uint(self.shard, 2, "shard") + _uint(self.number, 8, "number") + _uint(self.deadline, 8, "deadline")


@dataclass(frozen=True)
class Request:
    """What a principal signs. Times are microseconds since 1970. Under one number at most one request commits."""
    cluster: bytes
    epoch: int
    principal: bytes
    number: int
    acknowledged_below: int
    issued_at: int
    deadline: int
    operations: tuple[dict, ...]
    independent: bool = False
    follows: tuple[Predecessor, ...] = ()

    def encode(self) -> bytes:
        """The canonical bytes: what is signed is their hash."""
        if not 1 <= len(self.operations) <= MAX_OPERATIONS:
            raise Malformed(f"{len(self.operations)} operations; 1 to {MAX_OPERATIONS} are allowed")
        if len(self.follows) > MAX_PREDECESSORS:
            raise Malformed(f"{len(self.follows)} predecessors; {MAX_PREDECESSORS} are allowed")
        follows = b""
        if self.follows:
            follows = struct.pack("<I", len(self.follows)) + b"".join(one.encode() for one in self.follows)
        encoded = b"".join([
            _fixed(self.cluster, 32, "cluster"), _uint(self.epoch, 4, "epoch"), _fixed(self.principal, 32, "principal"),
            _uint(self.number, 8, "number"), _uint(self.acknowledged_below, 8, "acknowledged_below"),
            _uint(self.issued_at, 8, "issued_at"), _uint(self.deadline, 8, "deadline"),
            bytes([self.independent + (2 if self.follows else 0)]), follows, struct.pack("<I", len(self.operations)),
            *map(_encode_operation, self.operations)])
        if len(encoded) > MAX_REQUEST:
            raise Malformed(f"the request has {len(encoded)} bytes, of which {MAX_REQUEST} are allowed")
        return encoded

    @classmethod
    def decode(cls, data: bytes) -> Request:
        """From canonical bytes; each value has one encoding, and everything else is refused."""
        reader = _Reader(data, "request")
        cluster, epoch, principal = reader.raw(32), reader.uint(4), reader.raw(32)
        number, below, issued_at, deadline = (reader.uint(8) for _ in range(4))
        mode, follows = reader.choice(range(4), "request mode"), []
        if mode & 2:
            follows = reader.array(lambda r: Predecessor(r.uint(2), r.uint(8), r.uint(8)), MAX_PREDECESSORS)
            reader.check(follows, "no predecessors")
        operations = reader.array(_decode_operation, MAX_OPERATIONS)
        reader.check(operations, "no operations")
        reader.finish()
        return cls(cluster, epoch, principal, number, below, issued_at, deadline, tuple(operations), bool(mode & 1),
                   tuple(follows))

    def json(self) -> dict:
        """The form that the API takes beside canonical bytes. It is never signed itself."""
        members = {
            "cluster": self.cluster.hex(), "epoch": self.epoch, "principal": self.principal.hex(),
            "number": str(self.number), "acknowledged_below": str(self.acknowledged_below),
            "issued_at": str(self.issued_at), "deadline": str(self.deadline),
            "mode": "independent" if self.independent else "atomic",
            "operations": [_operation_json(one) for one in self.operations]}
        if self.follows:
            members["follows"] = [{"shard": one.shard, "number": str(one.number), "deadline": str(one.deadline)}
                                  for one in self.follows]
        return members


@dataclass(frozen=True)
class SignedRequest:
    """Keep it until the outcome is known: the same bytes may be submitted at any time, and happen once."""
    request: Request
    encoded: bytes
    digest: bytes
    signature: bytes

    def body(self) -> bytes:
        """As application/octet-stream."""
        return struct.pack("<I", len(self.encoded)) + self.encoded + self.signature

    @classmethod
    def from_body(cls, body: bytes) -> SignedRequest:
        reader = _Reader(body, "signed request")
        encoded, signature = reader.blob(MAX_REQUEST), reader.raw(64)
        reader.finish()
        return cls(Request.decode(encoded), encoded, _hash("request", encoded), signature)

    def json(self) -> dict:
        """As application/json."""
        return {"request": self.request.json(), "signature": self.signature.hex()}

    def txids(self) -> list[str]:
        """Of each leg: one for an atomic request, otherwise one an operation."""
        if not self.request.independent:
            return [self.digest.hex()]
        return [_hash("leg", self.digest, struct.pack("<H", leg)).hex() for leg in range(len(self.request.operations))]


class _Reader:
    """Of canonical bytes."""

    def __init__(self, data: bytes, place: str):
        self.data, self.place, self.at = data, place, 0

    def check(self, holds, what: str) -> None:
        if not holds:
            raise Malformed(f"{self.place}: {what} at byte {self.at}")

    def raw(self, count: int) -> bytes:
        self.check(self.at + count <= len(self.data), f"truncated, {count} bytes are needed")
        self.at += count
        return self.data[self.at - count:self.at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.raw(size), "little")

    def choice(self, allowed, what: str, size: int = 1) -> int:
        value = self.uint(size)
        self.check(value in allowed, f"invalid {what} {value}")
        return value

    def bool(self) -> bool:
        return self.choice((0, 1), "boolean") == 1

    def blob(self, limit: int) -> bytes:
        return self.raw(self.choice(range(limit + 1), "count", 4))

    def text(self, limit: int) -> str:
        try:
            return self.blob(limit).decode()
        except UnicodeDecodeError:
            raise Malformed(f"{self.place}: invalid UTF-8 before byte {self.at}") from None

    def array(self, element, limit: int) -> list:
        return [element(self) for _ in range(self.choice(range(limit + 1), "count", 4))]

    def account(self) -> str:
        return self.raw(16)[::-1].hex()

    def finish(self) -> None:
        self.check(self.at == len(self.data), "bytes after the end of the value")


def _decode_target(reader: _Reader) -> str | bytes:
    if reader.choice((1, 2), "call target") == 2:
        return reader.account()
    key = reader.blob(240)
    reader.check(key, "empty key")
    return key


def _decode_invocation(reader: _Reader) -> dict:
    target = _decode_target(reader)
    procedure, version = reader.text(64), reader.uint(2)
    return call(target, procedure, reader.blob(16384), version)


def _decode_operation(reader: _Reader) -> dict:
    match reader.choice(range(1, 8), "operation kind"):
        case 1:
            source, to = reader.account(), reader.account()
            return transfer(source, to, reader.uint(4), reader.uint(16))
        case 2:
            return open_account(reader.raw(32), reader.uint(4), reader.uint(8))
        case 3:
            return issue(reader.account(), reader.uint(4), reader.uint(16))
        case 4:
            return read(reader.account())
        case 6:
            account, direction = reader.account(), reader.choice((1, 2, 3), "freeze direction")
            return freeze(account, reader.uint(4), _DIRECTIONS[direction - 1])
        case 7:
            return release(reader.account())
        case _:
            operation = _decode_invocation(reader)
            operation["continues"] = reader.uint(8) if reader.bool() else None
            return operation


# Strict JSON

_TEXT, _HEX, _ACCOUNT, _BYTES32, _SIGNATURE = (
    re.compile(form) for form in ("(?s:.*)", "([0-9a-f]{2})*", "[0-9a-f]{32}", "[0-9a-f]{64}", "[0-9a-f]{128}"))
_ADDRESS, _DECIMAL = re.compile("[0-9A-Za-z.:_%-]{1,255}"), re.compile("0|[1-9][0-9]{0,38}")
_U8, _U16, _U32, _U64 = (range(1 << bits) for bits in (8, 16, 32, 64))
_MANIFEST = {
    "cluster": _BYTES32, "epoch": _U32, "hosts": [{"address": _ADDRESS, "port": _U16[1:], "public_key": _BYTES32}],
    "issuer": _BYTES32, "compliance?": _BYTES32, "shards": [[_U16]], "version": _U8[1:2]}
_STATEMENT = {
    "cluster": _BYTES32, "epoch": _U32, "shard": _U16, "sequence": _U64, "previous_history": _BYTES32,
    "batch": _BYTES32, "leaves_root": _BYTES32}
_RECEIPT = {
    "schema": _U8[1:2], "cluster": _BYTES32,
    "request": {"bytes": _HEX, "digest": _BYTES32, "signature": _SIGNATURE, "principal": _BYTES32, "number": _U64},
    "certificates": [{
        "shard": _U16, "statement": _STATEMENT,
        "leaf": {"bytes": _HEX, "request": _BYTES32, "legs": [{"leg": _U16, "status": _TEXT}]},
        "path": {"index": _U32, "count": _U32, "siblings": [_BYTES32]},
        "signatures": [{"replica": _U8, "signature": _SIGNATURE}]}],
    "transactions": [{"txid": _BYTES32, "operations": [_TEXT], "shards": [_U16], "outcome": _TEXT}]}
# What is looked at of a batch's line.
_BATCH = {"sequence": _DECIMAL, "previous_history": _BYTES32, "history": _BYTES32, "transactions": range(1 << 20)}
_PROOF = {
    "shard": _U16, "nonce": _BYTES32, "statement": _HEX,
    "answers": [{"replica": _U8, "time": _DECIMAL, "clock": _DECIMAL, "signature": _SIGNATURE}]}


def _conform(value, shape, place: str):
    if type(shape) is dict:
        # A key of the shape that ends with "?" may be missing.
        known = {key.removesuffix("?"): part for key, part in shape.items()}
        if type(value) is not dict or not value.keys() <= known.keys() \
                or not all(key.endswith("?") or key in value for key in shape):
            raise Malformed(f"{place}: not an object with the keys {', '.join(sorted(shape))}")
        for key in value:
            _conform(value[key], known[key], f"{place}.{key}")
    elif type(shape) is list:
        if type(value) is not list:
            raise Malformed(f"{place}: not an array")
        for i, element in enumerate(value):
            _conform(element, shape[0], f"{place}[{i}]")
    elif type(shape) is range:
        if type(value) is not int or value not in shape:
            raise Malformed(f"{place}: not an integer from {shape.start} to {shape.stop - 1}")
    elif type(value) is not str or not shape.fullmatch(value):
        raise Malformed(f"{place}: not text of the right form")
    return value


def parse_json(data: bytes, place: str = "document"):
    """RFC 8259 and nothing beside it: what Python's parser takes beyond it is refused."""
    def once(pairs):
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    def refuse(text):
        raise ValueError(f"{text[:20]} is no JSON")

    def integer(text):
        return int(text) if text != "-0" and len(text) < 30 else refuse(text)
    try:
        value = json.loads(data.decode(), object_pairs_hook=once, parse_int=integer, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
        return value
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{place}: not valid JSON: {error}") from None


def _file(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise Malformed(f"{path}: longer than {MAX_ANSWER} bytes")
    return data


@dataclass(frozen=True)
class Manifest:
    """Whose keys count."""
    cluster: bytes
    epoch: int
    issuer: bytes
    shards: tuple[tuple[bytes, ...], ...]
    """Of each shard, the public keys of its replicas."""

    @classmethod
    def load(cls, path: str | os.PathLike) -> Manifest:
        return cls.parse(parse_json(_file(path), "manifest"))

    @classmethod
    def parse(cls, document) -> Manifest:
        manifest = _conform(document, _MANIFEST, "manifest")
        hosts, shards = [bytes.fromhex(host["public_key"]) for host in manifest["hosts"]], manifest["shards"]
        if len(set(hosts)) != len(hosts) or not 1 <= len(shards) <= 4096:
            raise Malformed("manifest: two hosts have one key, or there are not 1 to 4096 shards")
        for shard in shards:
            if not 4 <= len(shard) <= 64 or len(shard) % 3 != 1 or len(set(shard)) != len(shard) \
                    or max(shard) >= len(hosts):
                raise Malformed("manifest.shards: not 3f + 1 different hosts of the manifest, 4 to 64")
        return cls(bytes.fromhex(manifest["cluster"]), manifest["epoch"], bytes.fromhex(manifest["issuer"]),
                   tuple(tuple(hosts[host] for host in shard) for shard in shards))

    def _shard_of_hash(self, hashed: bytes) -> int:
        return int.from_bytes(hashed[:8], "big") * len(self.shards) >> 64

    def shard_of(self, target: str | bytes) -> int:
        """Of an account, or of a key that is called: what stands in its first braces keeps keys together."""
        if isinstance(target, str):
            return self._shard_of_hash(account_bytes(target)[::-1])
        tagged = re.match(rb"[^{]*\{([^}]+)\}", target)
        return self._shard_of_hash(_hash("key", tagged[1] if tagged else target))

    def participants(self, operation: dict) -> set[int]:
        match operation["kind"]:
            case "transfer": targets = [operation["from"], operation["to"]]
            case "open": targets = [account_id(operation["owner"], operation["asset"], operation["index"])]
            case "issue": targets = [operation["to"]]
            case "read" | "freeze" | "release": targets = [operation["account"]]
            case _: targets = [operation["target"]]
        return {self.shard_of(target) for target in targets}


# Receipts

_ABORTS = dict(enumerate((
    "insufficient funds", "unknown account", "the signer does not own the account", "the account holds another asset",
    "a balance would exceed its limit", "the account exists already", "the request is malformed",
    "another attempt with the same request number holds or committed", "another shard aborted", "a call failed",
    "the account is frozen", "the manifest names no compliance authority"), 1))
_FAILURES = dict(enumerate((
    "the procedure failed", "no such procedure", "the arguments cannot be read",
    "an older transaction holds what it needs", "the deadline passed", "a limit is exceeded",
    "the procedure is not deterministic", "parallel calls touch the same", "the transaction does not balance",
    "the account does not allow it", "too many unfinished calls", "the deadline passed while it waited for a lock",
    "the account is frozen"), 1))


@dataclass(frozen=True)
class _Status:
    """What a shard says of a leg: its vote (None is not enough), why it aborts, how it reads, what it returned."""
    vote: str | None
    why: str | None
    text: str
    result: bytes | None = None


def _call_path(reader):
    return reader.raw(2 * reader.choice(range(9), "depth of calls"))


def _consumed_call(reader):
    return _call_path(reader), reader.uint(2), reader.raw(32)


def _call_failure(reader) -> str:
    reason, shard = reader.choice(_FAILURES, "call failure"), reader.uint(2)
    procedure, text = reader.text(64), reader.text(256)
    return f"aborted: {procedure} on shard {shard}: {text or _FAILURES[reason]}"


def _call_response(reader):
    _call_path(reader)
    if reader.choice((1, 2), "call answer") == 1:
        reader.blob(16384)
    else:
        _call_failure(reader)
    reader.array(_consumed_call, 64)
    reader.array(lambda r: r.raw(36), 64)


def _status(reader) -> _Status:
    match kind := reader.choice(range(1, 12), "leg status"):
        case 1: return _Status("yes", None, "voted yes")
        case 2 | 4:
            why = _ABORTS[reader.choice(_ABORTS, "abort reason")]
            return _Status("abort", why, f"{'voted no' if kind == 2 else 'aborted'}: {why}")
        case 3: return _Status("commit", None, "committed")
        case 5: return _Status("abort", _ABORTS[9], "aborted: no record by the deadline")
        case 6: return _Status(None, None, "refused: the number was acknowledged")
        case 7:
            if (view := _view(reader)) is None:
                return _Status("commit", None, "read: no such account")
            return _Status("commit", None, f"read: {view[2]}")
        case 8: return _Status(None, None, "running")
        case 9:
            result, consumed = reader.blob(16384), reader.array(_consumed_call, 64)
            return _Status("commit", None, f"returned {len(result)} bytes, {len(consumed)} calls committed", result)
        case 10: return _Status("abort", _ABORTS[10], _call_failure(reader))
        case _: return _Status(None, None, "closed")


def _view(reader) -> tuple | None:
    """Owner, asset, posted, pending debits, pending credits, and how it is frozen."""
    if not (form := reader.choice((0, 1, 2), "account view")):
        return None
    owner, asset, posted, debits, credits = reader.raw(32), reader.uint(4), *(reader.uint(16) for _ in range(3))
    frozen = None
    if form == 2:
        frozen = (_DIRECTIONS[reader.choice((1, 2, 3), "freeze direction") - 1], reader.uint(4))
    return owner, asset, posted, debits, credits, frozen


def _leaf(data: bytes, place: str) -> tuple[bytes, dict[int, _Status]]:
    reader = _Reader(data, place)
    request, legs = reader.raw(32), reader.array(lambda r: (r.uint(2), _status(r)), MAX_OPERATIONS)
    reader.check(all(a[0] < b[0] for a, b in zip(legs, legs[1:])), "wrong order of legs")
    if reader.bool():
        reader.uint(8)
        reader.bool()
        issued = reader.array(
            lambda r: (_call_path(r), _decode_invocation(r), r.choice(range(3), "reach of a call")), 64)
        responses, closed = reader.array(_call_response, 64), reader.array(_call_path, 64)
        reader.check(issued or responses or closed, "empty report of calls")
    reader.finish()
    return request, dict(legs)


def _merkle_root(digest: bytes, index: int, count: int, siblings) -> bytes | None:
    """RFC 9162; None if there are not as many siblings as index and count ask for."""
    siblings = iter(siblings)
    while count > 1:
        if index ^ 1 < count:
            if (other := next(siblings, None)) is None:
                return None
            digest = _sha256(b"\1", other, digest) if index & 1 else _sha256(b"\1", digest, other)
        index, count = index >> 1, (count + 1) >> 1
    return digest if next(siblings, None) is None else None


def _check(holds, place: str, what: str) -> None:
    if not holds:
        raise NotProven(f"{place}: {what}")


def _certificate(given: dict, place: str, request: bytes, manifest: Manifest) -> tuple[int, dict[int, _Status]]:
    statement, path, signatures = given["statement"], given["path"], given["signatures"]
    data, shard = bytes.fromhex(given["leaf"]["bytes"]), statement["shard"]
    about, legs = _leaf(data, f"{place}.leaf.bytes")
    _check(about == request, f"{place}.leaf", "about another request")
    _check(statement["cluster"] == manifest.cluster.hex() and statement["epoch"] == manifest.epoch,
           f"{place}.statement", "of another cluster or epoch")
    _check(shard < len(manifest.shards), f"{place}.statement.shard", "the manifest has no such shard")
    root = _merkle_root(_sha256(b"\0", data), path["index"], path["count"], map(bytes.fromhex, path["siblings"]))
    _check(root and path["index"] < path["count"] and root.hex() == statement["leaves_root"], f"{place}.path",
           "does not lead from the leaf to the signed root")
    signed = _hash(
        "attestation", manifest.cluster, struct.pack("<IHQ", manifest.epoch, shard, statement["sequence"]),
        *(bytes.fromhex(statement[key]) for key in ("previous_history", "batch", "leaves_root")))
    keys, replicas = manifest.shards[shard], [one["replica"] for one in signatures]
    _check(len(replicas) > (len(keys) - 1) // 3, f"{place}.signatures",
           f"{len(replicas)} where f + 1 of {len(keys)} replicas are needed")
    _check(replicas == sorted(set(replicas)) and replicas[-1] < len(keys), f"{place}.signatures",
           "not of replicas of the shard, ascending, each once")
    for replica, one in zip(replicas, signatures):
        _check(_is_signed(keys[replica], bytes.fromhex(one["signature"]), "attestation", signed),
               f"{place}.signatures", f"not by replica {replica}")
    readable = [{"leg": leg, "status": status.text} for leg, status in legs.items()]
    _check((given["shard"], given["leaf"]["request"], given["leaf"]["legs"]) == (shard, about.hex(), readable), place,
           "the readable part is not what is certified")
    return shard, legs


def _decision(statuses: list[_Status | None]) -> str | None:
    """The AND of the votes; a shard commits only with every yes in hand, so its word for that decides."""
    votes = [status and status.vote for status in statuses]
    if "commit" in votes or all(vote == "yes" for vote in votes):
        return "committed"
    return f"aborted: {statuses[votes.index('abort')].why}" if "abort" in votes else None


def _describe(operation: dict) -> str:
    match operation:
        case {"kind": "transfer", "from": source, "to": to, "asset": asset, "amount": amount}:
            return f"transfer {amount} of asset {asset} from {source} to {to}"
        case {"kind": "open", "owner": owner, "asset": asset, "index": index}:
            return f"open account {account_id(owner, asset, index)} of asset {asset} for {owner.hex()}"
        case {"kind": "issue", "to": to, "asset": asset, "amount": amount}:
            return f"issue {amount} of asset {asset} to {to}"
        case {"kind": "read", "account": account}:
            return f"read {account}"
        case {"kind": "freeze", "account": account, "direction": direction, "reason": reason}:
            return f"freeze {direction} of {account} for reason {reason}"
        case {"kind": "release", "account": account}:
            return f"release {account}"
    target = operation["target"]
    shown = target if isinstance(target, str) else target.decode(errors="replace")
    return f"call {operation['procedure']} of {shown}"


@dataclass(frozen=True)
class Transaction:
    """A proven outcome of one leg: "committed", or "aborted: " and the reason."""
    txid: str
    operations: tuple[dict, ...]
    shards: tuple[int, ...]
    outcome: str
    result: bytes | None = field(default=None, compare=False)
    """What a call returned."""

    @property
    def is_committed(self) -> bool:
        return self.outcome == "committed"


@dataclass(frozen=True)
class Receipt:
    """A receipt that was verified. `document` is what to keep as evidence."""
    document: dict
    request: Request
    transactions: tuple[Transaction, ...]

    @property
    def is_committed(self) -> bool:
        return all(one.is_committed for one in self.transactions)

    def save(self, path: str | os.PathLike) -> None:
        """As `quorate receipt verify` reads it."""
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.dumps(self.document, indent=2, ensure_ascii=False) + "\n")


def verify_receipt(document, manifest: Manifest) -> Receipt:
    """Offline, with the manifest alone.
    Raises Malformed or NotProven."""
    given = _conform(document, _RECEIPT, "receipt")
    data, signature = bytes.fromhex(given["request"]["bytes"]), bytes.fromhex(given["request"]["signature"])
    _check(len(data) <= MAX_REQUEST, "request.bytes", f"longer than {MAX_REQUEST} bytes")
    request, digest = Request.decode(data), _hash("request", data)
    _check((request.cluster, request.epoch) == (manifest.cluster, manifest.epoch), "request.bytes",
           "of another cluster or epoch")
    _check(_is_signed(request.principal, signature, "request", digest), "request.signature", "not by the principal")
    readable = {"bytes": data.hex(), "digest": digest.hex(), "signature": signature.hex(),
                "principal": request.principal.hex(), "number": request.number}
    _check(given["request"] == readable and given["cluster"] == manifest.cluster.hex(), "request",
           "the readable part is not what was signed")
    certificates = [_certificate(one, f"certificates[{i}]", digest, manifest)
                    for i, one in enumerate(given["certificates"])]
    signed, transactions = SignedRequest(request, data, digest, signature), []
    legs = [(one,) for one in request.operations] if request.independent else [request.operations]
    for leg, (txid, operations) in enumerate(zip(signed.txids(), legs)):
        participants = sorted(set().union(*map(manifest.participants, operations)))
        words = [next((legs[leg] for shard, legs in certificates if shard == one and leg in legs), None)
                 for one in participants]
        outcome = _decision(words)
        _check(outcome, "certificates", f"genuine, but do not decide transaction {leg} of the request")
        result = next((word.result for word in words if word and word.result is not None), None)
        transactions.append(Transaction(txid, operations, tuple(participants), outcome, result))
    readable = [{"txid": one.txid, "operations": [_describe(step) for step in one.operations],
                 "shards": list(one.shards), "outcome": one.outcome} for one in transactions]
    _check(given["transactions"] == readable, "transactions", "not what the signed bytes and certificates say")
    return Receipt(given, request, tuple(transactions))


# Quorum reads

@dataclass(frozen=True)
class Account:
    """What 2f + 1 replicas say alike. Of `posted`, `pending_debits` is reserved by undecided transactions."""
    id: str
    owner: bytes
    asset: int
    posted: int
    pending_debits: int
    pending_credits: int
    frozen: tuple[str, int] | None = None
    """Which way money must not go ("debits", "credits" or "both") and the reason's code; None if it is not frozen."""


def _verify_read(given: dict, subject: bytes, shard: int, nonce: bytes, manifest: Manifest) -> tuple[_Reader, list]:
    """The value behind the subject, and the times of each replica."""
    proof = _conform({key: given.get(key) for key in _PROOF}, _PROOF, "read")
    statement, answers, keys = bytes.fromhex(proof["statement"]), proof["answers"], manifest.shards[shard]
    start = manifest.cluster + struct.pack("<IH", manifest.epoch, shard) + nonce + subject
    _check(statement.startswith(start), "read", "the statement is about something else, or answers another question")
    quorum = 2 * ((len(keys) - 1) // 3) + 1
    replicas = [one["replica"] for one in answers]
    _check(len(set(replicas)) == len(replicas) >= quorum and max(replicas) < len(keys), "read",
           f"not answers of {quorum} different replicas of shard {shard}")
    times = []
    for one in answers:
        stamps = (int(one["time"]), int(one["clock"]))
        _check(max(stamps) < 1 << 64, "read", "a time is too large")
        signed = _hash("read", statement, struct.pack("<QQ", *stamps))
        _check(_is_signed(keys[one["replica"]], bytes.fromhex(one["signature"]), "read", signed), "read",
               f"not signed by replica {one['replica']}")
        times.append(stamps)
    reader = _Reader(statement, "statement")
    reader.raw(len(start))
    return reader, times


def _median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def verify_account(given: dict, account: str, nonce: bytes, manifest: Manifest) -> Account | None:
    """None: it is proven that there is no such account. Raises Malformed or NotProven."""
    reader, _ = _verify_read(given, b"\1" + account_bytes(account), manifest.shard_of(account), nonce, manifest)
    view = _view(reader)
    found = None if view is None else Account(account, *view)
    reader.finish()
    return found


# HTTP

class Client:
    """Of one gateway. `timeout` is for one HTTP request, in seconds. `authority` is the path of `authority.crt`, by
    which an `https://` gateway is known; None for the authorities that the system trusts."""

    def __init__(self, url: str, manifest: Manifest, timeout: float = 40, authority: str | None = None):
        self.url, self.manifest, self.timeout = url.rstrip("/"), manifest, timeout
        self._tls = None
        if self.url.lower().startswith("https:"):
            self._tls = ssl.create_default_context(cafile=authority)
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_3
        elif authority is not None:
            raise ValueError(f"an authority is for https:// addresses: {self.url}")
        # By principal, the next number, and those whose outcomes are not known.
        self._numbers: dict[bytes, int] = {}
        self._open: dict[bytes, set[int]] = {}
        self._ahead = 0  # microseconds

    def get(self, path: str) -> dict:
        """Any path of the API, unchecked. Raises Problem, OSError, Malformed."""
        return self._ask("GET", path)[1]

    def _send(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None):
        """The answer, of which nothing has been read."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers={
            "Accept": "application/json", **(headers or {})})
        try:
            return urllib.request.urlopen(request, timeout=self.timeout, context=self._tls)
        except urllib.error.HTTPError as error:
            with error:
                data = error.read(1 << 16)
            try:
                document = parse_json(data, "problem")
            except Malformed:
                document = {}
            raise Problem(error.code, document if isinstance(document, dict) else {}) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise NotTrusted(f"{self.url}: {error.reason.verify_message}") from None
            raise

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, dict]:
        with self._send(method, path, body, headers) as answer:
            status, data = answer.status, answer.read(MAX_ANSWER + 1)
        if len(data) > MAX_ANSWER:
            raise Malformed(f"an answer of more than {MAX_ANSWER} bytes")
        document = parse_json(data, "answer")
        if not isinstance(document, dict):
            raise Malformed("answer: not an object")
        return status, document

    def account(self, account: str) -> Account | None:
        """A quorum read. None: it is proven that there is none."""
        nonce = secrets.token_bytes(32)
        account_bytes(account)
        return verify_account(self.get(f"/api/v1/accounts/{account}?nonce={nonce.hex()}"), account, nonce,
                              self.manifest)

    def standing(self, principal: bytes, shard: int) -> tuple[int, int, int]:
        """Proven: below which number a shard refuses the principal's requests, above which it has recorded none, and
        the shard's time in microseconds."""
        nonce = secrets.token_bytes(32)
        given = self.get(f"/api/v1/principals/{principal.hex()}?shard={shard}&nonce={nonce.hex()}")
        subject = b"\2" + _fixed(principal, 32, "principal") + struct.pack("<H", shard)
        reader, times = _verify_read(given, subject, shard, nonce, self.manifest)
        below, following = reader.uint(8), reader.uint(8)
        reader.finish()
        return below, following, _median([time for time, _ in times])

    def prepare(self, key: Key, operations: list[dict], independent: bool = False,
                lifetime: float = 30) -> SignedRequest:
        """Signs under the next number of the key, and sends nothing. The shards are asked for the number once; after
        that this client counts, so one client at a time should sign with a key: it acknowledges what another one has
        under way, which is then refused for ever if it has not run."""
        number = self._numbers.get(key.public)
        if number is None:
            standings = [self.standing(key.public, shard) for shard in range(len(self.manifest.shards))]
            number = max(1, *(following for _, following, _ in standings))
            # Deadlines go by the shards' time, which may be ahead of this machine's clock.
            now = int(time.time() * 1_000_000)
            self._ahead = max(0, *(shard_time - now for _, _, shard_time in standings))
        awaited = self._open.setdefault(key.public, set())
        oldest = min(awaited, default=number)
        if number - oldest >= 1024:
            raise Malformed(f"the outcome of request {oldest} is unknown, and 1024 came after it: submit or abandon it")
        now = int(time.time() * 1_000_000) + self._ahead
        signed = key.sign(Request(
            self.manifest.cluster, self.manifest.epoch, key.public, number, oldest, now,
            now + int(lifetime * 1_000_000), tuple(operations), independent))
        self._numbers[key.public] = number + 1
        awaited.add(number)
        return signed

    def abandon(self, signed: SignedRequest) -> None:
        """Gives the outcome up: the next request of the key acknowledges the number, after which shards that have not
        run it never will."""
        self._open.get(signed.request.principal, set()).discard(signed.request.number)

    def submit(self, signed: SignedRequest, patience: float = 60, as_json: bool = False) -> Receipt:
        """Sends the same bytes until the outcome is proven. Raises Problem if they are refused for what they are,
        Acknowledged if the gateway says that their outcome can be proven no longer, NotTrusted if it is not the gateway
        that it should be, and OutcomeUnknown when the patience, in seconds, is over."""
        body = json.dumps(signed.json()).encode() if as_json else signed.body()
        headers = {"Content-Type": "application/json" if as_json else "application/octet-stream"}
        end, pause, why = time.monotonic() + patience, 0.05, "nothing was tried"
        while True:
            wait = 0.0
            try:
                status, document = self._ask("POST", "/api/v1/transactions", body, headers)
                if status == 200:
                    receipt = verify_receipt(document, self.manifest)
                    _check(document["request"]["digest"] == signed.digest.hex(), "receipt", "of another request")
                    self.abandon(signed)
                    return receipt
                why = "it is under way"
            except Problem as problem:
                if problem.kind == "acknowledged":
                    # To send it again would never help.
                    self.abandon(signed)
                    raise Acknowledged(signed, problem) from None
                # Those of the server and those that say "later" are tried again; nothing happens twice.
                if problem.status < 500 and problem.status != 429 and problem.kind != "refused":
                    raise
                why = str(problem)
                later = problem.document.get("retry_after_ms")
                wait = later / 1000 if type(later) is int and later > 0 else 0.0
            except (OSError, Malformed, NotProven) as error:
                why = str(error)
            if time.monotonic() + max(wait, pause) >= end:
                raise OutcomeUnknown(signed, why)
            time.sleep(max(wait, pause))
            pause = min(2 * pause, 1.0)

    def execute(self, key: Key, operations: list[dict], independent: bool = False) -> Receipt:
        """`prepare`, then `submit`. Whoever must not lose track keeps what `prepare` returns before it is submitted."""
        return self.submit(self.prepare(key, operations, independent))

    def decisions(self, shard: int, after: int = 0, follow: bool = False, patience: float = 60) -> Iterator[list[dict]]:
        """What a shard has executed after its batch `after`, in order. For each batch gives its lines, as an export has
        them: first the batch's own, then one for each transaction. Whoever keeps the `sequence` of the last batch that
        was worked off goes on from there, with nothing twice and nothing missing. Ends with what there is now; with
        `follow` it looks for more every second. A gateway that is gone or busy is asked again while the patience lasts,
        in seconds since its last answer. Sequence numbers and histories follow each other; signatures are not verified
        here, but by docs/receipts/verify_export.py. Raises NotProven, Problem, OSError, Malformed."""
        history, since, pause = None, time.monotonic(), 0.05
        while True:
            batches, failure, wait = [], None, 0.0
            try:
                self._page(shard, after, batches)
                since, pause = time.monotonic(), 0.05
            except Problem as problem:
                if problem.status < 500 and problem.status != 429:
                    raise
                failure, wait = problem, (problem.document.get("retry_after_ms") or 0) / 1000
            except (OSError, http.client.HTTPException, Malformed) as error:
                failure = error
            for lines in batches:
                head = lines[0]
                if head["sequence"] != str(after + 1) or history not in (None, head["previous_history"]):
                    raise NotProven(f"shard {shard}: what follows batch {after} does not follow from it")
                yield lines
                after, history = after + 1, head["history"]
            if failure is not None:
                if time.monotonic() + max(wait, pause) >= since + patience:
                    raise failure
                time.sleep(max(wait, pause))
                pause = min(2 * pause, 1.0)
            elif not batches:
                if not follow:
                    return
                time.sleep(1)

    def _page(self, shard: int, after: int, batches: list[list[dict]]) -> None:
        """Adds each batch once all its lines are there, so that those that came before a cut are not lost."""
        lines_only = {"Accept": "application/x-ndjson, application/problem+json"}
        path = f"/api/v1/decisions?shard={shard}&from={after}"
        with self._send("GET", path, headers=lines_only) as answer:
            lines, missing = [], 0
            while data := answer.readline(4 * MAX_ANSWER):
                if not data.endswith(b"\n"):
                    raise Malformed("a line that is cut off, or too long")
                line = parse_json(data, "decisions")
                kind = line.get("type") if isinstance(line, dict) else None
                if kind == "end" and not missing:
                    return
                if kind == "batch" and not missing:
                    _conform({key: line.get(key) for key in _BATCH}, _BATCH, "decisions")
                    lines, missing = [line], line["transactions"]
                elif kind == "transaction" and missing:
                    lines.append(line)
                    missing -= 1
                elif kind != "export" or batches or lines:
                    raise Malformed(f"decisions: an unexpected line: {kind}")
                if lines and not missing:
                    batches.append(lines)
                    lines = []
        raise Malformed("decisions: the last line is missing")
