import ArgumentParser
import Client
import Foundation
import Networks
import Transport

/// Over which network the processes of a cluster speak.
struct NetworkOption: ParsableArguments {
    @Option(
        help: .init(
            "A network whose delays all connections of hosts, gateways and the load get: docs/BENCH.md, Networks. Default: the one that there is.",
            valueName: "lan|aws-5-regions|file"))
    var network: String?

    func validate() throws {
        guard let network, NetworkChoice(network) == nil else { return }
        throw ValidationError("--network takes \(NetworkChoice.expected); got \"\(network)\".")
    }

    /// - Throws: `ToolError`, with the place of what is wrong in a file.
    func emulation(hosts: Int, gateways: Int) throws -> NetworkEmulation? {
        guard let network, let choice = NetworkChoice(network) else { return nil }
        let profile: NetworkProfile
        do { profile = try choice.profile() } catch {
            throw ToolError(.failure, "--network: \(ToolError(error).description)")
        }
        var name = network
        // Processes that are started from another folder read it again.
        if case .file = choice { name = URL(fileURLWithPath: network).standardizedFileURL.path }
        return NetworkEmulation(
            profile: profile, name: name,
            roundTripMilliseconds: profile.roundTripMilliseconds(hosts: hosts, gateways: max(1, gateways)))
    }
}

/// An emulated network, as the processes of one cluster are told of it.
struct NetworkEmulation: Sendable {
    let profile: NetworkProfile
    /// What `--network` is told.
    let name: String
    /// The longest between hosts and gateways.
    let roundTripMilliseconds: UInt64

    /// For `host run` and `gateway run`.
    var arguments: [String] { ["--network", name, "--round-trip-ms", "\(roundTripMilliseconds)"] }

    /// From a client of the cluster.
    func link(toGateway gateway: Int) -> DelayedLink {
        NetworkPlace(.client, in: profile).link(to: .gateway(gateway))
    }

    /// For people, in one line.
    func sentence(hosts: Int, gateways: Int) -> String {
        func list(_ name: String, _ count: Int, _ region: (Int) -> Int) -> String {
            let places = (0..<count).map { profile.regions[region($0)] }
            return "\(name) in \(Set(places).count == 1 ? places[0] : places.joined(separator: ", "))"
        }
        let waits =
            roundTripMilliseconds == 0
            ? "waits are as they are" : "waits are longer by round trips of \(roundTripMilliseconds) ms"
        return "network \(profile.name): \(list("hosts", hosts, profile.region(ofHost:))); "
            + "\(list("gateways", gateways, profile.region(ofGateway:))); clients in \(profile.regions[profile.regionOfClients]); \(waits)"
    }
}
