import Foundation
import HostRuntime
import Synchronization
import Testing

@Suite(.serialized)
struct SignalWatchTests {
    private final class Seen: Sendable {
        private let numbers = Mutex<[Int32]>([])
        func note(_ number: Int32) { numbers.withLock { $0.append(number) } }
        func waits(for count: Int) async throws -> Bool {
            for _ in 0..<500 where numbers.withLock({ $0.count }) < count {
                try await Task.sleep(for: .milliseconds(10))
            }
            return numbers.withLock { $0.count } == count
        }
    }

    @Test func `a signal that comes as soon as it is watched for is not lost`() async throws {
        for _ in 0..<20 {
            let seen = Seen()
            let watch = SignalWatch([SIGURG, SIGWINCH]) { seen.note($0) }
            kill(getpid(), SIGURG)
            #expect(try await seen.waits(for: 1))
            watch.cancel()
        }
    }

    @Test func `each watch has its signals, until it is cancelled`() async throws {
        let (one, other) = (Seen(), Seen())
        let watches = [SignalWatch([SIGURG]) { one.note($0) }, SignalWatch([SIGURG, SIGWINCH]) { other.note($0) }]
        kill(getpid(), SIGURG)
        #expect(try await one.waits(for: 1))
        #expect(try await other.waits(for: 1))
        watches[0].cancel()
        kill(getpid(), SIGURG)
        #expect(try await other.waits(for: 2))
        #expect(try await one.waits(for: 1))
        watches[1].cancel()
    }
}
