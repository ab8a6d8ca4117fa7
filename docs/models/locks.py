"""Every interleaving of some transactions under the rule of docs/decisions/0024: does anybody wait for ever?

A transaction asks for the locks of its program one after the other; it waits, dies, or goes on, and lets everything
go at its end. Keys are numbered in the order of (shard, key). Without arguments: all sets of three programs of a
small size, the rule as it is, and then the rule broken in each of the ways below, each of which must show a deadlock.
python3 docs/models/locks.py [seconds]
"""
import itertools, random, sys, time
from collections import deque

ORDER, AGE = "in order", "by age"
BROKEN = ("waits out of order", "in order waits for by age", "by age ignores waiters", "by age ignores age", "waits with a lock as if bare",
          "looks only at what conflicts", "upgrades stand in line")

def conflict(a, b): return a == "x" or b == "x"

def verdict(t, k, mode, holders, queue, held, kind, age, broken):
    """'free', 'wait' or 'die'. holders: [(t, mode)], queue: [(t, mode, is upgrade)], in order; held: keys that t
    has."""
    others = [h for h in holders if h[0] != t]
    upgrade = k in held
    ahead = [] if upgrade and broken != "upgrades stand in line" else [w for w in queue if w[0] != t]
    hard = [h[0] for h in others if conflict(mode, h[1])]
    soft = [w[0] for w in ahead if conflict(mode, w[1])]
    if not hard and not soft: return "free"
    if broken == "by age ignores waiters" and kind[t] == AGE: rivals = hard
    elif soft and broken != "looks only at what conflicts": rivals = [h[0] for h in others] + [w[0] for w in ahead]
    else: rivals = hard + soft
    if not held or broken == "waits with a lock as if bare": return "wait"
    if kind[t] == AGE:
        if broken == "by age ignores age": return "wait"
        return "wait" if all(kind[r] == ORDER or age[t] < age[r] for r in rivals) else "die"
    ascending = not upgrade and all(h < k for h in held)
    if broken == "waits out of order": ascending = True
    only = all(kind[r] == ORDER for r in rivals) or broken == "in order waits for by age"
    return "wait" if ascending and only else "die"

