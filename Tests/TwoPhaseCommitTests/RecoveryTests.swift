import Messages
import Testing
import TwoPhaseCommit

@Suite struct RecoveryTests {
    /// Recovery by anyone: the votes that hosts push to each other end a transaction with every gateway dead.
    @Test func fPlusOnePushesOfTheOtherVoteDecideHere() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        let leaf = cluster.leaf(request, [0: .votedYes])
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest)
        #expect(recovery.add(try cluster.push(request, 0, 4, leaf, by: 2)) == nil)
        #expect(recovery.add(try cluster.push(request, 0, 4, leaf, by: 2)) == nil)
        let decide = try #require(recovery.add(try cluster.push(request, 0, 4, leaf, by: 3)))
        #expect(decide.request == request.digest)
        #expect(decide.certificates.map(\.leaf) == [leaf])
        _ = try cluster.verifier.verify(decide)
        #expect(recovery.request(request.digest) == request)
        // A repetition gives the same again, so that a lost decide is repaired.
        #expect(recovery.add(try cluster.push(request, 0, 4, leaf, by: 0))?.digest == decide.digest)
    }

    @Test func aYesVoteOfOneOfTwoOthersDecidesNothingAndANoDoes() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1), cluster.transfer(1, 2)])
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest)
        for replica in 0..<4 {
            #expect(
                recovery.add(try cluster.push(request, 0, 1, cluster.leaf(request, [0: .votedYes]), by: replica)) == nil
            )
        }
        let no = cluster.leaf(request, [0: .noRecordAbort])
        #expect(recovery.add(try cluster.push(request, 2, 1, no, by: 0)) == nil)
        let decide = try #require(recovery.add(try cluster.push(request, 2, 1, no, by: 1)))
        #expect(decide.certificates.map(\.leaf) == [cluster.leaf(request, [0: .votedYes]), no])
    }

    @Test func aLaterStatusReplacesTheVoteSoThatTheRecordCanBeForgotten() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest)
        for (sequence, status) in [(1, LegStatus.votedYes), (2, .committed)] {
            _ = recovery.add(try cluster.push(request, 0, UInt64(sequence), cluster.leaf(request, [0: status]), by: 0))
            let decide = recovery.add(
                try cluster.push(request, 0, UInt64(sequence), cluster.leaf(request, [0: status]), by: 1))
            #expect(decide?.certificates.map { $0.leaf.status(ofLeg: 0) } == [status])
        }
    }

    /// R10, R11: a participant that voted yes and has forgotten since says `acknowledged`. That decides nothing, and is
    /// what the other waits for to forget too (docs/tla, doneIsOnlyAVote).
    @Test func aYesVoteThatWasAcknowledgedSinceIsHandedOnWithBoth() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest)
        var decide: TransactionDecide?
        for (sequence, status) in [(1, LegStatus.votedYes), (2, .acknowledged)] {
            for replica in 0..<2 {
                decide = recovery.add(
                    try cluster.push(request, 0, UInt64(sequence), cluster.leaf(request, [0: status]), by: replica))
            }
        }
        let statuses = decide?.certificates.compactMap { $0.leaf.status(ofLeg: 0) } ?? []
        #expect(statuses.contains(.votedYes) && statuses.contains(.acknowledged))
    }

    @Test func ownPushesAndUninvolvedShardsAreIgnored() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        let leaf = cluster.leaf(request, [0: .votedYes])
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest)
        for replica in 0..<4 {
            #expect(recovery.add(try cluster.push(request, 1, 1, leaf, by: replica)) == nil)
            #expect(recovery.add(try cluster.push(request, 2, 1, leaf, by: replica)) == nil)
        }
        #expect(recovery.count == 0)
    }

    @Test func requestsAreBoundedAndTheOldestGoesFirst() throws {
        var cluster = try Cluster()
        var recovery = Recovery(shard: ShardID(1), manifest: cluster.manifest, maxRequests: 3)
        let requests = (1...5).map { cluster.request([cluster.transfer(0, 1)], number: $0) }
        for (sequence, request) in requests.enumerated() {
            for replica in 0..<2 {
                _ = recovery.add(
                    try cluster.push(
                        request, 0, UInt64(sequence + 1), cluster.leaf(request, [0: .votedYes]), by: replica))
            }
        }
        #expect(recovery.count == 3)
        #expect(recovery.request(requests[1].digest) == nil && recovery.request(requests[2].digest) != nil)
    }
}
