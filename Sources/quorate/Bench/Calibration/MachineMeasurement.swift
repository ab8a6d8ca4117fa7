import Crypto
import Forecast
import Foundation
import Glibc
import LMDBStore
import Messages
import WriteAheadLog

/// Clocks that tell what is worked, not what is waited.
enum ProcessorTime {
    static func thread() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }
    static func process() -> UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }
    static func wall() -> UInt64 { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Measures what signatures, threads, sockets and the disk cost on this machine, each by itself.
struct MachineMeasurement {
    /// On the disk that is to be measured.
    let folder: String
    private static let rounds = 9

    struct Signatures {
        var verify: Double
        var sign: Double
    }

    // MARK: Signatures

    func signatures() -> Signatures {
        let digest = Hasher256.hash(.stateKey, Array("calibrate".utf8))
        guard let signer = Ed25519Signer(seed: digest.bytes) else { preconditionFailure("a digest has 32 bytes") }
        let (message, scheme) = (signingInput(.request, digest), Ed25519Scheme())
        let signature = signer.sign(message)
        return Signatures(
            verify: best(64) { for _ in 0..<64 { _ = scheme.isValid(signature, of: message, by: signer.publicKey) } },
            sign: best(64) { for _ in 0..<64 { _ = signer.sign(message) } })
    }

    // MARK: Threads, sockets, disk

    func machine() throws -> CostModel.Machine {
        let sockets = try self.sockets()
        let journal = try self.journal()
        return CostModel.Machine(
            wake: try wake(), write: sockets.write, read: sockets.read, frame: 300, byte: sockets.byte,
            loopback: 5000, record: journal.record, syncCPU: journal.syncCPU, syncWait: journal.syncWait,
            flush: try flush(), archiveByte: journal.record.each_ns)
    }

    /// Two threads wake each other by turns: what a turn costs both.
    private func wake() throws -> Double {
        let turns = 4000
        let (there, back) = (try Pipe.make(), try Pipe.make())
        let thread = Thread {
            var byte: UInt8 = 0
            for _ in 0..<turns where Glibc.read(there.reading, &byte, 1) == 1 {
                _ = Glibc.write(back.writing, &byte, 1)
            }
        }
        let begin = ProcessorTime.process()
        thread.start()
        var byte: UInt8 = 0
        for _ in 0..<turns where Glibc.write(there.writing, &byte, 1) == 1 { _ = Glibc.read(back.reading, &byte, 1) }
        return Double(ProcessorTime.process() - begin) / Double(2 * turns)
    }

    private struct Pipe {
        let reading: Int32
        let writing: Int32

        static func make() throws -> Pipe {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw MeasurementError("pipe") }
            return Pipe(reading: ends[0], writing: ends[1])
        }
    }

    /// Over TCP on loopback, with what TLS 1.3 does to a record.
    private func sockets() throws -> (write: Double, read: Double, byte: Double) {
        let pair = try SocketPair()
        let (small, large) = (200, 16_000)
        let key = SymmetricKey(size: .bits128)
        func seal(_ size: Int) throws -> Double {
            let bytes = Data(repeating: 7, count: size)
            return try best(64) { for _ in 0..<64 { _ = try AES.GCM.seal(bytes, using: key) } }
        }
        let (littleSealed, muchSealed) = (try seal(small), try seal(large))
        let (little, much) = (try pair.measure(small, rounds: 2000), try pair.measure(large, rounds: 500))
        let bytes = Double(large - small)
        // Both sides have the same bytes to encrypt or decrypt, and to copy.
        let byte = max(
            0, (muchSealed - littleSealed) / bytes + (much.write + much.read - little.write - little.read) / bytes / 2)
        return (little.write + littleSealed, little.read + littleSealed, byte)
    }

    private func journal() throws -> (record: CostModel.Line, syncCPU: Double, syncWait: Double) {
        var random = SystemRandomNumberGenerator()
        let path = folder + "/journal"
        var journal = try Journal.create(PosixJournalStorage(directory: path), using: &random)
        let (small, large) = ([UInt8](repeating: 1, count: 100), [UInt8](repeating: 1, count: 20_000))
        let little = try best(64) { for _ in 0..<64 { try journal.append(small) } }
        let much = try best(64) { for _ in 0..<64 { try journal.append(large) } }
        let each = max(0, (much - little) / Double(large.count - small.count))
        var (cpu, wall): ([Double], [Double]) = ([], [])
        for _ in 0..<200 {
            try journal.append(small)
            let (cpuBegin, begin) = (ProcessorTime.thread(), ProcessorTime.wall())
            try journal.sync()
            wall.append(Double(ProcessorTime.wall() - begin))
            cpu.append(Double(ProcessorTime.thread() - cpuBegin))
        }
        let (syncCPU, time) = (cpu.sorted()[cpu.count / 2], wall.sorted()[wall.count / 2])
        return (.init(max(0, little - each * Double(small.count)), each: each), syncCPU, max(0, time - syncCPU))
    }

    private func flush() throws -> CostModel.Line {
        let environment = try LMDBEnvironment(path: folder + "/store")
        let writer = LMDBStoreWriter(environment)
        let value = [UInt8](repeating: 7, count: 96)
        let keys = (0..<20_000).map { Hasher256.hash(.stateKey, Array("\($0)".utf8)).bytes }
        let all = keys.sorted { $0.lexicographicallyPrecedes($1) }.map { KeyValueWrite(key: $0, value: value) }
        try writer.apply(all, metadata: [], clearing: true)
        let some = stride(from: 0, to: all.count, by: 10).map { all[$0] }
        let much = try best(1) { try writer.apply(some, metadata: [], clearing: false) }
        let little = try best(1) { try writer.apply(Array(some.prefix(1)), metadata: [], clearing: false) }
        return .init(little, each: max(0, (much - little) / Double(some.count)))
    }

    /// Nanoseconds of processor time for one: the median of several rounds.
    private func best(_ times: Int, _ body: () throws -> Void) rethrows -> Double {
        try body()
        var rounds: [Double] = []
        for _ in 0..<Self.rounds {
            let begin = ProcessorTime.thread()
            try body()
            rounds.append(Double(ProcessorTime.thread() - begin) / Double(times))
        }
        return rounds.sorted()[rounds.count / 2]
    }
}

