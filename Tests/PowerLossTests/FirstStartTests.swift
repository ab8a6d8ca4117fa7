import Randomness
import Glibc
import HostRuntime
import Messages
import Simulator
import Testing

extension PowerLossTests {
    /// A host that has never spoken has nothing to lose: whatever its first start leaves behind, the next one succeeds.
    @Test func aHostWhosePowerGoesDuringItsFirstStartStartsAgain() async throws {
        var template = Array("/tmp/quorate-first-start-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        let (live, image) = (folder + "/live", folder + "/image")
        try #require(mkdir(live, 0o700) == 0)
        let logger = LineLogHandler.logger("test", level: .critical)

        try Recorder.start(live)
        let cluster = try ClusterFolder.create(
            at: live + "/cluster", shards: 1, replicas: 4, basePort: Int.random(in: 20_000..<32_000))
        Recorder.mark([])
        let host = try await Host.start(HostID(0), of: cluster, logger: logger)
        let calls = Recorder.stop()
        await host.stop()
        removeTree(live)

        var model = DiskModel(root: live)
        var rng = SplitMix64(seed: 1)
        var hasStarted = false
        var failures = 0
        for (i, call) in calls.enumerated() {
            try model.apply(call)
            if case .mark = call { hasStarted = true }
            guard hasStarted else { continue }
            // Those that keep something and lose something, in turn; the two extremes now and then.
            let fate = Fate.allCases[i % Fate.allCases.count]
            removeTree(image)
            try DiskImage.write(model, folder: "", to: image, fate: fate, using: &rng)
            try model.finishSynced(call)
            do {
                let again = try await Host.start(
                    HostID(0), of: try ClusterFolder(opening: image + "/cluster"), logger: logger)
                await again.stop()
            } catch {
                failures += 1
                Issue.record("after call \(i) of \(calls.count), fate \(fate): \(error)")
            }
        }
        removeTree(folder)
        #expect(hasStarted && failures == 0)
    }
}
