import Messages

/// An export as lines of text (docs/EXPORT.md). What a line says follows from what is signed, and from nothing else: a
/// verifier writes it anew and compares.
package enum ExportLines {
    /// The first line.
    package static func begin(_ manifest: Manifest, from cursor: ExportCursor) -> String {
        let line: WebJSON = [
            "type": "export", "format": 1, "cluster": .string(manifest.cluster.hex),
            "epoch": .number(Int(manifest.epoch.number)), "from": .string(cursor.description),
        ]
        return line.text
    }

    /// The last line.
    package static func end(_ cursor: ExportCursor) -> String {
        let line: WebJSON = ["type": "end", "cursor": .string(cursor.description)]
        return line.text
    }

    /// A line for the batch with its certificate, and one for each leaf.
    /// - Throws: if its bytes are no batch.
    package static func batch(_ exported: ExportedBatch) throws(DecodingFailure) -> [String] {
        let (batch, statement) = (exported.batch, exported.batch.statement)
        let line: WebJSON = [
            "type": "batch", "shard": .number(Int(statement.shard.number)),
            "sequence": .string(statement.sequence.description),
            "time": batch.time.map { .string($0.description) } ?? .null,
            "previous_history": .string(statement.previousHistory.hex), "history": .string(statement.history.hex),
            "batch": .string(statement.batch.hex), "leaves_root": .string(statement.leavesRoot.hex),
            "transactions": .number(batch.leaves.count),
            "signatures": .array(
                exported.signatures.map {
                    [
                        "replica": .number(Int($0.replica.number)),
                        "signature": .string(Hex.encode($0.signature.bytes)),
                    ]
                }),
            "batch_bytes": .string(Hex.encode(Array(batch.batch))),
        ]
        let requests = try batch.signedRequests(Ed25519Scheme())
        return [line.text]
            + batch.leaves.enumerated().map { index, leaf in
                transaction(leaf, at: index, of: statement, requests[leaf.request]).text
            }
    }

    private static func transaction(
        _ leaf: Leaf, at index: Int, of statement: AttestationStatement, _ signed: SignedRequest?
    ) -> WebJSON {
        let legs: [WebJSON] = leaf.entries.map { entry in
            let request = signed?.request
            let (outcome, reason) = outcome(entry.status)
            return [
                "leg": .number(Int(entry.leg)),
                "txid": request.map {
                    .string(TransactionID(request: leaf.request, mode: $0.mode, leg: entry.leg).hex)
                } ?? .null,
                "outcome": .string(outcome), "reason": reason.map { .string($0) } ?? .null,
                "operations": request.map { .array(operations($0, leg: entry.leg)) } ?? .null,
            ]
        }
        return [
            "type": "transaction", "shard": .number(Int(statement.shard.number)),
            "sequence": .string(statement.sequence.description), "index": .number(index),
            "request": .string(leaf.request.hex),
            "principal": signed.map { .string($0.request.principal.hex) } ?? .null,
            "number": signed.map { .string($0.request.number.description) } ?? .null,
            "mode": signed.map { $0.request.mode == .atomic ? "atomic" : "independent" } ?? .null,
            "legs": .array(legs),
            "leaf_bytes": .string(Hex.encode(leaf.encoded())),
            "request_bytes": signed.map { .string(Hex.encode($0.bytes)) } ?? .null,
            "signature": signed.map { .string(Hex.encode($0.signature.bytes)) } ?? .null,
        ]
    }

    private static func operations(_ request: Request, leg: UInt16) -> [WebJSON] {
        // What a shard certifies of a leg that the request does not have concerns nothing in it.
        guard Int(leg) < request.legCount else { return [] }
        return request.operations(ofLeg: Int(leg)).map { RequestJSON.encode($0) }
    }

    /// A word for programs, and why.
    static func outcome(_ status: LegStatus) -> (String, reason: String?) {
        switch status {
        case .votedYes: ("voted_yes", nil)
        case .votedNo(let reason): ("voted_no", reason.description)
        case .committed: ("committed", nil)
        case .aborted(let reason): ("aborted", reason.description)
        case .noRecordAbort: ("aborted", "no record by the deadline")
        case .acknowledged: ("acknowledged", nil)
        case .read: ("read", nil)
        case .running: ("running", nil)
        case .returned: ("returned", nil)
        case .failed(let failure): ("failed", failure.description)
        case .closed: ("closed", nil)
        }
    }

    // MARK: CSV

    /// RFC 4180. It has no certificates: it is for tables, and proves nothing.
    package static let csvHeader =
        "shard,sequence,time,request,leg,txid,principal,number,outcome,reason,operations,previous_history,history"

    /// A row for each leg.
    package static func csv(_ exported: ExportedBatch) throws(DecodingFailure) -> [String] {
        let (batch, statement) = (exported.batch, exported.batch.statement)
        let requests = try batch.signedRequests(Ed25519Scheme())
        var rows: [String] = []
        for leaf in batch.leaves {
            let request = requests[leaf.request]?.request
            for entry in leaf.entries {
                let (outcome, reason) = outcome(entry.status)
                let txid = request.map { TransactionID(request: leaf.request, mode: $0.mode, leg: entry.leg).hex }
                let fields: [String] = [
                    statement.shard.description, statement.sequence.description, batch.time?.description ?? "",
                    leaf.request.hex, String(entry.leg), txid ?? "", request?.principal.hex ?? "",
                    request?.number.description ?? "", outcome, reason ?? "",
                    request.map { WebJSON.array(operations($0, leg: entry.leg)).text } ?? "",
                    statement.previousHistory.hex, statement.history.hex,
                ]
                rows.append(fields.map(field).joined(separator: ","))
            }
        }
        return rows
    }

    private static func field(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x22 || $0 == 0x2c || $0 == 0x0a || $0 == 0x0d }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}

extension RequestJSON {
    /// An operation as `decode` reads it.
    static func encode(_ operation: Operation) -> WebJSON {
        switch operation {
        case .transfer(let transfer):
            [
                "kind": "transfer", "from": .string(transfer.from.hex), "to": .string(transfer.to.hex),
                "asset": .number(Int(transfer.asset.number)), "amount": .string(transfer.amount.description),
            ]
        case .open(let specification):
            [
                "kind": "open", "owner": .string(specification.owner.hex),
                "asset": .number(Int(specification.asset.number)), "index": .string(String(specification.index)),
            ]
        case .issue(let to, let asset, let amount):
            [
                "kind": "issue", "to": .string(to.hex), "asset": .number(Int(asset.number)),
                "amount": .string(amount.description),
            ]
        case .read(let account): ["kind": "read", "account": .string(account.hex)]
        case .freeze(let account, let freeze):
            [
                "kind": "freeze", "account": .string(account.hex), "direction": .string(freeze.direction.description),
                "reason": .number(Int(freeze.reason)),
            ]
        case .release(let account): ["kind": "release", "account": .string(account.hex)]
        case .call(let call, let continued):
            WebJSON.object([
                (key: "kind", value: "call"), (key: "target", value: target(call.target)),
                (key: "procedure", value: .string(call.procedure)), (key: "version", value: .number(Int(call.version))),
                (key: "arguments", value: .string(Hex.encode(call.arguments))),
            ]).adding(continued.map { [(key: "continues", value: .string($0.description))] } ?? [])
        }
    }

    private static func target(_ target: CallTarget) -> WebJSON {
        switch target {
        case .account(let account): ["account": .string(account.hex)]
        case .key(let key): ["key": .string(Hex.encode(key))]
        }
    }
}
