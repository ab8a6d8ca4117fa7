import Randomness
import Glibc
import Cores
import Messages
import Simulator

/// A recorded run, and what its images show.
struct Trial {
    struct Options {
        var seed: UInt64 = 1
        /// Moments at which the power goes; each gives an image of every host's disk.
        var images = 300
        /// At so many of them all hosts start again and go on together.
        var revivals = 40
        var transfers = 120
        var fates = Fate.allCases
        var mistake = PowerLossCluster.Mistake.none
        var lies: (String) -> Bool = { _ in false }
        /// For looking at, when something is wrong with it.
        var keepsImage = true
    }

    struct Summary {
        var images = 0
        var revivals = 0
        var calls = 0
        var syncs = 0
        var messages = 0
        var answers = 0
        /// Sequence numbers that were attested.
        var attested = 0
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let options: Options
    /// Holds `live`, the recorded hosts, and `image`, what is started from.
    private let folder: String
    private var rng: SplitMix64
    private(set) var summary = Summary()

    static func run(_ options: Options) throws -> Summary {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/quorate-power-loss-XXXXXX").utf8CString)
        guard let folder = mkdtemp(&template).map({ String(cString: $0) }) else {
            throw Failure(description: "cannot make \(base)/…")
        }
        defer { removeTree(folder + "/live") }
        var trial = Trial(options: options, folder: folder)
        do {
            try trial.cutEverywhere(try trial.recordRun())
        } catch {
            if !options.keepsImage { removeTree(folder) }
            throw error
        }
        removeTree(folder)
        return trial.summary
    }

    private init(options: Options, folder: String) {
        (self.options, self.folder) = (options, folder)
        rng = SplitMix64(seed: options.seed ^ 0xD15C)
    }

    private var live: String { folder + "/live" }
    private var image: String { folder + "/image" }

    // MARK: - The run

    private mutating func recordRun() throws -> [DiskCall] {
        guard mkdir(live, 0o700) == 0 else { throw Failure(description: "cannot make \(live): \(errno)") }
        try Recorder.start(live)
        do { try runAll() } catch {
            _ = Recorder.stop()
            throw error
        }
        return Recorder.stop()
    }

    private func runAll() throws {
        try PowerLossCluster.create(live, seed: options.seed)
        var noted = Evidence(hosts: PowerLossCluster.hostCount)
        let cluster = PowerLossCluster(
            folder: live, seed: options.seed,
            clients: PowerLossClients(manifest: PowerLossCluster.manifest, transfers: options.transfers),
            mistake: options.mistake
        ) { mark in
            // Said again is nothing new.
            if case .executed(let shard, let sequence, _) = mark,
                noted.histories[.init(shard: shard, sequence: sequence)] != nil
            {
                return
            }
            try noted.add(mark)
            Recorder.mark(mark.encoded())
        }
        try cluster.startAll()
        // Processes die without the power: a primary of each shard, and two that come back at once. What a process
        // holds back is lost then, so one that speaks too early would already contradict itself.
        if options.mistake == .none { killSomeHosts(of: cluster) }
        var lastTime: UInt64 = 0
        try cluster.run(deadline: 120_000_000_000) { cluster in
            if cluster.now > lastTime + 20_000_000 || lastTime == 0 {
                lastTime = cluster.now
                Recorder.mark(Mark.time(cluster.now).encoded())
            }
            return cluster.clients.isDone
        }
    }

    private func killSomeHosts(of cluster: PowerLossCluster) {
        cluster.killHost(0, at: 900_000_000, for: 700_000_000)
        cluster.killHost(1, at: 2_200_000_000, for: 1_500_000_000)
        cluster.killHost(2, at: 4_200_000_000, for: 30_000_000)
        cluster.killHost(3, at: 5_000_000_000, for: 400_000_000)
    }

    // MARK: - The cuts

