import CoreMetrics
import Cores
import WriteAheadLog
import LMDBStore
import Logging
import Messages
import Meter
import NIOCore
import ShardState
import Synchronization
import Transport

/// One host of a cluster, running in this process.
public final class Host: Sendable {
    /// Its place in the manifest.
    public let id: HostID
    /// Where it listens.
    public let port: Int
    /// What it counts; whoever asks for its status gets the same.
    public var metrics: MetricsRegistry { counters.registry }
    package let counters: RuntimeCounters
    private let threads: RuntimeThreads
    private let transport: PeerTransport
    private let inbound: HostInbound
    private let engine: NIOLoopBound<HostEngine>
    private let ticker: NIOLoopBound<RepeatedTask>
    private let journal: Mailbox<JournalWriter.Job>
    private let states: Mailbox<StateWriter.Job>
    private let lock: FolderLock
    private let failures: AsyncStream<StorageFailure>
    private let failing: AsyncStream<StorageFailure>.Continuation
    private let logger: Logger

    /// Opens the folder's journal and state, takes up where it left off, and joins the cluster.
    /// - Throws: `ClusterFolderError`, `KeyFileError`, `StorageFailure`, or what the core says of what it found.
    public static func start(
        _ host: HostID, of cluster: ClusterFolder, options: HostRuntimeOptions = .init(), logger: Logger
    ) async throws -> Host {
        do { return try await open(host, of: cluster, options: options, logger: logger) } catch {
            switch error {
            case let error as JournalError: throw StorageFailure(error)
            case let error as LMDBError: throw StorageFailure(error)
            default: throw error
            }
        }
    }

    private static func open(
        _ host: HostID, of cluster: ClusterFolder, options: HostRuntimeOptions, logger: Logger
    ) async throws -> Host {
        let folder = try cluster.host(host)
        var logger = logger
        logger[metadataKey: "cluster"] = "\(folder.manifest.cluster.hex)"
        logger[metadataKey: "host"] = .stringConvertible(host.number)
        let lock = try folder.lock()
        let signer = try folder.signer()
        let bound = try folder.bind(to: options.core.procedures.names)
        try folder.prepareStorage()
        // A state that cannot be read is put aside and fetched anew; each shard's at most once.
        var repairs = folder.manifest.shards(of: host).count
        while true {
            let threads = RuntimeThreads(verifiers: options.verifierThreads, storage: true)
            do {
                return try await HostAssembly(
                    folder: folder, otherProcedures: bound, signer: signer, options: options, threads: threads,
                    logger: logger
                ).assemble(lock: lock)
            } catch HostStartError.state(let shard, let error) where error.isDamage && repairs > 0 {
                repairs -= 1
                await threads.stop()
                let aside = try folder.setAside(folder.statePath(of: shard))
                logger.error(
                    "the state of shard \(shard) is damaged (\(error)): it is put aside as \(aside), and fetched from the other hosts",
                    metadata: ["shard": .stringConvertible(shard.number)])
            } catch {
                await threads.stop()
                throw error
            }
        }
    }

    /// Waits until the host cannot write any more, and has stopped voting for that; for one caller. Nil if the task is
    /// cancelled or the host stops.
    func waitForStorageFailure() async -> StorageFailure? {
        for await failure in failures { return failure }
        return nil
    }

    /// Those that came after it, of a host that has been stopped.
    func furtherFailures() async -> [StorageFailure] { await failures.reduce(into: []) { $0.append($1) } }

    init(
        id: HostID, threads: RuntimeThreads, transport: PeerTransport, inbound: HostInbound,
        engine: NIOLoopBound<HostEngine>,
        ticker: NIOLoopBound<RepeatedTask>, journal: Mailbox<JournalWriter.Job>, states: Mailbox<StateWriter.Job>,
        lock: FolderLock, failures: (AsyncStream<StorageFailure>, AsyncStream<StorageFailure>.Continuation),
        logger: Logger
    ) {
        (self.id, self.threads, self.transport, self.engine, self.ticker) = (id, threads, transport, engine, ticker)
        (self.inbound, (self.failures, failing)) = (inbound, failures)
        (self.journal, self.states, self.lock, self.logger) = (journal, states, lock, logger)
        (port, counters) = (transport.port, transport.counters)
    }

