import Cores
import HostRuntime
import Messages
import Meter
import Testing

private let second: UInt64 = 1_000_000_000
private let map = ShardMap(shardCount: 4)

private func digest(_ number: UInt8) -> Digest { Digest(bytes: [number] + [UInt8](repeating: 0, count: 31)) ?? .null }

private func answered(
    _ number: UInt8 = 1, abort: AbortCause? = nil, from: UInt16 = 0, to: UInt16 = 0
) -> AnsweredRequest {
    AnsweredRequest(
        request: digest(number), abort: abort, steps: [.init(from: ShardID(from), to: ShardID(to))],
        isCross: from != to)
}

struct LatencyBucketsTests {
    @Test func `a percentile is off by a sixteenth at most`() throws {
        for value: UInt64 in [1, 7, 8, 9, 100, 12_345, 999_999, 60_000_000] {
            var buckets = LatencyBuckets()
            buckets.add(microseconds: value)
            let found = try #require(buckets.percentile(perMille: 990))
            #expect(max(found, value) - min(found, value) <= value / 16, "\(value): \(found)")
        }
    }

    @Test func `percentiles are those of all that was added`() throws {
        var (odd, even) = (LatencyBuckets(), LatencyBuckets())
        for value: UInt64 in 1...1000 {
            if value.isMultiple(of: 2) { even.add(microseconds: value) } else { odd.add(microseconds: value) }
        }
        odd.add(even)
        #expect(odd.total == 1000)
        for (perMille, value) in [(500, 500), (990, 990), (1, 1)] as [(UInt64, UInt64)] {
            let found = try #require(odd.percentile(perMille: perMille))
            #expect(max(found, value) - min(found, value) <= value / 16, "\(perMille): \(found)")
        }
        odd.removeAll()
        #expect(odd.total == 0 && odd.percentile(perMille: 500) == nil)
    }

    @Test func `what takes for ever is in the last bucket`() throws {
        var buckets = LatencyBuckets()
        buckets.add(microseconds: .max)
        #expect(try #require(buckets.percentile(perMille: 500)) >= 1 << 27)
    }
}

struct ActivityLogTests {
    @Test func `the second that has begun is not shown, and those before are, the newest last`() {
        var log = ActivityLog(map: map)
        log.note(answered(), microseconds: 100, at: 200 * second)
        log.note(answered(abort: .certified(.insufficientFunds)), microseconds: 100, at: 201 * second)
        #expect(log.view(at: 200 * second + 5).slots.allSatisfy { $0.committed == 0 })
        let view = log.view(at: 202 * second)
        #expect(view.slots.count == ActivityLog.seconds)
        #expect(view.slots.suffix(2).map(\.committed) == [1, 0] && view.slots.suffix(2).map(\.aborted) == [0, 1])
        #expect(view.committed == 1 && view.aborts[AbortCause.certified(.insufficientFunds).place] == 1)
    }

    @Test func `what is older than the log is in the sums only`() {
        var log = ActivityLog(map: map)
        log.note(answered(from: 0, to: 3), microseconds: 100, at: 200 * second)
        let later = log.view(at: (201 + UInt64(ActivityLog.seconds)) * second)
        #expect(later.slots.allSatisfy { $0.committed == 0 && $0.cross.total == 0 } && later.committed == 1)
        #expect(later.traffic.allSatisfy { $0.allSatisfy { $0 == 0 } })
        // Its place is taken, and what was there is gone.
        let again = (200 + UInt64(ActivityLog.seconds) + 1) * second
        log.note(answered(), microseconds: 100, at: again)
        #expect(log.view(at: again + second).slots.last?.committed == 1)
    }

