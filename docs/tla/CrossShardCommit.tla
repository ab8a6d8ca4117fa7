--------------------------- MODULE CrossShardCommit ---------------------------
(***************************************************************************)
(* Quorate's one-shot transactions across shards: rules R8 to R12.         *)
(*                                                                         *)
(* A shard is one correct machine that executes in order: that is what     *)
(* PBFT makes of its replicas, and it is taken for granted here. All that  *)
(* passes between shards are certified leaves. They are a set that only    *)
(* grows, and anyone may show any of them to any shard at any time, any    *)
(* number of times: so gateways, coordinators and the network may lose,    *)
(* delay, repeat and reorder, and need no state of their own. What they    *)
(* cannot do is forge (`Forge`).                                           *)
(*                                                                         *)
(* `Attempts` are the different signed requests of one principal under one *)
(* request number. Each has one leg with at least two participants. Other  *)
(* numbers, and the other legs of a bundle, share no record with these.    *)
(*                                                                         *)
(* Each action's comment names the Swift function that it stands for.      *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
    Shards,
    Attempts,
    Participants,   \* [Attempts -> SUBSET Shards]: each shard recomputes them from the signed bytes (R8).
    Deadline,       \* [Attempts -> Nat]
    MaxTime,        \* Clocks stop here, beyond every deadline.
    Acknowledges,   \* Whether the principal may sign an `acknowledgedBelow` above the number.
    Keeps,          \* Which outcomes outlive their body until acknowledged: "all", as in the code, "commits", which
                    \* is all that R11 asks for, or "none", which is R10 without R11.
    NotesEach,      \* Whether participants become known decided one by one, as in the code, or all at once. That is as
                    \* good for safety, which needs to know of all or nothing, and leaves are there to be shown again.
    Broken          \* The rule that is left out; "nothing" in the specification.

Rules == {
    "nothing",
    "forgetsUnsettled",     \* R10: a record goes when this shard has decided, whatever the others know.
    "forgetsEarly",         \* R10: a record goes when all have decided, whatever the time.
    "votesAgain",           \* A shard may change a vote that it has recorded and not yet decided.
    "missingIsYes",         \* A participant of which nothing is shown counts as a yes vote.
    "sharedId",             \* The id of a transaction does not cover what tells attempts apart.
    "unrecordedRefusal",    \* R9: a passing refusal is certified, and not recorded.
    "votesLate",            \* R10: a shard without a record still votes past the deadline.
    "dropsUndecided",       \* R11: acknowledging drops undecided records too.
    "dropsUnsettled",       \* R10, R11: acknowledging drops what is decided here, whatever the others know.
    "notSuperseded",        \* R11: a shard votes yes for a second attempt.
    "believesForged",       \* Leaves count without a certificate.
    "silentWithoutRecord",  \* R10: no `NoRecordAbort`.
    "pushesUndecidedOnly",  \* Decision 0012: only undecided records are pushed.
    "doneIsOnlyAVote",      \* What a host gathers from pushes takes `acknowledged` after a yes vote for the vote alone.
    "abortsAlone",          \* Unilateral abort: who voted yes gives up past the deadline.
    "decideChecksDeadline", \* Past the deadline a decide that commits aborts.
    "saysUnordered",        \* R2, R10: `NoRecordAbort` is said by a host's clock, and not by the shard's ordered time.
    (* In CommitQuiescence: *)
    "answersForEver",       \* Every fresh leaf is answered, by ordering the question again.
    "answersAnswers",       \* An answer is answered, as a question is, unless its shard says that it has no record.
    "silentAtRest",         \* What is not open here is not answered.
    "ordersOnce",           \* What is certified already is not ordered again, although no host has that leaf at hand.
    "answersWithOldLeaf"}   \* Whatever leaf is at hand is the answer, also if this shard has got further.

ASSUME
    /\ Participants \in [Attempts -> SUBSET Shards] /\ \A a \in Attempts : Cardinality(Participants[a]) >= 2
    /\ Deadline \in [Attempts -> Nat] /\ \A a \in Attempts : Deadline[a] < MaxTime
    /\ Acknowledges \in BOOLEAN /\ NotesEach \in BOOLEAN /\ Keeps \in {"all", "commits", "none"} /\ Broken \in Rules

(* `LegStatus`, but for reads, which have one participant. *)
Undecided == "votedYes"
Aborts == {"votedNo", "aborted", "noRecordAbort", "acknowledged"}
Final == Aborts \cup {"committed"}          \* `LegStatus.isDecided`
Statuses == Final \cup {Undecided}
Nothing == "nothing"

(* `SignedRequest.digest`: hash of everything that was signed, so of number, legs, deadline and epoch. *)
Id(a) == IF Broken = "sharedId" THEN CHOOSE x \in Attempts : TRUE ELSE a
Ids == {Id(a) : a \in Attempts}

NoRecord == [attempt |-> Nothing, status |-> Nothing, hasBody |-> FALSE, known |-> {}]

VARIABLES
    time,           \* [Shards -> Nat]: each shard's own; they run apart as they like (R2).
    record,         \* [Shards -> [Ids -> record]]: `AttemptRecord` with its one `LegRecord`. `known` is `knownDecided`.
    locks,          \* [Shards -> SUBSET Ids]: whose escrow and locks are held.
    acknowledged,   \* [Shards -> BOOLEAN]: the number is below the principal's `acknowledgedBelow` here.
    leaves,         \* [Shards -> [Ids -> SUBSET Statuses]]: what each has certified so far of each transaction.
    votes,          \* History, read by no action: every vote that was recorded, oldest first.
    outcomes        \* History, read by no action: every outcome that took effect, oldest first.

vars == <<time, record, locks, acknowledged, leaves, votes, outcomes>>

TypeOK ==
    /\ time \in [Shards -> 0..MaxTime]
    /\ \A s \in Shards, i \in Ids : record[s][i] = NoRecord \/
        /\ record[s][i].attempt \in Attempts /\ Id(record[s][i].attempt) = i
        /\ record[s][i].status \in {"votedYes", "votedNo", "committed", "aborted"}
        /\ record[s][i].hasBody \in BOOLEAN
        /\ record[s][i].known \subseteq Participants[record[s][i].attempt]
    /\ locks \in [Shards -> SUBSET Ids]
    /\ acknowledged \in [Shards -> BOOLEAN]
    /\ leaves \in [Shards -> [Ids -> SUBSET Statuses]]

Init ==
    /\ time = [s \in Shards |-> 0]
    /\ record = [s \in Shards |-> [i \in Ids |-> NoRecord]]
    /\ locks = [s \in Shards |-> {}]
    /\ acknowledged = [s \in Shards |-> FALSE]
    /\ leaves = [s \in Shards |-> [i \in Ids |-> {}]]
    /\ votes = [s \in Shards |-> [a \in Attempts |-> <<>>]]
    /\ outcomes = [s \in Shards |-> [a \in Attempts |-> <<>>]]

-----------------------------------------------------------------------------
(* What a shard's state says. *)

IsPast(s, a) == time[s] > Deadline[a]
HasRecord(s, i) == record[s][i].status # Nothing
IsCertified(s, i, status) == status \in leaves[s][i]
With(s, i, status) == [leaves EXCEPT ![s][i] = @ \cup {status}]
IsDecided(s, i) == record[s][i].status \in Final
IsSettled(s, i) == HasRecord(s, i) /\ record[s][i].known = Participants[record[s][i].attempt]     \* `isSettled`
(* `StateIndexes.open`, which hosts scan and push. *)
IsOpen(s, i) ==
    /\ record[s][i].hasBody /\ ~IsSettled(s, i)
    /\ Broken = "pushesUndecidedOnly" => ~IsDecided(s, i)

(* What is certified of a leg already, or can be without a record because it stays true for ever (R9, R10, R11). *)
(* `ExecutionContext.finalAnswers`, `VotingRules.permanentRefusal`. A malformed leg is refused so by every shard at *)
(* any time; it never gets a record, and is left out here. *)
FinalAnswer(s, a) ==
    IF HasRecord(s, Id(a)) THEN record[s][Id(a)].status
    ELSE IF acknowledged[s] THEN "acknowledged"
    ELSE IF IsPast(s, a) /\ Broken # "silentWithoutRecord" THEN "noRecordAbort"
    ELSE Nothing

(* Another attempt is undecided or committed here (R11). `VotingRules.isSuperseded`. *)
IsSuperseded(s, a) ==
    /\ Broken # "notSuperseded"
    /\ \E i \in Ids \ {Id(a)} : record[s][i].status \in {"votedYes", "committed"}

(* The AND of the votes that are shown. `Decision.init(_:)` in Messages/Leaf.swift. *)
Decision(shown) ==
    LET said == {shown[t] : t \in DOMAIN shown} IN
    IF "committed" \in said THEN "committed"
    ELSE IF said \cap Aborts # {} THEN "aborted"
    ELSE IF Nothing \notin said \/ Broken = "missingIsYes" THEN "committed"
    ELSE Nothing

-----------------------------------------------------------------------------
(* What a shard does. Each is part of one ordered batch; anyone may bring what it needs. *)

(* Batches carry time (R2). `ShardExecutor.execute(_: OrderedBatch)`. *)
Tick(s) ==
    /\ time[s] < MaxTime
    /\ time' = [time EXCEPT ![s] = @ + 1]
    /\ UNCHANGED <<record, locks, acknowledged, leaves, votes, outcomes>>

(* A request whose answer is final: what is recorded is certified again, or what never will be recorded is said. *)
(* `Participant.execute(_: SignedRequest, in:into:)`, where `finalAnswers` has the answer. *)
Answer(s, a) ==
    /\ s \in Participants[a]
    /\ FinalAnswer(s, a) # Nothing
    /\ ~IsCertified(s, Id(a), FinalAnswer(s, a))
    /\ leaves' = With(s, Id(a), FinalAnswer(s, a))
    /\ UNCHANGED <<time, record, locks, acknowledged, votes, outcomes>>

MayVote(s, a) ==
    \/ FinalAnswer(s, a) = Nothing /\ ~IsPast(s, a)
    \/ Broken = "votesLate" /\ ~HasRecord(s, Id(a)) /\ ~acknowledged[s]
    \/ Broken = "votesAgain" /\ record[s][Id(a)].status = Undecided

(* The first and only vote, recorded before it is a leaf (R9). Whether the accounts allow a yes is left open; a no is *)
(* decided at once. Uncertified refusals (conflict, overload, a cap) change nothing, so they are no step. *)
(* `Participant.vote`, called by `execute(_: SignedRequest, in:into:)`. *)
Vote(s, a, status) ==
    /\ s \in Participants[a]
    /\ MayVote(s, a)
    /\ status = "votedYes" => ~IsSuperseded(s, a)
    /\ record' = [record EXCEPT ![s][Id(a)] =
        [attempt |-> a, status |-> status, hasBody |-> TRUE, known |-> IF status = "votedNo" THEN {s} ELSE {}]]
    /\ locks' = [locks EXCEPT ![s] = IF status = "votedYes" THEN @ \cup {Id(a)} ELSE @ \ {Id(a)}]
    /\ leaves' = With(s, Id(a), status)
    /\ votes' = [votes EXCEPT ![s][a] = Append(@, status)]
    /\ outcomes' = IF status = "votedNo" THEN [outcomes EXCEPT ![s][a] = Append(@, "aborted")] ELSE outcomes
    /\ UNCHANGED <<time, acknowledged>>

(* Only if broken. *)
RefuseUnrecorded(s, a) ==
    /\ Broken = "unrecordedRefusal"
    /\ s \in Participants[a]
    /\ FinalAnswer(s, a) = Nothing
    /\ ~IsCertified(s, Id(a), "votedNo")
    /\ leaves' = With(s, Id(a), "votedNo")
    /\ UNCHANGED <<time, record, locks, acknowledged, votes, outcomes>>

(* Only if broken: by a host's clock every shard is past the deadline. *)
SayUnordered(s, a) ==
    /\ Broken = "saysUnordered"
    /\ s \in Participants[a]
    /\ FinalAnswer(s, a) = Nothing
    /\ ~IsCertified(s, Id(a), "noRecordAbort")
    /\ leaves' = With(s, Id(a), "noRecordAbort")
    /\ UNCHANGED <<time, record, locks, acknowledged, votes, outcomes>>

(* Only if broken. *)
AbortAlone(s, i) ==
    /\ Broken = "abortsAlone"
    /\ record[s][i].status = Undecided /\ IsPast(s, record[s][i].attempt)
    /\ record' = [record EXCEPT ![s][i].status = "aborted", ![s][i].known = @ \cup {s}]
    /\ locks' = [locks EXCEPT ![s] = @ \ {i}]
    /\ leaves' = With(s, i, "aborted")
    /\ outcomes' = [outcomes EXCEPT ![s][record[s][i].attempt] = Append(@, "aborted")]
    /\ UNCHANGED <<time, acknowledged, votes>>

(* One status for each other participant: whoever brings a decide chooses which certificates it has, `best` takes the *)
(* furthest that is there of each shard, and what is not certified counts as not there. *)
Others(s, i) == Participants[record[s][i].attempt] \ {s}
Claims(s, i) ==
    LET certified == IF Broken = "believesForged" THEN Statuses ELSE UNION {leaves[t][i] : t \in Others(s, i)}
    IN [Others(s, i) -> certified \cup {Nothing}]
IsShown(claim, i) == \A t \in DOMAIN claim : claim[t] # Nothing => IsCertified(t, i, claim[t])

(* What the certificates make of an undecided record. Time plays no part: votes decide, however late they come. *)
Decided(s, i, claim) ==
    LET r == record[s][i]
        decision == Decision([t \in Participants[r.attempt] |-> IF t = s THEN r.status ELSE claim[t]])
    IN
    IF Broken = "decideChecksDeadline" /\ IsPast(s, r.attempt) /\ decision = "committed" THEN "aborted" ELSE decision
Decides(s, i, claim) == record[s][i].status = Undecided /\ Decided(s, i, claim) # Nothing

(* Who is known decided with them. *)
Known(s, i, claim) ==
    LET r == record[s][i]
        shown == r.known \cup {t \in DOMAIN claim : claim[t] \in Final} \cup IF Decides(s, i, claim) THEN {s} ELSE {}
    IN
    IF NotesEach \/ shown = Participants[r.attempt] THEN shown ELSE shown \cap {s}

(* `ShardExecutor.effect(of:)`: what would change nothing is not ordered. *)
HasEffect(s, i, claim) == Decides(s, i, claim) \/ Known(s, i, claim) # record[s][i].known

(* Decides what the certificates decide, and notes who has decided. Nothing changes an outcome. *)
(* `Participant.execute(_: TransactionDecide, in:into:)`, `AttemptAdvance.init`. *)
Decide(s, i, claim) ==
    LET r == record[s][i]
        decision == Decided(s, i, claim)
        decides == Decides(s, i, claim)
        known == Known(s, i, claim)
    IN
    /\ IsShown(claim, i) \/ Broken = "believesForged"
    /\ HasEffect(s, i, claim)
    /\ record' = [record EXCEPT ![s][i].status = IF decides THEN decision ELSE @, ![s][i].known = known]
    /\ IF decides
       THEN /\ locks' = [locks EXCEPT ![s] = @ \ {i}]
            /\ leaves' = With(s, i, decision)
            /\ outcomes' = [outcomes EXCEPT ![s][r.attempt] = Append(@, decision)]
       ELSE UNCHANGED <<locks, leaves, outcomes>>
    /\ UNCHANGED <<time, acknowledged, votes>>

(* A gateway, or whoever has certificates, brings some of them. `ShardMachine.admit(_: TransactionDecide)`. *)
BroughtDecide(s, i) == record[s][i].hasBody /\ \E claim \in Claims(s, i) : Decide(s, i, claim)

(* A decide with a leaf that no shard certified. Certificates are checked in HostCore before anything is ordered, and *)
(* there is no `Verified` value of this one, so it changes nothing. It stands here to say that it may happen. *)
Forge(s, i) ==
    LET t == CHOOSE t \in Others(s, i) : TRUE IN
    /\ record[s][i].hasBody
    /\ leaves[t][i] # Statuses
    /\ UNCHANGED vars

(* Whether a record without its body may go as a whole. `VotingRules.mayForget`. *)
MayForget(r, isAcknowledged) ==
    \/ isAcknowledged
    \/ Keeps = "commits" /\ r.status \in Aborts
    \/ Keeps = "none"

(* The record closes: the signed request goes, nothing can be decided or pushed any more, and what need not outlive *)
(* it goes too (R10). `Participant.forgetDue`, `VotingRules.mayDropBody`. *)
Close(s, i) ==
    LET r == record[s][i] IN
    /\ r.hasBody
    /\ IsSettled(s, i) \/ (Broken = "forgetsUnsettled" /\ IsDecided(s, i))
    /\ IsPast(s, r.attempt) \/ Broken = "forgetsEarly"
    /\ record' = [record EXCEPT ![s][i] =
        IF MayForget(r, acknowledged[s]) THEN NoRecord ELSE [r EXCEPT !.hasBody = FALSE]]
    /\ UNCHANGED <<time, locks, acknowledged, leaves, votes, outcomes>>

(* Some later request of the principal acknowledges the number. An honest client does so only with the outcome in *)
(* hand; here it may at any time. What is not closed stays, decided or not (R10, R11). *)
(* `ExecutionContext.note` of the later request, and its `forgetAcknowledged`. *)
Acknowledge(s) ==
    /\ Acknowledges
    /\ ~acknowledged[s]
    /\ acknowledged' = [acknowledged EXCEPT ![s] = TRUE]
    /\ record' = [record EXCEPT ![s] = [i \in Ids |->
        IF @[i].hasBody /\ Broken # (IF IsDecided(s, i) THEN "dropsUnsettled" ELSE "dropsUndecided") THEN @[i]
        ELSE NoRecord]]
    /\ UNCHANGED <<time, locks, leaves, votes, outcomes>>

