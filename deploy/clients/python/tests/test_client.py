"""Unit tests of quorate_client: python3 -m unittest discover -s tests. Needs no cluster."""
import copy, datetime, http.server, ipaddress, json, pathlib, ssl, sys, tempfile, threading, unittest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
here = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(here.parent), str(here)]
sys.dont_write_bytecode = True
import make_vectors
import quorate_client as q

RECEIPTS = here.parents[3] / "docs/receipts/vectors"


def genuine(name):
    return q.parse_json(q._file(RECEIPTS / f"genuine/{name}.json"))


class SigningVectors(unittest.TestCase):
    vectors = json.loads((here / "signing_vectors.json").read_text())["vectors"]

    def test_they_are_those_that_this_module_makes(self):
        self.assertEqual(self.vectors, list(make_vectors.vectors()))

    def test_bytes_are_decoded_and_encoded_alike(self):
        for vector in self.vectors:
            with self.subTest(vector["name"]):
                signed = q.SignedRequest.from_body(bytes.fromhex(vector["body"]))
                self.assertEqual(signed.json(), vector["json"])
                self.assertEqual(signed.request.encode().hex(), vector["bytes"])
                self.assertEqual(signed.digest.hex(), vector["digest"])
                self.assertEqual(signed.txids(), vector["txids"])
                self.assertTrue(q._is_signed(signed.request.principal, signed.signature, "request", signed.digest))
                self.assertFalse(q._is_signed(signed.request.principal, signed.signature, "read", signed.digest))

    def test_damaged_bytes_are_refused_or_are_another_request(self):
        body = bytes.fromhex(self.vectors[0]["body"])
        for cut in range(len(body)):
            with self.assertRaises(q.Malformed):
                q.SignedRequest.from_body(body[:cut])
        with self.assertRaises(q.Malformed):
            q.SignedRequest.from_body(body + b"\0")

    def test_what_has_no_encoding_is_not_signed(self):
        key = q.Key(bytes(32))
        good = q.transfer("0" * 32, "1" * 32, 1, 1)

        def request(operations, **changes):
            fields = {"cluster": bytes(32), "epoch": 1, "principal": key.public, "number": 1, "acknowledged_below": 1,
                      "issued_at": 0, "deadline": 1, **changes}
            return q.Request(operations=tuple(operations), **fields)
        key.sign(request([good]))
        for wrong in (
                request([]), request([good] * 1025), request([good], number=1 << 64), request([good], number=-1),
                request([good], number=1.0), request([good], number=True), request([good], cluster=bytes(31)),
                request([{**good, "amount": 1 << 128}]), request([{**good, "from": "F" * 32}]), request([{}]),
                request([q.call(b"", "x", b"")]), request([q.call(bytes(241), "x", b"")]),
                request([q.call(b"x", "x" * 65, b"")]), request([q.call(b"x", "x", bytes(16385))]),
                request([good], principal=bytes(32))):
            with self.subTest(str(wrong)[:200]), self.assertRaises(q.Malformed):
                key.sign(wrong)


class Receipts(unittest.TestCase):
    def test_all_receipts_of_docs_are_judged_as_expected(self):
        for one in json.loads((RECEIPTS / "vectors.json").read_text()):
            with self.subTest(one["file"]):
                try:
                    manifest = q.Manifest.load(RECEIPTS / one["manifest"])
                    receipt = q.verify_receipt(q.parse_json(q._file(RECEIPTS / one["file"])), manifest)
                    found = [transaction.outcome for transaction in receipt.transactions]
                    encoded = bytes.fromhex(receipt.document["request"]["bytes"])
                    self.assertEqual(q.Request.decode(encoded).encode(), encoded)
                except (q.Malformed, q.NotProven):
                    found = None
                self.assertEqual(found, one["outcomes"] if one["exit"] == 0 else None)

    def test_another_word_in_a_genuine_receipt_is_refused(self):
        manifest = q.Manifest.load(RECEIPTS / "manifests/real.json")
        document = genuine("real-transfer-two-shards")
        self.assertTrue(q.verify_receipt(document, manifest).is_committed)

        def places(value):
            children = value.items() if isinstance(value, dict) else enumerate(value)
            for key, child in children:
                if isinstance(child, (dict, list)):
                    yield from places(child)
                else:
                    yield value, key
        changed = copy.deepcopy(document)
        count = 0
        for parent, key in places(changed):
            kept = parent[key]
            parent[key] = kept + 1 if isinstance(kept, int) else kept[:-1] + ("1" if kept[-1:] != "1" else "2")
            with self.subTest(key), self.assertRaises((q.Malformed, q.NotProven)):
                q.verify_receipt(changed, manifest)
            parent[key] = kept
            count += 1
        self.assertGreater(count, 40)


class Json(unittest.TestCase):
    def test_what_others_may_read_otherwise_is_refused(self):
        for text in (b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":-0}', b"\xef\xbb\xbf{}", b'"\\ud800"', b"{}x", b"", b"\xff",
                     b"[" * 100000, b'{"a":' + b"1" * 5000 + b"}"):
            with self.subTest(text[:40]), self.assertRaises(q.Malformed):
                q.parse_json(text)


