import Messages
import Testing
import TwoPhaseCommit

@Suite struct EvidenceSetTests {
    @Test("A certificate takes f + 1 distinct replicas, and the verifier accepts it", arguments: [4, 7, 10])
    func takesWeakQuorum(n: Int) throws {
        var cluster = try Cluster(replicas: n)
        let requests = (1...3).map { cluster.request([cluster.transfer(0, 1)], number: $0) }
        let leaves = requests.map { cluster.leaf($0, [0: .votedYes]) }
        var evidence = EvidenceSet(manifest: cluster.manifest)
        evidence.want(requests[1].digest)
        let f = (n - 1) / 3
        for replica in 0..<f {
            // Repeating oneself is no second voice.
            for _ in 0..<2 { #expect(evidence.add(try cluster.attestation(0, 5, leaves, by: replica)).isEmpty) }
        }
        let certificates = evidence.add(try cluster.attestation(0, 5, leaves, by: n - 1))
        #expect(certificates.count == 1)
        let certificate = try #require(certificates.first)
        #expect(certificate.leaf == leaves[1])
        #expect(certificate.signatures.count == f + 1)
        _ = try cluster.verifier.verify(certificate)
        // Given once; later attestations of the same batch are no news.
        #expect(evidence.add(try cluster.attestation(0, 5, leaves, by: f)).isEmpty)
    }

    @Test("Whoever wants a request of a certified batch later gets its leaf at the next attestation")
    func wantsLater() throws {
        var cluster = try Cluster()
        let requests = (1...2).map { cluster.request([cluster.transfer(0, 1)], number: $0) }
        let leaves = requests.map { cluster.leaf($0, [0: .votedYes]) }
        var evidence = EvidenceSet(manifest: cluster.manifest)
        evidence.want(requests[0].digest)
        _ = evidence.add(try cluster.attestation(0, 1, leaves, by: 0))
        #expect(evidence.add(try cluster.attestation(0, 1, leaves, by: 1)).map(\.leaf) == [leaves[0]])
        evidence.want(requests[1].digest)
        #expect(evidence.add(try cluster.attestation(0, 1, leaves, by: 1)).map(\.leaf) == [leaves[1]])
        // Forgotten and wanted again: given again.
        evidence.forget(requests[0].digest)
        evidence.want(requests[0].digest)
        #expect(evidence.add(try cluster.attestation(0, 1, leaves, by: 2)).map(\.leaf) == [leaves[0]])
    }

    /// A lying replica neither completes a false certificate nor keeps a true one from completing.
    @Test func aLyingReplicaIsOneVoiceForOneStatement() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        let honest = [cluster.leaf(request, [0: .votedYes])]
        let lie = [cluster.leaf(request, [0: .votedNo(.insufficientFunds)])]
        var evidence = EvidenceSet(manifest: cluster.manifest)
        evidence.want(request.digest)
        #expect(evidence.add(try cluster.attestation(0, 1, lie, by: 3)).isEmpty)
        // Its second statement for the same sequence does not count, so two correct replicas are needed.
        #expect(evidence.add(try cluster.attestation(0, 1, honest, by: 3)).isEmpty)
        #expect(evidence.add(try cluster.attestation(0, 1, honest, by: 0)).isEmpty)
        #expect(evidence.add(try cluster.attestation(0, 1, honest, by: 2)).map(\.leaf) == honest)
    }

    @Test func floodsOfOneReplicaPushOutOnlyItsOwnWords() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        let leaves = [cluster.leaf(request, [0: .votedYes])]
        var evidence = EvidenceSet(manifest: cluster.manifest, openPerReplica: 8)
        evidence.want(request.digest)
        _ = evidence.add(try cluster.attestation(0, 1, leaves, by: 0))
        for sequence in 2...100 { _ = evidence.add(try cluster.attestation(0, UInt64(sequence), leaves, by: 3)) }
        #expect(evidence.openStatements(of: ShardID(0)) == 9)
        #expect(evidence.add(try cluster.attestation(0, 1, leaves, by: 1)).count == 1)
    }

    @Test func batchesWithoutWantedLeavesAreNotKept() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        var evidence = EvidenceSet(manifest: cluster.manifest)
        for replica in 0..<4 {
            #expect(
                evidence.add(try cluster.attestation(0, 1, [cluster.leaf(request, [0: .votedYes])], by: replica))
                    .isEmpty)
        }
        #expect(evidence.openStatements(of: ShardID(0)) == 0)
    }

    @Test func attestationsOfAShardOutsideOfTheManifestAreNotKept() throws {
        // A verifier with another manifest is a mistake of ours, and no reason to stop.
        var wide = try Cluster(shards: 3)
        let request = wide.request([wide.transfer(0, 2)])
        var evidence = EvidenceSet(manifest: try Cluster(shards: 2).manifest)
        evidence.want(request.digest)
        for replica in 0..<4 {
            #expect(evidence.add(try wide.attestation(2, 1, [wide.leaf(request, [0: .votedYes])], by: replica)).isEmpty)
        }
    }

    @Test func signaturesOfDifferentShardsDoNotAddUp() throws {
        var cluster = try Cluster()
        let request = cluster.request([cluster.transfer(0, 1)])
        let leaves = [cluster.leaf(request, [0: .votedYes])]
        var evidence = EvidenceSet(manifest: cluster.manifest)
        evidence.want(request.digest)
        #expect(evidence.add(try cluster.attestation(0, 1, leaves, by: 0)).isEmpty)
        #expect(evidence.add(try cluster.attestation(1, 1, leaves, by: 1)).isEmpty)
        #expect(evidence.add(try cluster.attestation(0, 2, leaves, by: 1)).isEmpty)
    }
}
