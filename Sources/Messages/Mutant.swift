/// One way to break the protocol. The simulator must catch each (docs/SIMULATION.md, Mutants).
///
/// The code asks `Mutant.is` in one line, beside the rule that the mutant breaks. In an ordinary build that is the
/// constant false, and the compiler leaves nothing of what stands behind it.
public enum Mutant: String, CaseIterable, Sendable {
    // PBFT.
    case smallQuorum
    case commitQuorum2f
    case prepareQuorum
    case prePrepareIsVote
    case leadsAgain
    case leadsUnrecorded
    case proposalsAreRemembered
    case commitWithoutPrepare
    case executesPrepared
    case preparedNotJournaled
    case viewChangeNotJournaled
    case viewChangeWithoutP
    case ownPrePrepareNotInQ
    case singlePrePrepareSelects
    case selectionNotRecomputed
    case oldTimeRefused
    case slowClockKept
    case timeMustAdvance
    case followsPrimaryClock
    case allowanceOnCertain
    case neverFollows
    case suspicionNotSent
    case timerNeverReset
    case newViewNotAwaited
    case truncatesAtWeakQuorum
    case laggardTrustsOneClaim
    case quarantineTooShort
    case executesUnchecked
    case oneVouchSuffices
    case inheritedIsVouchedFor
    case everyPrepareVouches
    case repeatedPrepareVouches
    case skippedNotJournaled
    case skippedNotClaimed
    // Cores.
    case sendsBeforeSync
    case rejoinsWithoutQuarantine
    case bucketDigestUnchecked
    case stateOfOnePeer
    case flushesUnstable
    case readsWithoutWaiting
    // Gateways.
    case sendsAgainUnchecked
    // Recovery: the cluster does not come to rest.
    case answersAreQuestions
    case ordersQuestions
    case usefulWithoutRecord
    case waitsWithoutEnd
    case oneQuestionSuffices
    case nothingIsCharged
    // ShardState, Messages.
    case attestationWithoutHistory
    case executesAgain
    case votesAgain
    case escrowIgnoresReserved
    case decidesWithoutAllVotes
    case decidesAgain
    case refusalNotRecorded
    case forgetsEarly
    case anyAttemptsVotes
    case participantLeftOut
    case twoAttempts
    case decidesUnderTheCap
    case decidesInSilence
    case readsWithoutLock
    case orderIgnored
    case orderByHighestNumber
    case orderOnOneShard
    case refusedLegIsBehind
    case freezeIgnored
    case anybodyFreezes
    // Calls.
    case waitDieAgainstHoldersOnly
    case waitsOutOfOrder
    case classesWaitForEachOther
    case waitsForOlder
    case readersLetInOneByOne
    case procedureIgnoresEscrow
    case callbackDropped
    case locksReleasedAtResponse
    case unbalancedCommitted
    // Journal and the simulated host's use of it.
    case journalNeverSynced
    case rotTakenForTornTail

    #if MUTANTS
    /// Safe without a lock: the runner has one thread, and sets it only between two simulations.
    nonisolated(unsafe) public static var current: Mutant?

    /// Whether this is how the protocol is broken now.
    @inline(__always)
    public static func `is`(_ mutant: Mutant) -> Bool { current == mutant }
    #else
    /// Whether this is how the protocol is broken now: never, in this build.
    @inlinable @inline(__always)
    public static func `is`(_ mutant: Mutant) -> Bool { false }
    #endif
}
