"""Every interleaving of one batch with a request that nobody signed, under the rule of docs/decisions/0040: is the
request executed anywhere, do two correct replicas execute different things, does anybody wait for ever?

One sequence number, two views. The primary of the first is faulty and proposes the batch; f - 1 others are faulty too,
wherever it hurts: they vote for anything, vouch for anything, claim anything, and say anything in VIEW-CHANGE. A
correct replica may leave the first view at any time. What NEW-VIEW selects follows from 2f + 1 VIEW-CHANGEs (P and Q).
The second view is the next one, or the next that the same replica leads, with nothing of those between. A faulty
primary of it may sign several NEW-VIEWs that are all right, by different VIEW-CHANGEs: to those whose NEW-VIEW selects
nothing it proposes the batch afresh. All places of the designated backup for n = 4, and some of the faulty and the
designated for n = 7, with the rule as it is; then the rule broken in each of the ways below, each of which must show a
failure. A minute or two.
python3 docs/models/vouching.py
"""
import itertools, sys
from collections import deque

BROKEN = (
    "executes unchecked",            # what is committed is executed
    "one voucher suffices",          # the primary's word alone
    "one backup suffices",           # the primary and any one of the f designated backups
    "prepares unseen",               # a designated backup prepares without having looked
    "inherited is vouched for",      # votes of the second view vouch for what it inherited
    "a vote does not say whether it vouches",  # who holds the batch for fresh takes all votes of its view for vouching
    "claims leave out what was left out",
    "one claim suffices",
    "journal leaves out what was left out",
    "never looks itself",            # what nobody vouches for waits for ever
)
FRESH, NULL, AFRESH = "batch", "null", "nothing, and the batch is proposed afresh"
FORGED, SKIP = "forged", "skip"

def ring(n, primary, first, f):
    """The f backups from the first on, in the ring that begins after the primary."""
    return {(primary + 1 + (first + i) % (n - 1)) % n for i in range(f)}

