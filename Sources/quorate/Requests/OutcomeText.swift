import ArgumentParser
import Client
import HostRuntime
import Messages
import StrictInput

/// What a proven outcome means to the user: an abort names the account and the shard.
struct OutcomeText: Sendable {
    let committed: Bool
    /// "committed", "aborted: insufficient funds"
    let outcome: String
    /// Of an abort: "insufficient funds: alice (4a43…) on shard 0".
    let why: String?
    let shard: Int?
    let accounts: [AccountID]

    init(_ receipt: Receipt, _ manifest: Manifest, _ book: AddressBook) {
        let map = manifest.shardMap
        let decision = receipt.decision(ofLeg: 0, in: map)
        committed = decision == .commit
        outcome = Text.outcome(decision)
        guard case .abort(let reason)? = decision else {
            (why, shard, accounts) = (nil, nil, [])
            return
        }
        let request = receipt.request.request
        let at = Self.refusal(receipt, map)
        shard = at.map { Int($0.shard.number) }
        if case .failed(let failure)? = at?.status {
            (why, accounts) = (Printable.line(failure.description), [])
            return
        }
        if case .noRecordAbort? = at?.status {
            (why, accounts) = ("shard \(at?.shard.description ?? "") had not recorded it by its deadline", [])
            return
        }
        accounts = at.map { Self.accounts(reason, request, on: $0.shard, map) } ?? []
        let names = accounts.map(book.full).joined(separator: " or ")
        var text = "\(reason)"
        if !names.isEmpty { text += ": \(names)" }
        if let shard { text += " on shard \(shard)" }
        why = text
    }

    /// Who said no, and what.
    private static func refusal(_ receipt: Receipt, _ map: ShardMap) -> (shard: ShardID, status: LegStatus)? {
        let said = receipt.certificates.compactMap { certificate in
            certificate.leaf.status(ofLeg: 0).map { (shard: certificate.shard, status: $0) }
        }
        // Whoever only says that another one did is asked last.
        return said.first {
            switch $0.status {
            case .votedNo, .failed: true
            case .aborted(let reason): reason != .participantAborted
            default: false
            }
        } ?? said.first { $0.status == .noRecordAbort }
            ?? said.first { if case .aborted = $0.status { true } else { false } }
    }

    private static func accounts(_ reason: AbortReason, _ request: Request, on shard: ShardID, _ map: ShardMap)
        -> [AccountID]
    {
        let named: [AccountID] = request.operations(ofLeg: 0).flatMap { operation -> [AccountID] in
            switch (operation, reason) {
            case (.transfer(let transfer), .insufficientFunds), (.transfer(let transfer), .notAuthorised):
                [transfer.from]
            case (.transfer(let transfer), .overflow): [transfer.to]
            case (.transfer(let transfer), .unknownAccount), (.transfer(let transfer), .wrongAsset):
                [transfer.from, transfer.to]
            case (.issue(let to, _, _), .overflow), (.issue(let to, _, _), .unknownAccount),
                (.issue(let to, _, _), .wrongAsset):
                [to]
            case (.open(let specification), .accountExists): [specification.id]
            case (.transfer(let transfer), .frozen): [transfer.from, transfer.to]
            case (.issue(let to, _, _), .frozen): [to]
            case (.freeze(let account, _), .unknownAccount), (.release(let account), .unknownAccount): [account]
            case (.read(let account), _): [account]
            default: []
            }
        }
        return named.filter { map.shard(of: $0) == shard }
    }
}

enum Misuse {
    /// Of the command line, found out only after it was read: the exit code is that of wrong usage.
    static func error(_ text: String) -> ValidationError { ValidationError(text) }
}
