import Foundation
import Messages
import Meter
import Testing

@Suite struct ProcessMetricsTests {
    private func value(_ name: String, _ points: [MetricPoint]) throws -> Double {
        switch try #require(points.first { $0.name == name }, "\(name)").value {
        case .whole(let number): Double(number)
        case .real(let number): number
        case .distribution: .nan
        }
    }

    @Test func aNameMayHoldAnything() throws {
        let line = "4711 (a) (b 9 9) S 1 4711 4711 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 12 0 8123 1048576 77 18446744"
        let stat = try #require(ProcessStat(line))
        #expect(stat.ticks == 300 && stat.threads == 12 && stat.start == 8123)
        #expect(stat.virtualBytes == 1_048_576 && stat.residentPages == 77)
    }

    @Test(arguments: [
        "", "4711", "4711 (a", "4711 (a) S 1 2 3", "4711 (a) S 1 4711 4711 0 -1 4 9 0 0 0 x 50 0 0 20 0 12 0 8 1 7",
    ])
    func whatIsNoStatusIsNone(line: String) { #expect(ProcessStat(line) == nil) }

    @Test func theSystemSaysWhatThisProcessUses() throws {
        let points = ProcessMetrics.points
        #expect(try value("process_resident_memory_bytes", points) > 1_000_000)
        #expect(
            try value("process_virtual_memory_bytes", points) >= value("process_resident_memory_bytes", points))
        #expect(try value("process_threads", points) >= 1)
        let open = try value("process_open_fds", points)
        #expect(try open >= 1 && open <= value("process_max_fds", points))
        let start = try value("process_start_time_seconds", points)
        let now = Date.now.timeIntervalSince1970
        #expect(start > 1e9 && start <= now + 1)
        // It grows with what is done, sooner or later.
        let before = try value("process_cpu_seconds_total", points)
        var (sum, after) = (0.0, before)
        for _ in 0..<100_000 where after == before {
            for i in 0..<100_000 { sum += Double(i).squareRoot() }
            after = try value("process_cpu_seconds_total", ProcessMetrics.points)
        }
        #expect(after > before && sum > 0)
    }

    @Test func aDiskHasASizeAndNoFolderNone() throws {
        let points = ProcessMetrics.disk(of: "/")
        #expect(try value("quorate_disk_size_bytes", points) >= value("quorate_disk_free_bytes", points))
        #expect(ProcessMetrics.disk(of: "/no/such/folder").isEmpty)
    }
}
