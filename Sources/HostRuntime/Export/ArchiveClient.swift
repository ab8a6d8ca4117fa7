import Messages
import NIOCore
import NIOPosix

/// Why an export cannot go on.
public enum ArchiveClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Batches are executed, and f + 1 hosts do not have them any more.
    case missing(ShardID, from: SequenceNumber, to: SequenceNumber, needed: Int, detail: String)
    /// Too few hosts answer to know.
    case unreachable(ShardID, answering: Int, needed: Int, detail: String)
    /// Hosts say different things, each under its signature, or the batches do not follow each other.
    case contradiction(ShardID, at: SequenceNumber, detail: String)
    /// Hosts said that they have batches, and do not give them now.
    case short(ShardID, after: SequenceNumber, end: SequenceNumber)

    /// What is missing where, and what to do.
    public var description: String {
        switch self {
        case .missing(let shard, let from, let to, let needed, let detail):
            "shard \(shard), batches \(from) to \(to): \(needed) hosts with the same word are needed, and not so many have archived them (\(detail)). Go on behind them with a cursor that has \(shard):\(to)"
        case .unreachable(let shard, let answering, let needed, let detail):
            "shard \(shard): \(answering) hosts answer for their archives, and \(needed) are needed (\(detail))"
        case .contradiction(let shard, let sequence, let detail):
            "shard \(shard), batch \(sequence): no \(detail)"
        case .short(let shard, let after, let end):
            "shard \(shard): hosts have archived batches to \(end), and too few give what comes after batch \(after) just now. Go on from the cursor"
        }
    }
}

/// What one host says of its archive from a batch on, and what it has signed of that batch.
package struct ArchiveClaim: Sendable {
    package let host: HostID
    /// As in `ArchiveAnswer`; a liar says what he likes.
    package let (last, next): (SequenceNumber, SequenceNumber)
    /// Its own signature of this statement is valid.
    package let has: AttestationStatement?

    package init(host: HostID, last: SequenceNumber, next: SequenceNumber, has: AttestationStatement?) {
        (self.host, self.last, self.next, self.has) = (host, last, next, has)
    }

    package enum Judgement: Hashable, Sendable {
        /// So many have signed the same that one of them is honest.
        case given(by: [HostID])
        /// Too few have come so far, or have answered.
        case notYet
        /// All but f have come beyond it, and fewer than f + 1 have it; to the last that is so of.
        case missing(to: SequenceNumber)
        /// So many have it, and do not sign the same.
        case contradiction
    }

    /// Up to f claims are lies, and up to f hosts do not answer.
    package static func judge(_ claims: [ArchiveClaim], first: SequenceNumber, group: ReplicaGroup) -> Judgement {
        var by: [AttestationStatement: [HostID]] = [:]
        for claim in claims { if let has = claim.has { by[has, default: []].append(claim.host) } }
        if let hosts = by.values.first(where: { $0.count >= group.weakQuorum }) { return .given(by: hosts) }
        let reaching = claims.filter { $0.last >= first }
        guard reaching.count >= group.n - group.f else { return .notYet }
        guard reaching.count(where: { $0.has != nil }) < group.weakQuorum else { return .contradiction }
        // Of f + 1 values of either kind one is honest.
        let reached = reaching.map(\.last).sorted(by: >)[group.weakQuorum - 1]
        let nexts = reaching.map(\.next).filter { $0 > first }.sorted()
        var end = reached
        if nexts.count >= group.weakQuorum {
            end = min(end, SequenceNumber(nexts[group.weakQuorum - 1].number - 1))
        }
        return .missing(to: max(end, first))
    }
}

