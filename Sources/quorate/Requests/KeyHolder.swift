import Client
import Foundation
import HostRuntime
import Messages

/// Whose key signs, and where its requests are kept.
enum KeyHolder: Sendable {
    case account(AccountFile)
    case issuer
    /// Who may freeze and release accounts.
    case compliance

    static let issuerName = "issuer"
    static let complianceName = "compliance"
    /// Of keys that are no account's.
    static let authorities = [issuerName, complianceName]

    var name: String {
        switch self {
        case .account(let file): file.name
        case .issuer: Self.issuerName
        case .compliance: Self.complianceName
        }
    }

    /// Without suffix.
    private func place(_ cluster: String) -> String {
        switch self {
        case .account(let file): "\(AccountFile.folder(cluster))/\(file.name)"
        case .issuer, .compliance: "\(cluster)/\(name)"
        }
    }

    func lockPath(_ cluster: String) -> String {
        switch self {
        case .account(let file): AccountFile.path(file.name, cluster) + ".lock"
        case .issuer, .compliance: place(cluster) + ".lock"
        }
    }

    func signer(_ folder: ClusterFolder) throws -> Ed25519Signer {
        switch self {
        case .account(let file):
            guard let signer = file.signer else {
                throw ToolError(.missingKeys, "the account file of \(file.name) is damaged")
            }
            return signer
        case .issuer: return try folder.issuer()
        case .compliance: return try folder.compliance()
        }
    }

    /// What was signed can be read without the secret key.
    func outbox(_ folder: ClusterFolder) throws -> Outbox {
        let principal: PublicKey
        switch self {
        case .account(let file):
            guard let key = PublicKey(hex: file.public_key) else {
                throw ToolError(.missingKeys, "the account file of \(file.name) is damaged")
            }
            principal = key
        case .issuer: principal = folder.manifest.issuer
        case .compliance:
            guard let key = folder.manifest.compliance else {
                throw ToolError(.missingKeys, "the cluster's manifest names nobody who may freeze accounts")
            }
            principal = key
        }
        return Outbox(folder: place(folder.path) + ".outbox", principal: principal, cluster: folder.manifest.cluster)
    }

    /// Of all whose keys are in the cluster's folder. A file that is damaged does not keep the others' requests from
    /// being found: it is said, and passed over.
    /// - Parameter look: what is wanted of each.
    /// - Returns: with the first problem there was.
    static func each<T>(_ folder: ClusterFolder, _ look: (KeyHolder) throws -> [T]) -> (found: [T], problem: ToolError?)
    {
        var found: [T] = []
        var problem: ToolError?
        var all: [() throws -> KeyHolder] = [{ .issuer }]
        if folder.manifest.compliance != nil { all.append { .compliance } }
        for name in AccountFile.names(folder.path) {
            all.append { .account(try AccountFile.load(name, cluster: folder.path, manifest: folder.manifest)) }
        }
        for holder in all {
            do { found += try look(try holder()) } catch {
                let error = ToolError(error)
                Console.error("warning: passed over: \(error.description)")
                problem = problem ?? error
            }
        }
        return (found, problem)
    }

    static func named(_ name: String, _ folder: ClusterFolder) throws -> KeyHolder {
        if !FileManager.default.fileExists(atPath: AccountFile.path(name, folder.path)) {
            if name == issuerName { return .issuer }
            if name == complianceName { return .compliance }
        }
        return .account(try AccountFile.find(name, cluster: folder.path, manifest: folder.manifest))
    }
}

/// What the user calls the accounts whose keys are here.
struct AddressBook: Sendable {
    private let names: [AccountID: String]

    init(_ folder: ClusterFolder) {
        var names: [AccountID: String] = [:]
        // A damaged file hides a name, and nothing else: whoever needs the file itself is told.
        for name in AccountFile.names(folder.path) {
            guard let file = try? AccountFile.load(name, cluster: folder.path, manifest: folder.manifest),
                let id = AccountID(hex: file.account)
            else { continue }
            names[id] = names[id] ?? name
        }
        self.names = names
    }

    /// A name, or the identifier.
    func name(_ id: AccountID) -> String { names[id] ?? id.hex }

    /// With both.
    func full(_ id: AccountID) -> String { names[id].map { "\($0) (\(id.hex))" } ?? id.hex }

    /// "transfer 250 alice -> bob"
    func purpose(_ entry: OutboxEntry) -> String {
        entry.operations.map(purpose).joined(separator: "; ") + (entry.operation.map { " (operation \($0))" } ?? "")
    }

    private func purpose(_ operation: Messages.Operation) -> String {
        switch operation {
        case .transfer(let transfer): "transfer \(transfer.amount) \(name(transfer.from)) -> \(name(transfer.to))"
        case .open(let specification): "open account \(name(specification.id))"
        case .issue(let to, _, let amount): "issue \(amount) -> \(name(to))"
        case .read(let account): "read \(name(account))"
        case .call(let call, _): "call \(call.procedure)"
        case .freeze(let account, let freeze): "freeze \(freeze.direction) of \(name(account))"
        case .release(let account): "release \(name(account))"
        }
    }

    /// When it was signed, by this machine's clock: the time alone if it was today.
    static func time(_ entry: OutboxEntry) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        let date = Date(timeIntervalSince1970: Double(entry.request.request.issuedAt.number) / 1e6)
        formatter.dateFormat = Calendar.current.isDateInToday(date) ? "HH:mm:ss" : "yyyy-MM-dd HH:mm:ss"
        return formatter.string(from: date)
    }

    /// "transfer 250 alice -> bob of 11:20:05"
    func label(_ entry: OutboxEntry) -> String { "\(purpose(entry)) of \(Self.time(entry))" }
}
