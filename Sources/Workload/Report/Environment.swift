import Foundation
import StrictInput

extension Provenance {
    /// What figures depend on beside the processor, as it was when the command began. Null where the system does not
    /// tell.
    public struct Environment: Codable, Sendable, Equatable {
        /// Its name and release.
        public var kernel: String?
        /// Bytes of memory of the machine.
        public var memory_bytes: UInt64?
        /// The kind of the file system that the clusters' folders are on: `ext4`.
        public var file_system: String?
        /// What is mounted there: `/dev/sda1`.
        public var disk: String?
        /// Whether the kernel takes that disk for one that turns; of virtual disks it cannot know.
        public var disk_rotates: Bool?
        /// How the first core's frequency is chosen: `performance`.
        public var governor: String?
        /// Processes that ran or waited, on average of one, five and fifteen minutes before.
        public var load_average: [Double]?

        /// Nothing is known.
        public init() {}

        /// Of this machine.
        /// - Parameter folder: in which clusters will live; it must exist.
        public static func current(folder: String) -> Environment {
            func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
            var now = Environment()
            if let kind = text("/proc/sys/kernel/ostype"), let release = text("/proc/sys/kernel/osrelease") {
                now.kernel = Printable.line("\(kind.trimmed) \(release.trimmed)")
            }
            now.memory_bytes = text("/proc/meminfo").flatMap(memory)
            if let mount = text("/proc/self/mountinfo").flatMap({ Mount(of: resolved(folder), in: $0) }) {
                (now.file_system, now.disk) = (Printable.line(mount.kind), Printable.line(mount.source))
                // A partition has none of its own: its disk has.
                let device = "/sys/dev/block/\(mount.device)"
                let rotates = text("\(device)/queue/rotational") ?? text("\(device)/../queue/rotational")
                now.disk_rotates = rotates.map { $0.trimmed == "1" }
            }
            now.governor = text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").map {
                Printable.line($0.trimmed)
            }
            now.load_average = text("/proc/loadavg").flatMap(loadAverage)
            return now
        }

        /// Bytes, of what `/proc/meminfo` says.
        public static func memory(_ text: String) -> UInt64? {
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }) else { return nil }
            return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.flatMap { kilobytes in
                let (bytes, isTooLarge) = kilobytes.multipliedReportingOverflow(by: 1024)
                return isTooLarge ? nil : bytes
            }
        }

        /// The three averages, of what `/proc/loadavg` says.
        public static func loadAverage(_ text: String) -> [Double]? {
            let numbers = text.split(separator: " ").prefix(3).compactMap { Double($0) }.filter(\.isFinite)
            return numbers.count == 3 ? numbers : nil
        }

        private static func resolved(_ path: String) -> String {
            URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        }

        /// As a page shows them.
        var facts: [(name: String, value: String)] {
            var facts: [(String, String)] = []
            func add(_ name: String, _ value: String?) { if let value { facts.append((name, value)) } }
            add("kernel", kernel)
            add("memory", memory_bytes.map { "\(decimal(Double($0) / 1_073_741_824, 1)) GiB" })
            let kind = disk_rotates.map { $0 ? ", rotational as the kernel has it" : ", not rotational" } ?? ""
            add("clusters' file system", file_system.map { "\($0)\(disk.map { " on \($0)" } ?? "")\(kind)" })
            add("frequency governor", governor ?? "not known")
            add(
                "load average at the start",
                load_average.map { $0.map { decimal($0, 2) }.joined(separator: ", ") + " (1, 5, 15 minutes)" })
            return facts
        }
    }

    /// One line of `/proc/self/mountinfo`.
    public struct Mount: Equatable, Sendable {
        /// `8:1`.
        public let device: String
        /// `ext4`.
        public let kind: String
        /// `/dev/sda1`.
        public let source: String

        /// What a path is on: of the mounts above it the lowest, of those on one place the last.
        /// - Parameters:
        ///   - path: absolute, without symbolic links.
        ///   - text: as the kernel gives it. See proc(5).
        public init?(of path: String, in text: String) {
            var best: (length: Int, mount: (String, String, String))?
            for line in text.split(separator: "\n") {
                // 36 35 98:0 /root /place options optional… - kind source options
                let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
                guard parts.count > 6, let dash = parts.dropFirst(6).firstIndex(of: "-"), dash + 2 < parts.count else {
                    continue
                }
                let place = Self.unescaped(parts[4])
                let isAbove = place == "/" || path == place || path.hasPrefix(place + "/")
                guard isAbove, place.utf8.count >= best?.length ?? 0 else { continue }
                best = (place.utf8.count, (parts[2], parts[dash + 1], Self.unescaped(parts[dash + 2])))
            }
            guard let best else { return nil }
            (device, kind, source) = best.mount
        }

        /// Blanks and the like are written as three octal digits.
        private static func unescaped(_ text: String) -> String {
            let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            return escapes.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
        }
    }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
