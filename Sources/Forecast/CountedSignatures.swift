import Messages
import Synchronization

/// Takes every signature for genuine, and counts how many it was asked about: verifiers of a forecast ask what real ones
/// ask, with the same memory, and a forecast charges what they ask. Nobody lies in a forecast; what liars do is the
/// fault simulator's.
struct CountedScheme: SignatureScheme {
    private final class Count: Sendable { let number = Atomic<Int>(0) }
    private let count = Count()

    /// Asked since the last time.
    func take() -> Int { count.number.exchange(0, ordering: .relaxed) }

    func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        count.number.add(1, ordering: .relaxed)
        return true
    }
}

/// Signs for a key that it does not know, and counts how often.
struct CountedSigner: Signer {
    private final class Count: Sendable { let number = Atomic<Int>(0) }
    private let count = Count()
    let publicKey: PublicKey

    init(_ publicKey: PublicKey) { self.publicKey = publicKey }

    /// Signed since the last time.
    func take() -> Int { count.number.exchange(0, ordering: .relaxed) }

    /// What is signed ends with its digest: half of a signature that tells it from others is made of that.
    func sign(_ message: [UInt8]) -> Signature {
        count.number.add(1, ordering: .relaxed)
        let half = message.suffix(32)
        let padding = repeatElement(UInt8(1), count: 64 - half.count)
        return Signature(bytes: Array(half) + padding) ?? Signature()
    }
}