    @Test func `requests of one shard and of several are timed apart`() {
        var log = ActivityLog(map: map)
        log.note(answered(from: 1, to: 1), microseconds: 100, at: second)
        log.note(answered(from: 1, to: 2), microseconds: 900, at: second)
        log.note(answered(from: 1, to: 2), microseconds: nil, at: second)
        let slot = log.view(at: 2 * second).slots.last
        #expect(slot?.intra.total == 1 && slot?.cross.total == 1 && slot?.committed == 3)
    }

    @Test func `traffic goes from the shard of the row to that of the column`() {
        var log = ActivityLog(map: map)
        log.note(answered(from: 1, to: 2), microseconds: 1, at: 100 * second)
        log.note(answered(from: 1, to: 2), microseconds: 1, at: 109 * second)
        log.note(answered(from: 3, to: 3), microseconds: 1, at: 111 * second)
        let traffic = log.view(at: 112 * second).traffic
        #expect(traffic.count == 4 && traffic[1][2] == 2 && traffic[2][1] == 0 && traffic[3][3] == 1)
    }

    @Test func `of very many shards the last are counted together`() {
        var log = ActivityLog(map: ShardMap(shardCount: 4096))
        log.note(answered(from: 4000, to: 5), microseconds: 1, at: 100 * second)
        let traffic = log.view(at: 101 * second).traffic
        #expect(traffic.count == ActivityLog.maxTrafficShards + 1 && traffic[ActivityLog.maxTrafficShards][5] == 1)
    }

    @Test func `a refusal has its reason`() {
        var log = ActivityLog(map: map)
        log.note(.queueFull, at: second)
        log.note(.queueFull, at: second)
        let view = log.view(at: 2 * second)
        #expect(view.refusals == [2, 0, 0, 0, 0, 0, 0] && view.slots.last?.refused == 2)
    }

    @Test func `the newest requests are remembered one by one, and only what is traced if anything is`() {
        var log = ActivityLog(map: map)
        for number in 0..<UInt8(ActivityLog.maxRecent + 3) { log.note(answered(number), microseconds: 5, at: second) }
        let recent = log.view(at: second).recent
        let newest = (3..<UInt8(ActivityLog.maxRecent + 3)).reversed().map(digest)
        #expect(recent.map(\.request) == newest)
        var quarter = ActivityLog(map: map, sampling: TraceSampling(rate: 0.25))
        quarter.note(answered(10, from: 2, to: 1), microseconds: 5, at: second)
        quarter.note(answered(200), microseconds: 5, at: second)
        #expect(quarter.view(at: second).recent.map(\.request) == [digest(10)])
        #expect(quarter.view(at: second).recent.first?.shards == [ShardID(1), ShardID(2)])
    }
}

struct AnsweredRequestTests {
    private let signer = Ed25519Signer(seed: [UInt8](repeating: 3, count: 32))

    private func account(on shard: UInt16) -> AccountID {
        AccountID(UInt128(shard) << 126 | 5)
    }

