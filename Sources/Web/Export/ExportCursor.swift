import Messages
import StrictInput

/// How far an export has come: of each shard the last batch that it has. What comes next follows from it.
///
/// Its text, `0:1234,1:998`, is ascending by shard; a shard that is not named begins with its first batch, and the
/// empty text names none.
package struct ExportCursor: Hashable, Sendable, CustomStringConvertible {
    package private(set) var last: [ShardID: SequenceNumber] = [:]

    /// Before everything.
    package init() {}

    /// Nil for anything but a cursor as `description` writes it.
    package init?(_ text: String) {
        guard !text.isEmpty else { return }
        var before: ShardID?
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let numbers = part.split(separator: ":", omittingEmptySubsequences: false)
            guard numbers.count == 2, let shard = UInt16(decimalDigits: numbers[0]),
                let sequence = UInt64(decimalDigits: numbers[1]), sequence > 0, sequence < SequenceNumber.archivable
            else { return nil }
            if let before, before.number >= shard { return nil }
            before = ShardID(shard)
            last[ShardID(shard)] = SequenceNumber(sequence)
        }
    }

    /// 0 before the first.
    package subscript(shard: ShardID) -> SequenceNumber {
        get { last[shard] ?? SequenceNumber(0) }
        set { last[shard] = newValue.number == 0 ? nil : newValue }
    }

    package var description: String {
        last.keys.sorted().map { "\($0):\(self[$0])" }.joined(separator: ",")
    }
}
