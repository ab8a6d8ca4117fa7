import Logging

/// Logs few records of each kind, with the number that it kept back: what an enemy can cause at will, or a peer that is
/// gone for days, must not fill a disk. While something goes on, the time from one record to the next doubles, to five
/// minutes at most; after a quiet time of that length it is news again.
final class LimitedLog {
    private struct Kind {
        var logged: UInt64
        var seen: UInt64
        var held = 0
        /// Nanoseconds from one record to the next.
        var interval: UInt64
    }

    private let logger: Logger
    private var kinds: [String: Kind] = [:]
    static let longest: UInt64 = 300_000_000_000

    init(_ logger: Logger) { self.logger = logger }

    /// - Parameters:
    ///   - kind: one of a few fixed texts.
    ///   - seconds: at most one record in so long.
    ///   - metadata: of each record.
    func warning(
        _ kind: String, every seconds: UInt64 = 1, _ detail: @autoclosure () -> String,
        metadata: @autoclosure () -> Logger.Metadata = [:], now: UInt64 = Clock.uptime()
    ) {
        let shortest = max(1, seconds) * 1_000_000_000
        guard var known = kinds[kind] else {
            kinds[kind] = Kind(logged: now, seen: now, interval: shortest)
            logger.warning("\(kind): \(detail())", metadata: metadata())
            return
        }
        let quiet = now - min(now, known.seen)
        known.seen = now
        guard now - min(now, known.logged) >= known.interval else {
            known.held += 1
            kinds[kind] = known
            return
        }
        let held = known.held
        let more = held > 0 ? " (and \(held) more like it)" : ""
        // What comes back every second or two has not been quiet.
        known.interval =
            quiet >= max(known.interval, 10 * shortest)
            ? shortest : min(known.interval * 2, max(Self.longest, shortest))
        (known.logged, known.held) = (now, 0)
        kinds[kind] = known
        logger.warning(
            "\(kind): \(detail())\(more)",
            metadata: held > 0 ? metadata().merging(["left_out": .stringConvertible(held)]) { $1 } : metadata())
    }
}
