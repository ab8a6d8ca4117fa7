/// What a quorum read asks about.
public enum ReadSubject: Hashable, Sendable, CanonicalCodable {
    /// An account. While undecided transactions hold something of it there is no answer (R6).
    case account(AccountID)
    /// The request numbers of a principal that this shard has recorded (R11).
    case principal(PublicKey, at: ShardID)

    /// Kind 1 is an account, kind 2 a principal at a shard. Whether there is such a shard is not looked at.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .account(try reader.value())
        case 2: self = .principal(try reader.value(), at: try reader.value())
        default: throw reader.invalid("read subject kind")
        }
    }
    /// A kind byte, then the account, or key and shard.
    public func encode(into writer: inout ByteWriter) {
        switch self {
        case .account(let account):
            writer.put(UInt8(1))
            writer.put(account)
        case .principal(let key, let shard):
            writer.put(UInt8(2))
            writer.put(key)
            writer.put(shard)
        }
    }

    /// Who can answer.
    public func shard(in map: ShardMap) -> ShardID {
        switch self {
        case .account(let account): map.shard(of: account)
        case .principal(_, let shard): shard
        }
    }
}

/// What a shard has recorded of a principal's request numbers (R11); zeros if it never heard of it.
public struct PrincipalStanding: Hashable, Sendable, CanonicalCodable {
    /// Requests with lower numbers are refused for ever.
    public var acknowledgedBelow: RequestNumber
    /// Above every number that was ever recorded.
    public var nextNumber: RequestNumber

    /// Two numbers of one principal on one shard, or on several together.
    public init(acknowledgedBelow: RequestNumber, nextNumber: RequestNumber) {
        (self.acknowledgedBelow, self.nextNumber) = (acknowledgedBelow, nextNumber)
    }
    /// Any numbers are taken: a statement of one replica proves nothing yet.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (acknowledgedBelow, nextNumber) = (try reader.value(), try reader.value())
    }
    /// Acknowledged below, next number.
    public func encode(into writer: inout ByteWriter) {
        writer.put(acknowledgedBelow)
        writer.put(nextNumber)
    }

    /// What holds for two shards together: a request is numbered once for all its shards.
    public func joined(with other: PrincipalStanding) -> PrincipalStanding {
        PrincipalStanding(
            acknowledgedBelow: max(acknowledgedBelow, other.acknowledgedBelow),
            nextNumber: max(nextNumber, other.nextNumber))
    }
}

/// What one replica says of a subject to whoever asked with this nonce. Given without order: only 2f + 1 equal ones
/// prove anything (R1, R6).
public struct ReadStatement: Hashable, Sendable, CanonicalCodable {
    /// What there is of the subject, of the same kind.
    public enum Value: Hashable, Sendable {
        /// Nil if there is no such account.
        case account(AccountView?)
        /// Zeros if the shard never heard of it.
        case principal(PrincipalStanding)
    }

    /// Signed too, so that it counts in no other cluster.
    public let cluster: ClusterID
    /// The epoch whose keys sign it.
    public let epoch: Epoch
    /// The shard whose replica says it: the subject's own.
    public let shard: ShardID
    /// The asker's own, so that no old answer passes for a new one.
    public let nonce: Digest
    /// What was asked about.
    public let subject: ReadSubject
    /// What there is of it, of the kind of `subject`.
    public let value: Value

    /// Of an account, as the asker named it.
    public init(cluster: ClusterID, epoch: Epoch, shard: ShardID, nonce: Digest, account: AccountID, view: AccountView?)
    {
        (self.cluster, self.epoch, self.shard) = (cluster, epoch, shard)
        (self.nonce, subject, value) = (nonce, .account(account), .account(view))
    }
    /// Of a principal's request numbers on this shard.
    public init(
        cluster: ClusterID, epoch: Epoch, shard: ShardID, nonce: Digest, principal: PublicKey,
        standing: PrincipalStanding
    ) {
        (self.cluster, self.epoch, self.shard) = (cluster, epoch, shard)
        (self.nonce, subject, value) = (nonce, .principal(principal, at: shard), .principal(standing))
    }
    /// The subject's kind says which kind of value follows.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (nonce, subject) = (try reader.value(), try reader.value())
        switch subject {
        case .account: value = .account(try reader.accountView())
        case .principal: value = .principal(try reader.value())
        }
    }
    /// Cluster, epoch, shard, nonce, subject, then the value without a kind of its own: zero if there is no account.
    public func encode(into writer: inout ByteWriter) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(nonce)
        writer.put(subject)
        switch value {
        case .account(let view):
            writer.put(account: view)
        case .principal(let standing): writer.put(standing)
        }
    }

    /// The account, if that was asked for and exists.
    public var view: AccountView? { if case .account(let view) = value { view } else { nil } }
    /// What was asked for, if it was a principal.
    public var standing: PrincipalStanding? { if case .principal(let standing) = value { standing } else { nil } }
}

