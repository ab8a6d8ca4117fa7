import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

/// One replica of four, mostly the first primary, without a host around it. A class, because a machine is never copied.
private final class Alone {
    private var machine: ShardMachine
    private(set) var ready = ShardReady()
    static let session = SessionID(1)

    /// - Parameter me: 0 leads.
    init(options: HostOptions = HostOptions(), store: MemoryStore = MemoryStore(), me: UInt8 = 0) throws {
        let setting = ShardSetting(
            shard: ShardID(0), me: ReplicaIndex(me), host: HostID(UInt16(me)), manifest: SomeState.manifest,
            options: options, signer: StandInSigner(UInt64(me)))
        let accounts = SourceAccounts(options: options, now: moment(0))
        machine = try ShardMachine(
            setting, accounts: accounts, store: store, records: [], now: moment(0))
    }

    var halted: String? { machine.halted }

    /// `ready` is what this step asks for.
    func step(_ input: ShardInput, at milliseconds: UInt64 = 0) {
        ready.removeAll()
        machine.step(input, now: moment(milliseconds), into: &ready)
    }

    func audit() -> ShardAudit? {
        ready.removeAll()
        return machine.audit(now: moment(0), into: &ready)
    }

    static func open(_ number: UInt64, deadline milliseconds: UInt64 = 1000) -> SignedRequest {
        let account = AccountSpecification(owner: SomeState.issuer.publicKey, asset: AssetID(1), index: number)
        let request = Request(
            cluster: SomeState.manifest.cluster, epoch: Epoch(1), principal: SomeState.issuer.publicKey,
            number: RequestNumber(number), acknowledgedBelow: RequestNumber(1), issuedAt: moment(0).wall,
            deadline: moment(milliseconds).wall, mode: .independent, operations: [.open(account)])
        return SignedRequest(request, signedBy: SomeState.issuer)
    }

    var isForwarding: Bool {
        ready.toHosts.contains { if case .forward = $0.message { true } else { false } }
    }

    var proposal: PrePrepare? {
        for held in ready.held { if case .prePrepare(let proposal) = held.message { return proposal } }
        return nil
    }
}

@Suite struct ShardMachineTests {
    @Test func aLoneRequestIsProposedInItsStepAndHeldUntilItsRecordIsDurable() throws {
        let shard = try Alone()
        shard.step(.started(certainTime: .zero))
        let request = Alone.open(1)
        shard.step(.request(from: Alone.session, request))
        #expect(shard.proposal?.batch.items == [.request(request)])
        // PRE-PREPARE, the first one of a new shard, and PREPARE.
        #expect(shard.ready.records.count == 1 && shard.ready.held.map(\.after) == [1, 1])
        #expect(shard.ready.toHosts.isEmpty, "nothing of it leaves before")
    }

    @Test func whileThePipelineIsFullTheNextBatchFills() throws {
        var options = HostOptions()
        options.replica.pipelineDepth = 1
        let shard = try Alone(options: options)
        shard.step(.started(certainTime: .zero))
        shard.step(.request(from: Alone.session, Alone.open(1)))
        for number in 2...3 as ClosedRange<UInt64> {
            shard.step(.request(from: Alone.session, Alone.open(number)))
            #expect(shard.ready.records.isEmpty && shard.ready.held.isEmpty)
        }
    }

    /// A large state is not read whole before its replica serves.
    @Test func whatHasRottedInALargeStateIsFoundWhileItServes() throws {
        let state = try SomeState(batches: 50)
        var options = HostOptions()
        (options.entriesCheckedAtStart, options.entriesCheckedAtOnce) = (0, 10)
        for isRotten in [false, true] {
            // An account's bucket is read late.
            let shard = try Alone(options: options, store: try Self.store(state, isRotten: isRotten))
            shard.step(.started(certainTime: .zero))
            var wasFound = false
            for tick in 1...100 as ClosedRange<UInt64> where shard.halted == nil {
                shard.step(.tick(connected: [true, true, true, true], certainTime: .zero), at: tick * 100)
                if shard.ready.isDamaged { wasFound = true }
            }
            #expect(wasFound == isRotten && (shard.halted != nil) == isRotten)
        }
    }

