import Client
import Foundation
import Messages
import StrictInput

/// One signed request, and what is known of it.
struct OutboxEntry: Sendable {
    enum State: String, CaseIterable, Sendable {
        /// It may have been sent. Nothing else is sent with its key before its outcome is known, or it is given up.
        case open
        /// Its outcome is not known, and it stands in nobody's way any more.
        case abandoned
        /// Another program with the key has told the shards to forget it: what became of it cannot be proven, but
        /// nothing will.
        case forgotten
        /// Its outcome was proven.
        case settled
    }

    let request: SignedRequest
    /// What the user calls it: of one name there is one.
    let operation: String?
    var state = State.open
    /// Of a settled one.
    var outcome: String?
    /// Of a settled one: where it was written.
    var receipt: String?

    init(_ request: SignedRequest, operation: String?) { (self.request, self.operation) = (request, operation) }

    var txid: String { TransactionID(request: request.digest, mode: request.request.mode, leg: 0).hex }
    var number: UInt64 { request.request.number.number }
    var operations: [Messages.Operation] { request.request.operations }
    /// Nothing is done by it, so nobody needs to know what became of it.
    var isRead: Bool { operations.allSatisfy { if case .read = $0 { true } else { false } } }
    var isCommitted: Bool { state == .settled && outcome == Text.outcome(.commit) }

    /// Whether somebody who wants this done wants the same.
    func isFor(_ operations: [Messages.Operation], _ mode: Request.Mode, operation: String?) -> Bool {
        guard request.request.mode == mode, self.operation == operation else { return false }
        // Another attempt of a call names the one before.
        if case .call(let mine, _)? = self.operations.first, case .call(let theirs, _)? = operations.first {
            return mine == theirs
        }
        return self.operations == operations
    }

    // MARK: File

    private struct File: Encodable {
        var schema = 1
        var txid: String
        var number: UInt64
        var signed_at_us: UInt64
        var purpose: [String]
        var operation: String?
        var state: String
        var outcome: String?
        var receipt: String?
        /// The signed bytes and the signature, as they are sent.
        var request: String
    }

    private var file: File {
        File(
            txid: txid, number: number, signed_at_us: request.request.issuedAt.number,
            purpose: operations.map(ReceiptFile.describe),
            operation: operation, state: state.rawValue, outcome: outcome, receipt: receipt,
            request: Hex.encode(request.encoded()))
    }

    func bytes() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(file)) + [10]
    }

    /// What people can read in it must be what was signed.
    /// - Parameter principal: whose it has to be.
    init(_ bytes: [UInt8], file name: String, principal: PublicKey, cluster: ClusterID) throws(InputProblem) {
        let root = try JSONReader(bytes, file: name)
        let schema = try root.peek("schema")
        let version: UInt32 = try schema.integer()
        guard version == 1 else {
            throw schema.problem("schema \(version)", expected: "schema 1, which this build reads")
        }
        let fields = try root.object(
            ["schema", "txid", "number", "signed_at_us", "purpose", "state", "request"],
            optional: ["operation", "outcome", "receipt"])
        let signed = fields["request"]
        do { request = try SignedRequest(decoding: try signed.hex()) } catch let problem as InputProblem {
            throw problem
        } catch {
            throw signed.problem("no signed request")
        }
        guard request.request.principal == principal, request.isSignatureValid(Ed25519Scheme()) else {
            throw signed.problem("not signed by this key", expected: "signed by \(principal)")
        }
        guard request.request.cluster == cluster else { throw signed.problem("of another cluster") }
        operation = try fields.optional("operation")?.string()
        let text = try fields["state"].string()
        guard let known = State(rawValue: text) else {
            throw fields["state"].problem(
                "an unknown state", expected: State.allCases.map(\.rawValue).joined(separator: ", "))
        }
        state = known
        outcome = try fields.optional("outcome")?.string()
        receipt = try fields.optional("receipt")?.string()
        let written: [UInt8]
        do { written = try self.bytes() } catch { throw root.problem("cannot be compared with what was signed") }
        var limits = JSONReader.Limits()
        limits.bytes = .max
        try root.expect(try JSONReader(written, file: "the signed bytes", limits: limits))
    }
}
