extension RunResult {
    /// The named fault of a run, and what it came to.
    public struct Fault: Codable, Sendable, Equatable {
        /// As the option has it: `slow-primary`.
        public var name: String
        /// To which process: `host 1`.
        public var target: String
        /// Seconds since the load began; 0 for a fault of the whole run.
        public var from_s: Double
        /// Null where it lasted until the end.
        public var to_s: Double?
        /// Of the time from `from_s` to `to_s`, the share in which the process stood still; null where that was not the
        /// fault, or where it stood still throughout.
        public var stopped_share: Double?

        /// - Parameters:
        ///   - target: the process.
        ///   - from: seconds since the load began.
        public init(_ fault: NamedFault, target: String, from: Double) {
            (name, self.target, from_s) = (fault.rawValue, target, from)
        }
    }

    /// Commits before, in and after the fault, by the time line.
    public struct FaultEffect: Equatable, Sendable {
        /// A second, from the end of the warm-up on; nil where there was no time before it.
        public var before: Double?
        /// A second.
        public var during: Double?
        /// A second; nil where it lasted until the end.
        public var after: Double?
        /// Seconds from the fault's beginning on in which nothing committed, in steps of the time line.
        public var without: Double
    }

    /// Nil without a named fault.
    public var faultEffect: FaultEffect? {
        guard let fault else { return nil }
        let step = Double(timeline.interval_ms) / 1000
        guard step > 0 else { return nil }
        // The last interval is not full.
        let full = timeline.committed.dropLast()
        // Only whole intervals; one that begins a hair too early because of how fractions are kept is whole.
        let hair = 1e-6
        func slots(_ from: Double, _ to: Double) -> ArraySlice<Int> {
            let bounds = 0...Double(full.count)
            let first = (from / step - hair).clamped(to: bounds).rounded(.up)
            let last = max(first, (to / step + hair).clamped(to: bounds).rounded(.down))
            return full[Int(first)..<Int(last)]
        }
        func rate(_ slots: ArraySlice<Int>) -> Double? {
            slots.isEmpty ? nil : Double(slots.reduce(0, +)) / (Double(slots.count) * step)
        }
        let end = Double(full.count) * step
        return FaultEffect(
            before: rate(slots(setup.warmup_s, fault.from_s)), during: rate(slots(fault.from_s, fault.to_s ?? end)),
            after: fault.to_s.flatMap { rate(slots($0, end)) },
            without: Double(slots(fault.from_s, end).count { $0 == 0 }) * step)
    }
}

extension Double {
    fileprivate func clamped(to bounds: ClosedRange<Double>) -> Double {
        Swift.max(bounds.lowerBound, Swift.min(bounds.upperBound, self))
    }
}