class Keys(unittest.TestCase):
    def test_a_key_is_kept_from_others(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.key"
            key = q.Key.generate()
            key.save(path)
            self.assertEqual(q.Key.load(path).public, key.public)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with self.assertRaises(FileExistsError):
                key.save(path)
            path.chmod(0o640)
            with self.assertRaises(q.Malformed):
                q.Key.load(path)
        self.assertNotIn(key._private.private_bytes_raw().hex(), repr(key))


class Reads(unittest.TestCase):
    """Answers that are signed here, with the keys of a made-up shard."""

    def setUp(self):
        self.keys = [q.Key(bytes([i + 1]) * 32) for i in range(4)]
        self.manifest = q.Manifest(bytes(32), 1, bytes(32), (tuple(key.public for key in self.keys),))
        self.account, self.nonce = q.account_id(bytes(32), 9), b"\7" * 32
        value = b"\1" + bytes(32) + (9).to_bytes(4, "little") + b"".join(
            n.to_bytes(16, "little") for n in (500, 20, 3))
        self.statement = (bytes(32) + (1).to_bytes(4, "little") + bytes(2) + self.nonce + b"\1"
                          + q.account_bytes(self.account) + value)

    def answer(self, replicas, statement=None):
        statement = statement or self.statement
        stamps = (5).to_bytes(8, "little") + (6).to_bytes(8, "little")
        signed = q._tag("read") + q._hash("read", statement, stamps)
        return {"shard": 0, "nonce": self.nonce.hex(), "statement": statement.hex(), "answers": [
            {"replica": i, "time": "5", "clock": "6", "signature": self.keys[i]._private.sign(signed).hex()}
            for i in replicas]}

    def verify(self, given, nonce=None):
        return q.verify_account(given, self.account, nonce or self.nonce, self.manifest)

    def test_a_quorum_proves_an_account(self):
        found = self.verify(self.answer([0, 2, 3]))
        self.assertEqual((found.asset, found.posted, found.pending_debits, found.pending_credits), (9, 500, 20, 3))

    def test_nothing_less_does(self):
        for what, given in {
                "two": self.answer([0, 1]), "one twice": self.answer([0, 1, 1]),
                "another nonce": self.answer([0, 1, 2], self.statement.replace(self.nonce, bytes(32))),
                "more behind it": self.answer([0, 1, 2], self.statement + b"\0"),
                "cut": self.answer([0, 1, 2], self.statement[:-1])}.items():
            with self.subTest(what), self.assertRaises((q.NotProven, q.Malformed)):
                self.verify(given)
        given = self.answer([0, 1, 2])
        given["answers"][0]["time"] = "6"
        with self.assertRaises(q.NotProven):
            self.verify(given)
        with self.assertRaises(q.NotProven):
            self.verify(self.answer([0, 1, 2]), nonce=bytes(32))

    def test_numbers_of_a_principal_are_proven_by_the_shard_that_was_asked(self):
        class Answering(q.Client):
            def get(client, path):
                nonce = bytes.fromhex(path.rpartition("nonce=")[2])
                statement = (bytes(32) + (1).to_bytes(4, "little") + bytes(2) + nonce + b"\2" + bytes(32) + bytes(2)
                             + (4).to_bytes(8, "little") + (9).to_bytes(8, "little"))
                return self.answer([3, 1, 0], statement) | {"nonce": nonce.hex()}
        client = Answering("http://127.0.0.1:9", self.manifest)
        self.assertEqual(client.standing(bytes(32), 0), (4, 9, 5))
        with self.assertRaises(q.NotProven):
            client.standing(b"\1" * 32, 0)

    def test_absence_is_proven_too(self):
        statement = self.statement[:32 + 4 + 2 + 32 + 1 + 16] + b"\0"
        self.assertIsNone(self.verify(self.answer([0, 1, 2], statement)))


END = {"type": "end"}


class Submitting(unittest.TestCase):
    """Against a server that answers what it is told to."""

    def authority(self):
        """A certificate for 127.0.0.1, by itself its own authority, and its key: the paths of both."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                .serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
                .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                .sign(key, hashes.SHA256()))
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        paths = [pathlib.Path(folder.name, end) for end in ("authority.crt", "key.pem")]
        paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return [str(path) for path in paths]

    def serve(self, answers, certificate=None):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                seen.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, document = answers[min(len(seen), len(answers)) - 1]
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                seen.append(self.path)
                status, document = answers[min(len(seen), len(answers)) - 1]
                body = "".join(json.dumps(line) + "\n" for line in document) if status == 200 else json.dumps(document)
                self.send_response(status)
                # Of some, the end never comes.
                self.send_header("Content-Length", str(len(body) + (status == 200 and document[-1:] != [END])))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"

    def setUp(self):
        self.manifest = q.Manifest.load(RECEIPTS / "manifests/real.json")
        self.document = genuine("real-transfer-two-shards")
        request = self.document["request"]
        encoded = bytes.fromhex(request["bytes"])
        self.signed = q.SignedRequest(q.Request.decode(encoded), encoded, bytes.fromhex(request["digest"]),
                                      bytes.fromhex(request["signature"]))

    def test_the_same_bytes_are_sent_until_there_is_a_receipt(self):
        url = self.serve([(503, {"type": "/problems/queue-full", "retry_after_ms": 1}), (202, {}),
                          (409, {"type": "/problems/refused"}), (200, self.document)])
        self.assertTrue(q.Client(url, self.manifest).submit(self.signed).is_committed)
        self.assertEqual(self.seen, [self.signed.body()] * 4)

    def test_https_is_for_whom_the_authority_vouches_and_nobody_else(self):
        own, other = self.authority(), self.authority()
        url = self.serve([(200, self.document)], own)
        self.assertTrue(q.Client(url, self.manifest, authority=own[0]).submit(self.signed).is_committed)
        for authority in (other[0], None):
            with self.assertRaises(q.NotTrusted):
                q.Client(url, self.manifest, authority=authority).submit(self.signed)
        self.assertEqual(len(self.seen), 1)
        with self.assertRaises(ValueError):
            q.Client("http://127.0.0.1:9", self.manifest, authority=own[0])

    def test_what_is_wrong_in_itself_is_said_at_once(self):
        with self.assertRaises(q.Problem) as raised:
            q.Client(self.serve([(422, {"type": "/problems/bad-signature", "title": "no"})]),
                     self.manifest).submit(self.signed)
        self.assertEqual((raised.exception.kind, raised.exception.status), ("bad-signature", 422))

    def test_an_outcome_that_can_be_proven_no_longer_is_none(self):
        problem = {"type": "/problems/acknowledged", "title": "no", "receipt": {"schema": 1}}
        with self.assertRaises(q.Acknowledged) as raised:
            q.Client(self.serve([(409, problem)]), self.manifest).submit(self.signed)
        self.assertIs(raised.exception.signed, self.signed)
        self.assertEqual((raised.exception.receipt, len(self.seen)), ({"schema": 1}, 1))

    def test_a_receipt_that_proves_nothing_is_no_outcome(self):
        forged = copy.deepcopy(self.document)
        forged["certificates"][0]["signatures"].pop()
        for answer in ((200, forged), (200, genuine("real-transfer-one-shard")), (200, []), (500, {})):
            with self.assertRaises(q.OutcomeUnknown) as raised:
                q.Client(self.serve([answer]), self.manifest).submit(self.signed, patience=0.1)
            self.assertIs(raised.exception.signed, self.signed)

    def test_no_number_is_acknowledged_whose_outcome_is_unknown(self):
        client = q.Client("http://127.0.0.1:9", self.manifest)
        key = q.Key(bytes(32))
        client._numbers[key.public] = 7
        first = client.prepare(key, [q.read("0" * 32)])
        second = client.prepare(key, [q.read("0" * 32)])
        self.assertEqual((second.request.number, second.request.acknowledged_below), (8, 7))
        client.abandon(first)
        self.assertEqual(client.prepare(key, [q.read("0" * 32)]).request.acknowledged_below, 8)

    # Decisions

    def batch(self, sequence, transactions=1, previous=None):
        head = {"type": "batch", "shard": 1, "sequence": str(sequence), "history": f"{sequence:064x}",
                "previous_history": f"{sequence - 1 if previous is None else previous:064x}", "transactions": transactions}
        return [head] + [{"type": "transaction", "sequence": str(sequence), "index": i} for i in range(transactions)]

    def test_decisions_go_on_where_they_were_cut_and_none_comes_twice(self):
        begin = [{"type": "export"}]
        url = self.serve([
            (200, begin + self.batch(1, 2) + self.batch(2, 0) + self.batch(3, 2)[:2]), (503, {"type": "/problems/busy"}),
            (200, begin + self.batch(3, 2) + [END]), (200, begin + [END])])
        given = list(q.Client(url, self.manifest).decisions(1))
        self.assertEqual([[line["type"] for line in lines] for lines in given],
                         [["batch", "transaction", "transaction"], ["batch"], ["batch", "transaction", "transaction"]])
        self.assertEqual([path.split("from=")[1] for path in self.seen], ["0", "2", "2", "3"])

    def test_decisions_that_do_not_follow_are_none(self):
        for second in (self.batch(3), self.batch(2, previous=7)):
            given = q.Client(self.serve([(200, self.batch(1) + second + [END])]), self.manifest).decisions(1)
            self.assertEqual(next(given)[0]["sequence"], "1")
            with self.assertRaises(q.NotProven):
                next(given)

    def test_decisions_end_with_the_patience_and_at_once_where_it_would_not_help(self):
        for answer in ((500, {}), (200, self.batch(1)[:1]), (200, [{"type": "export"}])):
            client = q.Client(self.serve([answer]), self.manifest)
            with self.assertRaises((q.Problem, q.Malformed, OSError, http.client.HTTPException)):
                list(client.decisions(1, patience=0.1))
        with self.assertRaises(q.Problem):
            list(q.Client(self.serve([(400, {"type": "/problems/malformed-parameter"})]), self.manifest).decisions(9))
        self.assertEqual(len(self.seen), 1)


if __name__ == "__main__":
    unittest.main()
