--------------------------- MODULE SynchronousCalls ---------------------------
(***************************************************************************)
(* Quorate's synchronous calls: rule R13, and as much of R14 as it needs.  *)
(* Actions name rules; the code is in Sources/ShardState/Calls.            *)
(*                                                                         *)
(* One transaction: a root that its home shard runs, and the calls that it *)
(* makes. As in CrossShardCommit, a shard is one correct machine that      *)
(* executes in order, and what passes between shards are certified leaves, *)
(* which anyone may show to any shard at any time, and no one can forge: a *)
(* leaf that is not in `leaves` enables nothing.                           *)
(*                                                                         *)
(* What a procedure does is left open: home may emit any of its calls in   *)
(* any order, consume any of the responses, or none, and fail at any       *)
(* time. That covers calls which were emitted and are not consumed, for    *)
(* whatever race, and calls that one callee executes twice under two ids.  *)
(***************************************************************************)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
    Home,
    Callee,     \* [call -> the shard that executes it]
    Caller,     \* [call -> "root", or the call whose execution makes it]
    Values,     \* What a response may say: it depends on the callee's state when it executes.
    Broken      \* The rule that is left out; "nothing" in the specification.

Calls == DOMAIN Callee
Shards == {Home} \cup {Callee[c] : c \in Calls}
Root == "root"

Rules == {
    "nothing",
    "listsNothing",             \* The outcome says only that the transaction commits; a callee applies what it has.
    "listsCalls",               \* It lists calls, and not what they answered.
    "calleeAbortsAlone",        \* A callee that responded gives up past its own deadline.
    "calleeForgetsEarly",       \* It forgets its record as soon as it knows the outcome.
    "homeForgetsUnacknowledged",\* Home forgets past the deadline, whatever the callees know.
    "homeForgetsEarly",         \* Home forgets when all callees know, whatever the time.
    "homeAwaitsOwnCallsOnly",   \* Home does not wait for listed calls that it did not emit itself.
    "homeSilentAfterForgetting",\* Home says nothing of what it has forgotten.
    "homeNeverExpires",         \* Home waits for responses past the deadline.
    "calleeChecksDeadline",     \* A callee past its deadline drops what home's outcome lists.
    (* In CallsQuiescence: *)
    "answersForEver",           \* Every fresh leaf is answered, by ordering the question again.
    "answersAnswers",           \* An answer is answered, as a question is, unless its leaf is an end.
    "silentAtRest",             \* What holds nothing here, and waits for nobody, is not answered.
    "ordersOnce"}               \* What is certified already is not ordered again, although no host has that leaf at hand.

ASSUME
    /\ \A c \in Calls : Caller[c] \in {Root} \cup Calls
    /\ DOMAIN Caller = Calls /\ Broken \in Rules

Failed == "failed"
Children(c) == {d \in Calls : Caller[d] = c}
NoHome == [state |-> "none", emitted |-> {}, list |-> {}]
NoCallee == [state |-> "none", value |-> "none", list |-> {}]

VARIABLES
    time,       \* [Shards -> 0..1]: 1 is past the deadline, by that shard's own time.
    home,       \* The root's record. `emitted`: its calls so far. `list`: what its outcome lists.
    callee,     \* [Calls -> record]. `list`: the nested responses that its response consumed.
    locks,      \* [Shards -> set of calls, or root]: frames that hold locks.
    leaves,     \* Everything certified so far.
    applied,    \* History, read by no action: [Calls -> what took effect, oldest first].
    dropped     \* History, read by no action: <<call, value>> that were undone.

vars == <<time, home, callee, locks, leaves, applied, dropped>>

Pairs == Calls \X Values
CallLeaf(c) == [kind |-> "call", call |-> c]                      \* Carries the signed root: the owner's consent.
Response(c, value, list) == [kind |-> "response", call |-> c, value |-> value, list |-> list]
Outcome(state, list) == [kind |-> "outcome", state |-> state, list |-> list]
HomeNoRecord == [kind |-> "noRecordAbort"]
Acknowledged(c) == [kind |-> "acknowledged", call |-> c]          \* The callee knows the outcome.
CalleeNoRecord(c) == [kind |-> "calleeNoRecord", call |-> c]      \* Provably past: no record, and never one to come.
OfKind(kind) == {leaf \in leaves : leaf.kind = kind}

TypeOK ==
    /\ time \in [Shards -> 0..1]
    /\ home.state \in {"none", "running", "committed", "aborted"}
    /\ home.emitted \subseteq Calls /\ home.list \subseteq Pairs
    /\ \A c \in Calls :
        /\ callee[c].state \in {"none", "executing", "responded", "failed", "committed", "aborted"}
        /\ callee[c].value \in Values \cup {"none"} /\ callee[c].list \subseteq Pairs
    /\ locks \in [Shards -> SUBSET (Calls \cup {Root})]
    /\ dropped \subseteq Pairs

Init ==
    /\ time = [s \in Shards |-> 0]
    /\ home = NoHome
    /\ callee = [c \in Calls |-> NoCallee]
    /\ locks = [s \in Shards |-> {}]
    /\ leaves = {}
    /\ applied = [c \in Calls |-> <<>>]
    /\ dropped = {}

IsPast(s) == time[s] > 0
HomeIsDecided == home.state \in {"committed", "aborted"}
HoldsLocks(c) == callee[c].state \in {"executing", "responded"}

(* R2. *)
Tick(s) ==
    /\ ~IsPast(s)
    /\ time' = [time EXCEPT ![s] = 1]
    /\ UNCHANGED <<home, callee, locks, leaves, applied, dropped>>

-----------------------------------------------------------------------------
(* Home. *)

(* The signed root is ordered; the procedure runs until its first call (R13). Past the deadline it never runs. *)
RunRoot ==
    /\ home.state = "none" /\ ~IsPast(Home)
    /\ home' = [NoHome EXCEPT !.state = "running"]
    /\ locks' = [locks EXCEPT ![Home] = @ \cup {Root}]
    /\ UNCHANGED <<time, callee, leaves, applied, dropped>>

(* A run of the procedure comes to a call whose answer it does not have (R13). *)
EmitCall(c) ==
    /\ home.state = "running" /\ Caller[c] = Root /\ c \notin home.emitted
    /\ home' = [home EXCEPT !.emitted = @ \cup {c}]
    /\ leaves' = leaves \cup {CallLeaf(c)}
    /\ UNCHANGED <<time, callee, locks, applied, dropped>>

Decided(state, list) ==
    /\ home' = [home EXCEPT !.state = state, !.list = list]
    /\ locks' = [locks EXCEPT ![Home] = @ \ {Root}]
    /\ leaves' = leaves \cup {Outcome(state, list)}
    /\ UNCHANGED <<time, callee, applied, dropped>>

(* A run comes to its end. Consumed: successful responses to its own calls, at most one of each, and what went into *)
(* them. The outcome lists all of it, and is home's first and only one (R13). *)
CommitRoot(consumed) ==
    /\ home.state = "running"
    /\ \A r \in consumed : r.call \in home.emitted /\ r.value # Failed
    /\ \A r, q \in consumed : r.call = q.call => r = q
    /\ Decided("committed", {<<r.call, r.value>> : r \in consumed} \cup UNION {r.list : r \in consumed})

(* A call failed, the procedure throws, a bound is exceeded, or the deadline passes (R13, R14). *)
AbortRoot ==
    /\ home.state = "running"
    /\ Decided("aborted", {})

(* The call is acknowledged or provably past. A certified failure holds nothing and needs to be told nothing. *)
IsDone(c) ==
    \/ {Acknowledged(c), CalleeNoRecord(c)} \cap leaves # {}
    \/ \E r \in OfKind("response") : r.call = c /\ r.value = Failed

Awaited ==
    {c \in home.emitted : ~IsDone(c)} \cup
    IF Broken = "homeAwaitsOwnCallsOnly" THEN {} ELSE {c \in {pair[1] : pair \in home.list} : ~IsDone(c)}

(* Home's outcome goes when every call that it emitted or listed is done, and its own time has passed the deadline *)
(* (R13). *)
ForgetRoot ==
    /\ HomeIsDecided
    /\ Awaited = {} \/ Broken = "homeForgetsUnacknowledged"
    /\ IsPast(Home) \/ Broken = "homeForgetsEarly"
    /\ home' = NoHome
    /\ UNCHANGED <<time, callee, locks, leaves, applied, dropped>>

(* After that, and if it never ran, home answers whoever asks (R13). *)
AnswerNoRecord ==
    /\ home.state = "none" /\ IsPast(Home)
    /\ Broken # "homeSilentAfterForgetting"
    /\ HomeNoRecord \notin leaves
    /\ leaves' = leaves \cup {HomeNoRecord}
    /\ UNCHANGED <<time, home, callee, locks, applied, dropped>>

-----------------------------------------------------------------------------
(* Callees. *)

Unlock(c) == locks' = [locks EXCEPT ![Callee[c]] = @ \ {c}]

(* The call is ordered and executed under locks, up to its first nested call if it makes any (R13, R14). *)
Execute(c) ==
    /\ callee[c].state = "none" /\ ~IsPast(Callee[c])
    /\ CallLeaf(c) \in leaves
    /\ callee' = [callee EXCEPT ![c] = [NoCallee EXCEPT !.state = "executing"]]
    /\ locks' = [locks EXCEPT ![Callee[c]] = @ \cup {c}]
    /\ leaves' = leaves \cup {CallLeaf(d) : d \in Children(c)}
    /\ UNCHANGED <<time, home, applied, dropped>>

(* It runs to its end, with the answers to its nested calls. From here on it does as home says (R13). *)
Respond(c, value, consumed) ==
    LET list == {<<r.call, r.value>> : r \in consumed} \cup UNION {r.list : r \in consumed} IN
    /\ callee[c].state = "executing"
    /\ \A r \in consumed : r.call \in Children(c) /\ r.value # Failed
    /\ {r.call : r \in consumed} = Children(c) /\ Cardinality(consumed) = Cardinality(Children(c))
    /\ callee' = [callee EXCEPT ![c] = [state |-> "responded", value |-> value, list |-> list]]
    /\ leaves' = leaves \cup {Response(c, value, list)}
    /\ UNCHANGED <<time, home, locks, applied, dropped>>

(* Before it responds it may fail, by itself (a wait-die death, a bound, a nested failure): recorded, then certified. *)
Fail(c) ==
    /\ callee[c].state = "executing"
    /\ callee' = [callee EXCEPT ![c].state = "failed"]
    /\ Unlock(c)
    /\ leaves' = leaves \cup {Response(c, Failed, {})}
    /\ UNCHANGED <<time, home, applied, dropped>>

IsListed(c, list) ==
    CASE Broken = "listsNothing" -> TRUE
      [] Broken = "listsCalls" -> c \in {pair[1] : pair \in list}
      [] OTHER -> <<c, callee[c].value>> \in list

Apply(c) ==
    /\ callee' = [callee EXCEPT ![c].state = "committed"]
    /\ Unlock(c)
    /\ leaves' = leaves \cup {Acknowledged(c)}
    /\ applied' = [applied EXCEPT ![c] = Append(@, callee[c].value)]
    /\ UNCHANGED <<time, home, dropped>>

Drop(c) ==
    /\ callee' = [callee EXCEPT ![c].state = "aborted"]
    /\ Unlock(c)
    /\ leaves' = leaves \cup {Acknowledged(c)}
    /\ dropped' = IF callee[c].state = "responded" THEN dropped \cup {<<c, callee[c].value>>} ELSE dropped
    /\ UNCHANGED <<time, home, applied>>

(* Home's certified word decides: what an outcome lists is applied, everything else is undone (R13). *)
Learn(c, leaf) ==
    /\ HoldsLocks(c)
    /\ \/ /\ leaf.kind = "outcome"
          /\ IF leaf.state = "committed" /\ callee[c].state = "responded" /\ IsListed(c, leaf.list)
                /\ ~(Broken = "calleeChecksDeadline" /\ IsPast(Callee[c]))
             THEN Apply(c)
             ELSE Drop(c)
       \/ leaf.kind = "noRecordAbort" /\ Drop(c)

(* Only if broken. *)
GiveUp(c) ==
    /\ Broken = "calleeAbortsAlone"
    /\ HoldsLocks(c) /\ IsPast(Callee[c])
    /\ Drop(c)

(* A callee keeps its record until its own time has passed the deadline (R13): until then the call could come again. *)
ForgetCall(c) ==
    /\ callee[c].state \in {"failed", "committed", "aborted"}
    /\ IsPast(Callee[c]) \/ Broken = "calleeForgetsEarly"
    /\ callee' = [callee EXCEPT ![c] = NoCallee]
    /\ UNCHANGED <<time, home, locks, leaves, applied, dropped>>

(* To whoever asks about a call that it will never execute, or no more (R13). *)
AnswerPast(c) ==
    /\ callee[c].state = "none" /\ IsPast(Callee[c])
    /\ CalleeNoRecord(c) \notin leaves
    /\ leaves' = leaves \cup {CalleeNoRecord(c)}
    /\ UNCHANGED <<time, home, callee, locks, applied, dropped>>

-----------------------------------------------------------------------------
(* What hosts bring about by themselves: they push open records to those that must act. Nobody relies on certificates *)
(* of the past, nor is any run, call or response promised. *)

ExpireRoot == IsPast(Home) /\ Broken # "homeNeverExpires" /\ AbortRoot
AskedNoRecord == (\E c \in Calls : HoldsLocks(c)) /\ AnswerNoRecord
AskedPast(c) == HomeIsDecided /\ c \in Awaited /\ AnswerPast(c)
(* What home says now. *)
AskHome(c) ==
    \/ HomeIsDecided /\ Learn(c, Outcome(home.state, home.list))
    \/ home.state = "none" /\ HomeNoRecord \in leaves /\ Learn(c, HomeNoRecord)

-----------------------------------------------------------------------------
Commit == \E consumed \in SUBSET OfKind("response") : CommitRoot(consumed)
Return(c) == \E value \in Values, consumed \in SUBSET OfKind("response") : Respond(c, value, consumed)
HearHome(c) == \E leaf \in OfKind("outcome") \cup OfKind("noRecordAbort") : Learn(c, leaf)

Next ==
    \/ \E s \in Shards : Tick(s)
    \/ RunRoot
    \/ \E c \in Calls : EmitCall(c)
    \/ Commit
    \/ AbortRoot
    \/ ForgetRoot
    \/ AnswerNoRecord
    \/ \E c \in Calls : Execute(c)
    \/ \E c \in Calls : Return(c)
    \/ \E c \in Calls : Fail(c)
    \/ \E c \in Calls : HearHome(c)
    \/ \E c \in Calls : GiveUp(c)
    \/ \E c \in Calls : ForgetCall(c)
    \/ \E c \in Calls : AnswerPast(c)

Fairness ==
    /\ \A s \in Shards : WF_vars(Tick(s))
    /\ WF_vars(ExpireRoot) /\ WF_vars(ForgetRoot) /\ WF_vars(AskedNoRecord)
    /\ \A c \in Calls : WF_vars(AskHome(c)) /\ WF_vars(AskedPast(c)) /\ WF_vars(ForgetCall(c))

Safety == Init /\ [][Next]_vars
Spec == Safety /\ Fairness

-----------------------------------------------------------------------------
(* What must never happen. *)

AppliedValues(c) == {applied[c][n] : n \in DOMAIN applied[c]}
Listed == {pair \in Pairs : \E o \in OfKind("outcome") : o.state = "committed" /\ pair \in o.list}

OneOutcome == Cardinality(OfKind("outcome")) <= 1

(* Together with AppliedOnce: a response takes effect if and only if home's outcome lists it. *)
AppliedIffListed ==
    /\ \A c \in Calls : \A value \in AppliedValues(c) : <<c, value>> \in Listed
    /\ dropped \cap Listed = {}

AppliedOnce == \A c \in Calls : Len(applied[c]) <= 1

(* Home says that it has no record only when that can undo nothing. *)
NoRecordAbortUndoesNothing == HomeNoRecord \in leaves => \A pair \in Listed : pair[2] \in AppliedValues(pair[1])

(* The same, as an auditor sees it. It may stand beside an outcome, also beside one that commits, once everything *)
(* that is listed is acknowledged. A callee's may stand beside its response then. *)
NoRecordIsSaidLast ==
    /\ HomeNoRecord \in leaves => \A pair \in Listed : Acknowledged(pair[1]) \in leaves
    /\ \A r \in OfKind("response") :
        CalleeNoRecord(r.call) \in leaves => r.value = Failed \/ Acknowledged(r.call) \in leaves

(* Only certified responses are listed, one of each call, and a nested one only with the response that consumed it. *)
ListIsConsistent ==
    \A o \in OfKind("outcome") :
        /\ \A p, q \in o.list : p[1] = q[1] => p = q
        /\ \A p \in o.list : \E r \in OfKind("response") : r.call = p[1] /\ r.value = p[2] /\ r.list \subseteq o.list
        /\ \A p \in o.list : Caller[p[1]] = Root \/ \E q \in o.list : q[1] = Caller[p[1]]

(* A lock is held by a frame that is undecided, and by nothing else. *)
NoOrphanLock ==
    /\ Root \in locks[Home] <=> home.state = "running"
    /\ \A c \in Calls : c \in locks[Callee[c]] <=> HoldsLocks(c)

-----------------------------------------------------------------------------
(* What must happen. One transaction's work ends, so "again and again" is "for good" here. *)

EveryRootIsDecided == []<>(home.state # "running")
EveryLockIsReleased == []<>(\A s \in Shards : locks[s] = {})
EveryListedIsApplied == []<>(\A pair \in Listed : pair[2] \in AppliedValues(pair[1]))
EveryRecordIsForgotten == []<>(home.state = "none" /\ \A c \in Calls : callee[c].state = "none")

-----------------------------------------------------------------------------
(* Reachability: each of these is false, and TLC shows a history in which it is. *)

NeverCommitsWithAnOrphan ==
    ~\E c, d \in Calls :
        /\ c # d /\ Callee[c] = Callee[d]
        /\ applied[c] # <<>> /\ \E value \in Values : <<d, value>> \in dropped
NeverForgetsACommit ==
    ~(HomeNoRecord \in leaves /\ Listed # {} /\ \A c \in Calls : callee[c].state = "none" /\ applied[c] # <<>>)
NeverDropsForWantOfARecord ==
    ~\E c \in Calls :
        /\ callee[c].state = "aborted" /\ c \notin {pair[1] : pair \in Listed}
        /\ home.state = "none" /\ HomeNoRecord \in leaves
        /\ OfKind("outcome") # {} /\ \A o \in OfKind("outcome") : o.state = "committed"

-----------------------------------------------------------------------------
(* What the configurations choose from. *)

OneCall == [c \in {"b"} |-> "B"]
TwoCallsOfOneShard == [c \in {"b1", "b2"} |-> "B"]
CallsOfTwoShards == [c \in {"b", "c"} |-> IF c = "b" THEN "B" ELSE "C"]
CallAndCallback == [c \in {"b", "c"} |-> IF c = "b" THEN "B" ELSE Home]
FromRoot == [c \in Calls |-> Root]
Nested == [c \in Calls |-> IF c = "b" THEN Root ELSE "b"]
=============================================================================
