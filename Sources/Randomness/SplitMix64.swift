/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, fast, and the same on every machine for the same seed. For
/// simulations, workloads and jitter; it guards no secret.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The stream of numbers of a seed.
    public init(seed: UInt64) { state = seed }

    /// Streams with different names never share their numbers in practice, whatever the seed.
    public init(seed: UInt64, stream: String) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in stream.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        self.init(seed: seed ^ hash)
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Uniform in 0 ..< 1.
    public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in 0 ..< bound, by one multiplication: the bias is below bound / 2^64.
    public mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0)
        return next().multipliedFullWidth(by: bound).high
    }

    /// Uniform in 0 ..< bound.
    public mutating func below(_ bound: Int) -> Int { Int(below(UInt64(bound))) }

    /// True with a probability of `perMille` in a thousand.
    public mutating func chance(perMille: Int) -> Bool { below(1000) < perMille }
}
