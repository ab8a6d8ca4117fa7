import Messages

/// A keyed hash that anyone could compute, in place of Ed25519: for tests that are not about signatures themselves, and
/// in which nobody forges.
public struct TestScheme: SignatureScheme {
    /// It has no state.
    public init() {}

    /// Whether the key's owner, or anybody, made it.
    public func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        signature == TestSigner.signature(of: message, by: key)
    }
}

/// Signs for `TestScheme`.
public struct TestSigner: Signer {
    /// Follows from the number.
    public let publicKey: PublicKey

    /// - Parameter number: equal numbers are one signer.
    public init(_ number: Int) {
        var hasher = Hasher256()
        hasher.update(integer: UInt64(number))
        publicKey = PublicKey(hasher.finish().value)
    }

    /// In no time, unlike Ed25519.
    public func sign(_ message: [UInt8]) -> Signature { Self.signature(of: message, by: publicKey) }

    fileprivate static func signature(of message: [UInt8], by key: PublicKey) -> Signature {
        var hasher = Hasher256()
        hasher.update(key)
        hasher.update(message)
        let half = hasher.finish().bytes
        return Signature(bytes: half + half) ?? Signature()
    }
}