-----------------------------------------------------------------------------
(* Recovery by anyone: what hosts bring about by themselves, with every gateway dead. A host pushes each open record *)
(* (the request and its shard's leaf) to the participants that are not known decided; they answer with what they say *)
(* now. So this relies on no certificate of the past, nor on any vote: a shard may refuse to vote until the deadline. *)

(* `ShardMachine.pushUnforgotten` at some shard, `ShardMachine.receive(_: RecoveryPush)` at s. *)
PushedAnswer(s, a) ==
    /\ \E t \in Participants[a] \ {s} :
        IsOpen(t, Id(a)) /\ record[t][Id(a)].attempt = a /\ s \notin record[t][Id(a)].known
    /\ Answer(s, a)

(* What t says now, if it has certified it; `Recovery` keeps it. *)
Gathered(t, a) ==
    LET answer == FinalAnswer(t, a) IN
    IF answer = Nothing \/ ~IsCertified(t, Id(a), answer) THEN Nothing
    ELSE IF Broken = "doneIsOnlyAVote" /\ answer = "acknowledged" /\ IsCertified(t, Id(a), Undecided) THEN Undecided
    ELSE answer

(* `Pushes.pushBack` at the others, `Recovery.add` and `ShardMachine.admit(_: TransactionDecide)` at s. *)
PushedDecide(s, i) ==
    /\ IsOpen(s, i)
    /\ Decide(s, i, [t \in Others(s, i) |-> Gathered(t, record[s][i].attempt)])

-----------------------------------------------------------------------------
Next ==
    \/ \E s \in Shards : Tick(s)
    \/ \E s \in Shards : Acknowledge(s)
    \/ \E s \in Shards, a \in Attempts, status \in {"votedYes", "votedNo"} : Vote(s, a, status)
    \/ \E s \in Shards, a \in Attempts : Answer(s, a)
    \/ \E s \in Shards, a \in Attempts : RefuseUnrecorded(s, a)
    \/ \E s \in Shards, a \in Attempts : SayUnordered(s, a)
    \/ \E s \in Shards, i \in Ids : AbortAlone(s, i)
    \/ \E s \in Shards, i \in Ids : BroughtDecide(s, i)
    \/ \E s \in Shards, i \in Ids : Close(s, i)
    \/ \E s \in Shards, i \in Ids : Forge(s, i)

(* Clocks run, due records close, and hosts push. Neither coordinators nor votes are promised. *)
Fairness ==
    \A s \in Shards :
        /\ WF_vars(Tick(s))
        /\ \A a \in Attempts : WF_vars(PushedAnswer(s, a))
        /\ \A i \in Ids : WF_vars(PushedDecide(s, i)) /\ WF_vars(Close(s, i))

Safety == Init /\ [][Next]_vars
Spec == Safety /\ Fairness

-----------------------------------------------------------------------------
(* What must never happen. *)

HasCommitted(s, a) == \E n \in DOMAIN outcomes[s][a] : outcomes[s][a][n] = "committed"
HasAborted(s, a) == \E n \in DOMAIN outcomes[s][a] : outcomes[s][a][n] = "aborted"
HasVoted(s, a) == votes[s][a] # <<>>

(* No two shards decide one transaction differently. *)
OneDecision == \A a \in Attempts, s, t \in Shards : ~(HasCommitted(s, a) /\ HasAborted(t, a))

(* A decision never changes, and is never applied again. *)
DecidedOnce == \A a \in Attempts, s \in Shards : Len(outcomes[s][a]) <= 1

(* A participant's part of the AND: its first vote, or, if it never votes, that it said so for ever. *)
DecisionIsAndOfFirstVotes ==
    \A a \in Attempts, s \in Shards :
        /\ HasCommitted(s, a) => \A t \in Participants[a] : HasVoted(t, a) /\ Head(votes[t][a]) = "votedYes"
        /\ HasAborted(s, a) => \E t \in Participants[a] :
            IF HasVoted(t, a) THEN Head(votes[t][a]) = "votedNo"
            ELSE IsCertified(t, Id(a), "noRecordAbort") \/ IsCertified(t, Id(a), "acknowledged")

(* What an auditor sees. *)
AllYesIsCertified(a) == \A s \in Participants[a] : IsCertified(s, Id(a), "votedYes")
CommitIsCertified(a) == AllYesIsCertified(a) \/ \E s \in Shards : IsCertified(s, Id(a), "committed")
AbortIsCertified(a) == \E s \in Shards : IsCertified(s, Id(a), "aborted") \/ IsCertified(s, Id(a), "votedNo")
NoRecordIsCertified(a) == \E s \in Shards : IsCertified(s, Id(a), "noRecordAbort")

(* One outcome of an attempt: an outcome, or a full set of yes votes, and nothing that says otherwise. `acknowledged` *)
(* proves nothing of the past (R11): it may stand beside a commit. *)
CertificatesAgree == \A a \in Attempts : ~(CommitIsCertified(a) /\ AbortIsCertified(a))

(* `noRecordAbort` never stands beside a complete set of yes votes (R10), nor beside a commit. That takes R11: commits *)
(* outlive their body until they are acknowledged, and then the answer is `acknowledged` (`Keeps` is not "none"). *)
NoRecordAbortExcludesYesVotes == \A a \in Attempts : ~(NoRecordIsCertified(a) /\ AllYesIsCertified(a))
NoRecordAbortExcludesCommit ==
    \A a \in Attempts, s \in Shards : ~(NoRecordIsCertified(a) /\ IsCertified(s, Id(a), "committed"))

(* What R10 gives without R11: it may stand there, and then everybody has committed already. *)
NoRecordAbortUndoesNothing ==
    \A a \in Attempts : NoRecordIsCertified(a) /\ CommitIsCertified(a) => \A s \in Participants[a] : HasCommitted(s, a)

(* R11, for attempts that share a participant. *)
OneAttemptCommits ==
    \A a, b \in Attempts :
        a # b /\ Participants[a] \cap Participants[b] # {} =>
            ~\E s, t \in Shards : HasCommitted(s, a) /\ HasCommitted(t, b)

(* The same, as an auditor sees it. *)
OneAttemptIsCertified ==
    \A a, b \in Attempts :
        a # b /\ Participants[a] \cap Participants[b] # {} => ~(CommitIsCertified(a) /\ CommitIsCertified(b))

(* A lock is held by an undecided record, and by nothing else. *)
NoOrphanLock == \A s \in Shards, i \in Ids : i \in locks[s] <=> record[s][i].status = Undecided

-----------------------------------------------------------------------------
(* What must happen, with no coordinator. There are finitely many votes, so "again and again" is "for good" here. *)

(* A recorded vote leads to a decision where it was given, and to a certified end everywhere. *)
EveryVoteIsDecided ==
    []<>(\A a \in Attempts, s \in Shards :
        HasVoted(s, a) =>
            /\ outcomes[s][a] # <<>>
            /\ \A t \in Participants[a] : \E status \in Final : IsCertified(t, Id(a), status))

EveryLockIsReleased == []<>(\A s \in Shards : locks[s] = {})

(* Closed always; gone as soon as nothing has to outlive the body. *)
EveryRecordIsForgotten ==
    []<>(\A s \in Shards, i \in Ids :
        HasRecord(s, i) => ~record[s][i].hasBody /\ ~MayForget(record[s][i], acknowledged[s]))

-----------------------------------------------------------------------------
(* Reachability: each of these is false, and TLC shows a history in which it is. *)

Gone(s, a) == HasVoted(s, a) /\ ~HasRecord(s, Id(a))

NeverForgetsACommit ==
    ~\E a \in Attempts : \A s \in Participants[a] :
        HasCommitted(s, a) /\ Gone(s, a) /\ IsCertified(s, Id(a), "acknowledged")
NeverAbortsForWantOfARecord ==
    ~\E a \in Attempts : \E s \in Participants[a] : \E t \in Participants[a] \ {s} :
        HasAborted(s, a) /\ Gone(s, a) /\ ~HasVoted(t, a) /\ ~acknowledged[t] /\ IsCertified(t, Id(a), "noRecordAbort")
NeverAbortsAsAcknowledged ==
    ~\E a \in Attempts : \E s \in Participants[a] : \E t \in Participants[a] \ {s} :
        /\ HasAborted(s, a) /\ ~HasVoted(t, a) /\ ~IsPast(t, a) /\ IsCertified(t, Id(a), "acknowledged")
NeverCommitsARetry ==
    ~\E a, b \in Attempts :
        /\ \A s \in Participants[a] : HasAborted(s, a)
        /\ \A s \in Participants[b] : HasCommitted(s, b)

-----------------------------------------------------------------------------
(* What the configurations choose from. *)

TwoShards == {"A", "B"}
ThreeShards == {"A", "B", "C"}
Everyone == [a \in Attempts |-> Shards]
(* The retry reaches a shard that the first attempt did not. *)
Growing == [a \in Attempts |-> IF a = "first" THEN {"A", "B"} ELSE Shards]
(* A retry asks for more time. *)
Successive == [a \in Attempts |-> IF a = "first" THEN 0 ELSE 1]
=============================================================================
