import Archive
import Cores
import Messages
import NIOCore
import Synchronization
import Transport

/// Answers what others ask of a host's archives, on a thread of its own. It rests after each answer as long as the
/// answer took, so that exports take half of a core at most; what waits is bounded, and more is told so.
final class ArchiveService: Sendable {
    private struct Question: Sendable {
        let session: SessionID
        let id: UInt64
        let query: ArchiveQuery
    }

    private struct State {
        var waiting: [Question] = []
        var isAnswering = false
        var isStopped = false
    }

    private static let maxWaiting = 64
    private static let maxWaitingOfOne = 8

    private let manifest: Manifest
    private let host: HostID
    private let signer: Ed25519Signer
    private let index: ArchiveWriter.Index
    private let readers: NIOLoopBound<Readers>
    private let loop: any EventLoop
    private let send: @Sendable (HostReady.Reply) -> Void
    private let state = Mutex(State())

    /// One a shard.
    private final class Readers {
        let all: [ShardID: ArchiveReader]
        init(_ all: [ShardID: ArchiveReader]) { self.all = all }
    }

    /// - Parameter send: takes answers, on any thread.
    static func start(
        _ folder: HostFolder, signer: Ed25519Signer, index: ArchiveWriter.Index, on loop: any EventLoop,
        send: @escaping @Sendable (HostReady.Reply) -> Void
    ) async throws -> ArchiveService {
        let readers = try await loop.submit {
            var all: [ShardID: ArchiveReader] = [:]
            for shard in folder.manifest.shards(of: folder.host) {
                all[shard] = ArchiveReader(folder.archivePath(of: shard))
            }
            return NIOLoopBound(Readers(all), eventLoop: loop)
        }.get()
        return ArchiveService(
            manifest: folder.manifest, host: folder.host, signer: signer, index: index, readers: readers, on: loop,
            send: send)
    }

    private init(
        manifest: Manifest, host: HostID, signer: Ed25519Signer, index: ArchiveWriter.Index,
        readers: NIOLoopBound<Readers>, on loop: any EventLoop, send: @escaping @Sendable (HostReady.Reply) -> Void
    ) {
        (self.manifest, self.host, self.signer, self.index) = (manifest, host, signer, index)
        (self.readers, self.loop, self.send) = (readers, loop, send)
    }

    /// From any thread.
    func ask(_ query: ArchiveQuery, id: UInt64, from session: SessionID) {
        let (isAdmitted, isFirst) = state.withLock { state -> (Bool, Bool) in
            let own = state.waiting.count { $0.session == session }
            guard !state.isStopped else { return (true, false) }
            guard state.waiting.count < Self.maxWaiting, own < Self.maxWaitingOfOne else { return (false, false) }
            state.waiting.append(Question(session: session, id: id, query: query))
            defer { state.isAnswering = true }
            return (true, !state.isAnswering)
        }
        if !isAdmitted { refuse(.busy, id: id, to: session) }
        if isFirst { loop.execute { self.answerNext() } }
    }

    /// Nothing is answered any more. From any thread, before the threads end.
    func stop() { state.withLock { (state) in (state.waiting, state.isStopped) = ([], true) } }

    /// Without looking.
    func refuse(_ standing: ArchiveAnswer.Standing, id: UInt64, to session: SessionID) {
        send(.init(to: [session], reply: .archive(id: id, .init(standing))))
    }

    private func answerNext() {
        let next = state.withLock { state -> Question? in
            if state.waiting.isEmpty {
                state.isAnswering = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        guard let next else { return }
        let began = Clock.uptime()
        send(.init(to: [next.session], reply: .archive(id: next.id, answer(next.query))))
        let took = Clock.uptime() - began
        guard state.withLock({ !$0.isStopped }) else { return }
        loop.scheduleTask(in: .nanoseconds(Int64(clamping: took))) { self.answerNext() }
    }

    private func answer(_ query: ArchiveQuery) -> ArchiveAnswer {
        guard let contents = index[query.shard], let reader = readers.value.all[query.shard],
            let me = manifest.replica(of: query.shard, on: host)
        else { return .init(.off) }
        let none = ArchiveAnswer(standing: .ready, last: contents.last, next: SequenceNumber(0), entries: [])
        // Whatever is in the files, only what this host can have executed is signed.
        let (cluster, epoch) = (manifest.cluster, manifest.epoch)
        let found = reader.read(
            contents, from: query.from, count: Int(query.count), bytes: ArchiveAnswer.maxBytes
        ) { batch in
            let statement = batch.statement
            return statement.cluster == cluster && statement.epoch == epoch && statement.shard == query.shard
                && batch.isWhole
        }
        guard let (next, batches) = found else { return none }
        let entries = batches.prefix(Int(query.count)).map { batch in
            ArchiveAnswer.Entry(
                statement: batch.statement,
                signature: ReplicaSignature(replica: me, signature: signer.sign(batch.statement.signingBytes)),
                batch: query.wantsBatches ? batch : nil)
        }
        return ArchiveAnswer(standing: .ready, last: contents.last, next: next, entries: entries)
    }
}
