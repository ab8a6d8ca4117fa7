import Randomness
import Messages
import PBFT

/// What a Byzantine host says of its own accord, at each tick.
extension ByzantineHosts {
    mutating func invent(by m: Int, status: [ReplicaStatus]) -> [(to: Int, Distorted)] {
        guard !members[m].does(.mute), !status.isEmpty else { return [] }
        var said: [(Int, Distorted)] = []
        let mine = status[members[m].rng.below(status.count)]
        let peers = (0..<replicas).filter { $0 != members[m].identity }
        func tell(_ to: [Int], _ message: PBFTMessage, _ act: ByzantineAct) {
            for peer in to { said.append((peer, Distorted(message: .pbft(mine.shard, message), act: act))) }
        }
        // Often enough to be felt, seldom enough not to be all the traffic there is.
        func sometimes(_ act: ByzantineAct, perMille: Int, _ rng: inout SplitMix64) -> Bool {
            members[m].acts.contains(act) && rng.chance(perMille: perMille)
        }
        var rng = members[m].rng
        let one = [peers[rng.below(peers.count)]]
        if sometimes(.suspicion, perMille: 150, &rng) {
            tell(peers, .suspect(rng.chance(perMille: 100) ? View(.max) : mine.view), .suspicion)
        }
        if sometimes(.falseStatus, perMille: 60, &rng) {
            members[m].rng = rng
            let honest = Status(
                view: mine.view, isChangingView: mine.isChangingView, lastExecuted: mine.lastExecuted,
                stable: mine.stable)
            let status = falsify(honest, m)
            rng = members[m].rng
            tell(one, .status(status), .falseStatus)
        }
        if sometimes(.falseResumption, perMille: 60, &rng) {
            members[m].rng = rng
            let resumption = inventResumption(remembers: mine.lastExecuted, of: mine.shard, m)
            rng = members[m].rng
            tell(rng.chance(perMille: 500) ? peers : one, .resumed(resumption), .falseResumption)
        }
        if sometimes(.unaskedBodies, perMille: 100, &rng), !bodies.isEmpty {
            tell(one, .batch(bodies[rng.below(bodies.count)]), .unaskedBodies)
        }
        if sometimes(.falseClaims, perMille: 100, &rng) {
            members[m].rng = rng
            let from = SequenceNumber(rng.below(mine.lastExecuted.number + 3))
            let count = members[m].rng.below(6)
            let claims = CommittedClaims(from: from, digests: (0..<count).map { _ in anyDigest(mine.shard, m) })
            rng = members[m].rng
            tell(rng.chance(perMille: 500) ? peers : one, .committed(claims), .falseClaims)
        }
        if sometimes(.wrongCheckpoint, perMille: 50, &rng) {
            let sequence = rng.chance(perMille: 200) ? UInt64.max : (mine.stable.number / 4 + rng.below(UInt64(6))) * 4
            tell(
                peers, .checkpoint(Checkpoint(sequence: SequenceNumber(sequence), digest: lie(about: .null))),
                .wrongCheckpoint)
        }
        if sometimes(.conflictingVotes, perMille: 100, &rng) {
            members[m].rng = rng
            let vote = Vote(
                view: mine.view, sequence: SequenceNumber(mine.lastExecuted.number + members[m].rng.below(UInt64(4))),
                digest: anyDigest(mine.shard, m))
            rng = members[m].rng
            tell(one, rng.chance(perMille: 500) ? .prepare(vote) : .commit(vote), .conflictingVotes)
        }
        if sometimes(.forgedViewChange, perMille: 25, &rng),
            let replica = manifest.replica(of: mine.shard, on: HostID(UInt16(members[m].identity)))
        {
            members[m].rng = rng
            let empty = ViewChange(
                cluster: manifest.cluster, epoch: manifest.epoch, shard: mine.shard, view: mine.view.next,
                replica: replica,
                lowWatermark: mine.stable, checkpoints: [Checkpoint(sequence: mine.stable, digest: lie(about: .null))],
                prepared: [],
                prePrepared: [], signer: signer(m))
            let ahead = View(mine.view.number + 1 + members[m].rng.below(UInt64(3)))
            for peer in peers {
                let forged = forge(empty, m, view: members[m].rng.chance(perMille: 30) ? View(.max) : ahead)
                note(forged)
                tell([peer], .viewChange(forged), .forgedViewChange)
            }
            rng = members[m].rng
        }
        members[m].rng = rng
        if members[m].does(.replay) {
            for _ in 0..<rng.below(4) {
                guard let message = members[m].anyHeard() else { break }
                let shards = status.map(\.shard)
                let again =
                    members[m].rng.chance(perMille: 150)
                    ? Self.move(message, to: shards[members[m].rng.below(shards.count)]) : message
                said.append((peers[members[m].rng.below(peers.count)], Distorted(message: again, act: .replay)))
            }
        }
        if members[m].does(.wrongTransfer) || members[m].does(.rubbish), members[m].rng.chance(perMille: 100) {
            for message in rubbish(by: m, mine) { said.append((peers[members[m].rng.below(peers.count)], message)) }
        }
        return said
    }

