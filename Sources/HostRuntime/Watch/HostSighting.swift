import Messages

/// What one look at a host has shown.
package struct HostSighting: Sendable {
    /// What the host says of itself and its replicas.
    package struct Answer: Sendable {
        package let replicas: [ReplicaStatus]
        /// By name; of several labels the sum.
        package let metrics: [MetricSample]
        /// From the question to the answer, in microseconds.
        package let roundTrip: UInt64
        /// The asker's clock half-way between.
        package let own: Timestamp

        /// Nil if it does not say.
        package let observed: Observed?

        package init(
            replicas: [ReplicaStatus], metrics: [MetricSample], roundTrip: UInt64, own: Timestamp,
            observed: Observed? = nil
        ) {
            (self.replicas, self.metrics, self.roundTrip, self.own) = (replicas, metrics, roundTrip, own)
            self.observed = observed
        }
    }

    /// How batches travelled and what is undecided, as the host says it, and when it was asked and had answered by the
    /// asker's monotonic clock.
    package struct Observed: Sendable {
        package let observation: HostObservation
        package let asked: UInt64
        package let answered: UInt64

        package init(_ observation: HostObservation, asked: UInt64, answered: UInt64) {
            (self.observation, self.asked, self.answered) = (observation, asked, answered)
        }
    }

    /// Nil if it did not answer.
    package var answer: Answer?
    /// Why there is no answer, in words that may be shown; empty if there is one.
    package var why: String
    /// Since when it answers, or does not, by the asker's clock.
    package var since: Timestamp
    /// The shortest round trip of the last minute, in microseconds; nil if there was none.
    package var shortestRoundTrip: UInt64?

    package init(answer: Answer?, why: String = "", since: Timestamp, shortestRoundTrip: UInt64? = nil) {
        (self.answer, self.why, self.since, self.shortestRoundTrip) = (answer, why, since, shortestRoundTrip)
    }
}
