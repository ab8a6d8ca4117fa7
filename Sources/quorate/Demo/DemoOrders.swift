import Foundation
import StrictInput
import Synchronization

/// What the user of a demo wants done.
enum DemoOrder: Equatable, Sendable {
    /// Of any host that can be spared, or of this one.
    case kill(Int?)
    /// Of the one that was killed first, or of this one.
    case restart(Int?)
    case toggle(Int)
    case help
    case quit
    case unknown(String)

    /// Nil for a key that means nothing.
    init?(_ key: Key) {
        switch key {
        case .text("k"), .text("K"): self = .kill(nil)
        case .text("r"), .text("R"): self = .restart(nil)
        case .text(let digit) where ("0"..."9").contains(digit): self = .toggle(Int(digit.value - 48))
        case .text("h"), .text("?"): self = .help
        case .text("q"), .text("Q"), .endOfInput: self = .quit
        default: return nil
        }
    }

    /// Nil for an empty line.
    init?(line: String) {
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        guard let verb = words.first else { return nil }
        let host = words.count == 2 ? Int(words[1]) : nil
        guard words.count == 1 || words.count == 2 && host != nil else {
            self = .unknown(Printable.quoted(line.utf8))
            return
        }
        switch verb {
        case "kill", "k": self = .kill(host)
        case "restart", "r": self = .restart(host)
        case "quit" where host == nil, "q" where host == nil: self = .quit
        case "help" where host == nil, "h" where host == nil: self = .help
        default: self = .unknown(Printable.quoted(line.utf8))
        }
    }
}

/// Keys of a terminal, or lines.
final class DemoOrders: Sendable {
    private let terminal: TerminalMode?
    /// Taken by whoever waits for an order: there is one.
    private let input = Mutex<(bytes: CommandInput, keys: KeyDecoder)?>((CommandInput(STDIN_FILENO), KeyDecoder()))
    private let pending = Mutex<[DemoOrder]>([])

    init(json: Bool) {
        terminal = !json && isatty(STDOUT_FILENO) == 1 ? TerminalMode(STDIN_FILENO, .keys) : nil
    }

    var hasKeys: Bool { terminal != nil }

    func ensureKeys() { terminal?.ensure() }

    /// The terminal is as it was found.
    func close() { terminal?.restore() }

    /// Nil when there will be no more.
    func next() async throws -> DemoOrder? {
        while true {
            if let order = pending.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return order }
            guard var input = self.input.withLock({ $0.take() }) else { return nil }
            if hasKeys {
                guard let byte = try await input.bytes.nextByte() else { return nil }
                if let order = input.keys.feed(byte).flatMap(DemoOrder.init) { pending.withLock { $0.append(order) } }
            } else {
                switch try await input.bytes.nextLine() {
                case .line(let line): pending.withLock { $0 += [DemoOrder(line: line)].compactMap { $0 } }
                case .invalid(let why): pending.withLock { $0.append(.unknown("a line that \(why)")) }
                case nil: return nil
                }
            }
            self.input.withLock { $0 = input }
        }
    }
}

/// The user's browser.
enum Browser {
    private static let program = "xdg-open"

    /// - Returns: why it does not open; nil if its opener was started, which says no more.
    static func open(_ address: String?) -> String? {
        guard let address else { return "the gateway serves no page" }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let places = path.split(separator: ":").map { "\($0)/\(program)" }
        guard let found = places.first(where: FileManager.default.isExecutableFile(atPath:)) else {
            return "there is no \(program) in the PATH; open it by hand"
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: found)
        process.arguments = [address]
        (process.standardInput, process.standardOutput, process.standardError) = (
            FileHandle.nullDevice, FileHandle.nullDevice, FileHandle.nullDevice
        )
        do { try process.run() } catch { return "\(found) does not start: \(ToolError(error).description)" }
        return nil
    }
}
