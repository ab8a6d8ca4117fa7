import Cores
import Gateway
import PBFT
import Testing

/// Hosts and gateways that are told how far others are (docs/CONFIGURATION.md).
@Suite struct DistanceWaitsTests {
    private static let far: UInt64 = 322_000_000

    @Test func whoIsNearWaitsAsBefore() {
        var (host, gateway) = (HostOptions(), GatewayOptions())
        host.lengthen(byRoundTrip: 0)
        gateway.lengthen(byRoundTrip: 0)
        #expect(host.replica.progressTimeout == HostOptions().replica.progressTimeout)
        #expect(host.forwardAfter == HostOptions().forwardAfter && host.checkAfter == HostOptions().checkAfter)
        #expect(gateway.retries.silence == GatewayOptions().retries.silence)
        #expect(gateway.breaker == GatewayOptions().breaker)
    }

    /// A request that reaches all replicas at once is executed after three one-way delays, and seven after it was sent
    /// its client knows.
    @Test func whatIsOnlyOnItsWayIsNotTakenForLost() {
        var (host, gateway) = (HostOptions(), GatewayOptions())
        host.lengthen(byRoundTrip: Self.far)
        gateway.lengthen(byRoundTrip: Self.far)
        let ordering = 3 * Self.far / 2
        #expect(host.replica.floorLatency >= ordering)
        #expect(host.forwardAfter >= ordering && host.checkAfter >= ordering)
        #expect(host.replica.progressTimeout >= 2 * ordering)
        #expect(host.replica.fetchTimeout > Self.far && host.stateTransferTimeout > Self.far)
        #expect(gateway.queryTimeout > Self.far)
        guard case .retransmit(let first, let cap, _) = gateway.retries.silence else {
            Issue.record("silence is not answered by retransmission")
            return
        }
        #expect(first >= 5 * Self.far / 2 && cap > first)
    }
}
