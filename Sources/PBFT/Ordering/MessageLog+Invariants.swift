import Messages

extension Ordering {
    mutating func checkLog(installed: View?, executed: (SequenceNumber) -> Digest?) throws {
        try log.check(installed: installed, executed: executed)
    }
}

extension MessageLog {
    /// - Parameters:
    ///   - installed: the view; nil while it is changing.
    ///   - executed: what was executed here at a sequence number, if it was and is remembered.
    mutating func check(installed: View?, executed: (SequenceNumber) -> Digest?) throws {
        for i in ring.indices {
            let sequence = ring[i].sequence
            try Replica.require(
                contains(sequence) && sequence.number % window == UInt64(i), "slot \(i) holds \(sequence)")
            try ring[i].check(installed: installed, quorum: group.quorum, executed: executed(sequence))
        }
    }
}

extension Slot {
    /// - Parameters:
    ///   - installed: the view; nil while it is changing.
    ///   - executed: what was executed here at this sequence number, if it was and is remembered.
    fileprivate mutating func check(installed: View?, quorum: Int, executed: Digest?) throws {
        if let digest, let view = installed {
            if isPrePrepared {
                try Replica.require(hasBody(digest), "pre-prepared \(sequence) without its body")
                try Replica.require(
                    prePrepared.contains { $0.digest == digest && $0.view == view },
                    "pre-prepared \(sequence) is not in Q")
            }
            if isPrepared {
                try Replica.require(
                    prepared?.digest == digest && prepared?.view == view, "prepared \(sequence) is not in P")
            }
            // A primary that was cut off may have proposed what nobody accepted; what committed is what was executed.
            if let executed, executed != digest, commits.count(of: digest) >= quorum {
                try Replica.require(
                    false, "view \(view) commits \(digest.short) at \(sequence), executed \(executed.short)")
            }
        }
        if let entry = prepared {
            try Replica.require(hasBody(entry.digest), "P's body at \(sequence) is gone")
        }
    }
}
