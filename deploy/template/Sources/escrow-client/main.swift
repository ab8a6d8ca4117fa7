import Client
import EscrowTerms
import Foundation

// A buyer or a seller, whose key is in a file.
let usage = """
    USAGE: escrow-client CLUSTER.JSON GATEWAY-PORT KEY-FILE COMMAND

      open                            opens an account; makes the key, if there is no file
      balance                         what the account holds
      deposit DEAL SELLER AMOUNT [S]  puts money aside for SELLER, who is a public key; after S seconds it may be taken back
      pay DEAL                        the buyer lets the seller have it
      refund DEAL                     the seller gives it back, or the buyer takes it when the time is over
    """
let asset = AssetID(1)

struct Problem: Error, CustomStringConvertible { let description: String }

/// 64 hexadecimal digits, which nobody else may read.
func signer(_ path: String, makes: Bool) throws -> Ed25519Signer {
    if makes, !FileManager.default.fileExists(atPath: path) {
        let digits = Hex.encode((0..<32).map { _ in UInt8.random(in: .min ... .max) }) + "\n"
        // Exclusively: a key is never overwritten.
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Problem(description: "\(path) cannot be made: \(String(cString: strerror(errno)))") }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try file.write(contentsOf: Data(digits.utf8))
        try file.synchronize()
    }
    let text = try String(contentsOfFile: path, encoding: .utf8)
    guard let seed = Hex.decode(text.trimmingCharacters(in: .newlines)), let signer = Ed25519Signer(seed: seed) else {
        throw Problem(description: "\(path) is no key")
    }
    return signer
}

func run(_ words: [String]) async throws -> String? {
    guard words.count >= 4, let port = Int(words[1]), (1...65535).contains(port) else { return nil }
    let (command, rest) = (words[3], Array(words[4...]))
    let signer = try signer(words[2], makes: command == "open")
    let gateway = GatewayAddress(host: "127.0.0.1", port: port, trust: GatewayTrust(beside: words[0]))
    let client = QuorateClient(signer: signer, manifest: try Manifest(contentsOf: words[0]), gateways: [gateway])
    let own = AccountSpecification(owner: signer.publicKey, asset: asset)

    func settle(_ deal: String, pays: Bool) async throws -> String {
        let settlement = Settlement(deal: deal, pays: pays)
        let (done, _) = try await client.call(.key(settlement.key), EscrowName.settle, settlement, returning: Deal.self)
        return "\(deal): \(done.price.amount) went \(pays ? "to the seller" : "back to the buyer")"
    }

    let said: String?
    switch (command, rest.count) {
    case ("open", 0):
        let opened = try await client.openAccount(own)
        said = "account \(opened.id)\(opened.isNew ? "" : ", which was open already")\nkey \(signer.publicKey)"
    case ("balance", 0):
        guard let account = try await client.read(own.id) else { throw Problem(description: "account \(own.id) is not open") }
        said = "\(account.posted)"
    case ("deposit", 3), ("deposit", 4):
        guard let seller = PublicKey(hex: rest[1]), let amount = UInt128(rest[2]), let seconds = rest.count == 4 ? UInt64(rest[3]) : 3600,
            seconds <= 1_000_000_000
        else { return nil }
        let deal = Deal(
            name: rest[0], buyer: signer.publicKey, seller: seller, price: Payment.Money(amount, of: asset),
            until: WallClock.now().adding(microseconds: seconds * 1_000_000))
        // One for all deals, which the first one opens.
        try await client.openAccount(deal.vault)
        _ = try await client.call(.account(own.id), EscrowName.deposit, deal, returning: Nothing.self)
        said = "\(deal.name): \(amount) wait in account \(deal.vault.id)"
    case ("pay", 1): said = try await settle(rest[0], pays: true)
    case ("refund", 1): said = try await settle(rest[0], pays: false)
    default: said = nil
    }
    await client.close()
    return said
}

do {
    guard let said = try await run(Array(CommandLine.arguments.dropFirst())) else {
        print(usage)
        exit(64)
    }
    print(said)
} catch {
    print("error: \(error)")
    exit(1)
}
