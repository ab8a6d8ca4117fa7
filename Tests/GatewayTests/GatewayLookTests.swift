import Cores
import Messages
import Testing

struct GatewayLookTests {
    @Test func `who watches sees what waits for each shard`() throws {
        var h = try Harness()
        try h.submit(h.request(0, 0, number: 1), id: 1)
        try h.submit(h.request(0, 1, number: 2), id: 2)
        let look = h.gateway.look(limit: 10)
        #expect(look.shards.map(\.inFlight) == [2, 1] && look.shards.map(\.queued) == [0, 0])
        #expect(look.shards.allSatisfy(\.isOpenToAll) && look.backingOff == 0 && look.settling == 0)
        #expect(look.status.inFlight == 2)
    }

    @Test func `a request over several shards is in doubt until all have voted, and says whose vote is missing`() throws
    {
        var h = try Harness()
        let (inner, cross) = (h.request(0, 0, number: 1), h.request(0, 1, number: 2))
        try h.submit(inner, id: 1)
        try h.submit(cross, id: 2)
        #expect(h.gateway.look(limit: 10).oldest.map(\.missing) == [[ShardID(0), ShardID(1)]])
        try h.attest(cross, .votedYes, shard: 1, sequence: 3)
        let doubt = try #require(h.gateway.look(limit: 10).oldest.first)
        #expect(doubt.request == cross.digest && doubt.shards == [ShardID(0), ShardID(1)])
        #expect(doubt.missing == [ShardID(0)] && doubt.issuedAt == Timestamp(1))
        try h.attest(cross, .votedYes, shard: 0, sequence: 8)
        let look = h.gateway.look(limit: 10)
        #expect(look.oldest.isEmpty && look.undecided == 0 && look.settling == 1)
    }

    @Test func `of many in doubt the oldest are named, in one order`() throws {
        var h = try Harness()
        let requests = (1...9 as ClosedRange<UInt64>).map { h.request(0, 1, number: $0) }
        for request in requests { try h.submit(request) }
        let look = h.gateway.look(limit: 4)
        // All were signed at one moment: their digests decide.
        #expect(look.oldest.map(\.request) == Array(requests.map(\.digest).sorted().prefix(4)))
        #expect(look.undecided == 9)
    }

    @Test func `what was refused and waits is said to back off`() throws {
        var h = try Harness()
        let request = h.request(0, 1)
        try h.submit(request)
        try h.refuse(request, .overloaded, shard: 0, hosts: [0, 1])
        #expect(h.gateway.look(limit: 1).backingOff == 1)
    }
}
