import Messages
import StrictInput

/// What is wrong with an export, and in which line.
package struct ExportProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// From 1.
    package let line: Int
    package let what: String
    package var description: String { "line \(line): \(what)" }
}

/// Checks an export line by line with the manifest alone: that no batch of a shard is missing, twice or out of order
/// (the histories chain), that f + 1 replicas of its shard have signed each, and that every line says what was signed.
package struct ExportVerifier {
    /// What was found to be genuine.
    package struct Summary: Hashable, Sendable {
        /// Of all batches, how many.
        package var batches = 0
        /// Leaves: what was certified of one request in one batch.
        package var transactions = 0
        /// Legs that ended there, by their word.
        package var outcomes: [String: Int] = [:]
        /// Leaves whose request the hosts had no more.
        package var withoutRequest = 0
        /// Before the first batch.
        package var from = ExportCursor()
        /// The last batches.
        package var cursor = ExportCursor()
        /// The last line says that the export ends there; without it, more may have followed.
        package var isEnded = false
        /// Shards of which no batch is there: whether they have executed any is not shown.
        package var withoutBatches: [ShardID] = []
    }

    private struct Pending {
        let file: String
        let line: Int
        let text: [UInt8]
        let statement: AttestationStatement
        let signatures: [ReplicaSignature]
        let bytes: [UInt8]
        let count: Int
        var leaves: [Leaf] = []
        var requests: [Digest: SignedRequest] = [:]
        var lines: [[UInt8]] = []
    }

    /// The longest line that is read.
    package static let maxLineBytes = 64 << 20

    private let manifest: Manifest
    private var file: String
    private var verifier: Verifier<Ed25519Scheme>
    private var pending: Pending?
    private var histories: [ShardID: Digest] = [:]
    private var hasBegun = false
    private var line = 0
    private var summary = Summary()

    /// - Parameter file: the name that errors carry.
    package init(_ manifest: Manifest, file: String) {
        (self.manifest, self.file) = (manifest, file)
        verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme(), remembered: 1024)
    }

    /// What is taken from now on is of this file, from its first line on. A batch may go on in it.
    package mutating func next(file: String) { (self.file, line) = (file, 0) }

    private func problem(_ what: String, at line: Int? = nil) -> ExportProblem {
        ExportProblem(line: line ?? self.line, what: what)
    }

    /// - Parameter text: without its line break.
    package mutating func take(_ text: [UInt8]) throws(ExportProblem) {
        line += 1
        do throws(InputProblem) { try read(text) } catch {
            let place = error.path.isEmpty ? "" : "\(error.path): "
            let expected = error.expected.map { "; expected \($0)" } ?? ""
            throw problem(place + error.problem + expected)
        }
    }

    private mutating func read(_ text: [UInt8]) throws(InputProblem) {
        var limits = JSONReader.Limits()
        (limits.bytes, limits.depth) = (Self.maxLineBytes, 8)
        let root = try JSONReader(text, file: file, limits: limits)
        let type = try root.peek("type")
        switch try type.string() {
        case "export" where !hasBegun || summary.isEnded: try begin(root, text)
        case "batch" where pending == nil && hasBegun && !summary.isEnded: try batch(root, text)
        case "transaction" where pending != nil: try transaction(root, text)
        case "end" where pending == nil && hasBegun && !summary.isEnded: try end(root, text)
        default:
            let expected: String
            if let pending {
                expected =
                    "a transaction: the batch has \(pending.count), and \(pending.lines.count) are here"
            } else if !hasBegun || summary.isEnded {
                expected = "the line that an export begins with"
            } else {
                expected = "a batch, or the end"
            }
            throw type.problem("a line of another type", expected: expected)
        }
    }

    private mutating func begin(_ root: JSONReader, _ text: [UInt8]) throws(InputProblem) {
        let fields = try root.object(["type", "format", "cluster", "epoch", "from"])
        _ = try fields["format"].integer(in: 1...1)
        let from = fields["from"]
        guard let cursor = ExportCursor(try from.string()) else { throw from.problem("not a cursor") }
        guard cursor.last.keys.allSatisfy({ manifest.hasShard($0) }) else {
            throw from.problem("a shard that the manifest does not have")
        }
        if hasBegun {
            // One file behind another.
            guard cursor == summary.cursor else {
                throw from.problem("\"\(cursor)\"", expected: "\"\(summary.cursor)\", where the export before ends")
            }
        } else {
            (summary.from, summary.cursor) = (cursor, cursor)
        }
        guard text == Array(ExportLines.begin(manifest, from: cursor).utf8) else {
            throw root.problem("another cluster or epoch, or written in another way")
        }
        (hasBegun, summary.isEnded) = (true, false)
    }

    private mutating func end(_ root: JSONReader, _ text: [UInt8]) throws(InputProblem) {
        let cursor = try root.object(["type", "cursor"])["cursor"]
        guard try cursor.string() == summary.cursor.description else {
            throw cursor.problem("not where the batches end", expected: "\"\(summary.cursor)\"")
        }
        guard text == Array(ExportLines.end(summary.cursor).utf8) else {
            throw root.problem("written in another way")
        }
        summary.isEnded = true
    }

    private mutating func batch(_ root: JSONReader, _ text: [UInt8]) throws(InputProblem) {
        let fields = try root.object([
            "type", "shard", "sequence", "time", "previous_history", "history", "batch", "leaves_root", "transactions",
            "signatures", "batch_bytes",
        ])
        let shard = ShardID(try fields["shard"].integer())
        guard manifest.hasShard(shard) else { throw fields["shard"].problem("the manifest has no such shard") }
        let sequence = SequenceNumber(try fields["sequence"].decimal())
        let expected = summary.cursor[shard].number + 1
        guard sequence.number == expected else {
            let what =
                sequence.number < expected
                ? "batch \(sequence) of shard \(shard) is here a second time, or out of order"
                : "batches \(expected) to \(sequence.number - 1) of shard \(shard) are missing"
            throw fields["sequence"].problem(what, expected: "batch \(expected)")
        }
        let previous: Digest = try fields["previous_history"].bytes32()
        if let known = expected == 1 ? Digest.null : histories[shard], known != previous {
            throw fields["previous_history"].problem("does not follow the batch before", expected: known.hex)
        }
        var signatures: [ReplicaSignature] = []
        for element in try fields["signatures"].elements(limit: 64) {
            let one = try element.object(["replica", "signature"])
            guard let signature = Signature(bytes: try one["signature"].hex(count: 64)) else {
                throw one["signature"].problem("not 64 bytes")
            }
            let replica = ReplicaIndex(try one["replica"].integer())
            signatures.append(ReplicaSignature(replica: replica, signature: signature))
        }
        pending = Pending(
            file: file, line: line, text: text,
            statement: AttestationStatement(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: shard, sequence: sequence,
                previousHistory: previous, batch: try fields["batch"].bytes32(),
                leavesRoot: try fields["leaves_root"].bytes32()),
            signatures: signatures, bytes: try fields["batch_bytes"].hex(),
            count: try fields["transactions"].integer(in: 0...BatchAttestation.maxLeaves))
        try finishBatch(root)
    }

    private mutating func transaction(_ root: JSONReader, _ text: [UInt8]) throws(InputProblem) {
        let fields = try root.object([
            "type", "shard", "sequence", "index", "request", "principal", "number", "mode", "legs", "leaf_bytes",
            "request_bytes", "signature",
        ])
        let leaf: Leaf
        let leafBytes = try fields["leaf_bytes"].hex()
        do { leaf = try Leaf(decoding: leafBytes) } catch { throw fields["leaf_bytes"].problem("\(error)") }
        let bytes = fields["request_bytes"]
        if !bytes.isNull {
            var writer = ByteWriter()
            writer.put(blob: try bytes.hex())
            writer.put(raw: try fields["signature"].hex(count: 64))
            let signed: SignedRequest
            do { signed = try SignedRequest(decoding: writer.bytes) } catch { throw bytes.problem("\(error)") }
            guard signed.digest == leaf.request else { throw bytes.problem("not the request that the leaf is about") }
            guard (try? verifier.verify(signed)) != nil else {
                throw fields["signature"].problem("not by the principal, or of another cluster")
            }
            pending?.requests[signed.digest] = signed
        } else {
            summary.withoutRequest += 1
        }
        pending?.leaves.append(leaf)
        pending?.lines.append(text)
        try finishBatch(root)
    }

    /// When all its lines are here: writes them anew, and compares.
    private mutating func finishBatch(_ root: JSONReader) throws(InputProblem) {
        guard let batch = pending, batch.lines.count == batch.count else { return }
        pending = nil
        let exported = ExportedBatch(
            batch: ArchivedBatch(
                statement: batch.statement, batch: batch.bytes[...], leaves: batch.leaves,
                requests: batch.requests.values.sorted { $0.digest < $1.digest }),
            signatures: batch.signatures)
        let statement = batch.statement
        let isHere = batch.file == file
        let place = "line \(batch.line)" + (isHere ? "" : " of \(Printable.line(batch.file))")
        let name = "batch \(statement.sequence) of shard \(statement.shard), from \(place)"
        do throws(Refused) { try verifier.verify(exported) } catch {
            let what =
                switch error {
                case .badProof: "its bytes or transactions are not those that were signed"
                case .tooFewSignatures(let got, let needed): "\(got) signatures, and \(needed) are needed"
                default: "\(error)"
                }
            throw root.problem("\(name): \(what)")
        }
        let lines: [String]
        do { lines = try ExportLines.batch(exported) } catch { throw root.problem("\(name): \(error)") }
        for (i, (text, wanted)) in zip([batch.text] + batch.lines, lines).enumerated() where text != Array(wanted.utf8)
        {
            let which = isHere ? "line \(batch.line + i)" : "its line \(i + 1)"
            throw root.problem("\(name): \(which) does not say what was signed")
        }
        summary.batches += 1
        summary.transactions += batch.count
        for entry in batch.leaves.flatMap(\.entries) where entry.status.isDecided {
            summary.outcomes[ExportLines.outcome(entry.status).0, default: 0] += 1
        }
        summary.cursor[statement.shard] = statement.sequence
        histories[statement.shard] = statement.history
    }

    /// After the last line.
    /// - Throws: if it ends within a batch, or nothing has come.
    package mutating func finish() throws(ExportProblem) -> Summary {
        if let pending {
            throw problem(
                "the file ends within batch \(pending.statement.sequence) of shard \(pending.statement.shard), which has \(pending.count) transactions: \(pending.lines.count) are here"
            )
        }
        guard hasBegun else { throw problem("the file is empty", at: 1) }
        summary.withoutBatches = (0..<manifest.shardCount).map { ShardID(UInt16($0)) }.filter {
            summary.cursor[$0] == summary.from[$0]
        }
        return summary
    }
}