    /// Cuts the power after some calls: half of them beside the end of a sync, the others anywhere.
    private mutating func cutEverywhere(_ calls: [DiskCall]) throws {
        let start = calls.firstIndex { if case .mark = $0 { true } else { false } } ?? 0
        var besideSyncs: [Int] = []
        for (i, call) in calls.enumerated() where i > start {
            summary.calls += 1
            switch call {
            case .syncEnded:
                summary.syncs += 1
                besideSyncs += [i - 1, i, i + 1]
            case .write(_, _, _, true): besideSyncs += [i - 1, i, i + 1]
            default: continue
            }
        }
        guard !besideSyncs.isEmpty else { throw Failure(description: "nothing was synced") }
        var cuts: [Int] = []
        for i in 0..<options.images {
            cuts.append(i % 2 == 0 ? besideSyncs[rng.below(besideSyncs.count)] : start + rng.below(calls.count - start))
        }
        cuts.sort()
        let reviving = options.revivals == 0 ? nil : max(1, options.images / options.revivals)

        var model = DiskModel(root: live, lies: options.lies)
        var evidence = Evidence(hosts: PowerLossCluster.hostCount)
        var next = 0
        for (i, call) in calls.enumerated() {
            try model.apply(call)
            if case .mark(let bytes) = call {
                try evidence.add(try Mark(decoding: Array(bytes)))
                model.isLying = true
            }
            while next < cuts.count, cuts[next] == i {
                // A synchronous write may still be under way.
                if rng.chance(perMille: 500) { try model.finishSynced(call) }
                try cut(next, at: i, model, evidence, revives: reviving.map { next % $0 == 0 } ?? false)
                next += 1
            }
            try model.finishSynced(call)
        }
        try checkRecording(model)
        (summary.messages, summary.answers) = (evidence.said.reduce(0) { $0 + $1.count }, evidence.answers.count)
        summary.attested = evidence.statements.count
    }

    private mutating func cut(_ number: Int, at call: Int, _ model: DiskModel, _ evidence: Evidence, revives: Bool)
        throws
    {
        let fate = options.fates[number % options.fates.count]
        do {
            // Mostly soon, and sometimes when every deadline has passed.
            let time = (evidence.time ?? 0) + (rng.chance(perMille: 250) ? 40_000_000_000 : 500_000_000)
            var same = rng
            try writeImage(of: model, fate, using: &rng)
            try checkHosts(evidence, at: time)
            if revives {
                // The checks have repaired the image.
                try writeImage(of: model, fate, using: &same)
                try revive(evidence, at: time)
            }
        } catch {
            throw Failure(
                description: """
                    cut \(number) (after call \(call), fate \(fate)\(revives ? ", revived" : "")): \(error)
                    the image is in \(image)
                    repeat with: QUORATE_POWERLOSS_SEED=\(options.seed) QUORATE_POWERLOSS_IMAGES=\(options.images) swift test -c release --filter PowerLossTests
                    """)
        }
        summary.images += PowerLossCluster.hostCount
        if revives { summary.revivals += 1 }
    }

    private func writeImage(of model: DiskModel, _ fate: Fate, using rng: inout SplitMix64) throws {
        removeTree(image)
        guard mkdir(image, 0o700) == 0 else { throw Failure(description: "cannot make \(image): \(errno)") }
        for host in 0..<PowerLossCluster.hostCount {
            let path = PowerLossCluster.hostFolder(host)
            try DiskImage.write(model, folder: path, to: image + path, fate: fate, using: &rng)
        }
    }

    /// With nothing lost the image is what the run left: the recorder has missed nothing.
    private mutating func checkRecording(_ model: DiskModel) throws {
        try writeImage(of: model, .kept, using: &rng)
        for host in 0..<PowerLossCluster.hostCount {
            let path = PowerLossCluster.hostFolder(host)
            if let difference = difference(image + path, live + path) {
                throw Failure(
                    description: "the recording is not complete: \(difference) differs from what was recorded")
            }
        }
    }

