import Messages

/// Carries what shards certify of one root call to the shards that it concerns: calls to callees, responses to callers,
/// the outcome to everybody, and the end back to home (R13). Untrusted like every coordinator; hosts do the same by
/// themselves, only later.
struct CallRelay: Sendable {
    private(set) var root: SignedRequest
    let home: ShardID
    private let map: ShardMap
    /// The newest certificate of each shard, ascending by shard.
    private var newest: [Certificate] = []
    /// Who issued which call: gets its response.
    private var issuers: [CallPath: ShardID] = [:]
    /// Shards that were called, ascending, without home.
    private var called: [ShardID] = []
    private(set) var outcome: Certificate?
    private(set) var isFinished = false

    init(_ root: SignedRequest, home: ShardID, map: ShardMap) { (self.root, self.home, self.map) = (root, home, map) }

    /// The same with another signature, which is right.
    mutating func adopt(_ request: SignedRequest) { root = request }

    /// Nil if it says nothing new.
    mutating func add(_ certificate: Certificate) -> [Coordinator.Action]? {
        guard certificate.leaf.request == root.digest, !isFinished else { return nil }
        let place = newest.firstIndex { $0.shard >= certificate.shard } ?? newest.count
        if place < newest.count, newest[place].shard == certificate.shard {
            guard newest[place].statement.sequence < certificate.statement.sequence,
                newest[place].leaf != certificate.leaf
            else { return nil }
            newest[place] = certificate
        } else {
            guard newest.count < TransactionDecide.maxCertificates else { return nil }
            newest.insert(certificate, at: place)
        }
        for call in certificate.leaf.calls.issued where issuers.count < 4 * CallReport.maxEntries {
            issuers[call.path] = certificate.shard
            noteCalled(map.shard(of: call.invocation.target))
        }
        if certificate.shard == home, outcome == nil, let status = certificate.leaf.status(ofLeg: 0), status.isDecided {
            outcome = certificate
            if case .returned(_, let consumed) = status { for call in consumed { noteCalled(call.shard) } }
            return [.answer(Receipt(request: root, certificates: [certificate]))] + tellOutcome()
        }
        if certificate.shard != home { noteCalled(certificate.shard) }
        return outcome == nil ? tell(certificate) : tellOutcome()
    }

    private mutating func noteCalled(_ shard: ShardID) {
        guard shard != home else { return }
        let place = called.firstIndex { $0 >= shard } ?? called.count
        if place == called.count || called[place] != shard { called.insert(shard, at: place) }
    }

    private func isDone(_ shard: ShardID) -> Bool {
        newest.first { $0.shard == shard }?.leaf.status(ofLeg: 0)?.isDecided ?? false
    }

    /// Calls to those who are called, responses to those who called.
    private func tell(_ certificate: Certificate) -> [Coordinator.Action] {
        var to: [ShardID] = []
        for call in certificate.leaf.calls.issued { to.append(map.shard(of: call.invocation.target)) }
        for path in certificate.leaf.calls.responses.map(\.path) + certificate.leaf.calls.never {
            if let issuer = issuers[path] { to.append(issuer) }
        }
        return send([certificate], to: to.filter { $0 != certificate.shard })
    }

    /// To those that are not done; when all are, home is told, and may forget.
    private mutating func tellOutcome() -> [Coordinator.Action] {
        guard let outcome else { return [] }
        let waiting = called.filter { !isDone($0) }
        guard waiting.isEmpty else { return send([outcome], to: waiting) }
        isFinished = true
        let ends = newest.filter { $0.shard != home }
        return (ends.isEmpty ? [] : send(ends, to: [home])) + [.finished]
    }

    private func send(_ certificates: [Certificate], to shards: [ShardID]) -> [Coordinator.Action] {
        let shards = StatusBoard.unique(shards)
        return shards.isEmpty ? [] : [.sendEvidence(to: shards, CallEvidence(root: root, certificates: certificates))]
    }

    /// Everything that may have been lost.
    var outstanding: [Coordinator.Action] {
        guard !isFinished else { return [] }
        if let outcome { return send([outcome], to: called.filter { !isDone($0) }) }
        return newest.flatMap { tell($0) }
    }
}
