// swift-tools-version: 6.1
import Foundation
import PackageDescription

let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6)
]

/// The module table of docs/ARCHITECTURE.md; `--explicit-target-dependency-import-check error` keeps imports to it.
let package = Package(
    name: "quorate",
    products: [
        .library(name: "QuorateClient", targets: ["Client"]),
        .library(name: "QuorateHost", targets: ["QuorateHost"]),
        .executable(name: "quorate", targets: ["quorate"]),
        .executable(name: "quorate-benchmarks", targets: ["Benchmarks"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        // Protocol modules: deterministic, no I/O.
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .target(
            name: "Messages",
            dependencies: [
                "CSodium",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        // Seeded chance and backoff.
        .target(name: "Randomness"),
        .target(name: "PBFT", dependencies: ["Messages", deque]),
        .target(name: "ShardState", dependencies: ["Messages"]),
        .target(name: "TwoPhaseCommit", dependencies: ["Messages"]),
        .target(name: "Gateway", dependencies: ["Messages", "Randomness", deque]),
        .target(
            name: "Cores",
            dependencies: [
                "Messages", "Randomness", "PBFT", "ShardState", "TwoPhaseCommit", "Gateway", deque, heap,
            ]),
        // Procedures as users write them.
        .target(name: "ExampleProcedures", dependencies: ["Messages", "ShardState"]),
        // What is read from outside, and how it is shown.
        .target(name: "StrictInput"),
        // Delays between regions, for real and for simulated networks.
        .target(name: "Networks", dependencies: ["StrictInput", "Randomness"]),
        // cluster.json, for hosts and for clients.
        .target(name: "ManifestFile", dependencies: ["Messages", "StrictInput"]),
        // Storage.
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        // Who dies by a signal while it reads mapped pages leaves a word.
        .target(name: "CFaultMark"),
        // Signals as bytes in a pipe.
        .target(name: "CSignals"),
        .target(name: "LMDBStore", dependencies: ["Messages", "CLMDB", "CFaultMark"]),
        .target(name: "WriteAheadLog", dependencies: ["Messages", .product(name: "Crypto", package: "swift-crypto")]),
        // What was executed, for exports.
        .target(
            name: "Archive",
            dependencies: ["Messages", "WriteAheadLog", .product(name: "Crypto", package: "swift-crypto")]),
        // Whether what clients saw is strictly serializable.
        .target(name: "Histories", dependencies: ["StrictInput", deque]),
        // The same protocol code under a virtual clock, network and disk.
        .target(
            name: "Simulator",
            dependencies: [
                "Messages", "StrictInput", "Randomness", "Cores", "PBFT", "ShardState", "TwoPhaseCommit", "Gateway",
                "WriteAheadLog", "Histories", deque, heap,
            ]),
        // The network library's errors in words for people.
        .target(
            name: "ConnectionErrors",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        // What is counted, under its reason.
        .target(
            name: "Meter", dependencies: ["Messages", .product(name: "CoreMetrics", package: "swift-metrics")]),
        // From sockets to whoever handles what they bring, and back.
        .target(
            name: "Transport",
            dependencies: [
                "Messages", "Randomness", "Networks", "Gateway", .product(name: "NIOCore", package: "swift-nio"),
            ]),
        // Runtime.
        .target(
            name: "Client",
            dependencies: [
                "Messages", "StrictInput", "Randomness", "ManifestFile", "ConnectionErrors", "Transport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        .target(
            name: "HostRuntime",
            dependencies: [
                "Messages", "Randomness", "StrictInput", "ManifestFile", "Cores", "PBFT", "ShardState",
                "TwoPhaseCommit", "Gateway", "LMDBStore", "WriteAheadLog", "Archive", "ConnectionErrors", "Transport",
                "Meter", "CSignals",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        // What a process says over HTTP.
        .target(
            name: "Web",
            dependencies: [
                "Messages", "StrictInput", "ManifestFile", "Client", "Meter", "Transport",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        // Host programs with procedures of their users.
        .target(
            name: "QuorateHost",
            dependencies: [
                "Messages", "StrictInput", "Networks", "ManifestFile", "ShardState", "Cores", "HostRuntime",
                "ConnectionErrors", "Transport", "Web",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]),
        .target(
            name: "Workload",
            dependencies: [
                "Messages", "StrictInput", "Randomness", "Client", "Meter", "ExampleProcedures", "CZlib", deque,
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        // The cores' code with what it costs, for machines that are not there.
        .target(
            name: "Forecast",
            dependencies: [
                "Messages", "Networks", "PBFT", "Cores", "HostRuntime", "Simulator",
                "Workload", deque, heap,
            ]),
        .executableTarget(
            name: "quorate",
            dependencies: [
                "Messages", "StrictInput", "Randomness", "Networks", "ManifestFile", "Client", "Workload",
                "HostRuntime", "QuorateHost", "Cores", "ShardState", "PBFT", "LMDBStore", "WriteAheadLog", "Simulator",
                "ExampleProcedures", "Histories", "Meter", "Web", "Forecast", "Transport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Messages", "Randomness", "PBFT", "ShardState", "LMDBStore", "WriteAheadLog",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        // Tests.
        .target(name: "TestSignatures", dependencies: ["Messages"], path: "Tests/TestSignatures"),
        // A value of everything that is encoded.
        .target(
            name: "TestSamples", dependencies: ["Messages", "Randomness", "TestSignatures"], path: "Tests/TestSamples"),
        // Everything that reads what comes from outside, as fuzzers call it (docs/FUZZING.md).
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Messages", "Randomness", "StrictInput", "Networks", "ManifestFile", "Transport", "PBFT", "ShardState",
                "Cores", "WriteAheadLog", "LMDBStore", "Histories", "Simulator", "Workload", "Client", "HostRuntime",
                "QuorateHost", "Web", "TestSignatures", "TestSamples",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/FuzzTargets"),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets", "Randomness"]),
        .testTarget(
            name: "MessagesTests",
            dependencies: [
                "Randomness", "Messages", "TestSignatures", "TestSamples",
                .product(name: "Crypto", package: "swift-crypto"),
            ]),
        .testTarget(
            name: "PBFTTests", dependencies: ["Randomness", "Messages", "PBFT", "TestSignatures", "TestSamples"]),
        .testTarget(
            name: "ShardStateTests", dependencies: ["Randomness", "Messages", "ShardState", "ExampleProcedures"]),
        .testTarget(name: "TwoPhaseCommitTests", dependencies: ["Messages", "TwoPhaseCommit"]),
        .testTarget(name: "GatewayTests", dependencies: ["Randomness", "Messages", "Gateway", "Cores"]),
        .testTarget(
            name: "CoresTests", dependencies: ["Messages", "Cores", "PBFT", "ShardState", "Gateway", "Simulator"]),
        .testTarget(
            name: "WriteAheadLogTests", dependencies: ["Randomness", "Messages", "WriteAheadLog", "Simulator"]),
        .testTarget(
            name: "ArchiveTests", dependencies: ["Randomness", "Messages", "WriteAheadLog", "Archive", "Simulator"]),
        .testTarget(
            name: "StoreTests", dependencies: ["Randomness", "Messages", "LMDBStore", "CFaultMark", "Simulator"]),
        .testTarget(
            name: "SimulatorTests",
            dependencies: ["Messages", "Simulator", "Cores", "PBFT", "ShardState", "WriteAheadLog"],
            exclude: ["Scenarios"]),
        // Interposes the calls that write to a disk in the test program; see its header.
        .target(name: "PowerLossRecorder", path: "Tests/PowerLossRecorder"),
        .testTarget(
            name: "PowerLossTests",
            dependencies: [
                "Randomness",
                "PowerLossRecorder", "Messages", "Simulator", "Cores", "HostRuntime", "PBFT", "LMDBStore",
                "WriteAheadLog",
            ]),
        .testTarget(
            name: "MeterTests",
            dependencies: ["Messages", "Meter", .product(name: "CoreMetrics", package: "swift-metrics")]),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "Randomness", "Messages", "Networks", "Transport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ]),
        .testTarget(name: "StrictInputTests", dependencies: ["Randomness", "StrictInput"]),
        .testTarget(name: "NetworksTests", dependencies: ["StrictInput", "Randomness", "Networks"]),
        .testTarget(name: "HistoriesTests", dependencies: ["Histories"]),
        .testTarget(
            name: "ForecastTests", dependencies: ["Messages", "Randomness", "Networks", "Workload", "Forecast"]),
        .testTarget(
            name: "WorkloadTests",
            dependencies: ["Randomness", "Messages", "StrictInput", "ExampleProcedures", "Meter", "Workload"]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "Randomness",
                "Messages", "ManifestFile", "Client", "HostRuntime", "Cores", "LMDBStore", "WriteAheadLog",
                "ExampleProcedures", "Histories", "Simulator", "ShardState", "Meter", "QuorateHost", "StrictInput",
                "Networks",
                "Transport", "Web",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            ]),
    ]
)

for target in package.targets where target.type != .system && target.type != .plugin {
    target.swiftSettings = strict
    // What is tested is optimised; the tests themselves are compiled in a third of the time without. Those of power loss
    // compute disks.
    if target.type == .test, target.name != "PowerLossTests" {
        target.swiftSettings?.append(.unsafeFlags(["-Onone"]))
    }
}

// Deliberately broken variants of the protocol, to show that the simulator catches them (docs/SIMULATION.md). They
// exist only in a build of their own: QUORATE_MUTANTS=1 swift build -c release --scratch-path .build/mutants --product
// quorate-mutants
if ProcessInfo.processInfo.environment["QUORATE_MUTANTS"] == "1" {
    let runner = Target.executableTarget(
        name: "MutantRunner", dependencies: ["Messages", "Simulator"], path: "Tests/MutantRunner")
    runner.swiftSettings = strict
    package.targets.append(runner)
    package.products.append(.executable(name: "quorate-mutants", targets: ["MutantRunner"]))
    for target in package.targets where target.type != .system && target.type != .plugin {
        target.swiftSettings = (target.swiftSettings ?? []) + [.define("MUTANTS")]
    }
}

// Coverage of the protocol modules (deploy/coverage). Only they are instrumented, so that long simulations stay quick,
// and nothing of them is inlined into other modules, where it would not be counted.
if ProcessInfo.processInfo.environment["QUORATE_COVERAGE"] == "1" {
    let measured = ["PBFT", "TwoPhaseCommit", "ShardState", "WriteAheadLog"]
    for target in package.targets where measured.contains(target.name) {
        target.swiftSettings =
            strict + [.unsafeFlags(["-profile-generate", "-profile-coverage-mapping", "-disable-cmo"])]
    }
    for target in package.targets where target.type == .test || target.type == .executable {
        target.linkerSettings = (target.linkerSettings ?? []) + [.unsafeFlags(["-profile-generate"])]
    }
}

// Fuzzers (deploy/fuzz, docs/FUZZING.md). QUORATE_FUZZ is libFuzzer's archive of the toolchain, without a main function.
// Only our modules are instrumented.
if let libFuzzer = ProcessInfo.processInfo.environment["QUORATE_FUZZ"] {
    package.targets += [
        .systemLibrary(name: "CLibFuzzer", path: "Tests/CLibFuzzer"),
        .executableTarget(
            name: "Fuzzer", dependencies: ["FuzzTargets", "Randomness", "CLibFuzzer"], path: "Tests/Fuzzer",
            linkerSettings: [.unsafeFlags(["-sanitize=address", "-Xlinker", libFuzzer]), .linkedLibrary("stdc++")]),
    ]
    package.products.append(.executable(name: "quorate-fuzz", targets: ["Fuzzer"]))
    for target in package.targets where target.type == .regular || target.type == .executable {
        target.swiftSettings = strict + [.unsafeFlags(["-sanitize=fuzzer,address"])]
    }
}
