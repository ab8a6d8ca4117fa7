// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "poll",
    dependencies: [
        // Outside of this checkout: .package(url: "https://…/quorate.git", from: "0.1.0"), with Quorate's address.
        .package(name: "quorate", path: "../.."),
    ],
    targets: [
        // Procedures with their arguments and results, for hosts and clients.
        .target(name: "Poll", dependencies: [.product(name: "QuorateHost", package: "quorate")]),
        .executableTarget(name: "poll-host", dependencies: ["Poll", .product(name: "QuorateHost", package: "quorate")]),
        .executableTarget(name: "poll-client", dependencies: ["Poll", .product(name: "QuorateClient", package: "quorate")]),
        // The same with money, and with what clients need in a target of its own: they do not contain the hosts.
        .target(name: "EscrowTerms", dependencies: [.product(name: "QuorateClient", package: "quorate")]),
        .target(name: "Escrow", dependencies: ["EscrowTerms", .product(name: "QuorateHost", package: "quorate")]),
        .executableTarget(name: "escrow-host", dependencies: ["Escrow", .product(name: "QuorateHost", package: "quorate")]),
        .executableTarget(name: "escrow-client", dependencies: ["EscrowTerms", .product(name: "QuorateClient", package: "quorate")]),
    ],
    swiftLanguageModes: [.v6]
)
