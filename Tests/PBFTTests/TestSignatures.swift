import Randomness
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