    private func receipt(
        _ statuses: [(shard: UInt16, status: LegStatus)], from: UInt16 = 0, to: UInt16 = 2
    ) throws -> Receipt {
        let signer = try #require(signer)
        let transfer = Transfer(
            from: account(on: from), to: account(on: to), asset: AssetID(1), amount: Amount(5))
        let request = SignedRequest(
            Request(
                cluster: ClusterID(Digest.null.value), epoch: Epoch(1), principal: signer.publicKey,
                number: RequestNumber(1), acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1),
                deadline: Timestamp(9), mode: .atomic, operations: [.transfer(transfer)]), signedBy: signer)
        let certificates = statuses.map { shard, status in
            Certificate(
                statement: AttestationStatement(
                    cluster: request.request.cluster, epoch: Epoch(1), shard: ShardID(shard),
                    sequence: SequenceNumber(1), previousHistory: .null, batch: .null, leavesRoot: .null),
                leaf: Leaf(request: request.digest, entries: [.init(leg: 0, status: status)]),
                path: MerklePath(index: 0, count: 1, siblings: []), signatures: [])
        }
        return Receipt(request: request, certificates: certificates)
    }

    private func answered(_ receipt: Receipt) -> AnsweredRequest {
        AnsweredRequest(receipt, legs: DecidedLegs(receipt), map: map)
    }

    @Test func `votes of all shards are a commit, from the payer's shard to the payee's`() throws {
        let found = answered(try receipt([(0, .votedYes), (2, .votedYes)]))
        #expect(found.abort == nil && found.isCross && found.steps == [.init(from: ShardID(0), to: ShardID(2))])
    }

    @Test func `of two reasons the one that tells more counts`() throws {
        let found = answered(try receipt([(0, .aborted(.participantAborted)), (2, .votedNo(.insufficientFunds))]))
        #expect(found.abort == .certified(.insufficientFunds) && found.abort?.label == "insufficient_funds")
        let silent = answered(try receipt([(0, .votedYes), (2, .noRecordAbort)]))
        #expect(silent.abort == .noRecord)
    }

    @Test func `what one shard has forgotten another one may still prove`() throws {
        let committed = try receipt([(0, .acknowledged), (2, .committed)])
        #expect(DecidedLegs(committed).outcome == .committed && answered(committed).abort == nil)
        let aborted = try receipt([(0, .acknowledged), (2, .aborted(.insufficientFunds))])
        #expect(DecidedLegs(aborted).outcome == .aborted && answered(aborted).abort == .certified(.insufficientFunds))
        let forgotten = try receipt([(0, .acknowledged), (2, .acknowledged)])
        #expect(DecidedLegs(forgotten).outcome == .unknown && answered(forgotten).abort == .acknowledged)
    }

    @Test func `within one shard nothing crosses`() throws {
        let found = answered(try receipt([(1, .committed)], from: 1, to: 1))
        #expect(!found.isCross && found.abort == nil)
    }

    @Test func `every reason has a place of its own`() {
        let all = AbortCause.all
        #expect(all.map(\.place) == Array(all.indices) && Set(all.map(\.label)).count == all.count)
    }
}

struct RequestTimesTests {
    private let refusal = GatewayReply.rejected(id: 7, .queueFull, retryAfterMicroseconds: 0)
    private let request: Request

    init() throws {
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 3, count: 32)))
        request = Request(
            cluster: ClusterID(Digest.null.value), epoch: Epoch(1), principal: signer.publicKey,
            number: RequestNumber(1), acknowledgedBelow: RequestNumber(1), issuedAt: Timestamp(1),
            deadline: Timestamp(9), mode: .atomic,
            operations: [])
    }

    @Test func `an answer ends its request's wait and no other`() {
        var times = RequestTimes(registry: MetricsRegistry(), map: map)
        times.begin(request, id: 7, of: SessionID(1), at: 1)
        times.begin(request, id: 7, of: SessionID(1), at: 1_000)
        #expect(times.count == 1)
        let answered = times.end(refusal, of: SessionID(1))
        // A repetition does not begin anew.
        #expect(answered?.took == answered.map { $0.at - 1 } && times.count == 0)
        // One that nobody waits for, of a read.
        #expect(times.end(refusal, of: SessionID(2))?.took == nil && times.count == 0)
    }

    @Test func `a client that goes is forgotten, and the others are not`() {
        var times = RequestTimes(registry: MetricsRegistry(), map: map)
        for id: UInt64 in 0..<10 { times.begin(request, id: id, of: SessionID(id % 2), at: 1) }
        times.close(SessionID(0))
        #expect(times.count == 5)
        times.close(SessionID(0))
        #expect(times.count == 5)
    }

    @Test func `requests that wait are bounded`() {
        var times = RequestTimes(registry: MetricsRegistry(), map: map)
        let some = UInt64(RequestTimes.maxArrivals + 10)
        for id in 0..<some { times.begin(request, id: id, of: SessionID(id % 3), at: 1) }
        #expect(times.count == RequestTimes.maxArrivals)
    }
}