    /// - Returns: the state on a disk, perhaps with an account that has rotted.
    private static func store(_ state: SomeState, isRotten: Bool) throws -> MemoryStore {
        let store = MemoryStore()
        var writes: [KeyValueWrite] = []
        try state.snapshot.forEach(from: [], to: nil) { key, value in
            writes.append(KeyValueWrite(key: key, value: value))
            return true
        }
        // Bucket and place, the kind, the identifier.
        let place = try #require(writes.firstIndex { $0.key.count == 23 && $0.key[6] == 0x41 })
        if isRotten { writes[place] = KeyValueWrite(key: writes[place].key, value: [1, 2, 3]) }
        try store.apply(writes, metadata: state.metadata, seal: nil, clearing: false)
        store.refresh()
        return store
    }

    /// Whoever meets it before the check does says so as well, so that the next start fetches another state.
    @Test func anEntryThatCannotBeReadMarksTheStateAsDamaged() throws {
        let state = try SomeState(batches: 50)
        var options = HostOptions()
        (options.entriesCheckedAtStart, options.checkInterval) = (0, 1 << 60)
        for isRotten in [false, true] {
            let shard = try Alone(options: options, store: try Self.store(state, isRotten: isRotten))
            shard.step(.started(certainTime: .zero))
            #expect((shard.audit() == nil) == isRotten)
            #expect(shard.ready.isDamaged == isRotten && (shard.halted != nil) == isRotten)
        }
    }

    @Test func aProposalFollowsTheTimeOfTheShardsOnTheSameHosts() throws {
        let shard = try Alone()
        let ahead = moment(60_000).wall
        shard.step(.started(certainTime: ahead))
        shard.step(.request(from: Alone.session, Alone.open(1)))
        #expect(shard.proposal?.batch.time == ahead)
        let other = try Alone()
        other.step(.started(certainTime: moment(1_000).wall))
        other.step(.request(from: Alone.session, Alone.open(1)))
        #expect(other.proposal?.batch.time == moment(0).wall, "that far ahead its own clock may be")
    }

    @Test func whatIsBroughtAgainInVainPausesItsSession() throws {
        var options = HostOptions()
        (options.vainBurst, options.vainPerSecond) = (4, 1)
        let shard = try Alone(options: options)
        shard.step(.started(certainTime: .zero))
        var pauses: [[SessionID]] = []
        for _ in 0..<12 {
            shard.step(.request(from: Alone.session, Alone.open(1)))
            pauses.append(shard.ready.pauses)
        }
        // Once for the request, its own tokens, and those that strangers share.
        #expect(pauses.firstIndex(of: [Alone.session]) == 9)
    }

    /// The requests whose signatures it wants to know about.
    private static func submissions(_ shard: Alone) -> [SignedRequest] {
        shard.ready.checks.compactMap { if case .submission(_, _, let request) = $0 { request } else { nil } }
    }

    private static func verified(_ request: SignedRequest) throws -> Verified<SignedRequest> {
        var verifier = Verifier(manifest: SomeState.manifest, scheme: StandInScheme())
        return try verifier.verify(request)
    }

    private static let reachable = ShardInput.tick(connected: [true, true, true, true], certainTime: .zero)

    /// A backup that is not to check it: it waits, and is watched over only when it was checked after all.
    @Test func whatNobodyHasCheckedStartsNoTimerAndIsHandedToNobody() throws {
        let shard = try Alone(me: 1)
        shard.step(.started(certainTime: .zero))
        let request = Alone.open(1)
        shard.step(.unchecked(from: Alone.session, request))
        #expect(shard.ready.records.isEmpty && shard.ready.checks.isEmpty && shard.ready.toGateways.isEmpty)
        shard.step(Self.reachable, at: 190)
        #expect(Self.submissions(shard).isEmpty)
        shard.step(Self.reachable, at: 210)
        #expect(Self.submissions(shard) == [request])
        // 250 ms after it came it would be handed on.
        shard.step(Self.reachable, at: 300)
        #expect(!shard.isForwarding)
        shard.step(.submissionChecked(from: Alone.session, request.digest, try Self.verified(request)), at: 310)
        shard.step(Self.reachable, at: 320)
        #expect(shard.isForwarding)
    }

    @Test func whenNobodyLeadsWhatWaitsUncheckedIsCheckedAtOnce() throws {
        let shard = try Alone(me: 1)
        shard.step(.started(certainTime: .zero))
        shard.step(.unchecked(from: Alone.session, Alone.open(1)))
        shard.step(.tick(connected: [false, true, true, true], certainTime: .zero), at: 5)
        #expect(Self.submissions(shard) == [Alone.open(1)])
    }

