import Foundation
import Workload

extension CostSample.Usage {
    /// Microseconds of a tick, in which the system counts a process's time.
    private static let tick = 1_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// Nil if the process cannot be looked at, or has another start by now.
    init?(of process: ProcessIdentity) {
        let path = "/proc/\(process.pid)"
        guard let (ticks, start) = Self.times(path), start == process.start,
            let (voluntary, involuntary) = Self.switches(path)
        else { return nil }
        self.init(
            cpuMicroseconds: ticks * Self.tick, voluntarySwitches: voluntary, involuntarySwitches: involuntary)
    }

    /// Of all its threads, those that have ended too: fields 14, 15 and 22 of `/proc/PID/stat`.
    private static func times(_ path: String) -> (ticks: UInt64, start: UInt64)? {
        guard let line = FileManager.default.contents(atPath: path + "/stat"),
            // The name in parentheses may hold anything.
            let end = line.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        // From the state on, which is field 3.
        let fields = line[line.index(after: end)...].split(separator: UInt8(ascii: " ")).map {
            UInt64(String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }
        guard fields.count > 19, let user = fields[11], let system = fields[12], let start = fields[19] else {
            return nil
        }
        return (user + system, start)
    }

    /// Of the threads that it has now. A host's and a gateway's last as long as the process.
    private static func switches(_ path: String) -> (voluntary: UInt64, involuntary: UInt64)? {
        guard let threads = try? FileManager.default.contentsOfDirectory(atPath: path + "/task") else { return nil }
        var sums: (voluntary: UInt64, involuntary: UInt64) = (0, 0)
        for thread in threads {
            // One that has ended since is counted no more.
            guard let text = FileManager.default.contents(atPath: "\(path)/task/\(thread)/status") else { continue }
            for line in text.split(separator: UInt8(ascii: "\n")) {
                let words = String(decoding: line, as: UTF8.self).split(separator: ":")
                guard words.count == 2, let value = UInt64(words[1].trimmingCharacters(in: .whitespaces)) else {
                    continue
                }
                if words[0] == "voluntary_ctxt_switches" { sums.voluntary += value }
                if words[0] == "nonvoluntary_ctxt_switches" { sums.involuntary += value }
            }
        }
        return sums
    }
}
