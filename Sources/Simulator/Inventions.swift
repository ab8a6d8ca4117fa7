import Randomness
import Messages
import PBFT

/// What a Byzantine host says of its own accord, at each tick.
enum Inventions {
    static func all(
        by liar: inout ByzantineHost, _ knowledge: inout LiarsKnowledge, replicas: Int, status: [ReplicaStatus]
    ) -> [(to: Int, Distorted)] {
        guard !liar.does(.mute), !status.isEmpty else { return [] }
        var said: [(Int, Distorted)] = []
        let mine = status[liar.rng.below(status.count)]
        let peers = (0..<replicas).filter { $0 != liar.identity }
        func tell(_ to: [Int], _ message: PBFTMessage, _ act: ByzantineAct) {
            for peer in to { said.append((peer, Distorted(message: .pbft(mine.shard, message), act: act))) }
        }
        // Often enough to be felt, seldom enough not to be all the traffic there is.
        func sometimes(_ act: ByzantineAct, perMille: Int) -> Bool {
            liar.does(act) && liar.rng.chance(perMille: perMille)
        }
        let one = [peers[liar.rng.below(peers.count)]]
        if sometimes(.suspicion, perMille: 150) {
            tell(peers, .suspect(liar.rng.chance(perMille: 100) ? View(.max) : mine.view), .suspicion)
        }
        if sometimes(.falseStatus, perMille: 60) {
            let honest = Status(
                view: mine.view, isChangingView: mine.isChangingView, lastExecuted: mine.lastExecuted,
                stable: mine.stable)
            let status = OrderingLies.falsify(honest, using: &liar.rng)
            tell(one, .status(status), .falseStatus)
        }
        if sometimes(.falseResumption, perMille: 60) {
            let invented = resumption(remembers: mine.lastExecuted, of: mine.shard, by: &liar, knowledge)
            tell(liar.rng.chance(perMille: 500) ? peers : one, .resumed(invented), .falseResumption)
        }
        if sometimes(.unaskedBodies, perMille: 100), !knowledge.bodies.isEmpty {
            tell(one, .batch(knowledge.bodies[liar.rng.below(knowledge.bodies.count)]), .unaskedBodies)
        }
        if sometimes(.falseClaims, perMille: 100) {
            let from = SequenceNumber(liar.peek { $0.below(mine.lastExecuted.number + 3) })
            let count = liar.rng.below(6)
            let claims = CommittedClaims(
                from: from, digests: (0..<count).map { _ in knowledge.anyDigest(mine.shard, using: &liar.rng) })
            tell(liar.rng.chance(perMille: 500) ? peers : one, .committed(claims), .falseClaims)
        }
        if sometimes(.wrongCheckpoint, perMille: 50) {
            let sequence =
                liar.rng.chance(perMille: 200)
                ? UInt64.max : (mine.stable.number / 4 + liar.rng.below(UInt64(6))) * 4
            tell(
                peers,
                .checkpoint(Checkpoint(sequence: SequenceNumber(sequence), digest: LiarsKnowledge.lie(about: .null))),
                .wrongCheckpoint)
        }
        // Vouches for what it has not looked at.
        for position in knowledge.forged where position.shard == mine.shard {
            guard liar.rng.chance(perMille: 300), let alternative = knowledge.alternatives[position] else { continue }
            let vote = Vote(view: position.view, sequence: position.sequence, digest: alternative.digest)
            tell(peers, .prepare(Prepare(vote, vouches: true)), .forgedRequests)
            tell(peers, .commit(vote), .forgedRequests)
        }
        if sometimes(.conflictingVotes, perMille: 100) {
            let vote = Vote(
                view: mine.view, sequence: SequenceNumber(mine.lastExecuted.number + liar.rng.below(UInt64(4))),
                digest: knowledge.anyDigest(mine.shard, using: &liar.rng))
            let prepare = Prepare(vote, vouches: liar.rng.chance(perMille: 800))
            tell(one, liar.rng.chance(perMille: 500) ? .prepare(prepare) : .commit(vote), .conflictingVotes)
        }
        if sometimes(.forgedViewChange, perMille: 25),
            let replica = knowledge.replica(of: mine.shard, on: liar)
        {
            let empty = ViewChange(
                cluster: knowledge.manifest.cluster, epoch: knowledge.manifest.epoch, shard: mine.shard,
                view: mine.view.next, replica: replica, lowWatermark: mine.stable,
                checkpoints: [Checkpoint(sequence: mine.stable, digest: LiarsKnowledge.lie(about: .null))],
                prepared: [], prePrepared: [], signer: liar.signer)
            let ahead = View(mine.view.number + 1 + liar.rng.below(UInt64(3)))
            for peer in peers {
                let view = liar.rng.chance(perMille: 30) ? View(.max) : ahead
                let forged = ViewChangeLies.forge(empty, view: view, by: &liar, knowledge)
                knowledge.note(forged)
                tell([peer], .viewChange(forged), .forgedViewChange)
            }
        }
        if liar.does(.replay) {
            for _ in 0..<liar.peek({ $0.below(4) }) {
                guard let message = liar.anyHeard() else { break }
                let shards = status.map(\.shard)
                let again =
                    liar.rng.chance(perMille: 150)
                    ? move(message, to: shards[liar.rng.below(shards.count)]) : message
                said.append((peers[liar.rng.below(peers.count)], Distorted(message: again, act: .replay)))
            }
        }
        if liar.does(.wrongTransfer) || liar.does(.rubbish), liar.rng.chance(perMille: 100) {
            for message in rubbish(of: mine, by: &liar, knowledge) {
                said.append((peers[liar.rng.below(peers.count)], message))
            }
        }
        return said
    }

