--------------------------- MODULE CommitQuiescence ---------------------------
(***************************************************************************)
(* That one-shot transactions come to rest: CrossShardCommit, and what     *)
(* hosts say to each other about them when every gateway is dead.          *)
(*                                                                         *)
(* There a leaf is an element of a set: to certify it again is no step.    *)
(* Here it is one. A shard's hosts have its newest leaf at hand, or not,   *)
(* for they lose it when they start again or after many other batches. If  *)
(* they need it and it is not there, the request is ordered again, which   *)
(* certifies what is recorded in a new batch: the leaf is fresh. Open      *)
(* records are pushed, which asks the other participant what became of it. *)
(* Who is asked owes an answer. Nothing but that ends anything.            *)
(*                                                                         *)
(* A push arrives at once or is lost: what arrives late is an old leaf,    *)
(* which CrossShardCommit shows to any shard at any time. Faults are       *)
(* finite; what is promised is promised from the last one on. Two shards.  *)
(***************************************************************************)
EXTENDS CrossShardCommit

CONSTANTS
    MaxFaults

ASSUME Shards = TwoShards /\ MaxFaults \in Nat

VARIABLES
    hand,       \* [Shards -> [Ids -> leaf]]: the newest of their shard that hosts have, or an older one, or nothing.
    fresh,      \* SUBSET (Shards \X Ids): that leaf has been certified since it was last pushed.
    owed,       \* SUBSET (Shards \X Ids): who owes the other one an answer. `ShardRecovery.asked`.
    faults,     \* How many there were.
    again       \* How often an answer that was certified already has been certified again.

allVars == <<vars, hand, fresh, owed, faults, again>>

Other(s) == CHOOSE t \in Shards : t # s
(* Ids are not shared here. *)
Says(s, i) == FinalAnswer(s, CHOOSE a \in Attempts : Id(a) = i)

QuiescenceTypeOK ==
    /\ hand \in [Shards -> [Ids -> Statuses \cup {Nothing}]]
    /\ fresh \subseteq Shards \X Ids
    /\ owed \subseteq Shards \X Ids
    /\ faults \in 0..MaxFaults
    /\ again \in 0..MaxFaults + 2

QuiescenceInit ==
    /\ Init
    /\ hand = [s \in Shards |-> [i \in Ids |-> Nothing]]
    /\ fresh = {}
    /\ owed = {}
    /\ faults = 0
    /\ again = 0

-----------------------------------------------------------------------------
(* What is ordered. *)

(* A batch that changes a record certifies what is recorded then: a decide that only notes does too. *)
IsCertifiedNow(s, i) ==
    \/ leaves'[s][i] # leaves[s][i]
    \/ record'[s][i].hasBody /\ record'[s][i].known # record[s][i].known
HandsFollow ==
    LET new == {x \in Shards \X Ids : IsCertifiedNow(x[1], x[2])} IN
    /\ hand' = [s \in Shards |-> [i \in Ids |->
        IF <<s, i>> \notin new THEN hand[s][i]
        ELSE IF leaves'[s][i] = leaves[s][i] THEN record'[s][i].status
        ELSE CHOOSE status \in leaves'[s][i] \ leaves[s][i] : TRUE]]
    /\ fresh' = fresh \cup new

(* What clients bring, and time. *)
Execute ==
    /\ \/ \E s \in Shards : Tick(s) \/ Acknowledge(s)
       \/ \E s \in Shards, a \in Attempts, status \in {"votedYes", "votedNo"} : Vote(s, a, status)
       \/ \E s \in Shards, i \in Ids : Close(s, i)
    /\ HandsFollow
    /\ UNCHANGED <<owed, faults, again>>

(* The count ends with two numbers that take turns, so that what never ends is a loop for TLC, and each turn a step. *)
CountAgain == again' = IF again < MaxFaults + 2 THEN again + 1 ELSE again - 1

(* The request is ordered, and this shard certifies what it says now. That may be for the first time or again; the *)
(* state is the same. `Participant.execute(_: SignedRequest, in:into:)`, where `finalAnswers` has the answer. *)
Certify(s, i) ==
    /\ Says(s, i) # Nothing
    /\ leaves' = With(s, i, Says(s, i))
    /\ hand' = [hand EXCEPT ![s][i] = Says(s, i)]
    /\ fresh' = fresh \cup {<<s, i>>}
    /\ IF IsCertified(s, i, Says(s, i)) THEN CountAgain ELSE UNCHANGED again
    /\ UNCHANGED <<time, record, locks, acknowledged, votes, outcomes, owed, faults>>

-----------------------------------------------------------------------------
(* Pushes. *)

IsAtHand(s, i) ==
    /\ hand[s][i] # Nothing
    /\ hand[s][i] = Says(s, i) \/ Broken = "answersWithOldLeaf"

(* The leaf at hand arrives at the other shard. If it has an effect there it is ordered (`ShardMachine.receive`). *)
Push(s, i) ==
    LET t == Other(s)
        claim == [u \in {s} |-> hand[s][i]]
    IN
    IF record[t][i].hasBody /\ HasEffect(t, i, claim)
    THEN /\ Decide(t, i, claim)
         /\ hand' = [hand EXCEPT ![t][i] = record'[t][i].status]
         /\ fresh' = (fresh \ {<<s, i>>}) \cup {<<t, i>>}
    ELSE /\ fresh' = fresh \ {<<s, i>>}
         /\ UNCHANGED <<vars, hand>>

