import Messages

/// A deterministic stand-in for Ed25519, some fifty times cheaper: a keyed hash that anyone could compute. The
/// simulated adversary does not forge; what it signs, it signs with keys that it was given.
public struct StandInScheme: SignatureScheme {
    public init() {}
    public func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        signature == StandInSigner.signature(of: message, by: key)
    }
}

public struct StandInSigner: Signer {
    public let publicKey: PublicKey

    public init(_ number: UInt64) {
        var hasher = Hasher256()
        hasher.update(integer: number)
        publicKey = PublicKey(hasher.finish().value)
    }

    public func sign(_ message: [UInt8]) -> Signature { Self.signature(of: message, by: publicKey) }

    static func signature(of message: [UInt8], by key: PublicKey) -> Signature {
        var hasher = Hasher256()
        hasher.update(key)
        hasher.update(message)
        let half = hasher.finish().bytes
        // 64 bytes always make a signature.
        return Signature(bytes: half + half) ?? Signature()
    }
}