    /// What each replica says of itself; nil if the host is stopping.
    public func replicas() async -> [ReplicaStatus]? {
        let engine = engine
        return try? await threads.protocolLoop.submit { engine.value.replicas }.get() ?? nil
    }

    /// What each replica says of itself and its shard, and with whom there are sessions; nil if the host is stopping.
    public func health() async -> HostHealth? {
        let engine = engine
        guard let replicas = try? await threads.protocolLoop.submit({ engine.value.health }).get() ?? nil,
            let connected = await transport.connected()
        else { return nil }
        return HostHealth(replicas: replicas, connected: connected)
    }

    /// Says nothing more, finishes what the journal was handed and what is being written down, and ends the threads. A
    /// state that waits for its turn to be written down is executed again after the next start.
    public func stop() async {
        let (engine, ticker) = (engine, ticker)
        try? await threads.protocolLoop.submit {
            engine.value.stop()
            ticker.value.cancel()
        }.get()
        await transport.stop()
        inbound.stop()
        let journalClosed = threads.journal.makePromise(of: Void.self)
        journal.post(.close(journalClosed))
        let statesClosed = threads.store.makePromise(of: Void.self)
        states.post(.close(statesClosed))
        try? await journalClosed.futureResult.get()
        try? await statesClosed.futureResult.get()
        await threads.stop()
        failing.finish()
        lock.release()
        logger.info("stopped")
    }
}

/// What is needed to build a host, piece by piece.
private struct HostAssembly {
    let folder: HostFolder
    /// Those that the folder is bound to still, until the journal is known to hold no records; nil if it is bound to
    /// this program's.
    let otherProcedures: [String]?
    let signer: Ed25519Signer
    let options: HostRuntimeOptions
    let threads: RuntimeThreads
    let logger: Logger

    func assemble(lock: FolderLock) async throws -> Host {
        let (manifest, host) = (folder.manifest, folder.host)
        let address = manifest.hosts[Int(host.number)]
        let place = options.listen ?? HostAddress(address: address.address, port: address.port).listening
        let counters = RuntimeCounters()
        counters.note(manifest)
        let counted = HostCounters(shards: manifest.shards(of: host), registry: counters.registry)

        // The engine comes last, because it holds all the others; until then what they say waits in a mailbox.
        let inbox = HostInbox(
            on: threads.protocolLoop,
            bound: HostInboxBound(
                inputs: options.maxWaitingInputs, bytes: options.maxWaitingBytes,
                gatewayBytes: options.maxWaitingGatewayBytes, gateways: options.transport.maxSessions,
                peers: manifest.hosts.count - 1))
        let (folder, logger) = (folder, logger)
        let declared = Mutex(false)
        let (failures, failing) = AsyncStream<StorageFailure>.makeStream()
        let failed: @Sendable (StorageFailure) -> Void = { failing.yield($0) }
        let (journal, records, hasLostRecords) = try await openJournal(
            report: { input in
                if case .persisted = input,
                    declared.withLock({ isDue in
                        defer { isDue = false }; return isDue
                    })
                {
                    // The first records are the quarantine's.
                    do { try folder.forgetDeclaration() } catch { logger.error("\(error)") }
                }
                inbox.post([input])
            }, failed: failed, counters: counted)
        declared.withLock { $0 = hasLostRecords }
        if options.archives { try folder.prepareArchives() }
        let backlog = ArchiveBacklog()
        let (states, environments, index) = try await openStates(
            backlog: backlog, report: { inbox.post([$0]) }, failed: failed, counters: counted)
        let ring = StampRing(options.traces)
        let batchTimes = BatchTimes(manifest: manifest, host: host, registry: counters.registry)
        let inbound = HostInbound(
            manifest: manifest, host: host, options: options.core, threads: threads,
            sessions: options.transport.maxSessions, counters: counters, ring: ring, batchTimes: batchTimes
        ) { inputs, isQuiet in
            let refused = inbox.post(inputs, isQuiet: isQuiet)
            if refused > 0 { counters.inboundFull.increment(by: refused) }
        }
        var transportOptions = options.transport
        transportOptions.procedures = options.core.procedures.names
        let transport = try await PeerTransport.listen(
            manifest: manifest, host: host, seed: signer.seed,
            at: place,
            options: transportOptions, counters: counters, logger: logger, on: threads.io,
            events: { inbound.receive($0) })

        var archives: ArchiveService?
        if let index {
            archives = try await ArchiveService.start(folder, signer: signer, index: index, on: threads.archive) {
                transport.send([$0])
            }
        }
        let loop = threads.protocolLoop
        let signer = signer
        var coreOptions = options.core
        coreOptions.archives = options.archives
        let options = options
        let started = loop.submit { [coreOptions, archives] in
            let stores = try environments.mapValues { try LMDBStore($0) }
            let core = try HostCore(
                manifest: manifest, host: host, signer: signer, options: coreOptions, stores: stores, records: records,
                hasLostRecords: hasLostRecords, now: Clock.now())
            let engine = HostEngine(
                core: core, journal: journal, states: states, archives: archives, backlog: backlog,
                transport: transport,
                inbound: inbound,
                counters: counted, batchTimes: batchTimes, trace: ring.map(HostTrace.init), logger: logger)
            let bound = NIOLoopBound(engine, eventLoop: loop)
            inbox.open { bound.value.run($0) }
            let ticker = Self.tick(each: .milliseconds(Int64(options.tickMilliseconds)), on: loop) {
                // And whatever nobody was woken for.
                inbox.drain()
                return bound.value.tick()
            }
            return (bound, NIOLoopBound(ticker, eventLoop: loop))
        }
        let (engine, ticker): (NIOLoopBound<HostEngine>, NIOLoopBound<RepeatedTask>)
        do { (engine, ticker) = try await started.get() } catch {
            await transport.stop()
            inbound.stop()
            throw error
        }
        // Beside what is served, not before it.
        for shard in manifest.shards(of: host) { states.post(.check(shard)) }
        transport.connect()
        logger.info(
            "host \(host) of cluster \(manifest.cluster.short) listens on \(HostAddress(address: place.address, port: transport.port))"
        )
        return Host(
            id: host, threads: threads, transport: transport, inbound: inbound, engine: engine, ticker: ticker,
            journal: journal,
            states: states, lock: lock, failures: (failures, failing), logger: logger)
    }