def explore(n, faulty, first, second=1, broken=None, limit=3_000_000):
    """Gives the history of a failure, or None. The second view is led by `second`. A correct replica is
    (view, accepted, committed, accepted in the second view, committed there, executed); view 0.5 is on the way to the
    second."""
    f = (n - 1) // 3
    correct = [r for r in range(n) if r not in faulty]
    index = {r: i for i, r in enumerate(correct)}
    designated = ring(n, 0, first, f), ring(n, second, first, f)
    bad = len(faulty)

    def votes(state, primary, has):
        """PREPAREs: of backups only."""
        return sum(r != primary for r in faulty) + sum(has(state[index[r]]) for r in correct if r != primary)

    def selections(state):
        """What NEW-VIEW may select, by what those have said who left."""
        left = [s for s in state if s[0] > 0]
        allowed = set()
        for k in range(len(left) + 1):
            if k + bad < 2 * f + 1: continue
            for said in itertools.combinations(left, k):
                prepared, pre = sum(s[2] for s in said), sum(s[1] for s in said)
                # Condition A: somebody says prepared, f + 1 pre-prepared. Condition B: 2f + 1 say that nothing is.
                if prepared + bad >= 1 and pre + bad >= f + 1: allowed.add(FRESH)
                if k - prepared + bad >= 2 * f + 1: allowed.add(NULL)
        return allowed

    def moves(state, chosen):
        for r in correct:
            i = index[r]
            view, accepted, committed, again, committed1, done = s = state[i]
            def to(what, **changed):
                t = dict(zip(("view", "accepted", "committed", "again", "committed1", "done"), s)); t.update(changed)
                return f"{r} {what}", state[:i] + (tuple(t.values()),) + state[i + 1:], chosen
            if view == 0:
                if not accepted and (r not in designated[0] or broken == "prepares unseen"):
                    yield to("prepares", accepted=True)
                if accepted and not committed and votes(state, 0, lambda s: s[1]) >= 2 * f:
                    yield to("commits", committed=True)
                if accepted and not done and bad + sum(s[2] for s in state) >= 2 * f + 1:
                    vouch = [d in faulty or state[index[d]][1] for d in designated[0]]
                    enough = all(vouch)
                    if broken == "one backup suffices": enough = any(vouch)
                    if broken in ("executes unchecked", "one voucher suffices"): enough = True
                    if r in designated[0] and broken != "executes unchecked": enough = False
                    if enough: yield to("executes on others' word", done=FORGED)
                    if broken not in ("never looks itself", "executes unchecked"):
                        yield to("looks, and executes without it", done=SKIP)
                yield to("leaves the view", view=0.5)
            if view == 0.5:
                # A correct primary says one NEW-VIEW, a faulty one any to anybody.
                for choice in sorted(selections(state)) if second in faulty else [chosen] if chosen else []:
                    yield to(f"enters, {choice} is selected", view=1, again=choice)
                    # Where nothing is said to have prepared nothing need be selected. A correct primary then proposes
                    # something else, which is as good as null.
                    if choice == NULL and second in faulty and (r not in designated[1] or broken == "prepares unseen"):
                        yield to(f"enters, {AFRESH}", view=1, again=AFRESH)
            if view == 1:
                # Selected or fresh, it has one digest.
                def prepares_it(s): return s[3] == NULL if again == NULL else s[3] in (FRESH, AFRESH)
                if not committed1 and votes(state, second, prepares_it) >= 2 * f:
                    yield to("commits again", committed1=True)
                same = sum(prepares_it(s) and s[4] for s in state)
                if not done and bad + same >= 2 * f + 1:
                    if again == NULL: yield to("executes null", done=NULL)
                    else:
                        # Whoever is designated and prepares what was selected says that he vouches for nothing.
                        vouch = all(d in faulty or state[index[d]][3] == AFRESH for d in designated[1])
                        if broken in ("inherited is vouched for", "a vote does not say whether it vouches"):
                            vouch = all(d in faulty or state[index[d]][3] in (FRESH, AFRESH) for d in designated[1])
                        fresh = again == AFRESH or broken == "inherited is vouched for"
                        if broken == "executes unchecked" or fresh and vouch:
                            yield to("executes on others' word", done=FORGED)
                        elif broken != "never looks itself":
                            yield to("looks, and executes without it", done=SKIP)
            if not done:
                for claim in (FORGED, SKIP, NULL):
                    count = sum(s[5] == claim for s in state) + bad
                    if count >= (1 if broken == "one claim suffices" else f + 1):
                        lost = claim == SKIP and broken == "claims leave out what was left out"
                        yield to("executes what is claimed", done=FORGED if lost else claim)
            if done == SKIP and broken == "journal leaves out what was left out":
                yield to("starts again", done=FORGED)
        if not chosen and second not in faulty and state[index[second]][0] > 0:
            for choice in sorted(selections(state)): yield f"{second} says NEW-VIEW with {choice}", state, choice

    def failure(state):
        done = {s[5] for s in state if s[5]}
        if FORGED in done: return "executed what nobody signed"
        if len(done) > 1: return "executed different things"

    start = ((0, False, False, None, False, None),) * len(correct), None
    seen, todo = {start: None}, deque([start])
    while todo:
        now = todo.popleft()
        wrong, moved = failure(now[0]), False
        if not wrong:
            for what, state, chosen in moves(*now):
                moved = True
                if (state, chosen) not in seen:
                    seen[state, chosen] = now, what
                    todo.append((state, chosen))
            if len(seen) > limit: raise SystemExit("too many states")
            # With a primary that stays mute nobody need get on: there are no more than two views here.
            if not moved and second not in faulty and not all(s[5] for s in now[0]): wrong = "waits for ever"
        if wrong:
            history = [wrong]
            while seen[now]:
                now, what = seen[now]
                history.append(what)
            return history[::-1]
    explore.states += len(seen)
explore.states = 0

def cases(n):
    for others in itertools.combinations(range(1, n), (n - 1) // 3 - 1):
        for first in range(n - 1): yield {0, *others}, first, 1
        # n views later.
        for first in range(n - 1): yield {0, *others}, first, 0

def main():
    runs = [(4, *c) for c in cases(4)]
    runs += [(7, {0, 1}, 0, 1), (7, {0, 4}, 2, 1), (7, {0, 3}, 4, 1)]
    for n, faulty, first, second in runs:
        history = explore(n, faulty, first, second)
        if history: sys.exit(f"n {n}, faulty {sorted(faulty)}, first {first}, {second} leads: " + "; ".join(history))
    print(f"the rule as it is: {len(runs)} cases, {explore.states} states, no failure")
    for broken in BROKEN:
        for n, faulty, first, second in runs:
            history = explore(n, faulty, first, second, broken)
            if history: break
        else: sys.exit(f"{broken}: no failure found")
        print(f"{broken}: n {n}, faulty {sorted(faulty)}, {second} leads: " + "; ".join(history))

if __name__ == "__main__": main()