    /// Each host by itself: nothing that it said is contradicted. Together: a quorum defends every attested result.
    private func checkHosts(_ evidence: Evidence, at time: UInt64) throws {
        let now = Instant(uptime: time, wall: Timestamp(1_700_000_000_000_000 + time / 1000))
        var hosts: [Restart] = []
        for host in 0..<PowerLossCluster.hostCount {
            var restart = try Restart(host: host, below: image, now: now)
            try restart.check(against: evidence)
            hosts.append(restart)
        }
        for statement in evidence.statements.values {
            let quorum = PowerLossCluster.manifest.group(of: statement.shard).quorum
            let holders = hosts.count { $0.holds(statement) }
            guard holders >= quorum else {
                throw Failure(
                    description:
                        "the result of shard \(statement.shard), sequence \(statement.sequence) was attested, and \(holders) hosts hold it; a quorum is \(quorum)"
                )
            }
        }
    }

    /// All hosts start from the images and go on. Every request that was ever submitted is asked about again: what was
    /// answered gets the same answer, and the balances are what the answers make them.
    private mutating func revive(_ evidence: Evidence, at time: UInt64) throws {
        var evidence = evidence
        let clients = PowerLossClients(manifest: PowerLossCluster.manifest, asking: evidence.submitted)
        let cluster = PowerLossCluster(folder: image, seed: rng.next(), clients: clients, startingAt: time) {
            try evidence.add($0)
        }
        try cluster.startAll()
        try cluster.run(deadline: time + 120_000_000_000) { cluster in
            guard cluster.clients.isDone else { return false }
            return try isQuiet(cluster)
        }
        try checkBalances(cluster, evidence)
    }

    /// Every replica of a shard stands at the same place with nothing undecided.
    private func isQuiet(_ cluster: PowerLossCluster) throws -> Bool {
        var first: [ShardID: Digest] = [:]
        for host in cluster.hosts {
            for progress in host.core?.progress() ?? [] {
                if progress.undecided > 0 { return false }
                if let known = first[progress.shard], known != progress.history { return false }
                first[progress.shard] = progress.history
            }
        }
        return true
    }

    private func checkBalances(_ cluster: PowerLossCluster, _ evidence: Evidence) throws {
        var balances: [AccountID: Int128] = [:]
        for submitted in evidence.submitted {
            let request = submitted.request.request
            for (leg, isCommitted) in (evidence.answers[submitted.request.digest] ?? []).enumerated() where isCommitted
            {
                for operation in request.operations(ofLeg: leg) {
                    switch operation {
                    case .transfer(let transfer):
                        balances[transfer.from, default: 0] -= Int128(transfer.amount.number)
                        balances[transfer.to, default: 0] += Int128(transfer.amount.number)
                    case .open(let account): balances[account.id, default: 0] += 0
                    case .read, .call, .freeze, .release: break
                    case .issue(let to, _, let amount): balances[to, default: 0] += Int128(amount.number)
                    }
                }
            }
        }
        for (i, host) in cluster.hosts.enumerated() {
            for account in PowerLossClients.accounts {
                let balance = host.core?.balance(account.id).map { Int128($0) }
                guard balance == balances[account.id] else {
                    throw Failure(
                        description:
                            "account \(account.id) holds \(balance.map { "\($0)" } ?? "nothing") on host \(i); by the answers it is \(balances[account.id].map { "\($0)" } ?? "none")"
                    )
                }
            }
        }
    }
}

/// A path below `b` that is not the same below `a`. LMDB's lock file does not count.
private func difference(_ a: String, _ b: String) -> String? {
    guard let names = folderNames(b) else { return fileBytes(a) == fileBytes(b) ? nil : b }
    guard let others = folderNames(a), others == names else { return b }
    return names.lazy.compactMap { difference(a + "/" + $0, b + "/" + $0) }.first
}

/// Sorted; nil if there is no such folder.
private func folderNames(_ path: String) -> [String]? {
    guard let stream = opendir(path) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != "..", name != "lock.mdb" { names.append(name) }
    }
    return names.sorted()
}

private func fileBytes(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return bytes
}

/// A folder and everything in it; errors are ignored.
func removeTree(_ path: String) {
    if let stream = opendir(path) {
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        closedir(stream)
        for name in names { removeTree(path + "/" + name) }
        rmdir(path)
    } else {
        unlink(path)
    }
}
