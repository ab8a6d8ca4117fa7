import Foundation
import Synchronization

/// What a process holds of the machine.
struct ProcessSample: Codable, Sendable, Equatable {
    /// Resident, in bytes: mapped files of the state too.
    var memory: Int
    var descriptors: Int

    /// Nil if the process cannot be looked at, or has ended.
    init?(of process: ProcessIdentity) {
        guard process.isRunning, let text = FileManager.default.contents(atPath: "/proc/\(process.pid)/statm"),
            let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.pid)/fd").count
        else { return nil }
        // In pages: size, resident, …
        let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        (memory, self.descriptors) = (pages * Int(sysconf(Int32(_SC_PAGESIZE))), descriptors)
    }

    /// Of what a folder's files take on the disk, in bytes; what goes away meanwhile is not counted.
    static func diskUse(of folder: String) -> Int {
        guard let paths = FileManager.default.enumerator(atPath: folder) else { return 0 }
        var blocks = 0
        for case let path as String in paths {
            var information = stat()
            if lstat("\(folder)/\(path)", &information) == 0 { blocks += Int(information.st_blocks) }
        }
        return blocks * 512
    }
}

/// What each process of a cluster holds, second by second. A new process of a host begins a new life.
final class ProcessHistory: Sendable {
    struct Point: Sendable {
        /// Seconds since the load began.
        var at: Double
        var sample: ProcessSample
    }
    struct Life: Sendable {
        var process: ProcessIdentity
        var points: [Point] = []
    }
    struct Series: Sendable {
        var lives: [Life] = []
        /// Of the host's folder; none of gateways.
        var disk: [(at: Double, value: Double)] = []
    }

    private let processes: ClusterProcesses
    private let roles: [RunFolder.Role]
    private let all = Mutex<[RunFolder.Role: Series]>([:])

    init(_ processes: ClusterProcesses) {
        self.processes = processes
        roles = processes.run.recorded()
    }

    /// Hosts first.
    var series: [(role: RunFolder.Role, series: Series)] {
        all.withLock { all in roles.compactMap { role in all[role].map { (role, $0) } } }
    }

    /// - Parameter seconds: since the load began.
    func look(at seconds: Double) {
        for role in roles {
            var disk: Int?
            if case .host(let host) = role {
                disk = ProcessSample.diskUse(of: "\(processes.folder.path)/hosts/\(host)")
            }
            let process = processes.run.running(role)
            let sample = process.flatMap { ProcessSample(of: $0) }
            all.withLock { all in
                var series = all[role] ?? Series()
                if let disk { series.disk.append((seconds, Double(disk))) }
                if let process, let sample {
                    if series.lives.last?.process != process { series.lives.append(Life(process: process)) }
                    series.lives[series.lives.count - 1].points.append(Point(at: seconds, sample: sample))
                }
                all[role] = series
            }
        }
    }
}
