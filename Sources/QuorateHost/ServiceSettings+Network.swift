import HostRuntime
import Networks
import Transport

/// How far others are: in truth (`round_trip_ms`), or as it is emulated (`network`).
extension ServiceSettings {
    /// - Parameter hosts: how many the cluster has.
    /// - Throws: what is wrong with the network's file.
    package func applyNetwork(to options: inout HostRuntimeOptions, host: Int, of hosts: Int) throws {
        options.transport.network = try place(of: .host(host))
        options.core.lengthen(byRoundTrip: roundTrip(in: options.transport.network?.profile, hosts: hosts))
    }

    /// - Parameter hosts: how many the cluster has.
    /// - Throws: what is wrong with the network's file.
    package func applyNetwork(to options: inout GatewayRuntimeOptions, gateway: Int, hosts: Int) throws {
        options.transport.network = try place(of: .gateway(gateway))
        options.core.lengthen(byRoundTrip: roundTrip(in: options.transport.network?.profile, hosts: hosts))
    }

    private func place(of member: NetworkMember) throws -> NetworkPlace? {
        guard let choice = text(.network).flatMap({ NetworkChoice($0) }) else { return nil }
        return NetworkPlace(member, in: try choice.profile())
    }

    /// In nanoseconds. An emulated network says it by itself, for a gateway that is alone.
    private func roundTrip(in profile: NetworkProfile?, hosts: Int) -> UInt64 {
        let given = whole(.roundTripMilliseconds).map { UInt64($0) }
        return (given ?? profile?.roundTripMilliseconds(hosts: hosts, gateways: 1) ?? 0) * 1_000_000
    }
}
