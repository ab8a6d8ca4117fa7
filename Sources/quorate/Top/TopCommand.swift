import ArgumentParser
import Foundation
import HostRuntime

struct TopCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show a cluster in the terminal, each second.",
        discussion: """
            Every replica with its view, what it has executed and how far it is behind; gateways with what they complete \
            and turn away a second; what is dropped most. Keys: q ends, s sorts by shard, host or lag.

              quorate top demo
              quorate top demo --once         # once, as where standard output is no terminal
              quorate top demo --once --json
            """)
    @Argument(help: ArgumentHelp(ClusterDirectory.help)) var directory: String?
    @OptionGroup var cluster: ClusterOption
    @Option(help: "By what replicas are sorted: shard, host or lag.") var sort = TopOrder.shard
    @Flag(help: "Show it once, and end.") var once = false
    @Flag(help: "Print one JSON object a second; with --once one.") var json = false

    func validate() throws {
        guard directory == nil || cluster.given == nil else {
            throw ValidationError("give the folder, or --cluster, and not both.")
        }
    }

    func execute() async throws {
        let processes = ClusterProcesses(try ClusterCommand.open(try ClusterDirectory.find(directory ?? cluster.given)))
        var watch = TopWatch(processes)
        if json {
            try Console.json(try await watch.next().document)
            while !once {
                try await Task.sleep(for: .seconds(1))
                try Console.json(try await watch.next().document)
            }
        } else if once || !Terminal.isOutput {
            let sight = try await watch.next()
            Console.out(TopPage(sight, order: sort).lines.joined(separator: "\n"))
        } else {
            try await show(&watch)
        }
    }

    private func show(_ watch: inout TopWatch) async throws {
        let screen = TopScreen()
        defer { screen.close() }
        var order = sort
        while true {
            let sight = try await watch.next()
            let page = TopPage(sight, order: order)
            screen.show(page)
            // Keys are heard at once, and the next look is a second after the last one.
            let due = ContinuousClock.now + .milliseconds(700)
            while ContinuousClock.now < due {
                switch screen.key() {
                case "q", "Q": return
                case "s", "S":
                    order = order.next
                    screen.show(TopPage(sight, order: order))
                default: break
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}

enum TopOrder: String, CaseIterable, ExpressibleByArgument, Sendable {
    case shard
    case host
    case lag

    var next: TopOrder {
        switch self {
        case .shard: .host
        case .host: .lag
        case .lag: .shard
        }
    }
}

/// Looks at the cluster again and again, and compares.
struct TopWatch {
    private let processes: ClusterProcesses
    private var last: (status: ClusterStatus, at: ContinuousClock.Instant)?

    init(_ processes: ClusterProcesses) { self.processes = processes }

    /// The first one takes a second longer: there is nothing to compare with.
    mutating func next() async throws -> TopSight {
        if last == nil {
            last = (await ClusterStatus.collect(processes, timeout: .seconds(1)), .now)
            try await Task.sleep(for: .seconds(1))
        }
        let status = await ClusterStatus.collect(processes, timeout: .seconds(1))
        try Task.checkCancellation()
        let now = ContinuousClock.now
        let sight = TopSight(
            status, earlier: last?.status ?? status, seconds: last.map { (now - $0.at) / .seconds(1) } ?? 1)
        last = (status, now)
        return sight
    }
}

/// A terminal in which a page is shown: it is as it was when this is closed, or a second interrupt ends the tool.
private final class TopScreen {
    private let keys: TerminalMode?

    init() {
        keys = TerminalMode(STDIN_FILENO, .keys)
        let keys = keys
        // Whoever has no time to close it gives both back: the keys, and the screen.
        Interrupts.owns(terminal: {
            Self.leave()
            keys?.restore()
        })
        Console.write("\u{1b}[?1049h\u{1b}[?25l", to: STDOUT_FILENO)
    }

    func close() {
        Self.leave()
        keys?.restore()
        Interrupts.owns(terminal: nil)
    }

    /// The cursor is seen again, and what was there before.
    private static func leave() { Console.write("\u{1b}[?25h\u{1b}[?1049l", to: STDOUT_FILENO) }

    /// Nil if none was pressed.
    func key() -> Character? {
        guard let keys else { return nil }
        // After a stop the shell has set it back.
        keys.ensure()
        var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        // In the background a read would stop this process.
        guard TerminalMode.isForeground(STDIN_FILENO), poll(&waiting, 1, 0) > 0 else { return nil }
        var byte: UInt8 = 0
        guard read(STDIN_FILENO, &byte, 1) == 1 else { return nil }
        return Character(UnicodeScalar(byte))
    }

    func show(_ page: TopPage) {
        let lines = page.fitting(columns: Terminal.width, rows: Terminal.height)
        Console.write("\u{1b}[H" + lines.joined(separator: "\u{1b}[K\r\n") + "\u{1b}[K\u{1b}[J", to: STDOUT_FILENO)
    }
}
