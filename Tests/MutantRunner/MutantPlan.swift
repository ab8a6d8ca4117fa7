import Messages
import Simulator

/// How a mutant is broken, and where to look for what it breaks.
struct MutantPlan {
    let what: String
    /// Raw values of profiles, the most promising first: all of them are searched, seed by seed in turn.
    let profiles: [String]
    /// A seed that is known to catch it: the search begins there, and goes on if it does no longer.
    let firstSeed: UInt64
    /// What else the run needs for the situation to arise.
    let adjust: @Sendable (inout SimulationOptions) -> Void
    /// Of one that shows once in some thousand runs, and not in the time that there is: the test of the rule that it breaks.
    /// That it is not caught is said, and is no failure.
    let rareBesides: String?

    init(
        _ what: String, _ profiles: [String], from firstSeed: UInt64 = 1, rareBesides: String? = nil,
        adjust: @escaping @Sendable (inout SimulationOptions) -> Void = { _ in }
    ) {
        (self.what, self.profiles, self.firstSeed, self.adjust) = (what, profiles, firstSeed, adjust)
        self.rareBesides = rareBesides
    }

    /// So many clients that something always waits.
    @Sendable static func busy(_ options: inout SimulationOptions) {
        (options.clients, options.accounts, options.transfersPerClient, options.faultyUntil) = (12, 12, 12, 600_000_000)
    }

    /// Nearly all that clients ask for are calls, on few keys and accounts.
    @Sendable static func calling(_ options: inout SimulationOptions) {
        (options.callsPerMille, options.clients, options.accounts, options.transfersPerClient) = (800, 10, 10, 12)
        options.faultyUntil = 1_500_000_000
    }

    /// Clients have many transfers under way, each after the one before, on few accounts.
    @Sendable static func pipelining(_ options: inout SimulationOptions) {
        (options.pipeline, options.transfersPerClient, options.callsPerMille) = (8, 16, 50)
        options.faultyUntil = 2_000_000_000
    }

    /// Accounts are frozen and released while much goes on.
    @Sendable static func freezing(_ options: inout SimulationOptions) {
        (options.freezes, options.transfersPerClient, options.callsPerMille) = (true, 12, 200)
        options.faultyUntil = 2_000_000_000
    }

    /// Hosts leave signatures to each other.
    @Sendable static func sharing(_ options: inout SimulationOptions) { options.host.sharesChecks = true }

    /// The same, and liars sign two NEW-VIEWs: one liar has proposed what nobody signed, the next one leads.
    @Sendable static func splitting(_ options: inout SimulationOptions) {
        sharing(&options)
        options.replicas = 7
        options.liarsPlan = [.forgedRequests, .twoNewViews, .suspicion]
    }

    /// Hosts' clocks jump.
    @Sendable static func jumping(_ options: inout SimulationOptions) { options.jumpsClocks = true }

    /// Few undecided transactions fill a shard.
    @Sendable static func narrow(_ options: inout SimulationOptions) {
        busy(&options)
        options.host.shard.maxUndecided = 4
    }

    /// Whoever lags needs a state, not batches.
    @Sendable static func forgetful(_ options: inout SimulationOptions) {
        (options.host.replica.retainedBatches, options.host.checkpointsPerFlush) = (1, 1)
    }
}

