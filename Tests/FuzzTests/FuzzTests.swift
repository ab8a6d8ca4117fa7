import Foundation
import FuzzTargets
import Randomness
import Testing

/// Every reader of outside bytes takes what fuzzers found before, and what some seconds of blind changes make of it. The
/// long search with coverage is `deploy/fuzz` (docs/FUZZING.md).
@Suite struct FuzzTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// For each target.
    private static let seconds = environment["QUORATE_FUZZ_SECONDS"].flatMap { Double($0) } ?? 0.7
    /// Only this round is run.
    private static let round = environment["QUORATE_FUZZ_ROUND"].flatMap { UInt64($0) }
    private static let changesInARound = 256

    /// Real encodings are read: else the rest would try nothing but noise.
    @Test(arguments: FuzzTarget.all)
    func readsItsSeeds(target: FuzzTarget) throws {
        let seeds = try target.seeds()
        let accepted = try seeds.count { seed in
            #expect(seed.count <= target.maxLength, "a seed has \(seed.count) bytes")
            return try target.run(seed)
        }
        #expect(accepted > 0, "none of \(seeds.count) seeds is accepted")
    }

    @Test(arguments: FuzzTarget.all)
    func readsItsCorpus(target: FuzzTarget) throws {
        for file in Corpus.files(of: target) {
            try note(target, file.name) {
                do throws(FuzzFinding) { _ = try target.run(file.bytes) } catch {
                    Issue.record("Tests/Fuzz/\(target)/\(file.name): \(error)")
                }
            }
        }
    }

    @Test(arguments: FuzzTarget.all)
    func readsWhatChangesMakeOfIt(target: FuzzTarget) throws {
        let inputs = try target.seeds() + Corpus.files(of: target).map(\.bytes)
        guard let first = Self.round else {
            let end = ContinuousClock.now + .seconds(Self.seconds)
            var round: UInt64 = 0
            while ContinuousClock.now < end {
                try run(target, inputs, round: round, until: end)
                round += 1
            }
            return
        }
        try run(target, inputs, round: first, until: nil)
    }

    private func run(
        _ target: FuzzTarget, _ inputs: [[UInt8]], round: UInt64, until end: ContinuousClock.Instant?
    ) throws {
        var random = SplitMix64(seed: round)
        var mutation = Mutation(seed: random.next(), target: target)
        try note(target, "round \(round)") {
            for _ in 0..<Self.changesInARound {
                if let end, ContinuousClock.now >= end { return }
                let bytes = mutation.change(
                    inputs[random.below(inputs.count)], with: inputs[random.below(inputs.count)])
                do throws(FuzzFinding) { _ = try target.run(bytes) } catch {
                    let file = "\(NSTemporaryDirectory())/quorate-fuzz-\(target)-\(round)"
                    try? Data(bytes).write(to: URL(fileURLWithPath: file))
                    Issue.record("\(target), round \(round): \(error); the input is in \(file)")
                }
            }
        }
    }

    /// A trap ends the whole test program: what is left of this says where it was.
    private func note(_ target: FuzzTarget, _ what: String, _ body: () throws -> Void) throws {
        let file = "\(NSTemporaryDirectory())/quorate-fuzz-trapped-\(getpid())-\(target)"
        try Data("\(target): \(what)\n".utf8).write(to: URL(fileURLWithPath: file))
        defer { unlink(file) }
        try body()
    }

    /// A folder is no target's: nobody would run what is in it.
    @Test func everyCorpusHasATarget() throws {
        for folder in Corpus.folders { #expect(FuzzTarget.named(folder) != nil, "Tests/Fuzz/\(folder)") }
        #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
    }
}

private enum Corpus {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzz")

    static var folders: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        return names.filter { !$0.contains(".") }.sorted()
    }

    static func files(of target: FuzzTarget) -> [(name: String, bytes: [UInt8])] {
        let folder = root.appending(path: target.name)
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        return names.compactMap { name in
            (try? Data(contentsOf: folder.appending(path: name))).map { (name, Array($0)) }
        }
    }
}
