import CSignals
import Dispatch
import Glibc
import Synchronization

/// Calls somebody for each signal of some kinds, from the moment on when `init` returns until it is cancelled. Who is
/// called may do anything. Afterwards the signals are ignored, so that an end in good order is not cut short.
///
/// A `DispatchSourceSignal` begins to look some time after it was resumed: what comes before is lost, or ends the
/// process.
package final class SignalWatch: Sendable {
    private struct Handler: Sendable {
        let number: Int32
        let handle: @Sendable (Int32) -> Void
    }

    private struct State {
        var next: UInt64 = 0
        var handlers: [UInt64: Handler] = [:]
        /// Reads the pipe for the life of the process.
        var source: (any DispatchSourceRead)?
    }

    private static let state = Mutex(State())
    private let identifiers: [UInt64]

    /// - Parameter handle: is called on a thread of a pool with the signal's number.
    package init(_ numbers: [Int32], _ handle: @escaping @Sendable (Int32) -> Void) {
        identifiers = Self.state.withLock { state in
            Self.read(&state)
            return numbers.map { number in
                state.next += 1
                state.handlers[state.next] = Handler(number: number, handle: handle)
                return state.next
            }
        }
        // No pipe: the process has no descriptor left, and signals end it.
        for number in numbers { _ = signalsWatch(number) }
    }

    package func cancel() {
        Self.state.withLock { state in for identifier in identifiers { state.handlers[identifier] = nil } }
    }

    deinit { cancel() }

    private static func read(_ state: inout State) {
        let descriptor = signalsDescriptor()
        guard state.source == nil, descriptor >= 0 else { return }
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source.setEventHandler { arrived(descriptor) }
        source.resume()
        state.source = source
    }

    private static func arrived(_ descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return }
        for byte in bytes.prefix(count) {
            let handlers = state.withLock { state in
                state.handlers.sorted { $0.key < $1.key }.map(\.value).filter { $0.number == Int32(byte) }
            }
            for handler in handlers { handler.handle(handler.number) }
        }
    }
}