    /// After a tick that asked for something the next one comes in half of the time: it may have more to ask for.
    private static func tick(
        each period: TimeAmount, on loop: any EventLoop, _ tick: @escaping @Sendable () -> Bool
    ) -> RepeatedTask {
        let soon = TimeAmount.nanoseconds(period.nanoseconds / 2)
        return loop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in
            if tick() { loop.scheduleTask(in: soon) { _ = tick() } }
        }
    }

    private func openJournal(
        report: @escaping @Sendable (HostInput) -> Void, failed: @escaping @Sendable (StorageFailure) -> Void,
        counters: HostCounters
    ) async throws -> (Mailbox<JournalWriter.Job>, [[UInt8]], hasLostRecords: Bool) {
        let (folder, logger, loop, syncDelay) = (folder, logger, threads.journal, options.syncDelay)
        if syncDelay > .zero {
            logger.warning(
                "each sync of the journal takes \(syncDelay) longer than the disk does: this is for measuring only")
        }
        let (writer, records) = try await loop.submit {
            let storage = PosixJournalStorage(directory: folder.journalPath)
            let (journal, records) = try openOrCreate(storage)
            // Nothing is there that others have executed.
            if otherProcedures != nil { try folder.bindAnew(to: options.core.procedures.names) }
            if !folder.isInitialised { try folder.markInitialised() }
            return (
                NIOLoopBound(
                    JournalWriter(
                        journal, counters: counters, logger: logger, syncDelay: syncDelay, report: report,
                        failed: failed),
                    eventLoop: loop),
                records
            )
        }.get()
        return (Mailbox(on: loop) { writer.value.run($0) }, records, folder.hasLostRecords)
    }

    /// A host that is not initialised and has written no state has never spoken; a first start that was cut short may
    /// have left an empty journal. One that has spoken and lost records, to rot or with its disk, starts with a new
    /// journal, in quarantine (R4).
    private func openOrCreate(_ storage: PosixJournalStorage) throws -> (Journal<PosixJournalStorage>, [[UInt8]]) {
        var random = SystemRandomNumberGenerator()
        // A start that was cut short may have replaced it already.
        if folder.hasLostRecords, let (journal, records) = try? Journal.open(storage), records.isEmpty {
            return (journal, [])
        }
        guard !folder.hasLostRecords else {
            return (try replaceJournal("its records are declared lost", using: &random), [])
        }
        let (journal, records): (Journal<PosixJournalStorage>, [[UInt8]])
        do throws(JournalError) {
            (journal, records) = try Journal.open(storage)
        } catch {
            if case .missing = error, !folder.isInitialised, !folder.hasWrittenState {
                return (try Journal.create(storage, using: &random), [])
            }
            guard error.losesRecords else { throw error }
            try folder.declareLostRecords()
            return (try replaceJournal("\(error)", using: &random), [])
        }
        if !records.isEmpty, !folder.isInitialised {
            if let known = otherProcedures {
                throw ClusterFolderError.otherProcedures(
                    path: folder.path, known: known, ours: options.core.procedures.names)
            }
            logger.warning(
                "\(folder.path) does not say any more that the host has a journal. The journal is there and whole; it is said again"
            )
        }
        return (journal, records)
    }

    private func replaceJournal(
        _ reason: String, using random: inout SystemRandomNumberGenerator
    ) throws -> Journal<PosixJournalStorage> {
        let aside = try folder.setAside(folder.journalPath)
        logger.error(
            "\(reason): the old journal is put aside as \(aside). The host may have forgotten votes, so it takes no part until the shards have moved beyond all that it could have voted for"
        )
        return try Journal.create(PosixJournalStorage(directory: folder.journalPath), using: &random)
    }

    private func openStates(
        backlog: ArchiveBacklog, report: @escaping @Sendable (HostInput) -> Void,
        failed: @escaping @Sendable (StorageFailure) -> Void,
        counters: HostCounters
    ) async throws -> (Mailbox<StateWriter.Job>, [ShardID: LMDBEnvironment], ArchiveWriter.Index?) {
        let (folder, logger, loop) = (folder, logger, threads.store)
        let (writer, environments, index) = try await loop.submit {
            var environments: [ShardID: LMDBEnvironment] = [:]
            var writers: [ShardID: LMDBStoreWriter] = [:]
            var turns: [ShardID: FlushTurn] = [:]
            for shard in folder.manifest.shards(of: folder.host) {
                let environment = try openState(of: shard)
                environments[shard] = environment
                writers[shard] = LMDBStoreWriter(environment)
                let hosts = folder.manifest.hosts(of: shard)
                turns[shard] = FlushTurn(place: hosts.firstIndex(of: folder.host) ?? 0, of: hosts.count)
            }
            let archives =
                options.archives
                ? try ArchiveWriter(folder, bytes: options.archiveBytes, counters: counters, logger: logger) : nil
            let writer = StateWriter(
                writers, turns: turns, archives: archives, backlog: backlog, loop: loop, counters: counters,
                logger: logger,
                report: report, failed: failed)
            return (NIOLoopBound(writer, eventLoop: loop), environments, archives?.index)
        }.get()
        return (Mailbox(on: loop) { writer.value.run($0) }, environments, index)
    }
    private func openState(of shard: ShardID) throws -> LMDBEnvironment {
        let path = folder.statePath(of: shard)
        do throws(LMDBError) {
            return try LMDBEnvironment(path: path, options: options.stores)
        } catch {
            guard error.isDamage else { throw error }
            let aside = try folder.setAside(path)
            logger.error(
                "\(error): the state of shard \(shard) is put aside as \(aside), and fetched from the other hosts",
                metadata: ["shard": .stringConvertible(shard.number)])
            return try LMDBEnvironment(path: path, options: options.stores)
        }
    }
}

extension JournalError {
    fileprivate var losesRecords: Bool {
        switch self {
        case .missing, .rot, .missingSegment: true
        case .storage, .notEmpty, .unknownVersion, .recordTooLarge, .noCompaction, .poisoned: false
        }
    }
}
