import Synchronization

/// Bytes of executed batches that wait for the thread which archives them. For any thread.
package final class ArchiveBacklog: Sendable {
    private let bytes = Mutex(0)
    private let limit: Int

    /// - Parameter limit: what may wait.
    package init(limit: Int = 64 << 20) { self.limit = limit }

    /// A start has at once what it has executed again, which is in memory already: that counts as half of what may wait,
    /// so that what comes next has room beside it.
    private func counted(_ size: Int) -> Int { min(size, limit / 2) }

    /// - Returns: false if there is no room; otherwise `leave` is to follow.
    package func enter(_ size: Int) -> Bool {
        bytes.withLock { bytes in
            guard bytes + counted(size) <= limit else { return false }
            bytes += counted(size)
            return true
        }
    }

    package func leave(_ size: Int) { bytes.withLock { $0 -= counted(size) } }
}
