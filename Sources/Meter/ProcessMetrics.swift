import Foundation
import Messages

/// What the system says of this process, under the names that all programs have that Prometheus watches.
public enum ProcessMetrics {
    /// What the system does not say is left out.
    public static var points: [MetricPoint] {
        var points = [MetricPoint("quorate_build_info", [MetricLabel(name: "version", value: Build.version)], 1)]
        if let stat = ProcessStat(contents("/proc/self/stat")) {
            let tick = 1 / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
            let page = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))
            points += [
                MetricPoint("process_cpu_seconds_total", [], .real(Double(stat.ticks) * tick)),
                MetricPoint("process_threads", [], stat.threads),
                MetricPoint("process_virtual_memory_bytes", [], stat.virtualBytes),
                MetricPoint("process_resident_memory_bytes", [], stat.residentPages &* page),
            ]
            if let boot = bootTime {
                points.append(
                    MetricPoint("process_start_time_seconds", [], .real(Double(boot) + Double(stat.start) * tick)))
            }
        }
        // The one that reads the folder is among them.
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count {
            points.append(MetricPoint("process_open_fds", [], max(0, open - 1)))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            points.append(MetricPoint("process_max_fds", [], limit.rlim_cur))
        }
        return points
    }

    /// Of the disk that a folder is on; nothing if the system does not say.
    public static func disk(of folder: String) -> [MetricPoint] {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return [] }
        func bytes(_ blocks: some BinaryInteger) -> MetricPoint.Value {
            .real(Double(blocks) * Double(status.f_frsize))
        }
        return [
            MetricPoint("quorate_disk_free_bytes", [], bytes(status.f_bavail)),
            MetricPoint("quorate_disk_size_bytes", [], bytes(status.f_blocks)),
        ]
    }

    private static func contents(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Of the system, in seconds since 1970.
    private static var bootTime: UInt64? {
        contents("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap {
            UInt64($0.dropFirst("btime ".count))
        }
    }
}

/// What is of use here of `/proc/PID/stat` (proc(5)).
package struct ProcessStat: Hashable {
    /// Of processor time, of all its threads.
    package let ticks: UInt64
    package let threads: UInt64
    /// In ticks since the system started.
    package let start: UInt64
    package let virtualBytes: UInt64
    package let residentPages: UInt64

    /// Nil if it does not have its form.
    package init?(_ text: String) {
        // The name in parentheses may hold anything. After it comes the state, which is field 3.
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(whereSeparator: \.isWhitespace)
        func field(_ number: Int) -> UInt64? { number - 3 < fields.count ? UInt64(fields[number - 3]) : nil }
        guard let user = field(14), let system = field(15), let threads = field(20), let start = field(22),
            let virtualBytes = field(23), let residentPages = field(24)
        else { return nil }
        (ticks, self.threads, self.start) = (user + system, threads, start)
        (self.virtualBytes, self.residentPages) = (virtualBytes, residentPages)
    }
}
