import Foundation
import NIOCore
import Synchronization
import Testing
import Web

/// Counts what it is asked.
private final class CountingSource: DashboardSource {
    private let counts = Mutex((pictures: 0, rests: 0))
    let rested: AsyncStream<Void>
    private let restedEnd: AsyncStream<Void>.Continuation

    init() { (rested, restedEnd) = AsyncStream.makeStream(of: Void.self) }

    var pictures: Int { counts.withLock { $0.pictures } }
    var rests: Int { counts.withLock { $0.rests } }

    func picture() async -> [UInt8]? {
        let number = counts.withLock { counts in
            counts.pictures += 1
            return counts.pictures
        }
        return Array("{\"number\":\(number)}".utf8)
    }
    func trace(_ transaction: String) async -> TraceAnswer {
        .problem(WebProblem(status: 404, title: "none", detail: "say \"\u{1}\" \\"))
    }
    func rest() async {
        counts.withLock { $0.rests += 1 }
        restedEnd.yield()
    }
}

struct PictureFeedTests {
    private static func limits(maxSubscribers: Int = 4) -> DashboardLimits {
        var limits = DashboardLimits()
        (limits.period, limits.interest, limits.maxSubscribers) = (.milliseconds(10), .milliseconds(50), maxSubscribers)
        return limits
    }

    private static func text(_ event: ByteBuffer?) -> String { event.map { String(buffer: $0) } ?? "" }

    @Test func `whoever subscribes gets pictures as events, one after the other`() async throws {
        let feed = PictureFeed(CountingSource(), limits: Self.limits())
        let subscription = try #require(await feed.subscribe())
        var events = subscription.events.makeAsyncIterator()
        let first = Self.text(await events.next())
        #expect(first.hasPrefix("id: 1\nevent: picture\ndata: {\"number\":1}") && first.hasSuffix("\n\n"))
        #expect(Self.text(await events.next()).contains("\"number\":"))
        await feed.stop()
        // What was there may still be read; then it ends.
        while await events.next() != nil {}
    }

    @Test func `pictures are shared, and none is made once nobody looks`() async throws {
        let source = CountingSource()
        let feed = PictureFeed(source, limits: Self.limits())
        let (a, b) = (try #require(await feed.subscribe()), try #require(await feed.subscribe()))
        var (first, second) = (a.events.makeAsyncIterator(), b.events.makeAsyncIterator())
        #expect(Self.text(await first.next()).contains("\"number\":1}"))
        _ = await second.next()
        await feed.unsubscribe(a.number)
        await feed.unsubscribe(b.number)
        for await _ in source.rested { break }
        let made = source.pictures
        #expect(source.rests == 1 && made >= 1)
        // And again for who comes later.
        #expect(await feed.picture() != nil)
        #expect(source.pictures > made)
        await feed.stop()
    }

    @Test func `more than the limit are turned away, until one goes`() async throws {
        let feed = PictureFeed(CountingSource(), limits: Self.limits(maxSubscribers: 1))
        let only = try #require(await feed.subscribe())
        #expect(await feed.subscribe() == nil)
        await feed.unsubscribe(only.number)
        #expect(await feed.subscribe() != nil)
        await feed.stop()
        #expect(await feed.subscribe() == nil)
    }

    @Test func `who does not read is dropped, and who does is not`() async throws {
        let feed = PictureFeed(CountingSource(), limits: Self.limits())
        let (slow, quick) = (try #require(await feed.subscribe()), try #require(await feed.subscribe()))
        let reader = Task {
            var count = 0
            for await _ in quick.events { count += 1 }
            return count
        }
        // Nobody takes anything out of `slow.events`.
        for await _ in slow.dropped {}
        await feed.unsubscribe(quick.number)
        #expect(await reader.value >= 2)
        await feed.stop()
    }
}

struct RecentTests {
    @Test func `what is made is for all who ask meanwhile and soon after`() async {
        let made = Mutex(0)
        let (open, gate) = AsyncStream.makeStream(of: Void.self)
        let recent = Recent(.seconds(3600)) {
            for await _ in open { break }
            return made.withLock { made in
                made += 1
                return made
            }
        }
        async let first = recent.value()
        async let second = recent.value()
        gate.yield()
        #expect(await [first, second, recent.value()] == [1, 1, 1])
        let old = Recent(.zero) { made.withLock { $0 } }
        #expect(await old.value() == 1)
        made.withLock { $0 = 7 }
        #expect(await old.value() == 7)
    }
}

struct DashboardAssetTests {
    private static func asset(_ path: String) throws -> String {
        try #require(DashboardAsset.all.first { $0.path == path }).text
    }

    @Test func `the page names what the script looks for`() throws {
        let (page, script) = (try Self.asset("/"), try Self.asset("/app.js"))
        let names = script.matches(of: /\$\("([a-z-]+)"\)/).map { String($0.1) }
        #expect(names.count > 20)
        for name in Set(names) { #expect(page.contains("id=\"\(name)\""), "\(name)") }
    }

    @Test func `nothing is loaded from elsewhere, and nothing is written as markup`() throws {
        for asset in DashboardAsset.all {
            let text = asset.text.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"), "\(asset.path)")
        }
        let script = try Self.asset("/app.js")
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            #expect(!script.contains(word), "\(word)")
        }
        // The policy allows neither.
        let page = try Self.asset("/")
        #expect(!page.contains("style=") && !page.contains("onclick") && !page.contains("<script>"))
    }

    @Test func `a problem is JSON, whatever is in it`() async throws {
        guard case .problem(let problem) = await CountingSource().trace("") else { return }
        let object = try JSONSerialization.jsonObject(with: Data(problem.json)) as? [String: Any]
        #expect(object?["status"] as? Int == 404 && object?["detail"] as? String == "say \"\u{1}\" \\")
        #expect(object?["type"] as? String == "about:blank" && object?["title"] as? String == "none")
    }
}
