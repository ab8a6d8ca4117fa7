import CSodium
import Crypto

/// Ed25519 as BoringSSL verifies it: libraries differ in edge cases, and replicas must not. libsodium is quicker and
/// asks for more (docs/decisions/0037), so what it accepts is valid, and of what it refuses BoringSSL is asked.
public struct Ed25519Scheme: SignatureScheme {
    /// What a library says of a signature of these bytes by a key.
    package typealias Judge = (Signature, [UInt8], PublicKey) -> Bool

    /// Not every release of libsodium is stricter: some verify with the cofactor. Such a one is not asked.
    private static let isSodiumStricter = isStricter { isValidBySodium($0, of: $1, by: $2) }

    /// Needs nothing: a scheme has no secrets and no state.
    public init() {}

    /// False also if the 32 bytes are no point of the curve.
    public func isValid(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        if Self.isSodiumStricter, Self.isValidBySodium(signature, of: message, by: key) { return true }
        return Self.isValidByBoringSSL(signature, of: message, by: key)
    }

    /// The same equation without the cofactor, neither the key nor R of small order, and the key reduced. Needs no
    /// `sodium_init`, which readies chance and what has several implementations.
    package static func isValidBySodium(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        signature.withBytes { signature in
            key.value.withBytes { key in
                guard let signature = signature.bindMemory(to: UInt8.self).baseAddress,
                    let key = key.bindMemory(to: UInt8.self).baseAddress
                else { return false }
                return crypto_sign_verify_detached(signature, message, UInt64(message.count), key) == 0
            }
        }
    }

    /// This judgement is the protocol's.
    package static func isValidByBoringSSL(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key.bytes) else { return false }
        return key.isValidSignature(signature.bytes, for: message)
    }

    /// Whether a library accepts what is plainly valid, and nothing of what libraries are known to accept beyond
    /// BoringSSL: an equation that holds only with the cofactor, by a part of small order in the key or in R, and an S
    /// that is not below the group's order.
    package static func isStricter(_ accepts: Judge) -> Bool {
        let message = Array("quorate ".utf8) + [0]
        func verdict(key: String, r: String, s: String) -> Bool? {
            guard let key = PublicKey(hex: key), let bytes = Hex.decode(r + s), let signature = Signature(bytes: bytes)
            else { return nil }
            return accepts(signature, message, key)
        }
        let key = "88aa55e6afeed8960a3191de78600347db8acd0a3795412f275f049b86260488"
        let r = "3e54c441927f9f0ee5e13e34f0b0404c5043651a8f4b7ef087a1c42262a85d0a"
        return verdict(key: key, r: r, s: "fe15f0f1f6adb4b239038e3cdc42591644612db4b058b5edb8c4602bff85e808") == true
            // The key with a part of order 8.
            && verdict(
                key: "99555efe5dbf5b50b6fb4d8c38ee05c4ea8a97011c08e11366e8c8c00e8ce5d5", r: r,
                s: "c908f9f33a04c63fc85eaca7063fc6f22238bffebdf5c8a4ba4626bfdaa68601") == false
            // R with such a part.
            && verdict(
                key: key, r: "5b61c2e3b93e6c06450f327ea72cdfeb8cde6aa020d2dd827ab3f86e708c8393",
                s: "15f5e6beb0a8ed5a9fcca7b531ba74d21c96b7cbcbac7996376f5d6c64d3970d") == false
            // S and the order of the group.
            && verdict(key: key, r: r, s: "ebe9e54e1111c70a10a085dfba3c382b44612db4b058b5edb8c4602bff85e818") == false
    }
}