    /// A start that never was: of a host that forgot, in another incarnation for each who hears it, and under the
    /// number of somebody else's question, so that the answers look as if they were for him.
    private static func resumption(
        remembers: SequenceNumber, of shard: ShardID, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> Resumption {
        var nonces: [UInt64] = []
        for message in liar.heard {
            if case .pbft(_, .resumed(let question)) = message { nonces.append(question.nonce) }
        }
        let nonce =
            nonces.isEmpty || liar.rng.chance(perMille: 300)
            ? liar.rng.next() : nonces[liar.rng.below(nonces.count)]
        var declaration: IncarnationDeclaration?
        if liar.rng.chance(perMille: 700),
            let replica = knowledge.replica(of: shard, on: liar)
        {
            let incarnation =
                liar.rng.chance(perMille: 100)
                ? UInt64.max - liar.rng.below(UInt64(2)) : 1 + liar.rng.below(UInt64(1) << 60)
            declaration = IncarnationDeclaration(
                cluster: knowledge.manifest.cluster, epoch: knowledge.manifest.epoch, shard: shard, replica: replica,
                incarnation: incarnation, signer: liar.signer)
        }
        let isQuarantined = declaration != nil && liar.rng.chance(perMille: 800)
        return Resumption(
            nonce: nonce, remembers: OrderingLies.any(insteadOf: remembers, using: &liar.rng),
            isQuarantined: isQuarantined, declaration: declaration)
    }

    /// The same about another shard.
    private static func move(_ message: HostMessage, to shard: ShardID) -> HostMessage {
        switch message {
        case .pbft(_, let pbft): .pbft(shard, pbft)
        case .push(_, let push): .push(shard, push)
        case .stateTransfer(_, let transfer): .stateTransfer(shard, transfer)
        case .forward(_, let item): .forward(shard, item)
        }
    }

    private static func rubbish(
        of mine: ReplicaStatus, by liar: inout ByzantineHost, _ knowledge: LiarsKnowledge
    ) -> [Distorted] {
        let shard = liar.rng.chance(perMille: 100) ? ShardID(999) : mine.shard
        func number(_ rng: inout SplitMix64) -> SequenceNumber {
            switch rng.below(4) {
            case 0: .zero
            case 1: SequenceNumber(.max)
            default: SequenceNumber(rng.below(mine.lastExecuted.number + 8))
            }
        }
        var said: [Distorted] = []
        if liar.does(.wrongTransfer) {
            let sequence = number(&liar.rng)
            let message: StateTransferMessage =
                switch liar.rng.below(5) {
                case 0: .fetchCheckpoint(minimum: sequence)
                case 1: .fetchBuckets(sequence: sequence, buckets: [0, 65535, 7, 7])
                case 2: .gone(sequence: sequence)
                case 3: .checkpoint(sequence: sequence, metadata: [], buckets: [])
                default:
                    .bucket(
                        sequence: sequence, bucket: UInt16(liar.rng.below(65536)), part: 0, isLast: true,
                        entries: [])
                }
            said.append(Distorted(message: .stateTransfer(shard, message), act: .wrongTransfer))
        }
        guard liar.does(.rubbish) else { return said }
        let sequence = number(&liar.rng)
        switch liar.rng.below(5) {
        case 0:
            let fetch = FetchCommitted(
                from: sequence, count: liar.rng.chance(perMille: 500) ? .max : 7, bodies: true)
            said.append(Distorted(message: .pbft(shard, .fetchCommitted(fetch)), act: .rubbish))
        case 1:
            let digest = knowledge.anyDigest(mine.shard, using: &liar.rng)
            said.append(Distorted(message: .pbft(shard, .fetchBatch(digest)), act: .rubbish))
        case 2:
            guard !knowledge.requests.isEmpty else { break }
            // Executed long ago, or of other shards.
            let item = BatchItem.request(knowledge.requests[liar.rng.below(knowledge.requests.count)])
            said.append(Distorted(message: .forward(shard, item), act: .rubbish))
        case 3:
            guard let batch = knowledge.bodies.last, let item = batch.items.last else { break }
            said.append(Distorted(message: .forward(shard, item), act: .rubbish))
            let proposal = PrePrepare(view: mine.view, sequence: sequence, batch: batch)
            said.append(Distorted(message: .pbft(shard, .prePrepare(proposal)), act: .rubbish))
        default:
            // A certificate under which nobody's name stands.
            guard let request = knowledge.requests.last else { break }
            let decide = TransactionDecide(
                principal: request.request.principal, number: request.request.number, request: request.digest,
                certificates: [])
            said.append(Distorted(message: .forward(shard, .decide(decide)), act: .rubbish))
        }
        return said
    }
}
