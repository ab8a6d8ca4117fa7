/// A bound over all holders together of which nobody takes what another needs. Half of it is divided: so much each
/// holder has for itself, whatever the others do. Of the other half each may have as much as is still free of it
/// (Choudhury and Hahne, "Dynamic queue length thresholds", 1998), so that one alone has a good deal and nobody
/// everything. Nothing that was accepted has to be thrown out for who comes later.
public struct FairShare<Holder: Hashable & Sendable>: Sendable {
    /// Of all holders together, in whatever the amounts count: bytes, or things.
    public let limit: Int
    /// What every holder has for itself.
    public let reserved: Int
    /// Of one holder, whatever is free.
    public let perHolder: Int
    @usableFromInline var sum = 0
    /// What all hold now. Above `limit` only by a first thing that is larger than it.
    @inlinable public var total: Int { sum }
    /// What holders have beyond what is reserved for them.
    @usableFromInline var shared = 0
    @usableFromInline var held: [Holder: Int] = [:]

    /// - Parameter holders: how many there may be at once. More are bounded too, but not all may have what is theirs.
    @inlinable
    public init(limit: Int, holders: Int, perHolder: Int = .max) {
        precondition(limit >= 0 && holders > 0 && perHolder >= 0)
        (self.limit, self.perHolder) = (limit, perHolder)
        reserved = max(1, limit / 2 / holders)
    }

    /// What this one holds now.
    @inlinable
    public func held(by holder: Holder) -> Int { held[holder] ?? 0 }

    /// False if there is no room; then nothing has changed. What weighs nothing always fits, and so does the first
    /// thing of all, or what is larger than the bound could never pass.
    @inlinable
    public mutating func take(_ amount: Int, for holder: Holder) -> Bool {
        guard amount > 0 else { return true }
        let mine = held[holder] ?? 0
        let beyond = max(0, mine + amount - reserved)
        let isAllowed = mine == 0 || mine + amount <= perHolder
        // `shared` may be above its half after a first thing that was larger than everything.
        let fits = isAllowed && total + amount <= limit && (beyond == 0 || beyond <= limit / 2 - shared)
        guard fits || (total == 0 && limit > 0) else { return false }
        shared += beyond - max(0, mine - reserved)
        held[holder] = mine + amount
        sum += amount
        return true
    }

    /// No more than it holds. From a holder that holds nothing it does nothing.
    @inlinable
    public mutating func giveBack(_ amount: Int, from holder: Holder) {
        guard amount > 0, let mine = held[holder] else { return }
        let left = mine - min(mine, amount)
        sum -= mine - left
        shared -= max(0, mine - reserved) - max(0, left - reserved)
        held[holder] = left > 0 ? left : nil
    }

    /// What it holds now is `amount`. False if there is no room for more than it had; then it holds what it had.
    @inlinable
    public mutating func set(_ amount: Int, for holder: Holder) -> Bool {
        let mine = held[holder] ?? 0
        if amount > mine { return take(amount - mine, for: holder) }
        giveBack(mine - amount, from: holder)
        return true
    }

    /// Of a holder that is gone.
    @inlinable
    public mutating func giveBackAll(from holder: Holder) { giveBack(.max, from: holder) }
}
