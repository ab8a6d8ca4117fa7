import ArgumentParser
import Foundation
import HostRuntime
import StrictInput

extension ClusterCommand {
    /// New keys and certificates for gateways.
    struct Certificates: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make new certificates for gateways, by which clients know them in TLS.",
            discussion: """
                It is done where the cluster was created: it needs authority.key. Of a cluster for many machines each gateway of \
                gateways.json gets its folder anew, gateways/N, which goes to its machine; on one machine all gateways share \
                gateway.crt in the cluster's folder. A gateway takes its new certificate at SIGHUP, or when it is started again. \
                Clients need nothing new, as long as authority.crt stays.

                A cluster that was made without an authority gets one: then authority.crt has to reach all clients, beside their \
                cluster.json, and all gateways have to be started again.

                  quorate cluster certificates bank
                  quorate cluster certificates bank --gateway 2 --names g2.example,10.0.0.7
                """)
        @Argument(help: "The cluster's folder.") var directory: String
        @Option(
            help: Limits.host.help("Only this gateway's; it need not be in gateways.json.", name: "gateway"),
            transform: Limits.host.parse) var gateway: Int?
        @Option(
            help: .init(
                "Names and addresses by which clients reach it, beside its own in gateways.json and those of loopback.",
                valueName: "name,…"),
            transform: Self.names) var names: [String] = []
        @Flag(help: "Print one JSON object.") var json = false

        struct Made: Encodable, Sendable {
            var schema = 1
            var folders: [String]
        }

        /// - Throws: `ValidationError`.
        private static func names(_ text: String) throws -> [String] {
            try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
                let name = String(word)
                guard let address = HostAddress(name.contains(":") ? "[\(name)]:1" : "\(name):1"), !address.isWildcard
                else {
                    throw ValidationError(
                        "\(Printable.quoted(word.utf8)) is no name or address by which a gateway can be reached, as g.example or 10.0.0.7."
                    )
                }
                return address.normal.address
            }
        }

        func execute() async throws {
            let folder = try ClusterCommand.open(directory)
            guard !folder.isHostFolder else {
                throw ToolError(
                    .wrongManifest, "\(Printable.line(folder.path)) is one host's folder, not the cluster's")
            }
            let folders = try folder.makeCertificates(number: gateway, names: names)
            guard !json else { return try Console.json(Made(folders: folders)) }
            for folder in folders { Console.out("made gateway.crt and gateway.key in \(folder)") }
            Console.out(
                "gateways take them at SIGHUP (kill -HUP PID), or when they are started again"
                    + (folders == [folder.path] ? "" : ", once the folders are where they run"))
        }
    }
}
