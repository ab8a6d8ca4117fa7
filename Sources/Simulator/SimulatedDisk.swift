import HostCore
import Messages

/// What survives of a host when its power goes: the journal up to the last sync and some of what followed, in order, and
/// the states that were flushed. The bytes and pages of the real journal have simulations of their own.
struct SimulatedDisk {
    /// Records by segment; a compaction starts a new one.
    private var segments: [[[UInt8]]] = [[]]
    private(set) var appended: UInt64 = 0
    /// Appended and not yet durable.
    private var volatileRecords: [(record: [UInt8], startsSegment: Bool)] = []
    var stores: [ShardID: MemoryStore] = [:]

    mutating func append(_ records: [[UInt8]], compacts: Bool) {
        for (i, record) in records.enumerated() {
            volatileRecords.append((record, compacts && i == 0))
            appended += 1
        }
    }

    /// Everything appended up to this position becomes durable.
    mutating func sync(upTo position: UInt64) {
        let count = volatileRecords.count - Int(appended - min(position, appended))
        harden(count)
        // A compaction's segment is whole now, so the older ones go.
        if segments.count > 1 { segments.removeFirst(segments.count - 1) }
    }

    private mutating func harden(_ count: Int) {
        guard count > 0 else { return }
        for (record, startsSegment) in volatileRecords.prefix(count) {
            if startsSegment { segments.append([]) }
            segments[segments.count - 1].append(record)
        }
        volatileRecords.removeFirst(count)
    }

    /// Power loss: a prefix of what was not synced may have reached the disk all the same. An unfinished compaction
    /// leaves the old segments in place, followed by what there is of the new one.
    mutating func losePower(using rng: inout SplitMix64) {
        if !volatileRecords.isEmpty { harden(rng.below(volatileRecords.count + 1)) }
        segments = [segments.flatMap { $0 }]
        volatileRecords = []
        appended = 0
    }

    /// Where a sync that starts now would get to; nil if there is nothing to sync.
    var unsynced: UInt64? { volatileRecords.isEmpty ? nil : appended }

    var records: [[UInt8]] { segments.flatMap { $0 } }
}
