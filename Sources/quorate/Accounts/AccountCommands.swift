import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages

/// The cluster that a command talks to.
struct ClusterOption: ParsableArguments {
    @Option(name: [.customLong("cluster"), .customShort("c")], help: "The cluster's folder.") var directory: String

    func open() throws -> ClusterProcesses { ClusterProcesses(try ClusterCommand.open(directory)) }
}

extension ClusterProcesses {
    /// - Parameter signer: whose requests they are.
    func client(_ signer: Ed25519Signer, firstNumber: RequestNumber? = nil) throws -> QuorateClient {
        let gateways = gateways
        guard !gateways.isEmpty else {
            throw ToolError(.notRunning, "no gateway of \(folder.path) runs; start the cluster with: quorate cluster up \(folder.path)")
        }
        return QuorateClient(signer: signer, manifest: folder.manifest, gateways: gateways, firstNumber: firstNumber)
    }
}

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Create accounts and look at them.",
        discussion: """
            An account's key is kept in accounts/NAME.json in the cluster's folder, readable by you only.

              quorate account create alice --cluster demo --issue 1000
              quorate account show alice --cluster demo
            """,
        subcommands: [Create.self, Show.self])

    struct Created: Encodable, Sendable {
        var schema = 1
        var name: String
        var account: String
        var shard: Int
        var asset: UInt32
        var issued: String
        var receipts: [String]
    }

    struct Create: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key, and open its account in the cluster.",
            discussion: "If it was interrupted before the account was open, the same command with --resume opens it.")
        @Argument(help: "A name for it.") var name: String
        @OptionGroup var cluster: ClusterOption
        @Option(help: "Create so much money in it, with the cluster's issuer key (minor units).") var issue: String?
        @Option(help: "What it holds.") var asset: UInt32 = 1
        @Flag(help: "Use the key that is there already.") var resume = false
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let processes = try cluster.open()
            let folder = processes.folder
            let amount = try issue.map { try AmountArgument.parse($0) }
            // Before anything is written: without a gateway there is nothing to open it with.
            guard !processes.gateways.isEmpty else {
                throw ToolError(.notRunning, "no gateway runs; start the cluster with: quorate cluster up \(cluster.directory)")
            }
            var file = resume
                ? try AccountFile.load(name, cluster: folder.path, manifest: folder.manifest)
                : try AccountFile.create(name, asset: asset, cluster: folder.path, manifest: folder.manifest)
            guard let signer = file.signer, let id = AccountID(hex: file.account) else { throw ToolError(.missingKeys, "the account file is damaged") }
            var receipts: [String] = []

            let lock = try KeyLock(AccountFile.path(name, folder.path) + ".lock")
            let client = try processes.client(signer, firstNumber: try file.takeNumber(folder.path))
            let specification = AccountSpecification(owner: signer.publicKey, asset: AssetID(file.asset), index: file.index)
            let opened = try await client.submit([.open(specification)], mode: .independent)
            await client.close()
            withExtendedLifetime(lock) {}
            switch opened.decisions.first {
            case .commit: receipts.append(try ReceiptStore.save(opened.receipt, folder))
            case .abort(.accountExists): break
            case .abort(let reason): throw ToolError(.aborted, "the account was not opened: \(reason)")
            case nil: throw ToolError(.outcomeUnknown, "the account may have been opened")
            }
            if let amount { receipts.append(try await issueMoney(amount, to: id, asset: AssetID(file.asset), processes)) }

            let shard = Int(folder.manifest.shardMap.shard(of: id).number)
            if json {
                try Console.json(Created(
                    name: name, account: id.hex, shard: shard, asset: file.asset, issued: (amount ?? .zero).description, receipts: receipts))
            } else {
                Console.out("account \(name): \(id.hex) on shard \(shard)\(amount.map { ", holding \($0) of asset \(file.asset)" } ?? "")")
            }
        }

        private func issueMoney(_ amount: Amount, to id: AccountID, asset: AssetID, _ processes: ClusterProcesses) async throws -> String {
            let lock = try KeyLock(processes.folder.path + "/issuer.lock")
            // Numbered by the time: above all that were used before.
            let client = try processes.client(try processes.folder.issuer())
            let outcome = try await client.submit([.issue(to: id, asset: asset, amount: amount)], mode: .independent)
            await client.close()
            withExtendedLifetime(lock) {}
            guard outcome.isCommitted else { throw ToolError(.aborted, "the account is open, but the money was not issued: \(Text.outcome(outcome.decisions.first))") }
            return try ReceiptStore.save(outcome.receipt, processes.folder)
        }
    }

    struct Shown: Encodable, Sendable {
        var schema = 1
        var account: String
        var shard: Int
        var exists: Bool
        var asset: UInt32?
        var owner: String?
        /// Decimal texts: 128-bit numbers.
        var posted: String?
        var pending_debits: String?
        var pending_credits: String?
        /// Signed by a quorum, or in order; a weak read is one gateway's word.
        var certified: Bool
    }

    struct Show: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "What an account holds now.",
            discussion: """
                A linearizable read: it shows everything that was answered before. What 2f + 1 replicas sign alike; where they do
                not agree, as while a transfer is under way, a read in order, with the account's key if it is in the cluster's folder.
                """)
        @Argument(help: "Its name or its id.") var account: String
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "Take one gateway's word: shows what is reserved too, and may be old.") var weak = false
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let processes = try cluster.open()
            let manifest = processes.folder.manifest
            let id = try AccountFile.id(of: account, cluster: processes.folder.path, manifest: manifest)
            let (view, how) = try await weak ? weakRead(id, processes) : read(id, processes)
            let shard = Int(manifest.shardMap.shard(of: id).number)
            if json {
                try Console.json(Shown(
                    account: id.hex, shard: shard, exists: view != nil, asset: view?.asset.number, owner: view?.owner.hex,
                    posted: view?.posted.description, pending_debits: view?.pendingDebits.description,
                    pending_credits: view?.pendingCredits.description, certified: !weak))
            } else if let view {
                var line = "\(id.hex) on shard \(shard): \(view.posted) of asset \(view.asset)"
                if view.pendingDebits > .zero { line += ", \(view.pendingDebits) reserved" }
                if view.pendingCredits > .zero { line += ", \(view.pendingCredits) on its way" }
                Console.out(line + how)
            }
            if view == nil {
                if !json { Console.out("there is no account \(id.hex)\(how)") }
                throw ExitCode(ExitReason.failure.rawValue)
            }
        }

        private func weakRead(_ id: AccountID, _ processes: ClusterProcesses) async throws -> (AccountView?, how: String) {
            guard let gateway = processes.gateways.first else {
                throw ToolError(.notRunning, "no gateway runs; start the cluster with: quorate cluster up \(cluster.directory)")
            }
            let connection = try await GatewayConnection.connect(gateway)
            let (view, agreeing) = try await connection.account(id)
            await connection.close()
            return (view, " (weak read, \(agreeing) replicas agree)")
        }

        /// Who signs nothing needs no key of their own.
        private static func anybody() throws -> Ed25519Signer {
            var random = SystemRandomNumberGenerator()
            guard let signer = Ed25519Signer(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }) else {
                throw ToolError(.failure, "cannot make a key")
            }
            return signer
        }

        private func read(_ id: AccountID, _ processes: ClusterProcesses) async throws -> (AccountView?, how: String) {
            let folder = processes.folder
            let reader = try processes.client(try Self.anybody())
            let statement = try await reader.quorumRead(id)
            await reader.close()
            if let statement { return (statement.view, "") }
            guard let name = try? AccountFile.find(account, cluster: folder.path, manifest: folder.manifest).name else {
                throw ToolError(.noAnswer, "no quorum agrees on account \(id.hex) just now, and its key is not here; ask again, or with --weak")
            }
            let lock = try KeyLock(AccountFile.path(name, folder.path) + ".lock")
            var file = try AccountFile.load(name, cluster: folder.path, manifest: folder.manifest)
            guard let signer = file.signer else { throw ToolError(.missingKeys, "the account file is damaged") }
            let client = try processes.client(signer, firstNumber: try file.takeNumber(folder.path))
            let view = try await client.read(id)
            await client.close()
            withExtendedLifetime(lock) {}
            return (view, " (read in order)")
        }
    }
}

enum AmountArgument {
    static func parse(_ text: String) throws -> Amount {
        guard let number = UInt128(text), number > 0, Amount(number) < Amount.limit else {
            throw ToolError(.failure, "\"\(text)\" is no amount: a whole number of minor units from 1 to 2^126 - 1")
        }
        return Amount(number)
    }
}

enum Text {
    static func outcome(_ decision: Decision?) -> String {
        switch decision {
        case .commit: "committed"
        case .abort(let reason): "aborted: \(reason)"
        case nil: "unknown"
        }
    }

    static func milliseconds(_ duration: Duration) -> Double { (duration / .microseconds(1)).rounded() / 1000 }
}
