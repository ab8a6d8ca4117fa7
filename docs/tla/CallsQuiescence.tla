---------------------------- MODULE CallsQuiescence ----------------------------
(***************************************************************************)
(* That synchronous calls come to rest: SynchronousCalls, and what hosts   *)
(* say to each other about them when every gateway is dead. What certified *)
(* again, fresh, at hand and faults mean, CommitQuiescence says.           *)
(*                                                                         *)
(* Home and each call are parties of their own here. Home and a call push  *)
(* to each other. What home knows of its calls is part of its record, and  *)
(* known only when it was told.                                            *)
(***************************************************************************)
EXTENDS SynchronousCalls

CONSTANTS
    MaxFaults

Parties == {Root} \cup Calls
NoLeaf == [kind |-> "none"]

VARIABLES
    hand,       \* [Parties -> leaf]: what hosts have at hand: the newest leaf, an older one, or none.
    fresh,      \* SUBSET Parties: that leaf has been certified since it was last pushed.
    owed,       \* SUBSET (Parties \X Parties): <<p, q>>: p owes q an answer.
    noted,      \* In home's record: calls that home knows to be done.
    faults,     \* How many there were.
    again       \* How often an answer that was certified already has been certified again.

ownVars == <<hand, fresh, owed, noted, faults, again>>
allVars == <<vars, ownVars>>

Pushers == {<<Root, c>> : c \in Calls} \cup {<<c, Root>> : c \in Calls}
LeavesOf(p) ==
    {leaf \in leaves :
        IF p = Root THEN leaf.kind \in {"outcome", "noRecordAbort"}
        ELSE leaf.kind \in {"response", "acknowledged", "calleeNoRecord"} /\ leaf.call = p}

QuiescenceTypeOK ==
    /\ \A p \in Parties : hand[p] \in LeavesOf(p) \cup {NoLeaf}
    /\ fresh \subseteq Parties
    /\ owed \subseteq Pushers
    /\ noted \subseteq Calls
    /\ faults \in 0..MaxFaults
    /\ again \in 0..MaxFaults + 2

QuiescenceInit ==
    /\ Init
    /\ hand = [p \in Parties |-> NoLeaf]
    /\ fresh = {}
    /\ owed = {}
    /\ noted = {}
    /\ faults = 0
    /\ again = 0

-----------------------------------------------------------------------------
(* What is ordered. *)

(* What p says now, if that is anything. `ExecutionContext.leaf`. *)
Says(p) ==
    IF p = Root THEN
        CASE HomeIsDecided -> Outcome(home.state, home.list)
          [] home.state = "none" /\ IsPast(Home) -> HomeNoRecord
          [] OTHER -> NoLeaf
    ELSE
        CASE callee[p].state = "responded" -> Response(p, callee[p].value, callee[p].list)
          [] callee[p].state = "failed" -> Response(p, Failed, {})
          [] callee[p].state \in {"committed", "aborted"} -> Acknowledged(p)
          [] callee[p].state = "none" /\ IsPast(Callee[p]) -> CalleeNoRecord(p)
          [] OTHER -> NoLeaf

(* Who has certified this holds nothing and waits for nobody: the leaf itself says so. *)
IsEnd(leaf) ==
    \/ leaf.kind \in {"noRecordAbort", "acknowledged", "calleeNoRecord"}
    \/ leaf.kind = "response" /\ leaf.value = Failed

HandsFollow ==
    /\ hand' = [p \in Parties |->
        IF LeavesOf(p)' = LeavesOf(p) THEN hand[p] ELSE CHOOSE leaf \in LeavesOf(p)' \ LeavesOf(p) : TRUE]
    /\ fresh' = fresh \cup {p \in Parties : LeavesOf(p)' # LeavesOf(p)}

Involved == home.emitted \cup {pair[1] : pair \in home.list}
ForgetRootWhenTold == Involved \subseteq noted /\ ForgetRoot

(* What clients bring, procedures and time. *)
Proceed ==
    /\ \/ \E s \in Shards : Tick(s)
       \/ RunRoot \/ Commit \/ AbortRoot \/ ForgetRootWhenTold
       \/ \E c \in Calls : EmitCall(c) \/ Execute(c) \/ Return(c) \/ Fail(c) \/ ForgetCall(c)
    /\ HandsFollow
    /\ noted' = IF home'.state = "none" THEN {} ELSE noted
    /\ UNCHANGED <<owed, faults, again>>

CountAgain == again' = IF again < MaxFaults + 2 THEN again + 1 ELSE again - 1

(* The question is ordered, and this shard certifies what it says now, for the first time or again. *)
(* `Calls.execute(_: CallEvidence, in:into:)`. *)
Certify(p) ==
    /\ Says(p) # NoLeaf
    /\ leaves' = leaves \cup {Says(p)}
    /\ hand' = [hand EXCEPT ![p] = Says(p)]
    /\ fresh' = fresh \cup {p}
    /\ IF Says(p) \in leaves THEN CountAgain ELSE UNCHANGED again
    /\ UNCHANGED <<time, home, callee, locks, applied, dropped, owed, noted, faults>>

-----------------------------------------------------------------------------
(* Pushes. *)

IsAtHand(p) == hand[p] = Says(p)
Waits(p, q) == IF p = Root THEN HomeIsDecided /\ q \in Involved \ noted ELSE HoldsLocks(p)

