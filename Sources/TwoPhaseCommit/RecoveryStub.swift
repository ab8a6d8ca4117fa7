import Messages
public struct Recovery: Sendable { public init(shard: ShardID) {}
 public mutating func add(_ push: Verified<RecoveryPush>) -> TransactionDecide? { nil }
 public func request(_ d: Digest) -> SignedRequest? { nil } }
