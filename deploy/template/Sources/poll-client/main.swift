import Client
import Foundation
import Poll

// A new voter, who votes for one choice after the other.
let words = CommandLine.arguments
guard words.count > 4, let port = Int(words[2]),
    let voter = Ed25519Signer(seed: (0..<32).map { _ in UInt8.random(in: .min ... .max) })
else {
    print("USAGE: poll-client CLUSTER.JSON GATEWAY-PORT POLL CHOICE…")
    exit(64)
}
do {
    let manifest = try Manifest(contentsOf: words[1])
    let gateway = GatewayAddress(host: "127.0.0.1", port: port, trust: GatewayTrust(beside: words[1]))
    let client = QuorateClient(signer: voter, manifest: manifest, gateways: [gateway])
    for choice in words[4...] {
        let ballot = Ballot(poll: words[3], choice: choice)
        let (home, counter) = (CallTarget.key(ballot.key(of: voter.publicKey)), CallTarget.key(ballot.key))
        let (votes, _) = try await client.call(home, Vote.name, ballot, returning: Vote.Result.self)
        let map = manifest.shardMap
        print("votes for \(choice): \(votes); voter on shard \(map.shard(of: home)), counted on shard \(map.shard(of: counter))")
    }
    await client.close()
} catch {
    print("error: \(error)")
    exit(1)
}
