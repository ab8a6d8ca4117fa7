import Messages
import ShardState

/// False states for who fetches one.
enum StateTransferLies {
    static func distort(
        _ message: StateTransferMessage, by liar: inout ByzantineHost
    ) -> [(StateTransferMessage, ByzantineAct?)] {
        guard liar.does(.wrongTransfer) else { return [(message, nil)] }
        switch message {
        case .checkpoint(let sequence, let metadata, let buckets):
            liar.hasRobbed = false
            // Often honest: who is not believed is not asked for buckets.
            switch liar.rng.below(10) {
            case 0:
                let wrong = buckets.map { LiarsKnowledge.lie(about: $0) }
                return [(.checkpoint(sequence: sequence, metadata: metadata, buckets: wrong), .wrongTransfer)]
            case 1...3:
                // A state without some of its entries: nobody can be asked for what an empty bucket holds.
                let empty = StateDigest.emptyBucketDigest
                guard
                    let robbed = buckets.indices.filter({ buckets[$0] != empty }).randomElement(using: &liar.rng)
                else { return [(message, nil)] }
                var fewer = buckets
                fewer[robbed] = empty
                liar.hasRobbed = true
                return [(.checkpoint(sequence: sequence, metadata: metadata, buckets: fewer), .wrongTransfer)]
            case 4:
                // A state from the far future, or of another history, if the metadata can still be read.
                var invented = metadata
                let place = liar.rng.chance(perMille: 500) ? 36..<44 : 44..<52
                for i in invented.indices where place.contains(i) {
                    invented[i] = UInt8(truncatingIfNeeded: liar.rng.next())
                }
                let claimed = StateDigest.sequence(ofMetadata: invented) ?? SequenceNumber(.max)
                return [(.checkpoint(sequence: claimed, metadata: invented, buckets: buckets), .wrongTransfer)]
            case 5:
                return [
                    (
                        .checkpoint(sequence: sequence, metadata: metadata, buckets: Array(buckets.dropLast())),
                        .wrongTransfer
                    )
                ]
            // An honest offer that will not be kept.
            default: return [(message, nil)]
            }
        case .bucket(let sequence, let bucket, let part, let isLast, let entries):
            // The rest is as it was offered, or the robbed state would never be taken.
            if liar.hasRobbed { return [(message, nil)] }
            switch liar.rng.below(5) {
            case 0: return [(.gone(sequence: sequence), .wrongTransfer)]
            case 1:
                let nothing = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: [])
                return [(nothing, entries.isEmpty ? nil : .wrongTransfer)]
            case 3:
                // Never the last part.
                let half = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: false, entries: entries)
                return [(half, .wrongTransfer)]
            case 2:
                let wrong = entries.map { StateTransferMessage.StateEntry(key: $0.key, value: $0.value + [0]) }
                let message = StateTransferMessage.bucket(
                    sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: wrong)
                return [(message, entries.isEmpty ? nil : .wrongTransfer)]
            default:
                let other = UInt16(liar.rng.below(65536))
                if !other.isMultiple(of: 2), let last = entries.last {
                    // All that is right, and one before it that is not.
                    let first = StateTransferMessage.StateEntry(
                        key: last.key, value: [UInt8(truncatingIfNeeded: other)])
                    let more = StateTransferMessage.bucket(
                        sequence: sequence, bucket: bucket, part: part, isLast: isLast, entries: [first] + entries)
                    return [(more, .wrongTransfer)]
                }
                let elsewhere = StateTransferMessage.bucket(
                    sequence: sequence, bucket: other, part: part, isLast: isLast, entries: entries)
                return [(elsewhere, .wrongTransfer), (message, nil)]
            }
        case .fetchCheckpoint, .fetchBuckets, .gone: return [(message, nil)]
        }
    }
}