MayAsk(s, i) == IsOpen(s, i) /\ Other(s) \notin record[s][i].known

(* An open record is pushed, again and again until it is settled. Who gets it owes an answer, whatever became of the *)
(* record there. A reminder of what is owed changes nothing. `ShardMachine.pushUnforgotten`, `push`. *)
Ask(s, i) ==
    LET t == Other(s)
        isAnswered == Broken = "silentAtRest" => IsOpen(t, i) \/ Says(t, i) = Nothing
    IN
    /\ MayAsk(s, i) /\ IsAtHand(s, i) /\ <<t, i>> \notin owed
    /\ Push(s, i)
    /\ owed' = IF isAnswered THEN owed \cup {<<t, i>>} ELSE owed
    /\ UNCHANGED <<faults, again>>

(* There is no leaf at hand to push. *)
CertifyToAsk(s, i) == MayAsk(s, i) /\ ~IsAtHand(s, i) /\ Certify(s, i)

(* What is certified already is pushed back, and nothing is ordered. An answer is no question. `Pushes.pushBack`. *)
PushBack(s, i) ==
    /\ <<s, i>> \in owed /\ IsAtHand(s, i)
    /\ Broken = "answersForEver" => <<s, i>> \in fresh
    /\ Push(s, i)
    /\ owed' = (owed \ {<<s, i>>}) \cup
        IF \/ Broken = "answersForEver"
           \/ Broken = "answersAnswers" /\ hand[s][i] \notin {"noRecordAbort", "acknowledged"}
        THEN {<<Other(s), i>>}
        ELSE {}
    /\ UNCHANGED <<faults, again>>

(* What is not at hand is certified first: once, for then it is at hand. While a shard may still vote it has nothing *)
(* to say, so it votes, or its time passes the deadline. *)
CertifyToAnswer(s, i) ==
    /\ <<s, i>> \in owed
    /\ ~IsAtHand(s, i) \/ (Broken = "answersForEver" /\ <<s, i>> \notin fresh)
    /\ Broken = "ordersOnce" => ~IsCertified(s, i, Says(s, i))
    /\ Certify(s, i)

-----------------------------------------------------------------------------
(* Faults. *)

(* An answer is lost. That a question is needs no step: it was not asked. *)
Lose(s, i) ==
    /\ faults < MaxFaults
    /\ <<s, i>> \in owed /\ IsAtHand(s, i)
    /\ faults' = faults + 1
    /\ owed' = owed \ {<<s, i>>}
    /\ fresh' = fresh \ {<<s, i>>}
    /\ UNCHANGED <<vars, hand, again>>

(* Hosts start again, or take over a state: what they have at hand is older than the state, or nothing, and they have *)
(* forgotten who asked. *)
StartAgain(s, i, status) ==
    /\ faults < MaxFaults
    /\ hand[s][i] \notin {Nothing, status}
    /\ faults' = faults + 1
    /\ hand' = [hand EXCEPT ![s][i] = status]
    /\ fresh' = fresh \ {<<s, i>>}
    /\ owed' = owed \ {<<s, i>>}
    /\ UNCHANGED <<vars, again>>

-----------------------------------------------------------------------------
QuiescenceNext ==
    \/ Execute
    \/ \E s \in Shards, i \in Ids :
        \/ Ask(s, i) \/ CertifyToAsk(s, i)
        \/ PushBack(s, i) \/ CertifyToAnswer(s, i)
        \/ Lose(s, i)
        \/ \E status \in leaves[s][i] \cup {Nothing} : StartAgain(s, i, status)

(* Clocks run, due records close, hosts ask, and who is asked answers. *)
QuiescenceFairness ==
    \A s \in Shards :
        /\ WF_allVars(Tick(s) /\ Execute)
        /\ \A i \in Ids :
            /\ WF_allVars(Close(s, i) /\ Execute)
            /\ WF_allVars(Ask(s, i)) /\ WF_allVars(CertifyToAsk(s, i))
            /\ WF_allVars(PushBack(s, i)) /\ WF_allVars(CertifyToAnswer(s, i))

QuiescenceSafety == QuiescenceInit /\ [][QuiescenceNext]_allVars
QuiescenceSpec == QuiescenceSafety /\ QuiescenceFairness

-----------------------------------------------------------------------------
(* A shard certifies again only what its hosts have lost, once for each loss, however often it is asked. *)
OneBatchForALoss == again <= faults

(* From some point on no answer is owed, nothing is certified again, and nothing happens at all. *)
EveryQuestionIsAnswered == <>[](owed = {})
CertifyingEnds == <>[][FALSE]_again
Quiescent == <>[][FALSE]_allVars

-----------------------------------------------------------------------------
(* Reachability: false, and TLC shows a history in which it is. *)

NeverAnswersByOrderingAgain ==
    ~(again > 0 /\ owed = {} /\ \A s \in Shards, a \in Attempts : HasCommitted(s, a) /\ ~record[s][Id(a)].hasBody)
=============================================================================