(* The leaf at hand arrives at q. If it has an effect there it is ordered, and what is recorded then certified. *)
Push(p, q) ==
    IF q # Root /\ HoldsLocks(q) /\ hand[p].kind \in {"outcome", "noRecordAbort"}
    THEN /\ Learn(q, hand[p])
         /\ hand' = [hand EXCEPT ![q] = Acknowledged(q)]
         /\ fresh' = (fresh \ {p}) \cup {q}
         /\ UNCHANGED noted
    ELSE IF q = Root /\ Waits(Root, p) /\ IsEnd(hand[p])
    THEN /\ noted' = noted \cup {p}
         /\ hand' = [hand EXCEPT ![Root] = Says(Root)]
         /\ fresh' = (fresh \ {p}) \cup {Root}
         /\ UNCHANGED vars
    ELSE /\ fresh' = fresh \ {p}
         /\ UNCHANGED <<vars, hand, noted>>

(* Home asks whoever is not done, and who holds locks asks home. Whoever is asked owes an answer, whatever became of *)
(* its record. A frame that is executing asks too, with nothing to show. `ShardMachine.pushUnforgotten`, `push`. *)
Ask(p, q) ==
    LET isAnswered == Broken = "silentAtRest" => Says(q) = NoLeaf \/ Waits(q, p) IN
    /\ Waits(p, q) /\ IsAtHand(p) /\ <<q, p>> \notin owed
    /\ Push(p, q)
    /\ owed' = IF isAnswered THEN owed \cup {<<q, p>>} ELSE owed
    /\ UNCHANGED <<faults, again>>

(* There is no leaf at hand to push. *)
CertifyToAsk(p, q) == Waits(p, q) /\ ~IsAtHand(p) /\ Certify(p)

(* What is certified already is pushed back, and nothing is ordered. An answer is no question. `Pushes.pushBack`. *)
PushBack(p, q) ==
    /\ <<p, q>> \in owed /\ Says(p) # NoLeaf /\ IsAtHand(p)
    /\ Broken = "answersForEver" => p \in fresh
    /\ Push(p, q)
    /\ owed' = (owed \ {<<p, q>>}) \cup
        IF \/ Broken = "answersForEver"
           \/ Broken = "answersAnswers" /\ ~IsEnd(hand[p])
        THEN {<<q, p>>}
        ELSE {}
    /\ UNCHANGED <<faults, again>>

(* What is not at hand is certified first: once, for then it is at hand. *)
CertifyToAnswer(p, q) ==
    /\ <<p, q>> \in owed
    /\ ~IsAtHand(p) \/ (Broken = "answersForEver" /\ p \notin fresh)
    /\ Broken = "ordersOnce" => Says(p) \notin leaves
    /\ Certify(p)

-----------------------------------------------------------------------------
(* Faults. *)

(* An answer is lost. *)
Lose(p, q) ==
    /\ faults < MaxFaults
    /\ <<p, q>> \in owed /\ Says(p) # NoLeaf /\ IsAtHand(p)
    /\ faults' = faults + 1
    /\ owed' = owed \ {<<p, q>>}
    /\ fresh' = fresh \ {p}
    /\ UNCHANGED <<vars, hand, noted, again>>

(* Hosts start again: what they have at hand is older than the state, or nothing, and they have forgotten who asked. *)
StartAgain(p, leaf) ==
    /\ faults < MaxFaults
    /\ hand[p] \notin {NoLeaf, leaf}
    /\ faults' = faults + 1
    /\ hand' = [hand EXCEPT ![p] = leaf]
    /\ fresh' = fresh \ {p}
    /\ owed' = {pair \in owed : pair[1] # p}
    /\ UNCHANGED <<vars, noted, again>>

-----------------------------------------------------------------------------
QuiescenceNext ==
    \/ Proceed
    \/ \E pair \in Pushers :
        LET p == pair[1]
            q == pair[2]
        IN Ask(p, q) \/ CertifyToAsk(p, q) \/ PushBack(p, q) \/ CertifyToAnswer(p, q) \/ Lose(p, q)
    \/ \E p \in Parties : \E leaf \in LeavesOf(p) \cup {NoLeaf} : StartAgain(p, leaf)

(* Clocks run, what is past the deadline ends, hosts ask, and whoever is asked answers. No run, call or response is *)
(* promised. *)
QuiescenceFairness ==
    /\ \A s \in Shards : WF_allVars(Tick(s) /\ Proceed)
    /\ WF_allVars(ExpireRoot /\ Proceed) /\ WF_allVars(ForgetRootWhenTold /\ Proceed)
    /\ \A c \in Calls : WF_allVars(ForgetCall(c) /\ Proceed)
    /\ \A pair \in Pushers :
        /\ WF_allVars(Ask(pair[1], pair[2])) /\ WF_allVars(CertifyToAsk(pair[1], pair[2]))
        /\ WF_allVars(PushBack(pair[1], pair[2])) /\ WF_allVars(CertifyToAnswer(pair[1], pair[2]))

QuiescenceSafety == QuiescenceInit /\ [][QuiescenceNext]_allVars
QuiescenceSpec == QuiescenceSafety /\ QuiescenceFairness

-----------------------------------------------------------------------------
(* A party certifies again only what its hosts have lost, once for each loss, however often it is asked. *)
OneBatchForALoss == again <= faults

(* From some point on no answer is owed, nothing is certified again, and nothing happens at all. *)
EveryQuestionIsAnswered == <>[](owed = {})
CertifyingEnds == <>[][FALSE]_again
Quiescent == <>[][FALSE]_allVars
=============================================================================
