import Messages

/// A keyed hash that anyone could compute, in place of Ed25519: these tests are about the protocol, and no test forges.
struct TestScheme: SignatureScheme {
    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        signature == TestSigner.signature(of: message, by: key)
    }
}

struct TestSigner: Signer {
    let publicKey: PublicKey

    init(_ number: Int) {
        var hasher = Hasher256()
        hasher.update(integer: UInt64(number))
        publicKey = PublicKey(hasher.finish().value)
    }

    func sign(_ message: [UInt8]) -> Signature { Self.signature(of: message, by: publicKey) }

    static func signature(of message: [UInt8], by key: PublicKey) -> Signature {
        var hasher = Hasher256()
        hasher.update(key)
        hasher.update(message)
        let half = hasher.finish().bytes
        return Signature(bytes: half + half) ?? Signature()
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same seed gives the same run.
struct TestRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(bound)).high) }
    mutating func chance(perMille: Int) -> Bool { below(1000) < perMille }
}