    /// The runtime did not know yet who leads.
    @Test func whoLeadsHasWhatItIsGivenCheckedAtOnceAndProposesItThen() throws {
        let shard = try Alone()
        shard.step(.started(certainTime: .zero))
        let request = Alone.open(1)
        shard.step(.unchecked(from: Alone.session, request))
        #expect(Self.submissions(shard) == [request] && shard.proposal == nil)
        shard.step(.submissionChecked(from: Alone.session, request.digest, try Self.verified(request)))
        #expect(shard.proposal?.batch.items == [.request(request)])
    }

    @Test func junkIsPaidForByWhoBroughtIt() throws {
        var options = HostOptions()
        (options.vainBurst, options.vainPerSecond) = (4, 1)
        let shard = try Alone(options: options)
        shard.step(.started(certainTime: .zero))
        var pauses: [[SessionID]] = []
        for number in 1...12 as ClosedRange<UInt64> {
            let request = Alone.open(number)
            shard.step(.unchecked(from: Alone.session, request))
            shard.step(.submissionChecked(from: Alone.session, request.digest, nil))
            pauses.append(shard.ready.pauses)
            #expect(shard.proposal == nil && shard.ready.drops == [.unsigned])
        }
        #expect(pauses.firstIndex(of: [Alone.session]) == 8)
    }

    /// Whoever ends its sessions in time pays all the same, with what new ones have.
    @Test func junkIsPaidForThoughItsSessionIsClosed() throws {
        var options = HostOptions()
        (options.vainBurst, options.vainPerSecond) = (4, 1)
        let shard = try Alone(options: options)
        shard.step(.started(certainTime: .zero))
        for number in 1...4 as ClosedRange<UInt64> {
            let (session, request) = (SessionID(100 + number), Alone.open(number))
            shard.step(.unchecked(from: session, request))
            shard.step(.sessionClosed(session))
            shard.step(.submissionChecked(from: session, request.digest, nil))
            #expect(shard.ready.drops == [.unsigned] && shard.ready.pauses.isEmpty)
        }
        var pauses: [[SessionID]] = []
        for number in 11...16 as ClosedRange<UInt64> {
            let request = Alone.open(number)
            shard.step(.unchecked(from: Alone.session, request))
            shard.step(.submissionChecked(from: Alone.session, request.digest, nil))
            pauses.append(shard.ready.pauses)
        }
        // Its own tokens, and none of those that strangers share.
        #expect(pauses.firstIndex(of: [Alone.session]) == 4)
    }

    @Test func whoHasHaltedRefusesRequestsAndSaysNothingElse() throws {
        let shard = try Alone()
        shard.step(.started(certainTime: .zero))
        shard.step(.storageFailed("no room"))
        #expect(shard.ready.halt == "storage failed: no room" && shard.halted == shard.ready.halt)
        shard.step(.request(from: Alone.session, Alone.open(1)))
        #expect(shard.ready.records.isEmpty && shard.ready.held.isEmpty && shard.ready.halt == nil)
        guard case .refused(let refusal) = shard.ready.toGateways.first?.reply else {
            Issue.record("no refusal")
            return
        }
        #expect(refusal.reason == .halted)
        shard.step(.tick(connected: [true, true, true, true], certainTime: .zero), at: 10_000)
        #expect(shard.ready.toHosts.isEmpty)
    }

    @Test func whoseStateIsFoundDamagedHaltsAndHasItMarked() throws {
        let shard = try Alone()
        shard.step(.started(certainTime: .zero))
        shard.step(.stateDamaged("page 7"))
        let halt = shard.ready.halt ?? ""
        #expect(shard.ready.isDamaged && halt.contains("page 7") && halt.contains("Restart the host"))
        #expect(shard.halted == shard.ready.halt)
    }

    @Test func aReadIsAnsweredInItsStepWhenNothingIsUnderWay() throws {
        let shard = try Alone()
        shard.step(.started(certainTime: .zero))
        let subject = ReadSubject.principal(SomeState.issuer.publicKey, at: ShardID(0))
        shard.step(.read(from: Alone.session, id: 7, subject, nonce: .null))
        guard case .read(7, let answer?) = shard.ready.toGateways.first?.reply else {
            Issue.record("no answer")
            return
        }
        #expect(answer.statement.standing?.nextNumber == RequestNumber(0))
    }
}