def explore(programs, kind, age, keys, broken=None):
    """programs[t]: [(key, mode)]. Gives the history of a deadlock, or None."""
    n = len(programs)
    # (position, status, kind) of each; holders and queue of each key, all sorted or in order
    start = (tuple((0, "runs", kind[t]) for t in range(n)), tuple(((), ()) for _ in range(keys)))
    seen = {start: None}
    todo = deque([start])
    def held(t, locks): return {k for k in range(keys) if any(h[0] == t for h in locks[k][0])}
    def settle(txs, locks):
        """Grants, first come first served."""
        txs, locks = list(txs), [list(map(list, l)) for l in locks]
        again = True
        while again:
            again = False
            for k in range(keys):
                holders, queue = locks[k]
                while queue:
                    t, mode, _ = queue[0]
                    if any(h[0] != t and conflict(mode, h[1]) for h in holders): break
                    queue.pop(0)
                    take(holders, t, mode)
                    # Who starts over takes what it waited for along.
                    txs[t] = (txs[t][0] + (txs[t][1] == "waits"), "runs", txs[t][2])
                    again = True
        return tuple(txs), tuple((tuple(sorted(map(tuple, h))), tuple(map(tuple, q))) for h, q in locks)
    def take(holders, t, mode):
        old = [h for h in holders if h[0] == t]
        if old: mode = "x" if mode == "x" or old[0][1] == "x" else "s"
        holders[:] = [h for h in holders if h[0] != t] + [(t, mode)]
    def gone(t, txs, locks, how):
        txs = txs[:t] + ((txs[t][0], how, txs[t][2]),) + txs[t + 1:]
        return settle(txs, without(t, locks))
    def without(t, locks): return [([h for h in h_ if h[0] != t], [w for w in q if w[0] != t]) for h_, q in locks]
    def over(t, txs, locks, k, mode):
        """Lets everything go, and waits for what killed it with nothing in its hands."""
        locks = without(t, locks)
        locks[k] = (locks[k][0], locks[k][1] + [(t, mode, False)])
        return settle(txs[:t] + ((0, "starts over", txs[t][2]),) + txs[t + 1:], locks)
    while todo:
        state = todo.popleft()
        txs, locks = state
        nexts = []
        kind = [x[2] for x in txs]
        for t, (pos, status, _) in enumerate(txs):
            if status != "runs": continue
            if pos == len(programs[t]):
                nexts.append((gone(t, txs, locks, "done"), f"T{t} ends"))
                continue
            k, mode = programs[t][pos]
            mine, (holders, queue) = held(t, locks), locks[k]
            if any(h[0] == t and (h[1] == "x" or mode == "s") for h in holders): v = "free"
            else: v = verdict(t, k, mode, holders, queue, mine, kind, age, broken)
            if v == "die":
                nexts.append((gone(t, txs, locks, "died"), f"T{t} dies at {k}"))
                # Only at home, and while nobody else was called: both may happen.
                nexts.append((over(t, txs, locks, k, mode), f"T{t} starts over at {k}"))
            else:
                h, q = list(holders), list(queue)
                moved = list(txs)
                if v == "free":
                    take(h, t, mode)
                    moved[t] = (pos + 1, "runs", kind[t])
                else:
                    upgrade = k in mine
                    place = len(q)
                    if upgrade and broken != "upgrades stand in line": place = next((i for i, w in enumerate(q) if not w[2]), len(q))
                    q.insert(place, (t, mode, upgrade))
                    moved[t] = (pos, "waits", kind[t])
                changed = list(locks)
                changed[k] = (tuple(sorted(h)), tuple(q))
                nexts.append(((tuple(moved), tuple(changed)), f"T{t} {v} {k}{mode}"))
        if not nexts and any(s not in ("done", "died") for _, s, _ in txs):
            history = []
            while seen[state]: history.append(seen[state][1]); state = seen[state][0]
            return list(reversed(history))
        for following, what in nexts:
            if following not in seen:
                seen[following] = (state, what)
                todo.append(following)
    explore.states += len(seen)
    return None
explore.states = 0

def draw(rng, n, keys, length):
    programs = [[(rng.randrange(keys), rng.choice("sxx")) for _ in range(rng.randint(1, length))] for _ in range(n)]
    age = list(range(n)); rng.shuffle(age)
    return programs, [rng.choice((ORDER, AGE)) for _ in range(n)], age

def search(broken, seconds, rng):
    end, count, explore.states = time.time() + seconds, 0, 0
    while time.time() < end:
        n = rng.choice((2, 3, 3, 3, 4))
        programs, kind, age = draw(rng, n, 3, 3 if n < 4 else 2)
        history = explore(programs, kind, age, 3, broken)
        count += 1
        if history: return count, (programs, kind, age, history)
    return count, None

def exhaustive():
    """Three transactions on two keys, up to two locks each, every kind, every age."""
    steps = [(k, m) for k in (0, 1) for m in "sx"]
    programs = [[a] for a in steps] + [[a, b] for a in steps for b in steps]
    count = 0
    explore.states = 0
    for chosen in itertools.combinations_with_replacement(programs, 3):
        for kind in itertools.product((ORDER, AGE), repeat=3):
            for age in itertools.permutations(range(3)):
                count += 1
                history = explore(chosen, kind, age, 2)
                if history: return count, (chosen, kind, age, history)
    return count, None

if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    count, found = exhaustive()
    print(f"the rule, 3 transactions, 2 keys, all: {count} sets, {explore.states} states:", found or "no deadlock")
    bad = found is not None
    count, found = search(None, seconds, random.Random(1))
    print(f"the rule, 2 to 4 transactions, 3 keys, drawn: {count} sets, {explore.states} states:", found or "no deadlock")
    bad |= found is not None
    for broken in BROKEN:
        count, found = search(broken, seconds, random.Random(1))
        print(f"broken, {broken}: " + (f"deadlock, set {count}: {found}" if found else f"NO DEADLOCK FOUND in {count} sets"))
        bad |= found is None
    sys.exit(bad)
