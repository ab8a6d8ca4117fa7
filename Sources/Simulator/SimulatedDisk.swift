import Randomness
import Cores
import WriteAheadLog
import Messages

/// A host's disk: the production journal on simulated pages, and the states that were flushed. After a power loss a
/// host finds what the journal makes of the pages that are left.
struct SimulatedDisk {
    /// Records that the host gave and no sync has covered, as they came.
    private struct Job {
        let records: [[UInt8]]
        let compacts: Bool
        /// The position after them.
        let end: UInt64
    }

    struct Opened {
        let records: [[UInt8]]
        /// Durable records are gone: the host may have forgotten what it said (R4).
        let lostRecords: Bool
        /// So are the last ones, which rotted after nothing more was written: nobody can tell them from a tail that was
        /// never synced. Such a host is one of the faulty ones.
        var lostSilently = false
    }

    /// Small segments, so that a short run fills several and writes over old ones.
    private static let layout = JournalOptions(segmentSize: 16 << 10, spareSegments: 2)

    private var storage = FailingStorage(SimulatedJournalStorage())
    private var journal: Journal<FailingStorage>?
    private var hasStarted = false
    /// Stands for the host folder's marker: the journal is not to be believed, and a new one does not say so durably
    /// yet.
    private var isDeclaredLost = false
    private var jobs: [Job] = []
    /// The last record that a sync covered, the last one of the sync before, and whether something has rotted since the
    /// start.
    private var synced: (last: [UInt8]?, before: [UInt8]?) = (nil, nil)
    private var hasRotted = false
    private(set) var appended: UInt64 = 0
    /// Why nothing is written any more.
    private(set) var failure: String?
    var stores: [ShardID: MemoryStore] = [:]

    /// As a host does when it starts.
    mutating func open(using rng: inout SplitMix64) throws -> Opened {
        (jobs, appended, failure) = ([], 0, nil)
        storage.repair()
        guard hasStarted else {
            hasStarted = true
            // Only now: a copy of a disk that was never used must not share its pages.
            storage = FailingStorage(SimulatedJournalStorage())
            journal = try Journal.create(storage, options: Self.layout, using: &rng)
            return Opened(records: [], lostRecords: false)
        }
        do throws(JournalError) {
            if isDeclaredLost { throw .missing(path: storage.path) }
            let opened = try Journal.open(storage, options: Self.layout)
            journal = opened.journal
            let isGone = { (record: [UInt8]?) in record.map { !opened.records.contains($0) } ?? false }
            defer { hasRotted = false }
            return Opened(
                records: opened.records, lostRecords: false,
                lostSilently: hasRotted && isGone(synced.last) && !isGone(synced.before))
        } catch {
            switch error {
            case .rot, .missingSegment, .missing: break
            case .storage, .notEmpty, .unknownVersion, .recordTooLarge, .noCompaction, .poisoned: throw error
            }
            isDeclaredLost = true
            storage = FailingStorage(SimulatedJournalStorage())
            journal = try Journal.create(storage, options: Self.layout, using: &rng)
            return Opened(records: [], lostRecords: true)
        }
    }

    mutating func append(_ records: [[UInt8]], compacts: Bool) {
        guard !records.isEmpty || compacts, failure == nil else { return }
        appended += UInt64(records.count)
        jobs.append(Job(records: records, compacts: compacts, end: appended))
    }

    /// Where a sync that starts now would get to; nil if there is nothing to sync.
    var unsynced: UInt64? { jobs.isEmpty || failure != nil ? nil : appended }

    /// Everything appended up to this position becomes durable, or `failure` says why not.
    mutating func sync(upTo position: UInt64) {
        guard failure == nil else { return }
        let count = jobs.firstIndex { $0.end > position } ?? jobs.count
        do throws(JournalError) { try write(count) } catch {
            failure = "\(error)"
            jobs = []
        }
    }

    /// What the host's journal thread does.
    private mutating func write(_ count: Int) throws(JournalError) {
        for job in jobs.prefix(count) {
            if job.compacts { try journal?.beginCompaction() }
            for record in job.records { try journal?.append(record) }
            if job.compacts { try journal?.finishCompaction() }
        }
        if Mutant.is(.journalNeverSynced) { return jobs.removeFirst(count) }
        try journal?.sync()
        if let last = jobs.prefix(count).last(where: { !$0.records.isEmpty })?.records.last {
            synced = (last, synced.last)
        }
        jobs.removeFirst(count)
        // The quarantine's records are the first.
        isDeclaredLost = false
    }

    /// What an operator does with a host whose peers say that it forgot votes.
    mutating func declareLost() { isDeclaredLost = true }

    /// The power goes, perhaps in the middle of what the journal's thread does: pages and names that were not synced
    /// are kept, lost and torn one by one. If only the process dies, the kernel keeps what was written.
    mutating func stop(losesPower: Bool, using rng: inout SplitMix64) {
        if !jobs.isEmpty, failure == nil {
            storage.operationsLeft = rng.below(10)
            // It throws where the power goes; nothing after that is written.
            do throws(JournalError) { try write(1 + rng.below(jobs.count)) } catch { failure = "\(error)" }
        }
        (journal, jobs) = (nil, [])
        if losesPower { storage = FailingStorage(storage.disk.powerLoss(using: &rng)) }
    }

    mutating func losePower(using rng: inout SplitMix64) { stop(losesPower: true, using: &rng) }

    // MARK: Damage

    enum Failure: CaseIterable {
        case sync, write, full, flush
    }

    /// The next operation of that kind fails, or all until the next start.
    mutating func fail(_ kind: Failure) {
        switch kind {
        case .sync: storage.disk.failsNextSync = true
        case .write: storage.disk.failsNextWrite = true
        case .full: storage.disk.diskIsFull = true
        case .flush: for shard in stores.keys.sorted() { stores[shard]?.failNextApply() }
        }
    }

    /// What has not failed yet does not.
    mutating func heal() { storage.repair() }

    /// One byte of the journal is no longer what was written.
    mutating func rot(using rng: inout SplitMix64) {
        hasRotted = true
        let names = storage.disk.names()
        guard !names.isEmpty else { return }
        storage.disk.corrupt(names[rng.below(names.count)], at: rng.below(Self.layout.segmentSize))
    }

    /// A new disk in the place of the old one.
    mutating func wipe() {
        (journal, jobs) = (nil, [])
        storage = FailingStorage(SimulatedJournalStorage())
        stores = [:]
    }
}
