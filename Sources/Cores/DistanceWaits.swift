import Gateway
import PBFT

/// The waits are laid out for hosts that hear each other in milliseconds. Where they are further apart, what is only on
/// its way would be taken for lost or slow: requests would be sent and checked twice, and primaries that do all they
/// can be replaced. Only waits that end in a suspicion or a repetition grow, by round trips of the longest link; what
/// decides how soon work is done stays.
extension ReplicaConfiguration.Limits {
    /// - Parameter roundTrip: nanoseconds; 0 changes nothing.
    mutating func lengthen(byRoundTrip roundTrip: UInt64) {
        // A request that is handed on, its proposal and two rounds of votes are two round trips; and as much again, for
        // what is sent again once. Queues and syncs are in the second that there is anyway.
        progressTimeout += 4 * roundTrip
        // To connect again takes three: TCP, TLS, the greeting.
        unreachableTimeout += 4 * roundTrip
        maxTimeout += 4 * roundTrip
        // What the floor takes for the wait when nothing queues: proposal, votes, and the way to the slowest of a quorum.
        floorLatency += 2 * roundTrip
        fetchTimeout += roundTrip
        stepInAfter += roundTrip
        checkTimeout += roundTrip
    }
}

extension HostOptions {
    /// - Parameter roundTrip: nanoseconds of the longest round trip between hosts and gateways; 0 changes nothing.
    package mutating func lengthen(byRoundTrip roundTrip: UInt64) {
        replica.lengthen(byRoundTrip: roundTrip)
        checkAfter += 2 * roundTrip
        checkAfterAtMost += 4 * roundTrip
        forwardAfter += 2 * roundTrip
        pushAfter += 4 * roundTrip
        pushAfterAtMost += 4 * roundTrip
        maxPushInterval += 8 * roundTrip
        stateTransferTimeout += roundTrip
    }
}

extension GatewayOptions {
    /// - Parameter roundTrip: nanoseconds of the longest round trip between hosts and gateways; 0 changes nothing.
    package mutating func lengthen(byRoundTrip roundTrip: UInt64) {
        if case .retransmit(let first, let cap, let cost) = retries.silence {
            // There, three phases, and back.
            retries.silence = .retransmit(first: first + 4 * roundTrip, cap: cap + 4 * roundTrip, cost: cost)
        }
        breaker.openAfter += 8 * roundTrip
        questionPatience += roundTrip
        queryTimeout += roundTrip
    }
}