/// A statement with the two times of whoever made it. The times are signed with it and are no part of what has to be
/// equal: they are each replica's own.
public struct ReadAnswer: Hashable, Sendable, CanonicalCodable {
    /// What must be equal in 2f + 1 answers.
    public let statement: ReadStatement
    /// The shard's time (R2) as this replica has executed it, by which deadlines are judged.
    public let time: Timestamp
    /// The wall clock of the replica's host.
    public let clock: Timestamp
    /// Over statement and times, by the key of the replica's host.
    public let signature: ReplicaSignature

    /// Checks nothing: `Verifier` does.
    public init(statement: ReadStatement, time: Timestamp, clock: Timestamp, signature: ReplicaSignature) {
        (self.statement, self.time, self.clock, self.signature) = (statement, time, clock, signature)
    }
    /// Bounded as its parts are.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, time, clock, signature) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
    }
    /// Statement, time, clock, signature.
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(time)
        writer.put(clock)
        writer.put(signature)
    }

    /// What a replica signs of an answer: the tag of reads, then the hash of statement, time and clock.
    public static func signingBytes(_ statement: ReadStatement, time: Timestamp, clock: Timestamp) -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        writer.put(statement)
        writer.put(time)
        writer.put(clock)
        return signingInput(.read, Hasher256.hash(.read, writer.bytes))
    }
    /// The same for this answer.
    public var signingBytes: [UInt8] { Self.signingBytes(statement, time: time, clock: clock) }
}

/// What the replicas of a shard say of time, each for itself.
public struct ShardTimes: Hashable, Sendable {
    /// The shard whose time it is.
    public let shard: ShardID
    /// One of at least 2f + 1 different replicas.
    public let replicas: [Reading]

    /// What one replica said with its answer to a quorum read.
    public struct Reading: Hashable, Sendable {
        /// Who said it.
        public let replica: ReplicaIndex
        /// The shard's time, as far as this replica has executed.
        public let time: Timestamp
        /// The clock of its host.
        public let clock: Timestamp

        package init(replica: ReplicaIndex, time: Timestamp, clock: Timestamp) {
            (self.replica, self.time, self.clock) = (replica, time, clock)
        }
    }

    package init(shard: ShardID, replicas: [Reading]) { (self.shard, self.replicas) = (shard, replicas) }

    /// The medians lie between what two correct replicas say, whatever f others do.
    public var time: Timestamp { Self.median(replicas.map(\.time)) }
    /// The lower median of the hosts' clocks; 1970 if nobody answered.
    public var clock: Timestamp { Self.median(replicas.map(\.clock)) }

    private static func median(_ times: [Timestamp]) -> Timestamp {
        times.isEmpty ? .zero : times.sorted()[(times.count - 1) / 2]
    }
}

/// A proven read.
public struct ReadProof: Hashable, Sendable {
    /// What 2f + 1 replicas say alike.
    public let statement: ReadStatement
    /// What each of them says of time.
    public let times: ShardTimes
}

extension Verifier {
    /// The subject as 2f + 1 different replicas have it: linearizable, because each answered only after executing all
    /// that it had sent COMMIT for, and one of them had done so for everything that was acknowledged before (R6).
    /// - Throws: if it is not proven.
    public func verify(_ answers: [ReadAnswer], of subject: ReadSubject, nonce: Digest) throws(Refused) -> Verified<
        ReadProof
    > {
        try check(subject)
        let shard = subject.shard(in: manifest.shardMap)
        let group = manifest.group(of: shard)
        guard let statement = answers.first?.statement, answers.count >= group.quorum else {
            throw .tooFewSignatures(got: answers.count, needed: group.quorum)
        }
        guard answers.count <= group.n, statement.subject == subject, statement.nonce == nonce else { throw .badProof }
        for (i, answer) in answers.enumerated() {
            guard answer.statement == statement,
                !answers[..<i].contains(where: { $0.signature.replica == answer.signature.replica })
            else { throw .badProof }
            try check(answer)
        }
        let readings = answers.map { ShardTimes.Reading(replica: $0.signature.replica, time: $0.time, clock: $0.clock) }
        return Verified(checked: ReadProof(statement: statement, times: ShardTimes(shard: shard, replicas: readings)))
    }

    /// Whoever asks names the shard of a principal himself.
    func check(_ subject: ReadSubject) throws(Refused) {
        guard Int(subject.shard(in: manifest.shardMap).number) < manifest.shardCount else { throw .unknownShard }
    }

    /// One answer alone: that its signer said so.
    func check(_ answer: ReadAnswer) throws(Refused) {
        let statement = answer.statement
        guard statement.cluster == manifest.cluster else { throw .wrongCluster }
        guard statement.epoch == manifest.epoch else { throw .wrongEpoch }
        try check(statement.subject)
        guard statement.shard == statement.subject.shard(in: manifest.shardMap) else { throw .unknownShard }
        guard let key = manifest.key(of: answer.signature.replica, in: statement.shard) else { throw .unknownReplica }
        guard scheme.isValid(answer.signature.signature, of: answer.signingBytes, by: key) else { throw .badSignature }
    }
}
