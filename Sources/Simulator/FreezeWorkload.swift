import Messages
import Randomness

/// What is ordered of accounts in runs with freezes: by the authority, and by others, who may not. It draws from a
/// generator of its own, so that a run without freezes goes as it would if there were none.
struct FreezeWorkload {
    static let authority = StandInSigner(998)

    private var rng: SplitMix64
    /// What it has ordered to be frozen, whether or not that has happened.
    private var ordered: [AccountID] = []

    init(_ options: SimulationOptions) { rng = ChanceStream.freezes.generator(seed: options.seed, number: 1) }

    /// The authority's next order, and how long it waits then.
    /// - Parameter pause: at most.
    mutating func next(of accounts: [AccountID], within pause: UInt64) -> (operation: Operation, wait: UInt64) {
        let wait = rng.below(max(1, pause))
        if !ordered.isEmpty, rng.chance(perMille: 450) {
            return (.release(ordered.remove(at: rng.below(ordered.count))), wait)
        }
        let account = accounts[rng.below(accounts.count)]
        ordered.append(account)
        let direction = AccountFreeze.Direction.allCases[rng.below(3)]
        return (.freeze(account, AccountFreeze(direction, reason: UInt32(rng.below(100)))), wait)
    }

    /// Now and then somebody else tries it.
    mutating func attempt(of accounts: [AccountID]) -> Operation? {
        guard rng.chance(perMille: 5) else { return nil }
        let account = accounts[rng.below(accounts.count)]
        return rng.chance(perMille: 500) ? .release(account) : .freeze(account, AccountFreeze(.both, reason: 0))
    }
}
