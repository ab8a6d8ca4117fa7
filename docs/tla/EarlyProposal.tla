---------------------------- MODULE EarlyProposal ----------------------------
(***************************************************************************)
(* One sequence number of one shard, two views and the change between      *)
(* them, where a PRE-PREPARE leaves before it is durable and counts for    *)
(* nothing, and the primary's PREPARE counts like a backup's               *)
(* (docs/decisions/0051). Correct replicas crash at any moment and lose    *)
(* what of their journals was not synced.                                  *)
(*                                                                         *)
(* A vote is said when its record is durable, and again after a restart,   *)
(* so the votes that may have been heard are those of the journals on      *)
(* disk: there is no network here. Whoever counts them may be late, and so *)
(* may whoever acts. Faulty replicas vote for everything, and say whatever *)
(* helps in VIEW-CHANGE; as primaries they propose everything.             *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Faulty,         \* Of replicas 1 to 4, one at most.
    Batches,
    IsNew,          \* No replica has said anything before: the journals are empty.
    Crashing,       \* Those of the correct that may crash,
    MaxCrashes,     \* and how often they do.
    Broken          \* The rule that is left out; "nothing" in the specification.

Replicas == 1..4
Correct == Replicas \ Faulty
f == 1
Quorum == 2 * f + 1
Views == 0..1
Primary(v) == v + 1
None == "none"      \* A NEW-VIEW selects nothing: the number is free for a fresh proposal.
NoView == 2

Rules == {
    "nothing",
    "prePrepareIsVote", \* PRE-PREPARE counts as the primary's PREPARE, durable or not.
    "leadsAgain",       \* A primary that has started again proposes in the view that it led.
    "leadsUnrecorded"}  \* PRE-PREPARE leaves before the journal knows that its sender has led the view.

ASSUME Cardinality(Faulty) <= f /\ Broken \in Rules

VARIABLES
    log,        \* [Correct -> Seq(record)]: the journal of each replica.
    durable,    \* [Correct -> Nat]: so many of its records are on disk.
    leads,      \* [Correct -> Views \cup {NoView}]: the view that it has begun to lead since it started.
    proposed,   \* <<view, batch>>: PRE-PREPAREs of correct primaries that have left, in any life.
    crashes

vars == <<log, durable, leads, proposed, crashes>>

(* The records: an entry of Q, one of P, VIEW-CHANGE and NEW-VIEW, and what is older than all this. *)
Pre(v, d) == <<"pre", v, d>>
Prep(v, d) == <<"prep", v, d>>
Change == <<"change", 1, None>>
Enter(d) == <<"enter", 1, d>>
Older == <<"older", 0, None>>

OnDisk(r) == {log[r][i] : i \in 1..durable[r]}
InMemory(r) == {log[r][i] : i \in 1..Len(log[r])}
HasEntered(r) == \E d \in Batches \cup {None} : Enter(d) \in InMemory(r)
IsIn(r, v) == IF v = 0 THEN Change \notin InMemory(r) /\ ~HasEntered(r) ELSE HasEntered(r)
HasPre(r, v) == \E d \in Batches : Pre(v, d) \in InMemory(r)

Init ==
    /\ log = [r \in Correct |-> IF IsNew THEN <<>> ELSE <<Older>>]
    /\ durable = [r \in Correct |-> Len(log[r])]
    /\ leads = [r \in Correct |-> IF r = Primary(0) THEN 0 ELSE NoView]
    /\ proposed = {}
    /\ crashes = 0

Write(r, records) == log' = [log EXCEPT ![r] = @ \o records]

(* `Journal`: what is written is on disk. *)
Sync(r) ==
    /\ durable[r] < Len(log[r])
    /\ durable' = [durable EXCEPT ![r] = Len(log[r])]
    /\ UNCHANGED <<log, leads, proposed, crashes>>

(* `ViewChanger.mayPropose` *)
MayPropose(r, v) ==
    /\ Primary(v) = r /\ IsIn(r, v) /\ ~HasPre(r, v)
    /\ leads[r] = v \/ Broken = "leadsAgain"
    /\ v = 1 => Enter(None) \in InMemory(r)

(* `ViewChanger.isLeadDurable` *)
IsLeadDurable(r, v) ==
    \/ Broken = "leadsUnrecorded"
    \/ IF v = 0 THEN durable[r] > 0 ELSE Enter(None) \in OnDisk(r)

(* `Ordering.propose`: it is written down, and leaves at once if a restart would know who led. *)
Propose(r, v, d) ==
    /\ MayPropose(r, v)
    /\ Write(r, <<Pre(v, d)>>)
    /\ proposed' = IF IsLeadDurable(r, v) THEN proposed \cup {<<v, d>>} ELSE proposed
    /\ UNCHANGED <<durable, leads, crashes>>

(* One that was held, or is said again: `MessageLog.votes`. *)
SayProposal(r, v, d) ==
    /\ Primary(v) = r /\ IsIn(r, v) /\ Pre(v, d) \in OnDisk(r) /\ <<v, d>> \notin proposed
    /\ v = 1 => Enter(None) \in OnDisk(r)
    /\ proposed' = proposed \cup {<<v, d>>}
    /\ UNCHANGED <<log, durable, leads, crashes>>

(* `Ordering.receive`: a backup takes the first proposal that it hears. *)
Accept(r, v, d) ==
    /\ Primary(v) # r /\ IsIn(r, v) /\ ~HasPre(r, v)
    /\ v = 1 => Enter(None) \in InMemory(r)
    /\ <<v, d>> \in proposed \/ Primary(v) \in Faulty
    /\ Write(r, <<Pre(v, d)>>)
    /\ UNCHANGED <<durable, leads, proposed, crashes>>

(* Who may have been heard to say PREPARE. *)
Prepares(v, d) ==
    Faulty \cup {r \in Correct : Pre(v, d) \in OnDisk(r)}
        \cup {r \in Correct : Broken = "prePrepareIsVote" /\ r = Primary(v) /\ <<v, d>> \in proposed}

(* `MessageLog.hasPrepared` *)
Prepare(r, v, d) ==
    /\ IsIn(r, v) /\ Pre(v, d) \in InMemory(r) /\ Prep(v, d) \notin InMemory(r)
    /\ Cardinality(Prepares(v, d)) >= Quorum
    /\ Write(r, <<Prep(v, d)>>)
    /\ UNCHANGED <<durable, leads, proposed, crashes>>

(* `MessageLog.committedBatch` *)
Committed(v, d) == Cardinality(Faulty \cup {r \in Correct : Prep(v, d) \in OnDisk(r)}) >= Quorum

(* VIEW-CHANGE: for any reason, and because it led the view before it started (`Replica.resign`). *)
Leave(r) ==
    /\ IsIn(r, 0)
    /\ Write(r, <<Change>>)
    /\ UNCHANGED <<durable, leads, proposed, crashes>>

(* Those whose VIEW-CHANGE has left. What it says is what stands before it. *)
Left == {r \in Correct : Change \in OnDisk(r)}
Said(r) == {log[r][i] : i \in 1..((CHOOSE i \in 1..Len(log[r]) : log[r][i] = Change) - 1)}
InP(r, d) == Prep(0, d) \in Said(r)
InQ(r, d) == Pre(0, d) \in Said(r)

(* `NewViewSelection`: what may be selected by the words of `said` and of `liars`. *)
Selectable(said, liars) ==
    LET l == Cardinality(liars)
        prepared(d) == {r \in said : InP(r, d)}
        others(d) == {r \in said : \E e \in Batches \ {d} : InP(r, e)}
        A(d) ==
            /\ Cardinality(prepared(d)) + l >= 1
            /\ Cardinality(said \ others(d)) + l >= Quorum
            /\ Cardinality({r \in said : InQ(r, d)}) + l >= f + 1
        B == Cardinality({r \in said : \A d \in Batches : ~InP(r, d)}) + l >= Quorum
    IN {d \in Batches : A(d)} \cup (IF B THEN {None} ELSE {})

Records(d) == IF d = None THEN <<Enter(d)>> ELSE <<Enter(d), Pre(1, d)>>

(* `Replica.tryNewView` *)
NewView(r) ==
    /\ r = Primary(1) /\ ~HasEntered(r) /\ r \in Left
    /\ \E said \in SUBSET Left, d \in Batches \cup {None} :
        /\ r \in said /\ Cardinality(said) + Cardinality(Faulty) >= Quorum
        /\ d \in Selectable(said, Faulty)
        /\ Write(r, Records(d))
    /\ leads' = [leads EXCEPT ![r] = 1]
    /\ UNCHANGED <<durable, proposed, crashes>>

(* The NEW-VIEW of a correct primary leaves when it and what it selects are durable; of a faulty one each may have
   another that is right. *)
Follow(r) ==
    /\ r # Primary(1) /\ ~HasEntered(r)
    /\ \E d \in Batches \cup {None} :
        /\ IF Primary(1) \in Faulty
           THEN \E said \in SUBSET Left :
                /\ Cardinality(said) + Cardinality(Faulty) >= Quorum
                /\ d \in Selectable(said, Faulty)
           ELSE \A i \in 1..Len(Records(d)) : Records(d)[i] \in OnDisk(Primary(1))
        /\ Write(r, Records(d))
    /\ UNCHANGED <<durable, leads, proposed, crashes>>

(* What was not synced is lost from some record on. A replica whose journal is empty has nothing to forget, and leads
   view 0 (docs/decisions/0015). *)
Crash(r) ==
    /\ r \in Crashing /\ crashes < MaxCrashes
    /\ crashes' = crashes + 1
    /\ \E left \in durable[r]..Len(log[r]) :
        /\ log' = [log EXCEPT ![r] = SubSeq(@, 1, left)]
        /\ durable' = [durable EXCEPT ![r] = left]
        /\ leads' = [leads EXCEPT ![r] = IF r = Primary(0) /\ left = 0 THEN 0 ELSE NoView]
    /\ UNCHANGED proposed

Next ==
    \E r \in Correct :
        \/ Sync(r) \/ Leave(r) \/ NewView(r) \/ Follow(r) \/ Crash(r)
        \/ \E v \in Views, d \in Batches :
            Propose(r, v, d) \/ SayProposal(r, v, d) \/ Accept(r, v, d) \/ Prepare(r, v, d)

Spec == Init /\ [][Next]_vars

AnyBatch == Permutations(Batches)

-----------------------------------------------------------------------------

TypeOK ==
    /\ \A r \in Correct : durable[r] <= Len(log[r])
    /\ leads \in [Correct -> Views \cup {NoView}]
    /\ proposed \subseteq Views \X Batches

Agreement ==
    \A v, w \in Views, d, e \in Batches : Committed(v, d) /\ Committed(w, e) => d = e

(* What committed in view 0 is what view 1 begins with. *)
CommittedIsSelected ==
    \A d \in Batches, r \in Correct, e \in Batches \cup {None} :
        Committed(0, d) /\ Enter(e) \in InMemory(r) => e = d

(* A correct primary proposes one batch, whatever it has forgotten. *)
OneProposal ==
    \A v \in Views, d, e \in Batches : <<v, d>> \in proposed /\ <<v, e>> \in proposed => d = e

(* With 2f + 1 correct VIEW-CHANGEs the new primary can select something, whatever the faulty do. *)
NeverStuck == Correct = Left => Selectable(Correct, {}) # {}

(* To be refuted: a batch commits while the record of its proposal is not on the primary's disk. *)
NothingCommitsEarly ==
    \A d \in Batches : Committed(0, d) => \E r \in {Primary(0)} \cap Correct : Pre(0, d) \in OnDisk(r)
=============================================================================
