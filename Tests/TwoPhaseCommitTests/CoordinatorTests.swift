import Messages
import Testing
import TwoPhaseCommit

extension [Coordinator.Action] {
    var receipts: [Receipt] { compactMap { if case .answer(let receipt) = $0 { receipt } else { nil } } }
    var decides: [(shards: [Int], decide: TransactionDecide)] {
        compactMap {
            if case .sendDecide(let shards, let decide) = $0 { (shards.map { Int($0.number) }, decide) } else { nil }
        }
    }
    var isFinished: Bool { contains(.finished) }
}

@Suite struct CoordinatorTests {
    let cluster: Cluster
    let map: ShardMap
    init() throws {
        cluster = try Cluster()
        map = cluster.manifest.shardMap
    }

    /// R8: the decision is the AND of the votes; every row of the truth table for two participants.
    @Test func theDecisionIsTheAndOfTheVotes() {
        let yes: [LegStatus] = [.votedYes]
        let no: [LegStatus] = [.votedNo(.insufficientFunds), .aborted(.unknownAccount), .noRecordAbort, .acknowledged]
        for a in yes + no + [.committed] {
            for b in yes + no {
                let decision = Decision([a, b])
                if a == .committed || (a == .votedYes && b == .votedYes) {
                    #expect(decision == .commit)
                } else {
                    #expect(decision != .commit && decision != nil)
                }
            }
            #expect((Decision([a, nil]) == nil) == (a == .votedYes))
        }
        #expect(Decision([nil, nil]) == nil)
    }

