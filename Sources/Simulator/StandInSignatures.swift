import Messages

/// A deterministic stand-in for Ed25519, some fifty times cheaper: a keyed hash that anyone could compute. The
/// simulated adversary does not forge; what it signs, it signs with keys that it was given.
public struct StandInScheme: SignatureScheme {
    /// Without any state: it computes what the signer computes.
    public init() {}
    /// True if the signature is the key's hash of the message, whoever has computed it.
    public func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        signature == StandInSigner.signature(of: message, by: key)
    }
}

/// Signs as `StandInScheme` checks. Its public key is all that signing takes.
public struct StandInSigner: Signer {
    /// A hash of the signer's number.
    public let publicKey: PublicKey

    /// - Parameter number: the same one gives the same key.
    public init(_ number: UInt64) {
        var hasher = Hasher256()
        hasher.update(integer: number)
        publicKey = PublicKey(hasher.finish().value)
    }

    /// The first half of the signature is a hash of key and message, the second half repeats it.
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
