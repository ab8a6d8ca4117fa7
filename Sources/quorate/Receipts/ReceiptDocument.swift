import Client
import Messages
import StrictInput

/// A receipt's file, read strictly. What it says is taken from the signed bytes and the certificates alone; everything
/// else in it is there for people to read, and must be the same.
struct ReceiptDocument: Sendable {
    private let root: JSONReader
    /// No signature of it is checked yet.
    let receipt: Receipt

    /// - Throws: `ToolError`, with the place of what is wrong.
    init(_ bytes: [UInt8], file: String) throws {
        do {
            root = try JSONReader(bytes, file: file)
            // The schema first: another one may have other keys.
            let schema = try root.peek("schema")
            let number: UInt32 = try schema.integer()
            guard number == 1 else {
                let problem = schema.problem("schema \(number)", expected: "schema 1, which this build reads")
                throw ToolError(.versionMismatch, problem.description)
            }
            receipt = try Receipt(reading: root)
        } catch let problem as InputProblem {
            throw ToolError(.invalidReceipt, problem.description)
        }
    }

    /// That the whole proves nothing.
    func refusal(_ why: String) -> ToolError {
        ToolError(.invalidReceipt, InputProblem(file: root.file, problem: why).description)
    }

    /// What the file is for a cluster of so many shards.
    /// - Throws: `ToolError` at the first place where it says something else: no field added, left out or changed.
    func file(in map: ShardMap) throws -> ReceiptFile {
        let file = ReceiptFile(receipt, map: map)
        var limits = JSONReader.Limits()
        limits.bytes = .max
        do {
            try root.expect(try JSONReader(Array(try file.text().utf8), file: "the signed bytes", limits: limits))
        } catch let problem as InputProblem {
            throw ToolError(
                .invalidReceipt, "\(problem.description), which is what the signed bytes and the certificates say")
        }
        return file
    }

    /// A number of shards with which the file says of each transaction on which shards it is, for whoever has no
    /// manifest.
    /// - Throws: `ToolError` if there is none.
    func possibleMap() throws -> ShardMap {
        do {
            let transactions = try root.object(["schema", "cluster", "request", "certificates", "transactions"])[
                "transactions"]
            let claimed = try transactions.elements().map { transaction in
                let shards = try transaction.object(["txid", "operations", "shards", "outcome"])["shards"]
                return try shards.elements().map { try $0.integer(UInt16.self) }
            }
            let request = receipt.request.request
            guard claimed.count == request.legCount else {
                throw transactions.problem("\(claimed.count) elements", expected: "\(request.legCount)")
            }
            let named = claimed.joined().max() ?? 0
            let least = Int(max(named, receipt.certificates.map(\.shard.number).max() ?? 0)) + 1
            let most = 4096
            for count in stride(from: least, through: most, by: 1) {
                let map = ShardMap(shardCount: count)
                if claimed.indices.allSatisfy({ request.participants(ofLeg: $0, in: map).map(\.number) == claimed[$0] })
                {
                    return map
                }
            }
            throw transactions.problem(
                "shards that the accounts are on in no cluster", expected: "the shards of the accounts")
        } catch let problem as InputProblem {
            throw ToolError(.invalidReceipt, problem.description)
        }
    }

    /// One line each, the same whether it was verified or only read.
    func lines(_ file: ReceiptFile, signatures: String) -> [String] {
        var lines: [String] = []
        for transaction in file.transactions {
            lines.append("transaction \(transaction.txid): \(transaction.outcome)")
            for operation in transaction.operations { lines.append("  \(operation)") }
            lines += CallText.arguments(of: receipt.request.request)
        }
        for certificate in receipt.certificates {
            let replicas = certificate.signatures.map { "\($0.replica)" }.joined(separator: ", ")
            let statuses = certificate.leaf.entries.prefix(4).map { "\($0.status)" }.joined(separator: "; ")
            lines.append(
                "  shard \(certificate.shard), batch \(certificate.statement.sequence): \(statuses), \(signatures) \(replicas)"
            )
            lines += CallText.results(in: certificate.leaf)
        }
        return lines.map(Printable.line)
    }
}
