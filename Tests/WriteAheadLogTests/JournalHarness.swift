import Randomness
import WriteAheadLog
import Simulator
import Testing

/// A journal driven at random beside a model of what it must keep.
struct JournalHarness {
    private(set) var rng: SplitMix64
    let seed: UInt64
    let options: JournalOptions
    private(set) var storage: FailingStorage
    private var journal: Journal<FailingStorage>?
    /// Everything that a replay would give if all of it survived.
    private(set) var log: [[UInt8]] = []
    /// The first of `log` that must survive.
    private(set) var durable = 0
    /// Where the unfinished compaction begins in `log`, and where its records alone would be the journal.
    private var compactionStart: Int?
    /// A compaction is being finished: from here alone is a right answer too.
    private var finishing: Int?
    /// After a crash the same bytes are appended again: what is left of a torn tail must not be taken for them.
    private let repeatsPayloads: Bool
    private var counter: UInt64 = 0

    init(seed: UInt64) throws {
        (self.seed, rng) = (seed, SplitMix64(seed: seed))
        repeatsPayloads = rng.chance(perMille: 500)
        options = JournalOptions(segmentSize: [16, 32, 64][rng.below(3)] << 10, spareSegments: rng.below(3))
        storage = FailingStorage(SimulatedJournalStorage())
        journal = try Journal.create(storage, options: options, using: &rng)
    }

    private mutating func payload() -> [UInt8] {
        let number = repeatsPayloads ? UInt64(log.count) : counter
        counter += 1
        var generator = SplitMix64(seed: number &* 7919 &+ (repeatsPayloads ? 0 : seed))
        let size =
            switch generator.below(20) {
            case 0: 0
            case 1: generator.below(40_000)
            case 2...4: generator.below(6_000)
            default: generator.below(500)
            }
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            for i in 0..<size {
                buffer.initializeElement(at: i, to: UInt8(truncatingIfNeeded: i ^ Int(truncatingIfNeeded: number)))
            }
            count = size
        }
    }

    mutating func run(steps: Int) throws {
        for _ in 0..<steps {
            if storage.operationsLeft == nil, rng.chance(perMille: 60) { storage.operationsLeft = rng.below(12) }
            if rng.chance(perMille: 10) { storage.disk.failsNextSync = true }
            if rng.chance(perMille: 50) {
                try crash()
                continue
            }
            do throws(JournalError) {
                try step()
            } catch {
                // Whatever failed, nothing more may be written (R7).
                var poisoned = false
                do throws(JournalError) { try journal?.sync() } catch { if case .poisoned = error { poisoned = true } }
                #expect(poisoned, "seed \(seed): a failed journal took another call")
                try crash()
            }
            if rng.chance(perMille: 150) { try inspectPowerLoss() }
        }
    }

    private mutating func step() throws(JournalError) {
        switch rng.below(100) {
        case 0..<50:
            let bytes = payload()
            log.append(bytes)
            try journal?.append(bytes)
        case 50..<82:
            try journal?.sync()
            durable = log.count
        case 82..<85:
            try journal?.syncAndMark()
            durable = log.count
        case 85..<90:
            compactionStart = log.count
            try journal?.beginCompaction()
            durable = log.count
        default:
            guard let start = compactionStart else { return }
            finishing = start
            try journal?.finishCompaction()
            log.removeFirst(start)
            (durable, compactionStart, finishing) = (log.count, nil, nil)
        }
    }

    /// A power loss that the run itself does not suffer.
    private mutating func inspectPowerLoss() throws {
        let image = storage.disk.powerLoss(using: &rng)
        let opened = try open(FailingStorage(image))
        check(opened.records)
    }

    /// Power loss or kill, restart, and on with what was found; sometimes the restart crashes too.
    private mutating func crash() throws {
        journal = nil
        var storage = self.storage
        while true {
            let disk = rng.chance(perMille: 300) ? storage.disk : storage.disk.powerLoss(using: &rng)
            disk.failsNextSync = false
            storage = FailingStorage(disk)
            if rng.chance(perMille: 200) { storage.operationsLeft = rng.below(8) }
            do {
                let opened = try open(storage)
                check(opened.records)
                log = opened.records
                journal = opened.journal
                break
            } catch let error as JournalError {
                guard storage.isDead else {
                    Issue.record("seed \(seed): \(error)")
                    throw error
                }
            }
        }
        // A reader may have acted on what was replayed: it must not be lost later.
        (durable, compactionStart, finishing) = (log.count, nil, nil)
        storage.operationsLeft = nil
        self.storage = storage
    }

    private func open(_ storage: FailingStorage) throws -> (journal: Journal<FailingStorage>, records: [[UInt8]]) {
        do { return try Journal.open(storage, options: options) } catch {
            if !storage.isDead { Issue.record("seed \(seed): a crash was taken for \(error)") }
            throw error
        }
    }

    /// A prefix with everything that was durable; or, while a compaction is being finished, its own records alone.
    private func check(_ found: [[UInt8]]) {
        let whole = found.count >= durable && found.count <= log.count && found == Array(log.prefix(found.count))
        let compacted = finishing.map { found == Array(log[$0...]) } ?? false
        #expect(
            whole || compacted, "seed \(seed): found \(found.count) records, \(durable) durable, \(log.count) appended")
    }

    /// Ends with a mark, then damages one byte: everything is found, or an error says that it is not.
    mutating func rotOneByte() throws {
        storage.operationsLeft = nil
        storage.disk.failsNextSync = false
        do throws(JournalError) { try journal?.syncAndMark() } catch { return }
        let names = storage.disk.names().filter { $0.hasPrefix("journal-") }
        let name = names[rng.below(names.count)]
        let offset = rng.below(try storage.disk.read(name).count)
        storage.disk.corrupt(name, at: offset)
        do throws(JournalError) {
            let opened = try Journal.open(storage, options: options)
            #expect(opened.records == log, "seed \(seed): rot of \(name) at \(offset) lost records silently")
        } catch {
            switch error {
            case .rot, .missingSegment: break
            case .storage, .missing, .notEmpty, .unknownVersion, .recordTooLarge, .noCompaction, .poisoned:
                Issue.record("seed \(seed): rot of \(name) at \(offset) gave \(error)")
            }
        }
    }
}