extension Mutant {
    var plan: MutantPlan {
        switch self {
        case .smallQuorum: MutantPlan("every quorum is 2f", ["partitions", "everything"])
        case .commitQuorum2f: MutantPlan("2f COMMITs suffice", ["lossy", "byzantine"])
        case .prepareQuorum: MutantPlan("2f - 1 PREPAREs suffice", ["byzantine"], from: 24)
        case .prePrepareIsVote: MutantPlan("PRE-PREPARE counts as the primary's PREPARE", ["crashes", "everything"])
        case .leadsAgain:
            MutantPlan(
                "a primary that starts again proposes in the view that it led", ["crashes", "everything"], from: 24)
        case .leadsUnrecorded:
            MutantPlan(
                "PRE-PREPARE leaves before the journal knows that its sender leads the view",
                ["crashes", "everything"],
                from: 505)
        case .proposalsAreRemembered:
            MutantPlan("who starts again must remember its PRE-PREPAREs", ["crashes", "everything"], from: 21)
        case .commitWithoutPrepare: MutantPlan("COMMIT without the prepared certificate", ["byzantine"], from: 17)
        case .executesPrepared: MutantPlan("executes what is prepared and not committed", ["partitions", "everything"])
        case .preparedNotJournaled: MutantPlan("P is not in the journal", ["crashes", "everything"], from: 28)
        case .viewChangeNotJournaled:
            MutantPlan("VIEW-CHANGE is not in the journal", ["everything", "crashes"], from: 21)
        case .viewChangeWithoutP: MutantPlan("VIEW-CHANGE says that nothing is prepared", ["partitions", "everything"])
        case .ownPrePrepareNotInQ: MutantPlan("Q lacks the primary's own pre-prepare", ["everything", "crashes"])
        case .singlePrePrepareSelects: MutantPlan("condition A2 with 1 instead of f + 1", ["byzantine"], from: 83)
        case .selectionNotRecomputed: MutantPlan("backups believe any NEW-VIEW", ["byzantine"], from: 431)
        case .oldTimeRefused:
            MutantPlan("the bound on time holds for NEW-VIEW's batches", ["partitions", "everything"])
        case .slowClockKept: MutantPlan("a primary may be 10 s behind", ["byzantine", "everything"], from: 9)
        case .timeMustAdvance:
            MutantPlan(
                "a primary proposes the shard's time where that is later than its clock, and backups take only what is near theirs",
                ["everything"], from: 10, adjust: MutantPlan.jumping)
        case .followsPrimaryClock:
            MutantPlan(
                "whose clock is behind the shard's time takes any time from the primary", ["everything"], from: 6,
                adjust: MutantPlan.jumping)
        case .allowanceOnCertain:
            MutantPlan(
                "a proposal may be ahead of a time that was executed as of a clock", ["everything"], from: 3029,
                rareBesides: "PBFTTests/whereTheShardsTimeIsAheadOfTheClocksBatchesGoOn", adjust: MutantPlan.jumping)
        case .neverFollows:
            MutantPlan(
                "a shard does not follow another one of its hosts whose time is ahead", ["everything"], from: 56,
                adjust: MutantPlan.jumping)
        case .suspicionNotSent: MutantPlan("no replica says SUSPECT", ["crashes", "everything"])
        case .timerNeverReset:
            MutantPlan("progress does not reset the progress timer", ["calm"], adjust: MutantPlan.busy)
        case .newViewNotAwaited: MutantPlan("the wait for NEW-VIEW never ends", ["crashes", "everything", "byzantine"])
        case .truncatesAtWeakQuorum: MutantPlan("f + 1 CHECKPOINTs make a checkpoint stable", ["lossy", "everything"])
        case .laggardTrustsOneClaim: MutantPlan("one peer's claim is what was committed", ["byzantine"], from: 384)
        case .quarantineTooShort: MutantPlan("quarantine ends at once", ["crashes", "everything"])
        case .executesUnchecked:
            MutantPlan(
                "what is committed is executed unchecked", ["byzantine"], from: 2, adjust: MutantPlan.sharing)
        case .oneVouchSuffices:
            MutantPlan(
                "what the primary alone has checked is executed", ["byzantine"], from: 2, adjust: MutantPlan.sharing)
        case .inheritedIsVouchedFor:
            MutantPlan(
                "votes of a view vouch for what it inherited", ["byzantine", "everything"], from: 5,
                adjust: MutantPlan.sharing)
        case .everyPrepareVouches:
            MutantPlan(
                "whoever prepares vouches, also for what its NEW-VIEW selected", ["byzantine"], from: 57,
                adjust: MutantPlan.splitting)
        case .repeatedPrepareVouches:
            MutantPlan(
                "a PREPARE that is repeated vouches", ["byzantine", "everything"], adjust: MutantPlan.sharing)
        case .skippedNotJournaled:
            MutantPlan(
                "what was left out is not in the journal", ["everything", "byzantine"], from: 5,
                adjust: MutantPlan.sharing)
        case .skippedNotClaimed:
            MutantPlan(
                "laggards do not hear what was left out", ["byzantine", "everything"], from: 5,
                adjust: MutantPlan.sharing)
        case .sendsBeforeSync: MutantPlan("messages do not wait for their records", ["crashes"], from: 11)
        case .rejoinsWithoutQuarantine: MutantPlan("a host with lost records takes part at once", ["crashes"])
        case .bucketDigestUnchecked:
            MutantPlan(
                "fetched buckets are not held against their digests", ["everything", "byzantine"], from: 1337,
                adjust: MutantPlan.forgetful)
        case .stateOfOnePeer:
            MutantPlan(
                "one peer's offer is the state", ["everything", "byzantine"], from: 669, adjust: MutantPlan.forgetful)
        case .flushesUnstable: MutantPlan("a state is written down before its checkpoint is stable", ["lossy"])
        case .readsWithoutWaiting:
            MutantPlan(
                "a quorum read does not wait for what was sent COMMIT for", ["byzantine", "everything"], from: 18)
        case .sendsAgainUnchecked:
            MutantPlan("what nobody has signed is sent again and again", ["byzantine", "everything"], from: 46)
        case .answersAreQuestions: MutantPlan("an answer to a push is answered in turn", ["everything", "partitions"])
        case .oneQuestionSuffices: MutantPlan("what one host asks is certified again", ["everything", "byzantine"])
        case .nothingIsCharged:
            MutantPlan("what is brought in vain is answered without limit", ["everything", "partitions"])
        case .ordersQuestions:
            MutantPlan("what changes nothing is ordered, among what decides", ["everything", "partitions"])
        case .waitsWithoutEnd:
            MutantPlan(
                "who has seen how long answers take waits for ever", ["partitions", "everything", "lossy"],
                adjust: MutantPlan.busy)
        case .usefulWithoutRecord:
            MutantPlan("whatever concerns a call without a record is ordered", ["everything", "partitions"])
        case .attestationWithoutHistory: MutantPlan("attestations do not chain", ["calm"])
        case .executesAgain: MutantPlan("a request that is ordered again is executed again", ["lossy"], from: 8)
        case .votesAgain: MutantPlan("a request that is ordered again is voted on again", ["lossy", "everything"])
        case .escrowIgnoresReserved: MutantPlan("debits may take what is reserved", ["lossy", "calm"], from: 519)
        case .decidesWithoutAllVotes: MutantPlan("a vote that is missing counts as yes", ["calm", "lossy"])
        case .decidesAgain: MutantPlan("a decided leg is decided again", ["lossy", "everything"])
        case .refusalNotRecorded: MutantPlan("a no is certified and not recorded", ["everything", "lossy"], from: 404)
        case .forgetsEarly:
            MutantPlan(
                "a record is forgotten before the others are known to be decided", ["everything", "lossy"], from: 1695)
        case .anyAttemptsVotes: MutantPlan("votes of another attempt count", ["byzantine", "everything"], from: 90)
        case .participantLeftOut: MutantPlan("the shard that is credited takes no part", ["calm"])
        case .twoAttempts: MutantPlan("a number may have two attempts", ["byzantine"])
        case .decidesInSilence: MutantPlan("what was decided is not certified", ["calm", "lossy"])
        case .decidesUnderTheCap:
            MutantPlan("decides wait for room under the cap", ["calm", "lossy"], adjust: MutantPlan.narrow)
        case .readsWithoutLock: MutantPlan("a read in order does not wait for escrow", ["lossy", "everything"])
        case .orderIgnored:
            MutantPlan(
                "a request does not wait for what it follows", ["lossy", "everything"], adjust: MutantPlan.pipelining)
        case .orderByHighestNumber:
            MutantPlan(
                "a shard that has recorded a later number takes what a request follows to be there",
                ["lossy", "everything"], adjust: MutantPlan.pipelining)
        case .orderOnOneShard:
            MutantPlan(
                "of what a request follows, only the first shard's counts", ["lossy", "everything"],
                adjust: MutantPlan.pipelining)
        case .refusedLegIsBehind:
            MutantPlan(
                "a request of which a leg was refused is over for those that follow it", ["lossy", "everything"],
                adjust: MutantPlan.pipelining)
        case .freezeIgnored:
            MutantPlan(
                "what is frozen is used all the same", ["calm", "everything"], adjust: MutantPlan.freezing)
        case .anybodyFreezes:
            MutantPlan("whoever signs may freeze and release", ["calm", "everything"], adjust: MutantPlan.freezing)
        case .waitDieAgainstHoldersOnly:
            MutantPlan("wait-die looks at holders only", ["calm"], from: 202, adjust: MutantPlan.calling)
        case .waitsOutOfOrder:
            MutantPlan("who waits in order does not keep to it", ["calm"], from: 5, adjust: MutantPlan.calling)
        case .classesWaitForEachOther:
            MutantPlan(
                "who waits in order, and holds locks, waits for those by age", ["calm"], from: 41,
                adjust: MutantPlan.calling)
        case .waitsForOlder:
            MutantPlan("who waits by age waits for older ones", ["calm"], from: 2, adjust: MutantPlan.calling)
        case .readersLetInOneByOne:
            MutantPlan(
                "of those who wait to read, the first runs before the others are let in", ["calm"], from: 254,
                adjust: MutantPlan.calling)
        case .procedureIgnoresEscrow:
            MutantPlan("a procedure reads balances with escrow in them", ["lossy", "calm"], adjust: MutantPlan.calling)
        case .callbackDropped:
            MutantPlan("what a callback changed is not replayed", ["calm", "lossy"], adjust: MutantPlan.calling)
        case .locksReleasedAtResponse:
            MutantPlan(
                "a callee lets its locks go when it has answered", ["calm", "lossy"], adjust: MutantPlan.calling)
        case .unbalancedCommitted: MutantPlan("money may come from nowhere", ["calm"], adjust: MutantPlan.calling)
        case .journalNeverSynced: MutantPlan("the journal's thread reports syncs that it does not do", ["crashes"])
        case .rotTakenForTornTail: MutantPlan("rot is taken for a torn tail", ["everything", "crashes"], from: 2384)
        }
    }
}
