import Messages
import Testing
import Workload

struct InvariantCheckTests {
    private func audit(
        _ shard: Int, _ replica: Int, posted: UInt128, issued: UInt128, sequence: UInt64 = 9, digest: UInt8 = 1,
        undecided: UInt64 = 0,
        pendingDebits: UInt128 = 0
    ) throws -> ShardAudit {
        let state = try #require(Digest(bytes: [UInt8](repeating: digest, count: 32)))
        return ShardAudit(
            shard: ShardID(UInt16(shard)), replica: ReplicaIndex(UInt8(replica)), sequence: SequenceNumber(sequence),
            stateDigest: state,
            history: state, accounts: 1, undecided: undecided,
            assets: [
                .init(
                    asset: AssetID(1), posted: posted, pendingDebits: pendingDebits, pendingCredits: 0, issued: issued)
            ])
    }

    private func check(_ audits: [ShardAudit], issued: UInt128 = 100) -> RunResult.Invariants {
        InvariantCheck.check(audits, shards: 2, expected: 4, issued: [(AssetID(1), issued)])
    }

    /// Money has moved from shard 0, where it was issued, to shard 1.
    private func good() throws -> [ShardAudit] {
        try (0..<4).flatMap {
            [try audit(0, $0, posted: 30, issued: 100), try audit(1, $0, posted: 70, issued: 0, digest: 2)]
        }
    }

    @Test func `money may move between shards`() throws { #expect(check(try good()).allHold) }

    @Test func `money that appears, disappears or was never issued is found`() throws {
        var audits = try good()
        for replica in 0..<4 { audits[replica * 2] = try audit(0, replica, posted: 31, issued: 100) }
        #expect(!check(audits).conservation)
        #expect(!check(try good(), issued: 99).conservation)
        // Others may have issued the one that the receipts do not prove, but nobody can have issued less.
        func open(_ issued: UInt128) throws -> RunResult.Invariants {
            InvariantCheck.check(
                try good(), shards: 2, expected: 4, issued: [(AssetID(1), issued)], isAllKnown: false)
        }
        #expect(try open(99).allHold && open(100).allHold)
        #expect(try !open(101).conservation)
        #expect(check(audits).replicas_agree)
    }

    @Test func `a replica that differs, lags or is missing is found`() throws {
        var audits = try good()
        audits[2] = try audit(0, 1, posted: 30, issued: 100, digest: 7)
        #expect(!check(audits).replicas_agree)
        audits[2] = try audit(0, 1, posted: 30, issued: 100, sequence: 8)
        #expect(!check(audits).replicas_agree)
        audits.remove(at: 2)
        #expect(!check(audits).replicas_agree)
        #expect(!check([]).replicas_agree)
    }

    @Test func `a lock that is left is found`() throws {
        var audits = try good()
        audits[2] = try audit(0, 1, posted: 30, issued: 100, undecided: 1)
        #expect(!check(audits).no_locks)
        audits[2] = try audit(0, 1, posted: 30, issued: 100, pendingDebits: 5)
        #expect(!check(audits).no_locks)
        #expect(check(audits).problems.count == 1)
    }
}