    static func move(_ message: HostMessage, to shard: ShardID) -> HostMessage {
        switch message {
        case .pbft(_, let pbft): .pbft(shard, pbft)
        case .push(_, let push): .push(shard, push)
        case .stateTransfer(_, let transfer): .stateTransfer(shard, transfer)
        case .forward(_, let item): .forward(shard, item)
        }
    }

    private mutating func rubbish(by m: Int, _ mine: ReplicaStatus) -> [Distorted] {
        let shard = members[m].rng.chance(perMille: 100) ? ShardID(999) : mine.shard
        func number(_ rng: inout SplitMix64) -> SequenceNumber {
            switch rng.below(4) {
            case 0: .zero
            case 1: SequenceNumber(.max)
            default: SequenceNumber(rng.below(mine.lastExecuted.number + 8))
            }
        }
        var said: [Distorted] = []
        if members[m].does(.wrongTransfer) {
            let sequence = number(&members[m].rng)
            let message: StateTransferMessage =
                switch members[m].rng.below(5) {
                case 0: .fetchCheckpoint(minimum: sequence)
                case 1: .fetchBuckets(sequence: sequence, buckets: [0, 65535, 7, 7])
                case 2: .gone(sequence: sequence)
                case 3: .checkpoint(sequence: sequence, metadata: [], buckets: [])
                default:
                    .bucket(
                        sequence: sequence, bucket: UInt16(members[m].rng.below(65536)), part: 0, isLast: true,
                        entries: [])
                }
            said.append(Distorted(message: .stateTransfer(shard, message), act: .wrongTransfer))
        }
        guard members[m].does(.rubbish) else { return said }
        let sequence = number(&members[m].rng)
        switch members[m].rng.below(5) {
        case 0:
            let fetch = FetchCommitted(
                from: sequence, count: members[m].rng.chance(perMille: 500) ? .max : 7, bodies: true)
            said.append(Distorted(message: .pbft(shard, .fetchCommitted(fetch)), act: .rubbish))
        case 1: said.append(Distorted(message: .pbft(shard, .fetchBatch(anyDigest(mine.shard, m))), act: .rubbish))
        case 2:
            guard !requests.isEmpty else { break }
            // Executed long ago, or of other shards.
            let item = BatchItem.request(requests[members[m].rng.below(requests.count)])
            said.append(Distorted(message: .forward(shard, item), act: .rubbish))
        case 3:
            guard let batch = bodies.last, let item = batch.items.last else { break }
            said.append(Distorted(message: .forward(shard, item), act: .rubbish))
            let proposal = PrePrepare(view: mine.view, sequence: sequence, batch: batch)
            said.append(Distorted(message: .pbft(shard, .prePrepare(proposal)), act: .rubbish))
        default:
            // A certificate under which nobody's name stands.
            guard let request = requests.last else { break }
            let decide = TransactionDecide(
                principal: request.request.principal, number: request.request.number, request: request.digest,
                certificates: [])
            said.append(Distorted(message: .forward(shard, .decide(decide)), act: .rubbish))
        }
        return said
    }
}
