import Client
import Cores
import HostRuntime
import Messages
import StrictInput
import TestSamples
import TestSignatures

/// A cluster that nobody runs: signatures are checked against it, and none of a stranger's is right.
enum FuzzCluster {
    static let manifest: Manifest = {
        var samples = Samples(seed: 1)
        return Manifest(
            cluster: samples.bytes32(), epoch: Epoch(1),
            hosts: (0..<4).map { .init(address: "127.0.0.1", port: 7100 + $0, publicKey: TestSigner($0).publicKey) },
            shards: [[HostID]](repeating: (0..<4).map { HostID($0) }, count: 3), issuer: TestSigner(9).publicKey)
    }()

    static var verifier: Verifier<TestScheme> { Verifier(manifest: manifest, scheme: TestScheme(), remembered: 16) }
}

extension FuzzTarget {
    /// What is accepted is the one encoding of a value, and the value can be used.
    /// - Parameters:
    ///   - kinds: each gives some seeds.
    ///   - isWhole: whether all of it was read; of what another version wrote it is not.
    ///   - use: what the program does with a value that came from outside.
    private static func canonical<T: CanonicalCodable & SendableMetatype>(
        _ name: String, _: T.Type, maxLength: Int = 8192, seeds: @escaping @Sendable (inout Samples) -> [T],
        isWhole: @escaping @Sendable (T) -> Bool = { _ in true }, use: @escaping @Sendable (T) throws -> Void = { _ in }
    ) -> FuzzTarget {
        FuzzTarget(
            name, maxLength: maxLength,
            seeds: {
                var samples = Samples(seed: 7)
                return (0..<4).flatMap { _ in seeds(&samples) }.map { $0.encoded() }
            },
            read: { bytes in
                let value = try T(decoding: bytes)
                try require(!isWhole(value) || value.encoded() == bytes, "read, and written as something else")
                // A value that the program refuses was read all the same.
                do { try use(value) } catch let finding as FuzzFinding { throw finding } catch {}
            })
    }

    static let greeting = canonical(
        "greeting", Hello.self,
        seeds: { samples in
            [
                Hello(cluster: samples.bytes32(), epoch: samples.number(), sender: .gateway),
                Hello(
                    cluster: samples.bytes32(), epoch: samples.number(),
                    sender: .host(samples.number(), procedures: samples.bytes32())),
            ]
        }, isWhole: { $0.version == Hello.currentVersion })

    /// The reason that it gives is text, in which what is no UTF-8 is replaced: it need not be written as it came.
    static let greetingAnswer = FuzzTarget(
        "greeting-answer", maxLength: 2048,
        seeds: { [HelloAnswer.accepted.encoded(), HelloAnswer.refused(reason: "for another cluster").encoded()] },
        read: { bytes in
            let answer = try HelloAnswer(decoding: bytes)
            let again = answer.encoded()
            try require(again.count <= 1024 + 5, "an answer of \(again.count) bytes")
        })

    static let messages = [
        canonical(
            "host-message", HostMessage.self,
            seeds: { samples in
                (0..<15).map { HostMessage.pbft(ShardID(1), samples.pbft($0)) } + (1..<4).map { samples.host($0) }
                    + (0..<5).map { HostMessage.stateTransfer(ShardID(2), samples.stateTransfer($0)) }
            },
            use: { message in
                var verifier = FuzzCluster.verifier
                _ = try verifier.verify(message, at: HostID(1))
            }),
        canonical(
            "gateway-message", GatewayMessage.self, seeds: { samples in (0..<8).map { samples.gateway($0) } },
            use: { message in
                var verifier = FuzzCluster.verifier
                _ = try verifier.verify(message)
            }),
        canonical(
            "host-reply", HostReply.self, seeds: { samples in (0..<7).map { samples.hostReply($0) } },
            use: { reply in
                var verifier = FuzzCluster.verifier
                _ = try verifier.verify(reply)
            }),
        canonical(
            "client-message", ClientMessage.self, seeds: { samples in (0..<5).map { samples.client($0) } },
            use: { message in
                var verifier = FuzzCluster.verifier
                _ = try verifier.verify(message)
            }),
        canonical("gateway-reply", GatewayReply.self, seeds: { samples in (0..<6).map { samples.gatewayReply($0) } }),
    ]