/// What could not be measured.
struct MeasurementError: Error, CustomStringConvertible {
    let description: String
    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// Both ends of a TCP connection on loopback, in one thread.
private struct SocketPair {
    private let writing: Int32
    private let reading: Int32

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard listener >= 0 else { throw MeasurementError("socket") }
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &size) == 0 && connect(client, address, size) == 0
            }
        }
        guard isConnected else { throw MeasurementError("connecting to loopback") }
        (writing, reading) = (client, accept(listener, nil, nil))
        var one: Int32 = 1
        setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        guard reading >= 0 else { throw MeasurementError("accept") }
    }

    /// Nanoseconds of processor time of a write of so many bytes, and of reading them.
    func measure(_ bytes: Int, rounds: Int) throws -> (write: Double, read: Double) {
        var buffer = [UInt8](repeating: 1, count: bytes)
        var (written, read): (UInt64, UInt64) = (0, 0)
        for _ in 0..<rounds {
            let begin = ProcessorTime.thread()
            guard send(writing, buffer, bytes, 0) == bytes else { throw MeasurementError("send") }
            let middle = ProcessorTime.thread()
            var left = bytes
            while left > 0 {
                let count = recv(reading, &buffer, left, 0)
                guard count > 0 else { throw MeasurementError("recv") }
                left -= count
            }
            written += middle - begin
            read += ProcessorTime.thread() - middle
        }
        return (Double(written) / Double(rounds), Double(read) / Double(rounds))
    }
}
