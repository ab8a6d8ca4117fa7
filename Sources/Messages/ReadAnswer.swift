/// What one replica says of an account to whoever asked with this nonce. Given without order: only 2f + 1 equal ones prove
/// anything (R1, R6).
public struct ReadStatement: Hashable, Sendable, CanonicalCodable {
    public let cluster: ClusterID
    public let epoch: Epoch
    public let shard: ShardID
    /// The asker's own, so that no old answer passes for a new one.
    public let nonce: Digest
    public let account: AccountID
    /// Nil if there is no such account.
    public let view: AccountView?

    public init(cluster: ClusterID, epoch: Epoch, shard: ShardID, nonce: Digest, account: AccountID, view: AccountView?) {
        (self.cluster, self.epoch, self.shard) = (cluster, epoch, shard)
        (self.nonce, self.account, self.view) = (nonce, account, view)
    }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (cluster, epoch, shard) = (try reader.value(), try reader.value(), try reader.value())
        (nonce, account) = (try reader.value(), try reader.value())
        view = try reader.bool() ? try reader.value() : nil
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(cluster)
        writer.put(epoch)
        writer.put(shard)
        writer.put(nonce)
        writer.put(account)
        writer.put(view != nil)
        if let view { writer.put(view) }
    }

    public var signingBytes: [UInt8] { signingInput(.read, Hasher256.hash(.read, encoded())) }
}

public struct ReadAnswer: Hashable, Sendable, CanonicalCodable {
    public let statement: ReadStatement
    public let signature: ReplicaSignature

    public init(statement: ReadStatement, signature: ReplicaSignature) { (self.statement, self.signature) = (statement, signature) }
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        (statement, signature) = (try reader.value(), try reader.value())
    }
    public func encode(into writer: inout ByteWriter) {
        writer.put(statement)
        writer.put(signature)
    }
}

extension Verifier {
    /// The account as 2f + 1 different replicas have it: linearizable, because each answered only after executing all that it
    /// had sent COMMIT for, and one of them had done so for everything that was acknowledged before (R6).
    /// - Throws: if it is not proven.
    public func verify(_ answers: [ReadAnswer], of account: AccountID, nonce: Digest) throws(Refused) -> Verified<ReadStatement> {
        let group = manifest.group(of: manifest.shardMap.shard(of: account))
        guard let statement = answers.first?.statement, answers.count >= group.quorum else {
            throw .tooFewSignatures(got: answers.count, needed: group.quorum)
        }
        guard answers.count <= group.n, statement.account == account, statement.nonce == nonce else { throw .badProof }
        for (i, answer) in answers.enumerated() {
            guard answer.statement == statement, !answers[..<i].contains(where: { $0.signature.replica == answer.signature.replica })
            else { throw .badProof }
            try check(answer)
        }
        return Verified(checked: statement)
    }

    /// One answer alone: that its signer said so.
    func check(_ answer: ReadAnswer) throws(Refused) {
        let statement = answer.statement
        guard statement.cluster == manifest.cluster else { throw .wrongCluster }
        guard statement.epoch == manifest.epoch else { throw .wrongEpoch }
        guard statement.shard == manifest.shardMap.shard(of: statement.account) else { throw .unknownShard }
        guard let key = manifest.key(of: answer.signature.replica, in: statement.shard) else { throw .unknownReplica }
        guard scheme.isValid(answer.signature.signature, of: statement.signingBytes, by: key) else { throw .badSignature }
    }
}