    static let certificate = canonical(
        "certificate", Certificate.self, maxLength: 2048,
        seeds: { samples in samples.certified() + [samples.certificate()] },
        use: { certificate in
            var verifier = FuzzCluster.verifier
            _ = try verifier.verify(certificate)
        })

    static let receipt = canonical(
        "receipt", Receipt.self, seeds: { samples in [samples.receipt(), samples.receipt()] },
        use: { receipt in
            try checkFile(of: receipt)
            var verifier = FuzzCluster.verifier
            _ = try verifier.verify(receipt)
        })

    /// The file that is written of a receipt is read as the same receipt, and says what it must say.
    private static func checkFile(of receipt: Receipt) throws {
        let map = FuzzCluster.manifest.shardMap
        let text = Array(try ReceiptFile(receipt, map: map).text().utf8)
        do {
            let root = try JSONReader(text, file: "receipt")
            let again = try Receipt(reading: root)
            try require(again.encoded() == receipt.encoded(), "a receipt is read from its file as another one")
            try root.expect(try JSONReader(text, file: "receipt"))
        } catch {
            throw FuzzFinding("the file that was written of a receipt is refused: \(error)")
        }
    }

    static let receiptFile = FuzzTarget(
        "receipt-file", maxLength: 16384,
        words: [
            "\"schema\": 1", "\"cluster\"", "\"request\"", "\"certificates\"", "\"transactions\"", "\"statement\"",
            "\"leaf\"", "\"path\"", "\"siblings\"", "\"signatures\"", "\"replica\"", "\"shard\"", "\"legs\"",
        ],
        seeds: {
            var samples = Samples(seed: 5)
            return try (0..<6).map { _ in
                Array(try ReceiptFile(samples.receipt(), map: FuzzCluster.manifest.shardMap).text().utf8)
            }
        },
        read: { bytes in
            let root = try JSONReader(bytes, file: "receipt")
            let receipt = try Receipt(reading: root)
            // What is put into it from JSON need not have come through the other door.
            let encoded = receipt.encoded()
            let map = FuzzCluster.manifest.shardMap
            let text = Array(try ReceiptFile(receipt, map: map).text().utf8)
            var limits = JSONReader.Limits()
            limits.bytes = .max
            if (try? Receipt(decoding: encoded)) != nil {
                var verifier = FuzzCluster.verifier
                _ = try? verifier.verify(receipt)
            }
            try root.expect(try JSONReader(text, file: "the signed bytes", limits: limits))
        })

    static let batch = canonical(
        "batch", Batch.self, maxLength: 8192, seeds: { samples in (0..<6).map { _ in samples.batch() } },
        use: { batch in
            var verifier = FuzzCluster.verifier
            _ = try verifier.verify(batch)
        })

    static let journalRecord = canonical(
        "journal-record", HostRecord.self, maxLength: 8192,
        seeds: { samples in
            [
                .prePrepared(view: samples.number(), sequence: samples.number(), samples.batch()),
                .prePreparedAgain(view: samples.number(), sequence: samples.number(), samples.bytes32()),
                .prepared(view: samples.number(), sequence: samples.number(), samples.bytes32()),
                .committed(sequence: samples.number(), samples.bytes32()),
                .committed(sequence: samples.number(), samples.bytes32(), skipped: [1, 4095]),
                .committedBody(sequence: samples.number(), samples.batch()),
                .committedBody(sequence: samples.number(), samples.batch(), skipped: [0]),
                .viewChange(samples.viewChange()), .newView(samples.newView()), .stable(samples.checkpoint()),
                .quarantine(incarnation: samples.word(), isOver: samples.flag()),
                .peerIncarnation(samples.declaration()),
            ].map { HostRecord(shard: ShardID(1), record: $0) }
        },
        use: { record in
            let size = record.encoded().count
            try require(record.encodedSize == size, "\(record.encodedSize) bytes are announced, \(size) written")
        })
}
