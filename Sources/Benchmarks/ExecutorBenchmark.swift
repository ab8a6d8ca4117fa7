import ArgumentParser
import Foundation
import Glibc
import LMDBStore
import Messages
import Randomness

/// What the thread of a shard spends on execution and checkpoints, and the store's thread on flushes, with a state of
/// some size on LMDB.
struct ExecutorBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "executor", abstract: "Executes transfers between uniform accounts, with checkpoints and flushes.")

    @Option(help: "Accounts in the state, 256 at least.") var accounts = 20_000
    @Option(help: "Batches that are measured.") var batches = 1024
    @Option(help: "Requests of a batch.") var requests = 10
    @Option(help: "Transfers of a request.") var bundle = 1
    @Option(help: "Batches from one checkpoint to the next.") var interval = 128
    @Option(help: "Checkpoints from one flush to the next.") var checkpointsPerFlush = 4
    @Option(help: "Changed keys from which on each checkpoint is followed by a flush.") var flushKeys = 65_536

    func validate() throws {
        guard accounts >= BenchmarkedShard.payerCount else {
            throw ValidationError("--accounts must be at least \(BenchmarkedShard.payerCount).")
        }
        guard min(batches, requests, bundle, interval, checkpointsPerFlush, flushKeys) > 0 else {
            throw ValidationError("All counts must be above zero.")
        }
        guard bundle <= Request.maxOperations else {
            throw ValidationError("--bundle must be at most \(Request.maxOperations).")
        }
    }

    func run() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/quorate-benchmarks-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let shard = try BenchmarkedShard(LMDBEnvironment(path: folder), accounts: accounts)
        try measure(shard)
    }

    private func measure(_ shard: BenchmarkedShard) throws {
        var (steps, checkpoints): ([Double], [Double]) = ([], [])
        var flushes: [BenchmarkedShard.Flush] = []
        var leftToFlush = checkpointsPerFlush
        for batch in 1...batches {
            // Signed before the clock runs.
            let signed = shard.requests(requests, bundle: bundle)
            steps.append(try ThreadTime.microseconds { try shard.execute(signed) })
            guard batch % interval == 0 else { continue }
            checkpoints.append(try ThreadTime.microseconds { try shard.checkpoint() })
            leftToFlush -= 1
            if leftToFlush == 0 || shard.changedKeys >= flushKeys {
                leftToFlush = checkpointsPerFlush
                flushes.append(try shard.flush())
            }
        }
        let transfers = Double(batches * requests * bundle)
        print("ms of CPU                 median      99 %   longest   µs a transfer")
        say("execute a batch", steps, transfers)
        say("checkpoint", checkpoints, transfers)
        say("freeze", flushes.map(\.freeze), transfers)
        say("write (other thread)", flushes.map(\.write), transfers)
        say("read on after a flush", flushes.map(\.readOn), transfers)
    }

    private func say(_ name: String, _ values: [Double], _ transfers: Double) {
        let sorted = values.sorted()
        guard let longest = sorted.last else { return }
        let columns = [sorted[sorted.count / 2], sorted[sorted.count * 99 / 100], longest].map {
            String(format: "%10.2f", $0 / 1000)
        }
        let each = String(format: "%16.2f", values.reduce(0, +) / transfers)
        print(name.padding(toLength: 22, withPad: " ", startingAt: 0) + columns.joined() + each)
    }
}

/// CPU time of the calling thread.
enum ThreadTime {
    static func microseconds(_ body: () throws -> Void) rethrows -> Double {
        let begin = now
        try body()
        return now - begin
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
    }
}
