/// A small seeded generator (Steele, Lea and Flood, OOPSLA 2014): the same seed gives the same run everywhere.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64
    public init(seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    /// Uniform in 0 ..< bound.
    public mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        return next().multipliedFullWidth(by: bound).high
    }
    public mutating func below(_ bound: Int) -> Int { Int(below(UInt64(bound))) }
    /// True with a probability of `perMille` in a thousand.
    public mutating func chance(perMille: Int) -> Bool { below(1000) < perMille }
}
