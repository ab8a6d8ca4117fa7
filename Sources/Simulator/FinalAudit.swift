import Cores
import Messages

/// The final states against each other and against the clients' books.
struct FinalAudit {
    private let clients: ClientModel
    /// Of the client that lies; none in a run without liars.
    private let liarsAccounts: [AccountSpecification]
    private var fingerprint = Hasher256()
    private var posted: UInt128 = 0
    private var issued: UInt128 = 0
    /// The first host, with what all others are held against.
    private var reference: (host: Int, audits: [ShardAudit])?

    init(_ clients: ClientModel, liarsAccounts: [AccountSpecification]) {
        (self.clients, self.liarsAccounts) = (clients, liarsAccounts)
    }

    /// A correct host's.
    mutating func check(_ core: HostCore, host i: Int) throws {
        let audits: [ShardAudit]
        do { audits = try core.audits() } catch { throw Checks.Violation(description: "audit: \(error)") }
        if reference == nil {
            reference = (i, audits)
            // The others' states are the same to the last byte.
            do { try core.checkStateInvariants() } catch {
                throw Checks.Violation(description: "host \(i): \(error)")
            }
            for audit in audits {
                fingerprint.update(audit.stateDigest)
                try count(audit)
            }
        } else {
            for audit in audits {
                fingerprint.update(audit.stateDigest)
                try compare(audit, host: i)
            }
        }
        try checkLiarsAccounts(core, host: i)
        for account in clients.accounts {
            let balance = core.balance(account.id).map { Int128($0) }
            let expected = clients.books.balances[account.id]
            guard balance == expected else {
                throw Checks.Violation(
                    description:
                        "account \(account.id) holds \(balance.map { "\($0)" } ?? "nothing") on host \(i); by the receipts it is \(expected.map { "\($0)" } ?? "none")"
                )
            }
        }
    }

    /// - Returns: the digest of all states.
    func finish() throws -> Digest {
        if posted != issued { throw Checks.Violation(description: "\(posted) posted, \(issued) issued") }
        return fingerprint.finish()
    }

    private mutating func count(_ audit: ShardAudit) throws {
        for asset in audit.assets {
            posted += asset.posted
            issued += asset.issued
            if asset.pendingDebits != 0 || asset.pendingCredits != 0 {
                throw Checks.Violation(description: "something is still reserved at the end")
            }
        }
    }

    private func compare(_ audit: ShardAudit, host i: Int) throws {
        guard let (first, audits) = reference, let other = audits.first(where: { $0.shard == audit.shard }),
            other.stateDigest != audit.stateDigest
        else { return }
        throw Checks.Violation(
            description:
                "the states of shard \(audit.shard) differ between host \(first) and \(i) at sequence \(audit.sequence)"
        )
    }

    /// It may have done anything to its own accounts but make money.
    private func checkLiarsAccounts(_ core: HostCore, host: Int) throws {
        let held = liarsAccounts.compactMap { core.balance($0.id) }
        // Those that were opened.
        let issued = liarsAccounts.compactMap { clients.books.balances[$0.id] }
        guard held.count == issued.count, held.map({ Int128($0) }).reduce(0, +) == issued.reduce(0, +) else {
            throw Checks.Violation(
                description: "the byzantine client holds \(held) on host \(host), of \(issued)")
        }
    }
}
