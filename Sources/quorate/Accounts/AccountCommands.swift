import ArgumentParser
import Client
import Foundation
import HostRuntime
import Messages

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Create accounts and look at them.",
        discussion: """
            An account's key is kept in accounts/NAME.json in the cluster's folder, readable by you only; what was signed with it \
            is in accounts/NAME.outbox (quorate tx list).

              quorate account create alice --shard 0 --issue 1000 --cluster demo
              quorate account show alice --cluster demo
              quorate account list --cluster demo
            """,
        subcommands: [Create.self, List.self, Show.self])

    struct Created: Encodable, Sendable {
        var schema = 1
        var name: String
        var account: String
        var shard: Int
        var asset: UInt32
        /// "0" without --issue.
        var issued: String
        /// The name under which it was issued: quorate issue does not do it a second time.
        var operation: String?
        /// The money was issued by an earlier command.
        var earlier: Bool
        var receipts: [String]
    }

    struct Create: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key, and open its account in the cluster.",
            discussion: """
                If it was interrupted, the same command with --resume goes on with the key that is there: it opens the account if it is \
                not open, and issues the money if that was not issued. It happens once, however often it is repeated: the money is \
                issued under the name account-ID of the operation (quorate issue --help).
                """)
        @Argument(help: "A name for it.") var name: String
        @OptionGroup var cluster: ClusterOption
        @Option(help: "Create so much money in it, with the cluster's issuer key (minor units).") var issue: String?
        @Option(help: "What it holds.") var asset: UInt32?
        @Option(help: "The shard that it is to be on. Default: any; which one follows from the key.") var shard: Int?
        @Flag(help: "Use the key that is there already.") var resume = false
        @Flag(help: "Print one JSON object.") var json = false

        func validate() throws {
            if let issue { _ = try AmountArgument.parse(issue) }
            if let shard, shard < 0 { throw ValidationError("--shard \(shard): shards are numbered from 0.") }
        }

        func execute() async throws { try await reporting(json: json) { try await create() } }

        private func create() async throws {
            let processes = try cluster.open()
            let folder = processes.folder
            let manifest = folder.manifest
            let amount = try issue.map { try AmountArgument.parse($0) }
            if let shard, shard >= manifest.shardCount {
                throw Misuse.error("--shard \(shard): the cluster has shards 0 to \(manifest.shardCount - 1)")
            }
            // Before anything is written: without a gateway there is nothing to open it with.
            try await cluster.requireGateway(processes)
            let file =
                resume
                ? try AccountFile.load(name, cluster: folder.path, manifest: manifest)
                : try AccountFile.create(
                    name, asset: asset ?? 1, on: shard.map { ShardID(UInt16($0)) }, cluster: folder.path,
                    hint: cluster.option,
                    manifest: manifest)
            guard let id = AccountID(hex: file.account), let owner = PublicKey(hex: file.public_key) else {
                throw ToolError(.missingKeys, "the account file is damaged")
            }
            let at = Int(manifest.shardMap.shard(of: id).number)
            if let shard, shard != at {
                throw Misuse.error("--shard \(shard): the account \(name) that is to be resumed is on shard \(at)")
            }
            if let asset, asset != file.asset {
                throw Misuse.error(
                    "--asset \(asset): the account \(name) that is to be resumed holds asset \(file.asset)")
            }
            try ReceiptStore.check(nil, folder)

            var receipts: [String] = []
            let specification = AccountSpecification(owner: owner, asset: AssetID(file.asset), index: file.index)
            let sender = try await Sender(.account(file), processes, cluster)
            let opened = try await sender.perform([.open(specification)], mode: .independent)
            switch opened.outcome?.decisions.first {
            case .commit: if let path = try ReceiptStore.save(opened, folder) { receipts.append(path) }
            case .abort(.accountExists): break
            case .abort(let reason):
                try sender.settle(opened, receipt: nil)
                throw ToolError(.aborted, "the account \(name) was not opened: \(reason)", txid: opened.entry.txid)
            case nil: throw ToolError(.outcomeUnknown, "the account may have been opened", txid: opened.entry.txid)
            }
            try sender.settle(opened, receipt: receipts.first)
            var issued: Issuing?
            if let amount {
                issued = try await Issuing.perform(
                    amount, to: id, asset: AssetID(file.asset), operation: "account-\(id.hex)", processes, cluster)
                if let path = issued?.receipt { receipts.append(path) }
            }
            if json {
                try Console.json(
                    Created(
                        name: name, account: id.hex, shard: at, asset: file.asset,
                        issued: (amount ?? .zero).description,
                        operation: issued?.reply.entry.operation,
                        earlier: issued.map { $0.reply.when != .now } ?? false, receipts: receipts))
            } else {
                var line = "account \(name): \(id.hex) on shard \(at)"
                if let amount, let issued {
                    line += ", \(amount) of asset \(file.asset) issued"
                    if issued.reply.when != .now { line += " (by an earlier command, and not again)" }
                }
                Console.out(line)
            }
            try issued?.finish()
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

        func execute() async throws { try await reporting(json: json) { try await show() } }

        private func show() async throws {
            let processes = try cluster.open()
            let manifest = processes.folder.manifest
            let id = try AccountFile.id(of: account, cluster: processes.folder.path, manifest: manifest)
            let (view, how) = try await weak ? weakRead(id, processes) : read(id, processes)
            let shard = Int(manifest.shardMap.shard(of: id).number)
            if json {
                try Console.json(
                    Shown(
                        account: id.hex, shard: shard, exists: view != nil, asset: view?.asset.number,
                        owner: view?.owner.hex,
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

        private func weakRead(_ id: AccountID, _ processes: ClusterProcesses) async throws -> (
            AccountView?, how: String
        ) {
            try await cluster.requireGateway(processes)
            let connection = try await GatewayConnection.connect(processes.gateways[0])
            let (view, agreeing) = try await connection.account(id)
            await connection.close()
            return (view, " (weak read, \(agreeing) replicas agree)")
        }

        private func read(_ id: AccountID, _ processes: ClusterProcesses) async throws -> (AccountView?, how: String) {
            let folder = processes.folder
            try await cluster.requireGateway(processes)
            let reader = try processes.reader()
            let statement = try await reader.quorumRead(id)
            await reader.close()
            if let statement { return (statement.view, "") }
            guard let file = try? AccountFile.find(account, cluster: folder.path, manifest: folder.manifest) else {
                throw ToolError(
                    .noAnswer,
                    "no quorum agrees on account \(id.hex) just now, and its key is not here; ask again, or for one gateway's word with: quorate account show \(id.hex) --weak\(cluster.option)"
                )
            }
            let sender = try await Sender(.account(file), processes, cluster)
            let reply = try await sender.read(id)
            for certificate in reply.receipt.certificates
            where certificate.shard == folder.manifest.shardMap.shard(of: id) {
                if case .read(let view)? = certificate.leaf.status(ofLeg: 0) { return (view, " (read in order)") }
            }
            throw ToolError(
                .noAnswer, "the read of account \(id.hex) was refused: \(Text.outcome(reply.decisions.first))")
        }
    }

    struct Listed: Encodable, Sendable {
        struct Account: Encodable, Sendable {
            var name: String
            var account: String
            var shard: Int
            var asset: UInt32
            /// Requests whose outcome is not known.
            var open: Int
            /// Null where no quorum said so just now; "0" too where the account is not open yet.
            var posted: String?
            var exists: Bool?
        }
        var schema = 1
        var accounts: [Account]
        /// Of files that are damaged, what is wrong with each; left out if there are none.
        var problems: [String]?
    }

    struct List: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "The accounts whose keys are in the cluster's folder, and what they hold.",
            discussion: """
                What they hold is a quorum read of each, where the cluster runs; otherwise it is left out. A file that is damaged is named, \
                and the others are listed; the exit code is then that of the damage.
                """)
        @OptionGroup var cluster: ClusterOption
        @Flag(help: "Print one JSON object.") var json = false

        func execute() async throws {
            let processes = try cluster.open()
            let folder = processes.folder
            let reader = processes.gateways.isEmpty ? nil : try processes.reader()
            var accounts: [Listed.Account] = []
            var problems: [ToolError] = []
            var waited = Duration.zero
            for name in AccountFile.names(folder.path) {
                let file: AccountFile
                let open: Int
                do {
                    file = try AccountFile.load(name, cluster: folder.path, manifest: folder.manifest)
                    open = try KeyHolder.account(file).outbox(folder).entries().count {
                        $0.state == .open && !$0.isRead
                    }
                } catch {
                    problems.append(ToolError(error))
                    continue
                }
                guard let id = AccountID(hex: file.account) else { continue }
                // Where nobody answers, each account is not waited for again.
                let start = ContinuousClock.now
                let isAsked = waited < .seconds(1)
                let statement = isAsked ? try await reader?.quorumRead(id, attempts: 1, timeout: .seconds(2)) : nil
                if isAsked, statement == nil { waited += .now - start }
                accounts.append(
                    Listed.Account(
                        name: name, account: id.hex, shard: Int(folder.manifest.shardMap.shard(of: id).number),
                        asset: file.asset, open: open,
                        posted: statement.map { ($0.view?.posted ?? .zero).description },
                        exists: statement.map { $0.view != nil }))
            }
            await reader?.close()
            for problem in problems { Console.error("error: \(problem.description)") }
            if json {
                try Console.json(
                    Listed(accounts: accounts, problems: problems.isEmpty ? nil : problems.map(\.description)))
            } else {
                show(accounts, folder, areAll: problems.isEmpty)
            }
            if let first = problems.first { throw ExitCode(first.reason.rawValue) }
        }

        private func show(_ accounts: [Listed.Account], _ folder: ClusterFolder, areAll: Bool) {
            guard !accounts.isEmpty || !areAll else {
                return Console.out(
                    "no account's key is in \(AccountFile.folder(folder.path)); make one with: quorate account create alice\(cluster.option)"
                )
            }
            let width = accounts.map(\.name.count).max() ?? 0
            for account in accounts {
                var line =
                    account.name + String(repeating: " ", count: width - account.name.count)
                    + "  \(account.account)  shard \(account.shard)  "
                switch (account.exists, account.posted) {
                case (true?, let posted?): line += "\(posted) of asset \(account.asset)"
                case (false?, _):
                    line += "not open; open it with: quorate account create \(account.name) --resume\(cluster.option)"
                default: line += "asset \(account.asset)"
                }
                if account.open > 0 {
                    line += "  (a request is open: quorate tx list \(account.name)\(cluster.option))"
                }
                Console.out(line)
            }
        }
    }
}

enum AmountArgument {
    /// - Throws: `ValidationError`: wrong usage.
    static func parse(_ text: String) throws -> Amount {
        guard let number = UInt128(text), number > 0, Amount(number) < Amount.limit else {
            throw ValidationError("\"\(text)\" is no amount: a whole number of minor units from 1 to 2^126 - 1 is.")
        }
        return Amount(number)
    }
}

enum Text {
    static func outcome(_ decision: Decision?) -> String { ReceiptFile.outcome(decision) }

    static func milliseconds(_ duration: Duration) -> Double { (duration / .microseconds(1)).rounded() / 1000 }
}
