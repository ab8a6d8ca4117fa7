import ArgumentParser

extension BenchFaults {
    private enum State: String {
        case running = "runs"
        case stopped = "is stopped"
        case dead = "is dead"
    }

    private struct Moment {
        let option: String
        let moment: ProcessMoment
        /// In which it can be done, and to which it leads.
        let from: [State]
        let to: State

        var text: String { "\(option) \(moment.number)@\(SecondsText.text(moment.seconds))" }
    }

    /// Refuses what could not happen: after the end, or to a process that is not in a state for it.
    /// - Parameter end: seconds of load; nil where only its end will tell.
    func check(end: Double?) throws {
        let hosts =
            moments("--kill-host", killHosts, [.running, .stopped], .dead)
            + moments("--restart-host", restartHosts, [.dead], .running)
            + moments("--stop-host", stopHosts, [.running], .stopped)
            + moments("--continue-host", continueHosts, [.stopped], .running)
        let gateways =
            moments("--kill-gateway", killGateways, [.running], .dead)
            + moments("--restart-gateway", restartGateways, [.dead], .running)
        if let end {
            for moment in hosts + gateways where moment.moment.seconds >= end {
                throw ValidationError(
                    "\(moment.text) comes after the end of the load, which lasts \(SecondsText.text(end)) s: give a second from 0 to less than "
                        + "\(SecondsText.text(end)), or a longer --duration.")
            }
        }
        try check(order: hosts, "host")
        try check(order: gateways, "gateway")
    }

    private func moments(_ option: String, _ moments: [ProcessMoment], _ from: [State], _ to: State) -> [Moment] {
        moments.map { Moment(option: option, moment: $0, from: from, to: to) }
    }

    private func check(order moments: [Moment], _ role: String) throws {
        var states: [Int: State] = [:]
        let inOrder = moments.enumerated().sorted {
            ($0.element.moment.seconds, $0.offset) < ($1.element.moment.seconds, $1.offset)
        }
        for moment in inOrder.map(\.element) {
            let state = states[moment.moment.number] ?? .running
            guard moment.from.contains(state) else {
                throw ValidationError(
                    "\(moment.text) cannot be done: \(role) \(moment.moment.number) \(state.rawValue) then.")
            }
            states[moment.moment.number] = moment.to
        }
    }
}

/// Seconds as they were given: 5, not 5.0.
private enum SecondsText {
    static func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() && seconds < 1e15 ? "\(Int(seconds))" : "\(seconds)"
    }
}
