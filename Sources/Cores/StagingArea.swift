import Messages
import ShardState

/// What the store's staging area has of states that are on their way here, and what is on its way there. It outlives a
/// choice: of the next state some buckets are the same. It does not outlive the process, and neither does the area.
struct StagingArea: Sendable {
    private struct Handed {
        let bucket: Int
        let digest: Digest
        let bytes: Int
    }

    /// By bucket; looked up only.
    private var buckets: [Int: BucketSummary] = [:]
    /// In the order in which it was handed over.
    private var unconfirmed: [Handed] = []
    /// What was handed over and is not there yet.
    private(set) var unconfirmedBytes = 0
    /// The largest bucket so far, in bytes: what to expect of others. Nil before there is any.
    private var largest: Int?

    /// All that was handed over is there.
    var isConfirmed: Bool { unconfirmed.isEmpty }

    /// Nil if it has nothing of the bucket, or of another state's.
    func summary(of bucket: Int, _ digest: Digest) -> BucketSummary? {
        guard let summary = buckets[bucket], summary.digest == digest else { return nil }
        return summary
    }

    /// The bucket is empty in the chosen state.
    /// - Returns: false if the area has something in its place, which must go.
    mutating func noteEmpty(_ bucket: Int) -> Bool {
        guard buckets[bucket]?.count ?? 0 == 0 else { return false }
        buckets[bucket] = BucketSummary(bucket: bucket, count: 0, digest: StateDigest.emptyBucketDigest)
        return true
    }

    mutating func hand(_ whole: WholeBucket) {
        let summary = whole.summary
        buckets[summary.bucket] = summary
        unconfirmed.append(Handed(bucket: summary.bucket, digest: summary.digest, bytes: whole.bytes))
        unconfirmedBytes += whole.bytes
        largest = max(largest ?? 1, whole.bytes)
    }

    /// How many more buckets may be asked for, should all be as large as the largest; of unknown size one of a peer.
    func room(within limit: Int, peers: Int) -> Int {
        guard let largest else { return peers }
        return max(0, limit - unconfirmedBytes) / largest
    }

    mutating func confirm(_ bucket: Int, _ digest: Digest) {
        guard let place = unconfirmed.firstIndex(where: { $0.bucket == bucket && $0.digest == digest }) else { return }
        unconfirmedBytes -= unconfirmed.remove(at: place).bytes
    }

    /// All of it was moved to its place, or dropped.
    mutating func clear() { self = StagingArea() }
}
