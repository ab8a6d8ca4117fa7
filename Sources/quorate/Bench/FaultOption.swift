import ArgumentParser
import Workload

/// A fault that has a name.
struct FaultOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Do harm to the cluster from the end of the first third of the load to that of the second: none, primary-killed, mute-gateway, slow-primary, or slow-disk (throughout). With @SECONDS it begins then.",
            valueName: "name[@seconds]"), transform: FaultOption.parse)
    var fault: Choice?

    struct Choice: Sendable {
        var fault: NamedFault
        /// Seconds; nil where nothing was said.
        var begin: Double?
    }

    private static let parse: @Sendable (String) throws -> Choice = { text in
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let fault = parts.first.flatMap(NamedFault.init(rawValue:)) else {
            let names = NamedFault.allCases.map(\.rawValue).joined(separator: ", ")
            throw OutOfRange(description: "one of \(names) is wanted, and where it has a moment @ and seconds")
        }
        guard parts.count == 2 else { return Choice(fault: fault) }
        guard !fault.isOfTheWholeRun else {
            throw OutOfRange(description: "\(fault.rawValue) lasts as long as the run, so no moment is wanted")
        }
        guard let begin = Double(parts[1]), (0...86_400).contains(begin) else {
            throw OutOfRange(description: "seconds from 0 to 86400 are wanted after the @")
        }
        return Choice(fault: fault, begin: begin)
    }

    /// Refuses what could not happen.
    /// - Parameters:
    ///   - others: faults that were asked for one by one.
    ///   - duration: seconds of load; nil where only its end will tell.
    func check(others: BenchFaults, duration: Double?, gateways: Int) throws {
        guard let fault, fault.fault != .none else { return }
        let name = "--fault \(fault.fault.rawValue)"
        guard others.isEmpty else {
            throw ValidationError("\(name) goes without --kill-host, --stop-host, --kill-gateway and their like.")
        }
        if fault.fault == .muteGateway, gateways < 2 {
            throw ValidationError(
                "\(name) needs --gateways 2 or more: gateway 0 says nothing, and clients go on through another one.")
        }
        guard !fault.fault.isOfTheWholeRun else { return }
        guard let duration else { throw ValidationError("\(name) needs --duration, of which it takes a third.") }
        if let begin = fault.begin, begin >= duration {
            throw ValidationError("\(name)@\(begin) comes after the end of the load, which lasts \(duration) s.")
        }
    }

    func apply(to faults: inout BenchFaults, duration: Double?) {
        guard let fault else { return }
        faults.named = fault.fault
        faults.window = duration.flatMap { fault.fault.window(begin: fault.begin, duration: $0) }
    }
}
