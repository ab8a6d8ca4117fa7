----------------------------- MODULE LeavesAtHand -----------------------------
(***************************************************************************)
(* What the quiescence modules take for granted: that a shard's hosts have *)
(* its newest leaf at hand, or none of them has, and it is ordered again.  *)
(* In truth each host has its own, and loses it when it starts again; and  *)
(* whoever asks needs f + 1 signatures of one batch. So here is one shard  *)
(* of 3f + 1 hosts, of which f say and order nothing, and one leaf, which  *)
(* somebody asks for until he has it.                                      *)
(*                                                                         *)
(* PBFT is taken for granted: what is ordered all correct hosts execute,   *)
(* or jump over by taking a state, which is to start again.                *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
    Correct,
    Faulty,
    MaxFaults,
    Broken      \* The rule that is left out; "nothing" in the specification.

Hosts == Correct \cup Faulty
f == Cardinality(Faulty)

Rules == {
    "nothing",
    "primaryOnly"}  \* A backup that has nothing at hand does not have the primary order it.

ASSUME Cardinality(Hosts) = 3 * f + 1 /\ Broken \in Rules

VARIABLES
    hand,       \* [Correct -> Nat]: the batch of the leaf at hand; 0 if there is none.
    newest,     \* The last batch that certified the leaf.
    primary,
    told,       \* What whoever asks has: <<host, batch>>.
    faults      \* How often hosts started again.

vars == <<hand, newest, primary, told, faults>>

TypeOK ==
    /\ hand \in [Correct -> 0..newest]
    /\ primary \in Hosts
    /\ told \subseteq Correct \X (1..newest)
    /\ faults \in 0..MaxFaults

Init ==
    /\ hand = [h \in Correct |-> 1]
    /\ newest = 1
    /\ primary \in Hosts
    /\ told = {}
    /\ faults = 0

(* f + 1 signatures of one batch are a certificate (R1). `EvidenceSet`. *)
IsAnswered == \E b \in 1..newest : Cardinality({h \in Correct : <<h, b>> \in told}) >= f + 1

Say(h) ==
    /\ ~IsAnswered /\ hand[h] > 0
    /\ told' = told \cup {<<h, hand[h]>>}
    /\ UNCHANGED <<hand, newest, primary, faults>>

(* Asked, and nothing at hand: the host wants it ordered, and hands that on to the primary. *)
Wants(h) == ~IsAnswered /\ hand[h] = 0
IsWanted == \E h \in Correct : Wants(h) /\ (Broken = "primaryOnly" => h = primary)

(* Also if the primary has the leaf at hand itself. *)
Order ==
    /\ primary \in Correct /\ IsWanted
    /\ newest' = newest + 1
    /\ hand' = [h \in Correct |-> newest + 1]
    /\ UNCHANGED <<primary, told, faults>>

(* What was handed on is not ordered: the next host is primary. *)
ChangeView ==
    /\ primary \in Faulty /\ \E h \in Correct : Wants(h)
    /\ primary' \in Correct
    /\ UNCHANGED <<hand, newest, told, faults>>

StartAgain(h) ==
    /\ faults < MaxFaults /\ hand[h] > 0
    /\ faults' = faults + 1
    /\ hand' = [hand EXCEPT ![h] = 0]
    /\ UNCHANGED <<newest, primary, told>>

Next ==
    \/ Order \/ ChangeView
    \/ \E h \in Correct : Say(h) \/ StartAgain(h)

Spec ==
    /\ Init /\ [][Next]_vars
    /\ WF_vars(Order) /\ WF_vars(ChangeView)
    /\ \A h \in Correct : WF_vars(Say(h))

(* Each batch is ordered for a leaf that somebody lost. *)
OneBatchForALoss == newest <= 1 + faults

EveryQuestionIsAnswered == <>IsAnswered
=============================================================================
