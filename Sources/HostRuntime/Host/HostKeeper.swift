import Logging
import Messages
import Meter
import Synchronization

/// A host that starts again by itself when its disk had no room and has some now.
///
/// A write that failed is never tried again, nor is its sync (R7): the host votes no more, and says why to whoever
/// asks. What it had not written it had not promised. So it goes on as after a crash: from what is on the disk.
public final class HostKeeper: Sendable {
    /// Room for a segment of the journal and for a flush of the state.
    private static let enough: UInt64 = 32 << 20
    private static let (shortest, longest): (Duration, Duration) = (.seconds(1), .seconds(30))

    /// Which host it keeps.
    public let id: HostID
    /// Where its files are, and who else takes part.
    package let cluster: ClusterFolder
    private let keeping: Task<Void, Never>
    private let current: CurrentHost

    /// - Throws: what `Host.start` throws. Once it runs, it is kept running.
    public static func start(
        _ host: HostID, of cluster: ClusterFolder, options: HostRuntimeOptions = .init(), logger: Logger
    ) async throws -> HostKeeper {
        let running = try await Host.start(host, of: cluster, options: options, logger: logger)
        let current = CurrentHost(running)
        return HostKeeper(
            host, of: cluster,
            keeping: Task { await keep(running, as: current, of: cluster, options, logger) }, current: current)
    }

    private init(_ id: HostID, of cluster: ClusterFolder, keeping: Task<Void, Never>, current: CurrentHost) {
        (self.id, self.cluster, self.keeping, self.current) = (id, cluster, keeping, current)
    }

    /// What the host counts: of its last run, which began with zeros; nil between two runs.
    public var metrics: MetricsRegistry? { current.host?.metrics }

    /// What each replica says of itself; nil if the host does not run, or is stopping.
    public func replicas() async -> [ReplicaStatus]? { await current.host?.replicas() }

    /// The same, and what is needed to judge it; nil if the host does not run, or is stopping.
    public func health() async -> HostHealth? { await current.host?.health() }

    /// Stops the host, and waits until it has stopped.
    public func stop() async {
        keeping.cancel()
        await keeping.value
    }

    private static func keep(
        _ first: Host, as current: CurrentHost, of cluster: ClusterFolder, _ options: HostRuntimeOptions,
        _ logger: Logger
    ) async {
        var host: Host? = first
        var pause = shortest
        var options = options
        while let running = host {
            let started = ContinuousClock.now
            let failure = await running.waitForStorageFailure()
            // Otherwise it stays as it is until somebody stops it; so too if the wait is cancelled.
            guard let failure, failure.isForRoom, !Task.isCancelled else {
                await untilCancelled()
                return await running.stop()
            }
            // Address space costs nothing.
            if failure.isFullMap { options.stores.mapSize *= 2 }
            if failure.isFullMap || ContinuousClock.now - started > longest * 2 { pause = shortest }
            logger.warning("it starts again by itself when there is room")
            // A host's folder may be on a disk of its own.
            let folder = (try? cluster.host(running.id))?.path ?? cluster.path
            // Whoever asks over its sessions still hears why it votes no more.
            current.host = nil
            pause = await waitForRoom(on: failure.isFullDisk ? folder : nil, atLeast: pause)
            await running.stop()
            // Another thread may have failed too, for another reason, or the last sync.
            if let worse = await running.furtherFailures().first(where: { !$0.isForRoom }) {
                return await giveUp("\(worse)", logger)
            }
            host = nil
            while host == nil, !Task.isCancelled {
                do {
                    host = try await Host.start(running.id, of: cluster, options: options, logger: logger)
                    current.host = host
                } catch {
                    let failure = StorageFailure.of(error)
                    let what = failure?.description ?? "\(error)"
                    guard failure?.isForRoom ?? (error is ListenFailure) else { return await giveUp(what, logger) }
                    logger.error("cannot start again, and tries later: \(what)")
                    pause = await waitForRoom(on: failure?.isFullDisk == true ? folder : nil, atLeast: pause)
                }
            }
        }
    }

    /// What was written may be lost, or is not what it should be: another try would believe it (R7).
    private static func giveUp(_ what: String, _ logger: Logger) async {
        if Task.isCancelled { return }
        logger.critical("it does not start again by itself, but when it is restarted on a sound disk: \(what)")
        await untilCancelled()
    }

    /// Returns when there is room, as far as the system says, or the task is cancelled.
    /// - Parameters:
    ///   - folder: nil if the disk's room does not tell: a quota, a limit of the process.
    ///   - pause: how long to wait before looking.
    /// - Returns: how long to wait the next time.
    private static func waitForRoom(on folder: String?, atLeast pause: Duration) async -> Duration {
        var pause = pause
        while !Task.isCancelled {
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, longest)
            guard let folder, let room = StorageFailure.room(in: folder), room < enough else { break }
        }
        return pause
    }

    private static func untilCancelled() async {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }
}

/// For those who ask a kept host from other threads.
private final class CurrentHost: Sendable {
    private let kept: Mutex<Host?>

    init(_ host: Host) { kept = Mutex(host) }

    var host: Host? {
        get { kept.withLock { $0 } }
        set { kept.withLock { $0 = newValue } }
    }
}
