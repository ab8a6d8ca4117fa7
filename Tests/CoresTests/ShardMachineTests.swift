import Cores
import Messages
import PBFT
import ShardState
import Simulator
import Testing

/// One replica of four, the first primary, without a host around it. A class, because a machine is never copied.
private final class Alone {
    private var machine: ShardMachine
    private(set) var ready = ShardReady()
    static let session = SessionID(1)

    init(options: HostOptions = HostOptions(), store: MemoryStore = MemoryStore()) throws {
        let setting = ShardSetting(
            shard: ShardID(0), me: ReplicaIndex(0), host: HostID(0), manifest: SomeState.manifest, options: options,
            signer: StandInSigner(0))
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
        #expect(shard.ready.records.count == 1 && shard.ready.held.map(\.after) == [1])
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