    @Test func aSingleShardRequestIsAnsweredWithOneCertificateAndNeedsNoDecide() {
        let request = cluster.request([cluster.transfer(1, 1)])
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.participants == [ShardID(1)])
        #expect(coordinator.missing == [ShardID(1)])
        let certificate = cluster.certificate(1, 3, cluster.leaf(request, [0: .committed]))
        #expect(
            coordinator.add(certificate) == [
                .answer(Receipt(request: request, certificates: [certificate])), .finished,
            ])
        #expect(coordinator.add(certificate).isEmpty)
    }

    /// Shard 0 is only debited, so it is told last, and then with what lets it forget.
    @Test func theShardThatIsOnlyDebitedIsToldLastAndOnce() throws {
        let request = cluster.request([cluster.transfer(0, 2)])
        var coordinator = Coordinator(request, map: map)
        let votes = [0, 2].map { cluster.certificate($0, 1, cluster.leaf(request, [0: .votedYes])) }
        #expect(coordinator.add(votes[1]).isEmpty)
        let actions = coordinator.add(votes[0])
        #expect(actions.receipts == [Receipt(request: request, certificates: votes)], "the client waits for neither")
        #expect(actions.decides.map(\.shards) == [[2]])
        #expect(actions.decides.first?.decide.certificates == [votes[0]], "its own word it has")
        // If the first is silent the last is told too, by the timer.
        #expect(coordinator.outstandingDecides.decides.map(\.shards) == [[0, 2]])
        let done = [0, 2].map { cluster.certificate($0, 2, cluster.leaf(request, [0: .committed])) }
        let second = coordinator.add(done[1])
        #expect(second.decides.map(\.shards) == [[0]])
        #expect(second.decides.first?.decide.certificates == [done[1]])
        #expect(!second.isFinished)
        let last = coordinator.add(done[0])
        #expect(last.decides.map(\.shards) == [[2]], "shard 0 knows already that 2 is done")
        #expect(last.decides.first?.decide.certificates == [done[0]])
        #expect(last.isFinished)
    }

    /// The last was decided by others before the first: nobody knows what was noted where, so both are told.
    @Test func whoWasDecidedByOthersIsToldAgain() throws {
        let request = cluster.request([cluster.transfer(0, 2)])
        var coordinator = Coordinator(request, map: map)
        for shard in [0, 2] {
            _ = coordinator.add(cluster.certificate(shard, 1, cluster.leaf(request, [0: .votedYes])))
        }
        let done = [0, 2].map { cluster.certificate($0, 2, cluster.leaf(request, [0: .committed])) }
        #expect(coordinator.add(done[0]).isEmpty)
        #expect(coordinator.outstandingDecides.decides.map(\.shards) == [[2]])
        let last = coordinator.add(done[1])
        #expect(last.decides.map(\.shards) == [[0, 2]])
        #expect(last.decides.first?.decide.certificates == done)
        #expect(last.isFinished)
    }

    /// Who aborts gives back what is reserved, so nobody waits; who was told of the no needs no second word.
    @Test func anAbortIsToldAtOnceAndOnce() throws {
        let request = cluster.request([cluster.transfer(0, 2)])
        var coordinator = Coordinator(request, map: map)
        _ = coordinator.add(cluster.certificate(0, 1, cluster.leaf(request, [0: .votedYes])))
        let no = cluster.certificate(2, 1, cluster.leaf(request, [0: .votedNo(.unknownAccount)]))
        #expect(coordinator.add(no).decides.map(\.shards) == [[0]])
        let last = coordinator.add(cluster.certificate(0, 2, cluster.leaf(request, [0: .aborted(.unknownAccount)])))
        #expect(last.decides.map(\.shards) == [[2]])
        #expect(last.isFinished)
    }

    /// A no that was told before the vote has found no record, so the second vote's shard is told once more.
    @Test func whoHadNotVotedWhenItWasToldIsToldAgain() throws {
        let request = cluster.request([cluster.transfer(0, 2)])
        var coordinator = Coordinator(request, map: map)
        let no = [0, 2].map { cluster.certificate($0, 1, cluster.leaf(request, [0: .votedNo(.unknownAccount)])) }
        #expect(coordinator.add(no[1]).decides.map(\.shards) == [[0]])
        let last = coordinator.add(no[0])
        #expect(last.decides.map(\.shards) == [[0, 2]])
        #expect(last.isFinished)
    }

    /// All that two shards share, or nothing, is told in turn: with a no in it, all at once.
    @Test func aBundleBetweenTwoShardsIsToldInTurnIfAllOfItCommits() throws {
        let request = cluster.request(
            [cluster.transfer(0, 0), cluster.transfer(0, 1), cluster.transfer(0, 1)], .independent)
        let own = cluster.certificate(
            0, 1, cluster.leaf(request, [0: .committed, 1: .votedYes, 2: .votedYes]))
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.add(own).isEmpty)
        let yes = coordinator.add(cluster.certificate(1, 1, cluster.leaf(request, [1: .votedYes, 2: .votedYes])))
        #expect(yes.decides.map(\.shards) == [[1]])
        let done = coordinator.add(cluster.certificate(1, 2, cluster.leaf(request, [1: .committed, 2: .committed])))
        #expect(done.decides.map(\.shards) == [[0]])
        let last = coordinator.add(
            cluster.certificate(0, 2, cluster.leaf(request, [0: .committed, 1: .committed, 2: .committed])))
        #expect(last.decides.map(\.shards) == [[1]] && last.isFinished)
        var mixed = Coordinator(request, map: map)
        #expect(mixed.add(own).isEmpty)
        let no = mixed.add(
            cluster.certificate(1, 1, cluster.leaf(request, [1: .votedYes, 2: .votedNo(.unknownAccount)])))
        #expect(no.decides.map(\.shards) == [[0, 1]])
    }

    /// Both shards are debited and credited: each has somebody who waits for what he is paid.
    @Test func twoYesVotesCommitAndTheLastDecideLetsAllForget() throws {
        let request = cluster.request([cluster.transfer(0, 2), cluster.transfer(2, 0, salt: 4)])
        var coordinator = Coordinator(request, map: map)
        let votes = [0, 2].map { cluster.certificate($0, 1, cluster.leaf(request, [0: .votedYes])) }
        #expect(coordinator.add(votes[1]).isEmpty)
        #expect(coordinator.missing == [ShardID(0)])
        #expect(coordinator.isMissing(ShardID(0)) && !coordinator.isMissing(ShardID(2)))
        let actions = coordinator.add(votes[0])
        #expect(actions.receipts == [Receipt(request: request, certificates: votes)])
        #expect(actions.receipts.first?.decision(ofLeg: 0, in: map) == .commit)
        #expect(actions.decides.count == 1)
        #expect(actions.decides.first?.shards == [0, 2])
        #expect(actions.decides.first?.decide.certificates == votes)
        #expect(!actions.isFinished)
        // The first certified commit: nothing new to tell. Resending concerns only the other.
        let done = [0, 2].map { cluster.certificate($0, 2, cluster.leaf(request, [0: .committed])) }
        #expect(coordinator.add(done[0]).isEmpty)
        #expect(coordinator.outstandingDecides.decides.map(\.shards) == [[2]])
        // R10: all are certified decided.
        let last = coordinator.add(done[1])
        #expect(last.decides.map(\.shards) == [[0, 2]])
        #expect(last.decides.first?.decide.certificates == done)
        #expect(last.isFinished && last.receipts.isEmpty)
        #expect(coordinator.outstandingDecides.isEmpty)
    }

    @Test func oneNoAbortsWithoutWaitingForTheOthers() {
        let request = cluster.request([cluster.transfer(0, 1), cluster.transfer(1, 2)])
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.add(cluster.certificate(0, 1, cluster.leaf(request, [0: .votedYes]))).isEmpty)
        let no = cluster.certificate(1, 1, cluster.leaf(request, [0: .votedNo(.insufficientFunds)]))
        let actions = coordinator.add(no)
        #expect(actions.receipts == [Receipt(request: request, certificates: [no])])
        #expect(actions.receipts.first?.decision(ofLeg: 0, in: map) == .abort(.insufficientFunds))
        // Shard 1 is decided by its own vote; the others are told.
        #expect(actions.decides.map(\.shards) == [[0, 2]])
        #expect(actions.decides.first?.decide.certificates == [no])
        // Shard 2 votes yes after the decision: its escrow must not wait for a timer.
        let late = coordinator.add(cluster.certificate(2, 9, cluster.leaf(request, [0: .votedYes])))
        #expect(late.decides.map(\.shards) == [[2]])
        #expect(late.decides.first?.decide.certificates == [no])
        _ = coordinator.add(cluster.certificate(0, 4, cluster.leaf(request, [0: .aborted(.participantAborted)])))
        let last = coordinator.add(
            cluster.certificate(2, 10, cluster.leaf(request, [0: .aborted(.participantAborted)])))
        #expect(last.decides.map(\.shards) == [[0, 1, 2]])
        #expect(last.decides.first?.decide.certificates.count == 3)
        #expect(last.isFinished)
    }

    @Test(arguments: [LegStatus.noRecordAbort, .acknowledged])
    func aShardWithoutARecordAborts(status: LegStatus) {
        let request = cluster.request([cluster.transfer(0, 1)])
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.add(cluster.certificate(0, 1, cluster.leaf(request, [0: .votedYes]))).isEmpty)
        let actions = coordinator.add(cluster.certificate(1, 1, cluster.leaf(request, [0: status])))
        // To the shard that holds its vote it is an abort; to the client `acknowledged` proves nothing.
        #expect(
            actions.receipts.first?.decision(ofLeg: 0, in: map)
                == (status == .acknowledged ? nil : .abort(.participantAborted)))
        #expect(actions.receipts.first?.isBeyondProof(leg: 0, in: map) == (status == .acknowledged))
        #expect(actions.decides.map(\.shards) == [[0]])
        let last = coordinator.add(cluster.certificate(0, 2, cluster.leaf(request, [0: .aborted(.participantAborted)])))
        #expect(last.isFinished)
    }

    /// R11: `Acknowledged` aborts undecided participants and proves nothing else.
    @Test func acknowledgedAfterAYesVoteDoesNotTurnACommitIntoAnAbort() {
        let request = cluster.request([cluster.transfer(0, 1)])
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.add(cluster.certificate(0, 1, cluster.leaf(request, [0: .votedYes]))).isEmpty)
        #expect(coordinator.add(cluster.certificate(0, 7, cluster.leaf(request, [0: .acknowledged]))).isEmpty)
        let actions = coordinator.add(cluster.certificate(1, 1, cluster.leaf(request, [0: .votedYes])))
        #expect(actions.receipts.first?.decision(ofLeg: 0, in: map) == .commit)
    }

    /// Legs 0: one shard; 1: shards 0 and 1; 2: shards 1 and 2. Shard 1 has both shared legs.
    @Test func aBundleWithMixedLegsIsAnsweredWhenTheLastLegIsDecided() {
        let request = cluster.request(
            [cluster.transfer(0, 0), cluster.transfer(0, 1), cluster.transfer(1, 2)], .independent)
        var coordinator = Coordinator(request, map: map)
        // Shard 0 first has only leg 0, the rest conflicts; a later leaf carries both.
        #expect(coordinator.add(cluster.certificate(0, 1, cluster.leaf(request, [0: .committed]))).isEmpty)
        #expect(coordinator.missing.map(\.number) == [0, 1, 2])
        #expect(
            coordinator.add(cluster.certificate(0, 2, cluster.leaf(request, [0: .committed, 1: .votedYes]))).isEmpty)
        #expect(coordinator.missing.map(\.number) == [1, 2])
        // Both of its legs at once: leg 1 commits, leg 2 aborts. One decide for all.
        let one = cluster.certificate(1, 1, cluster.leaf(request, [1: .votedYes, 2: .votedNo(.unknownAccount)]))
        let actions = coordinator.add(one)
        #expect(actions.decides.map(\.shards) == [[0, 1, 2]])
        let receipt = actions.receipts.first
        #expect(receipt?.decision(ofLeg: 0, in: map) == .commit)
        #expect(receipt?.decision(ofLeg: 1, in: map) == .commit)
        #expect(receipt?.decision(ofLeg: 2, in: map) == .abort(.unknownAccount))
        #expect(receipt.map { $0.certificates.map { Int($0.shard.number) } } == [0, 0, 1])
        #expect(
            coordinator.add(cluster.certificate(0, 3, cluster.leaf(request, [0: .committed, 1: .committed]))).isEmpty)
        #expect(
            coordinator.add(
                cluster.certificate(1, 2, cluster.leaf(request, [1: .committed, 2: .votedNo(.unknownAccount)]))
            ).isEmpty)
        let last = coordinator.add(cluster.certificate(2, 2, cluster.leaf(request, [2: .noRecordAbort])))
        #expect(last.isFinished)
        #expect(last.decides.map(\.shards) == [[0, 1, 2]])
    }

    @Test func certificatesOfOthersAndRepetitionsAreNoOps() {
        let request = cluster.request([cluster.transfer(0, 1)])
        let other = cluster.request([cluster.transfer(0, 1)], number: 2)
        var coordinator = Coordinator(request, map: map)
        let vote = cluster.certificate(0, 1, cluster.leaf(request, [0: .votedYes]))
        #expect(coordinator.add(vote).isEmpty)
        #expect(coordinator.add(vote).isEmpty)
        #expect(coordinator.add(cluster.certificate(0, 2, cluster.leaf(request, [0: .votedYes]))).isEmpty)
        #expect(coordinator.add(cluster.certificate(1, 1, cluster.leaf(other, [0: .votedYes]))).isEmpty)
        #expect(coordinator.add(cluster.certificate(2, 1, cluster.leaf(request, [0: .votedNo(.malformed)]))).isEmpty)
        #expect(coordinator.add(cluster.certificate(1, 1, cluster.leaf(request, [7: .votedNo(.malformed)]))).isEmpty)
        #expect(!coordinator.isAnswered)
    }

    /// A decide carries at most 64 certificates; a bundle over more shards is told in parts, each leg whole.
    @Test func decidesStayWithinTheBoundOnCertificates() throws {
        let cluster = try Cluster(shards: 100)
        let request = cluster.request((0..<50).map { cluster.transfer(2 * $0, 2 * $0 + 1) }, .independent)
        var coordinator = Coordinator(request, map: cluster.manifest.shardMap)
        for leg in 0..<50 {
            _ = coordinator.add(cluster.certificate(2 * leg, 1, cluster.leaf(request, [leg: .votedYes])))
        }
        for leg in 0..<50 {
            let actions = coordinator.add(cluster.certificate(2 * leg + 1, 1, cluster.leaf(request, [leg: .votedYes])))
            #expect(actions.decides.map(\.shards) == [[2 * leg, 2 * leg + 1]])
            #expect(actions.receipts.count == (leg == 49 ? 1 : 0))
        }
        let outstanding = coordinator.outstandingDecides.decides
        #expect(outstanding.map(\.decide.certificates.count) == [64, 36])
        #expect(outstanding.flatMap(\.shards) == Array(0..<100))
        let wide = cluster.request((0..<50).map { cluster.transfer(2 * $0, 2 * $0 + 1) }, .atomic)
        #expect(!Coordinator.canCoordinate(wide.request, map: cluster.manifest.shardMap))
        #expect(Coordinator.canCoordinate(request.request, map: cluster.manifest.shardMap))
    }

    @Test func aLegThatNoDecideCanCarryIsAnsweredAndLeftToTheHosts() throws {
        let cluster = try Cluster(shards: 70)
        let wide = cluster.request((0..<35).map { cluster.transfer(2 * $0, 2 * $0 + 1) })
        let narrow = cluster.request([cluster.transfer(0, 1)], number: 2)
        for (request, shards) in [(wide, 70), (narrow, 2)] {
            var coordinator = Coordinator(request, map: cluster.manifest.shardMap)
            let actions = (0..<shards).flatMap {
                coordinator.add(cluster.certificate($0, 1, cluster.leaf(request, [0: .votedYes])))
            }
            #expect(actions.receipts.map(\.certificates.count) == [shards])
            #expect(actions.decides.count == (shards == 70 ? 0 : 1))
            #expect(coordinator.isAnswered && coordinator.missing.isEmpty && !coordinator.isMissing(ShardID(0)))
        }
    }

    /// Whatever the order of arrival, the answer proves the same outcome.
    @Test func theOrderOfCertificatesDoesNotChangeTheOutcome() {
        let request = cluster.request([cluster.transfer(0, 1), cluster.transfer(1, 2)])
        let certificates = (0..<3).map { cluster.certificate($0, 1, cluster.leaf(request, [0: .votedYes])) }
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var coordinator = Coordinator(request, map: map)
            let actions = order.flatMap { coordinator.add(certificates[$0]) }
            #expect(actions.receipts == [Receipt(request: request, certificates: certificates)])
        }
    }

    /// A shard's later batch may be certified before an earlier one: its word of a leg counts, and stands first.
    @Test func aCertificateThatIsLateDoesNotTakeBackWhatALaterBatchSaid() throws {
        let request = cluster.request([cluster.transfer(1, 1), cluster.transfer(0, 1)], .independent)
        var coordinator = Coordinator(request, map: map)
        #expect(coordinator.add(cluster.certificate(1, 7, cluster.leaf(request, [1: .committed]))).receipts.isEmpty)
        let late = cluster.certificate(1, 3, cluster.leaf(request, [0: .committed, 1: .votedYes]))
        let receipt = try #require(coordinator.add(late).receipts.first)
        for leg in 0..<2 { #expect(receipt.decision(ofLeg: leg, in: map) == .commit) }
    }
}
