import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages
import StrictInput
import Workload

/// Which cluster a command is about, where it was not said.
enum ClusterDirectory {
    static let variable = "QUORATE_CLUSTER"
    static let help =
        "The cluster's folder. Default: \(variable), or the cluster's folder that the working folder is in."

    /// What was given; otherwise what the environment names; otherwise the nearest folder with a `cluster.json`, from
    /// the working folder upwards.
    static func find(_ given: String?) throws -> String {
        if let given { return given }
        if let named = ProcessInfo.processInfo.environment[variable], !named.isEmpty { return named }
        let working = FileManager.default.currentDirectoryPath
        var folder = URL(fileURLWithPath: working).standardizedFileURL
        while true {
            if FileManager.default.fileExists(atPath: folder.appendingPathComponent("cluster.json").path) {
                return folder.path
            }
            let parent = folder.deletingLastPathComponent()
            guard parent.path != folder.path else { break }
            folder = parent
        }
        throw ToolError(
            .wrongManifest,
            "no cluster is named: give --cluster FOLDER, set \(variable), or work inside a cluster's folder (there is no cluster.json in \(working) or above)"
        )
    }
}

/// The cluster that a command talks to.
struct ClusterOption: ParsableArguments {
    @Option(name: [.customLong("cluster"), .customShort("c")], help: ArgumentHelp(ClusterDirectory.help)) var given:
        String?

    func open() throws -> ClusterProcesses {
        ClusterProcesses(try ClusterCommand.open(try ClusterDirectory.find(given)))
    }

    /// For a command line that is to be pasted: what has to follow it so that it is about the same cluster.
    var option: String { given.map { " --cluster \(Shell.quoted($0))" } ?? "" }

    /// As an argument of its own.
    var argument: String { Shell.quoted((try? ClusterDirectory.find(given)) ?? "CLUSTER") }

    /// - Throws: `ToolError`, before anything is written or signed, where there is nobody to send it to.
    func requireGateway(_ processes: ClusterProcesses) async throws {
        let gateways = processes.gateways
        guard !gateways.isEmpty else { throw processes.noGateway }
        try await Self.requireTrust(gateways)
    }

    /// - Throws: `notTrusted` if nobody that listens there proves to be a gateway, or they do not speak as this side
    ///   does: that is for a person to mend, and waiting mends nothing.
    private static func requireTrust(_ gateways: [GatewayAddress]) async throws {
        var strange: ConnectionError?
        for address in gateways {
            do {
                let connection = try await GatewayConnection.connect(address, timeout: .milliseconds(500))
                defer { connection.closeWhenIdle() }
                // In plain TCP the other side shows what it speaks only when it is spoken to.
                if address.trust == nil { _ = try await connection.status(timeout: .milliseconds(300)) }
                return
            } catch let error as ConnectionError {
                switch error {
                case .notTrusted, .tlsMismatch: strange = error
                // It may answer later: whoever asks it waits, and says so.
                case .cannotConnect, .lost, .closed, .timeout, .garbage, .tooManyOutstanding: return
                }
            }
        }
        if let strange { throw strange }
    }
}

enum Shell {
    /// One word for a shell.
    static func quoted(_ word: String) -> String { ShellWord.quoted(word) }
}

extension ClusterProcesses {
    /// - Parameters:
    ///   - signer: whose requests they are.
    ///   - foreign: see `RequestWindow`.
    func client(_ signer: Ed25519Signer, firstNumber: RequestNumber? = nil, keeping foreign: RequestNumber? = nil)
        throws -> QuorateClient
    {
        let gateways = gateways
        guard !gateways.isEmpty else {
            throw noGateway
        }
        return QuorateClient(
            signer: signer, manifest: folder.manifest, gateways: gateways, firstNumber: firstNumber, keeping: foreign)
    }

    /// Nobody can be sent anything, and what to do about it.
    var noGateway: ToolError {
        let path = Printable.line(folder.path)
        guard folder.isForManyMachines else {
            return ToolError(
                .notRunning,
                "no gateway of \(path) runs; start the cluster with: quorate cluster up \(Shell.quoted(folder.path))")
        }
        return ToolError(
            .notRunning,
            "no gateway of \(path) is known: it has no gateways.json that lists one. Use the folder or public part that has it, and start a gateway with the public part: quorate gateway run FOLDER"
        )
    }

    /// For who signs nothing, and so needs no key of their own.
    func reader() throws -> QuorateClient { try client(try Ed25519Signer.random()) }
}

extension Ed25519Signer {
    static func random() throws -> Ed25519Signer {
        guard let signer = Ed25519Signer(seed: randomSeed()) else { throw ToolError(.failure, "cannot make a key") }
        return signer
    }

    static func randomSeed() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}