/// Reads a cluster's executed batches from the archives of its hosts, and believes none of them: a batch is given out
/// when f + 1 hosts have signed the same, and it follows the one before.
public actor ArchiveClient {
    private let manifest: Manifest
    private let group: any EventLoopGroup
    private let timeout: Duration
    private let addresses: [HostID: HostAddress]
    private var verifier: Verifier<Ed25519Scheme>
    private var connections: [HostID: HostConnection] = [:]
    /// Hosts that could not be reached are left alone for a while.
    private var failures: [HostID: (why: String, until: ContinuousClock.Instant)] = [:]
    /// Whom batches were had from last, by shard; the next is asked first when he has them not.
    private var preferred: [ShardID: Int] = [:]
    private static let rest = Duration.seconds(1)
    /// The same of one that does not answer: each time it is asked costs the whole timeout.
    private static let longRest = Duration.seconds(20)

    /// - Parameters:
    ///   - addresses: where hosts are reached, if not where the manifest says.
    ///   - timeout: for one answer.
    public init(
        _ manifest: Manifest, addresses: [HostID: HostAddress] = [:], timeout: Duration = .seconds(5),
        on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        (self.manifest, self.addresses, self.timeout, self.group) = (manifest, addresses, timeout, group)
        verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme(), remembered: 1024)
    }

    /// Ends all sessions.
    public func close() async {
        let all = connections.values
        connections = [:]
        for connection in all { await connection.close() }
    }

    // MARK: Sessions

    private func ask(_ host: HostID, _ query: ArchiveQuery) async -> Result<ArchiveAnswer, HostConnectionError> {
        if let failure = failures[host], failure.until > .now {
            return .failure(.cannotConnect(host, failure.why))
        }
        do {
            let connection: HostConnection
            if let known = connections[host] {
                connection = known
            } else {
                let made = try await HostConnection.connect(to: host, of: manifest, at: addresses[host], on: group)
                // Somebody else may have asked meanwhile.
                if let known = connections[host] {
                    await made.close()
                    connection = known
                } else {
                    connections[host] = made
                    connection = made
                }
            }
            failures[host] = nil
            // Ever longer, for a host that has much to answer.
            for pause in [50, 200, 1000] {
                let answer = try await connection.archive(query, timeout: timeout)
                if answer.standing != .busy { return .success(answer) }
                try await Task.sleep(for: .milliseconds(pause))
            }
            return .success(ArchiveAnswer(.busy))
        } catch {
            if let connection = connections.removeValue(forKey: host) { await connection.close() }
            if !(error is CancellationError) {
                let isSlow = if case HostConnectionError.timeout = error { true } else { false }
                failures[host] = ("\(error)", .now + (isSlow ? Self.longRest : Self.rest))
            }
            return .failure((error as? HostConnectionError) ?? .lost(host, "\(error)"))
        }
    }

    private func askAll(
        _ hosts: [HostID], _ query: ArchiveQuery
    ) async -> [(host: HostID, answer: Result<ArchiveAnswer, HostConnectionError>)] {
        await withTaskGroup(of: (HostID, Result<ArchiveAnswer, HostConnectionError>).self) { tasks in
            for host in hosts { tasks.addTask { (host, await self.ask(host, query)) } }
            var answers: [(host: HostID, answer: Result<ArchiveAnswer, HostConnectionError>)] = []
            for await (host, answer) in tasks { answers.append((host, answer)) }
            return answers.sorted { $0.host < $1.host }
        }
    }

    // MARK: Reading

    /// How far f + 1 hosts have archived a shard: an export that is to end, ends there.
    /// - Throws: `ArchiveClientError.unreachable`.
    public func end(of shard: ShardID) async throws -> SequenceNumber {
        let needed = manifest.group(of: shard).weakQuorum
        let query = ArchiveQuery(shard: shard, from: SequenceNumber(.max), count: 0, wantsBatches: false)
        let answers = await askAll(manifest.hosts(of: shard).sorted(), query)
        let lasts = answers.compactMap { $0.answer.ready?.last }.sorted(by: >)
        guard lasts.count >= needed else { throw unreachable(shard, answers.map { ($0.host, $0.answer) }) }
        return lasts[needed - 1]
    }

    /// The batches that follow, as many as there are and one answer holds.
    /// - Parameters:
    ///   - after: the last that is known.
    ///   - history: after that one, if it is known.
    ///   - count: how many at most.
    /// - Returns: none if f + 1 hosts do not give more yet.
    /// - Throws: `ArchiveClientError`.
    public func batches(
        of shard: ShardID, after: SequenceNumber, history: Digest?, count: Int
    ) async throws -> [ExportedBatch] {
        // Archives lag behind each other by milliseconds: what is wrong is looked at again before it is said.
        for pause in [200, 500] {
            do { return try await look(for: shard, after: after, history: history, count: count) } catch {
                switch error as? ArchiveClientError {
                case .missing, .contradiction: try await Task.sleep(for: .milliseconds(pause))
                case .unreachable, .short, nil: throw error
                }
            }
        }
        return try await look(for: shard, after: after, history: history, count: count)
    }

    private func look(
        for shard: ShardID, after: SequenceNumber, history: Digest?, count: Int
    ) async throws -> [ExportedBatch] {
        guard after.number < SequenceNumber.archivable else { return [] }
        let first = SequenceNumber(after.number + 1)
        let hosts = manifest.hosts(of: shard)
        let needed = manifest.group(of: shard).weakQuorum
        let limit = UInt32(clamping: min(max(1, count), Int(ArchiveQuery.maxCount)))
        // Their signatures, which are small, of all at once; the batches of one host after another.
        let signed = await askAll(
            hosts.sorted(), ArchiveQuery(shard: shard, from: first, count: limit, wantsBatches: false))
        let ready = signed.compactMap { entry in entry.answer.ready.map { (entry.host, $0) } }
        guard ready.count >= needed else { throw unreachable(shard, signed.map { ($0.host, $0.answer) }) }
        // What they say of themselves counts for nothing without their signature.
        var signatures: [AttestationStatement: [ReplicaSignature]] = [:]
        var claims: [ArchiveClaim] = []
        for (host, answer) in ready {
            guard let replica = manifest.replica(of: shard, on: host) else { continue }
            var has: AttestationStatement?
            for entry in answer.entries where entry.signature.replica == replica && answer.next == first {
                signatures[entry.statement, default: []].append(entry.signature)
                if has == nil, entry.statement.shard == shard, entry.statement.sequence == first,
                    (try? verifier.verify(entry.signature, of: entry.statement)) != nil
                {
                    has = entry.statement
                }
            }
            claims.append(ArchiveClaim(host: host, last: answer.last, next: answer.next, has: has))
        }
        let having: [HostID]
        switch ArchiveClaim.judge(claims, first: first, group: manifest.group(of: shard)) {
        case .given(let by): having = by
        case .notYet: return []
        case .contradiction:
            throw ArchiveClientError.contradiction(shard, at: first, detail: "\(needed) hosts sign the same")
        case .missing(let to):
            let detail = claims.filter { $0.last >= first }.map { claim in
                claim.next.number == 0
                    ? "host \(claim.host) has none from there on" : "host \(claim.host) begins with \(claim.next)"
            }
            throw ArchiveClientError.missing(
                shard, from: first, to: to, needed: needed, detail: detail.joined(separator: ", "))
        }
        let start = preferred[shard] ?? Int(shard.number)
        var refusal = "host gave a batch that \(needed) hosts sign"
        var haveAllAnswered = true
        for i in having.indices {
            let host = having[(start + i) % having.count]
            let answer = await ask(host, ArchiveQuery(shard: shard, from: first, count: limit, wantsBatches: true))
            guard let answer = answer.ready, answer.next == first, !answer.entries.isEmpty else {
                haveAllAnswered = false
                continue
            }
            let (certified, why) = certify(
                answer.entries, shard: shard, first: first, history: history, signatures, needed: needed)
            if let why { refusal = why }
            guard !certified.isEmpty else { continue }
            preferred[shard] = (start + i) % having.count
            return certified
        }
        preferred[shard] = start + 1
        // One of them is honest, and may be who is busy just now.
        guard haveAllAnswered else { return [] }
        throw ArchiveClientError.contradiction(shard, at: first, detail: refusal)
    }

    /// As many from the first as are whole, follow each other, and have f + 1 signatures.
    /// - Returns: beside them, why there are no more, unless the signatures just end.
    private func certify(
        _ entries: [ArchiveAnswer.Entry], shard: ShardID, first: SequenceNumber, history: Digest?,
        _ signatures: [AttestationStatement: [ReplicaSignature]], needed: Int
    ) -> (batches: [ExportedBatch], why: String?) {
        var (expected, history) = (first.number, history)
        if expected == 1 { history = .null }
        var certified: [ExportedBatch] = []
        for entry in entries {
            guard let batch = entry.batch, batch.shard == shard, batch.sequence.number == expected, batch.isWhole else {
                return (certified, "host gave the batch whole")
            }
            if let history, batch.statement.previousHistory != history {
                return (certified, "host gave a batch that follows the one before")
            }
            var by: [ReplicaIndex: ReplicaSignature] = [:]
            for signature in signatures[batch.statement] ?? [] where by.count < needed {
                guard (try? verifier.verify(signature, of: batch.statement)) != nil else { continue }
                by[signature.replica] = signature
            }
            guard by.count >= needed else { return (certified, nil) }
            certified.append(
                ExportedBatch(batch: batch, signatures: by.values.sorted { $0.replica < $1.replica }))
            (expected, history) = (expected + 1, batch.statement.history)
        }
        return (certified, nil)
    }

    private func unreachable(
        _ shard: ShardID, _ answers: [(HostID, Result<ArchiveAnswer, HostConnectionError>)]
    ) -> ArchiveClientError {
        var answering = 0
        var detail: [String] = []
        for (host, answer) in answers {
            switch answer {
            case .failure(let error): detail.append("\(error)")
            case .success(let answer):
                switch answer.standing {
                case .ready: answering += 1
                case .off: detail.append("host \(host) keeps no archive")
                case .busy: detail.append("host \(host) is busy")
                case .silent: detail.append("host \(host) attests nothing just now")
                }
            }
        }
        return .unreachable(
            shard, answering: answering, needed: manifest.group(of: shard).weakQuorum,
            detail: detail.joined(separator: "; "))
    }
}

extension Result where Success == ArchiveAnswer {
    fileprivate var ready: ArchiveAnswer? {
        guard case .success(let answer) = self, answer.standing == .ready else { return nil }
        return answer
    }
}
