import Messages
import Randomness
import Testing

/// Points of order 1, 2, 4 and 8 in every form that 32 bytes give them: reduced and not, with either sign (Chalkias,
/// Garillot, Nikolaenko, "Taming the many EdDSAs", 2020, table 6).
private let smallOrder: [[UInt8]] = {
    let prime: [UInt8] = [0xed] + [UInt8](repeating: 0xff, count: 30) + [0x7f]
    let eighth: [UInt8] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ]
    func plus(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [bytes[0] &+ number] + bytes[1...] }
    let zero = [UInt8](repeating: 0, count: 32)
    // -y of the points of order 8, which is p - y.
    let minusEighth: [UInt8] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ]
    let reduced = [zero, plus(1, zero), [0xec] + prime[1...], eighth, minusEighth]
    let points = reduced + [prime, plus(1, prime)]
    return points + points.map { $0.dropLast() + [$0[31] | 0x80] }
}()

@Suite struct Ed25519Tests {
    private let scheme = Ed25519Scheme()

    /// Asks both libraries, and says what BoringSSL says.
    @discardableResult
    private func judge(_ signature: Signature, of message: [UInt8], by key: PublicKey) -> Bool {
        let isStrict = Ed25519Scheme.isValidBySodium(signature, of: message, by: key)
        let isValid = Ed25519Scheme.isValidByBoringSSL(signature, of: message, by: key)
        #expect(!isStrict || isValid, "libsodium accepts \(signature) by \(key), and BoringSSL does not")
        #expect(scheme.isValid(signature, of: message, by: key) == isValid)
        return isValid
    }

    @Test("An ordinary signature is accepted by libsodium, and nothing that was made from it by anybody")
    func ordinary() throws {
        var random = SplitMix64(seed: 1)
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
        for _ in 0..<50 {
            let signer = try #require(Ed25519Signer(seed: bytes(32)))
            let message = bytes(Int.random(in: 0...200, using: &random))
            let signature = signer.sign(message)
            #expect(Ed25519Scheme.isValidBySodium(signature, of: message, by: signer.publicKey))
            judge(signature, of: message, by: signer.publicKey)
            var forged = signature.bytes
            forged[Int.random(in: 0..<64, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            let isForgedValid = judge(try #require(Signature(bytes: forged)), of: message, by: signer.publicKey)
            #expect(!isForgedValid)
            let isOtherValid = judge(signature, of: message + [0], by: signer.publicKey)
            #expect(!isOtherValid)
        }
    }

    @Test("libsodium is asked only where it is the stricter one: a release that takes the cofactor is not")
    func trial() throws {
        #expect(Ed25519Scheme.isStricter { Ed25519Scheme.isValidBySodium($0, of: $1, by: $2) })
        #expect(Ed25519Scheme.isStricter { Ed25519Scheme.isValidByBoringSSL($0, of: $1, by: $2) })
        // Who accepts one of the forgeries too, whichever, does not pass, nor who accepts nothing.
        var seen: [Signature] = []
        _ = Ed25519Scheme.isStricter { signature, message, key in
            seen.append(signature)
            return Ed25519Scheme.isValidByBoringSSL(signature, of: message, by: key)
        }
        #expect(seen.count == 4)
        for forgery in seen.dropFirst() {
            let isTaken = Ed25519Scheme.isStricter { signature, message, key in
                signature == forgery || Ed25519Scheme.isValidByBoringSSL(signature, of: message, by: key)
            }
            #expect(!isTaken)
        }
        #expect(!Ed25519Scheme.isStricter { _, _, _ in false })
    }

    @Test("A key with a part of small order: valid where the equation holds without the cofactor, by both")
    func mixedKey() throws {
        let key = try #require(PublicKey(hex: "99555efe5dbf5b50b6fb4d8c38ee05c4ea8a97011c08e11366e8c8c00e8ce5d5"))
        let bytes = try #require(
            Hex.decode(
                "3e54c441927f9f0ee5e13e34f0b0404c5043651a8f4b7ef087a1c42262a85d0a"
                    + "3b2cc2bdb1b40174359d92abf0d69abeeb4eca06ef44c73413417cda15ddcf0b"))
        let signature = try #require(Signature(bytes: bytes))
        let isValid = judge(signature, of: Array("quorate ".utf8) + [2], by: key)
        #expect(isValid)
        let isOtherValid = judge(signature, of: Array("quorate ".utf8) + [0], by: key)
        #expect(!isOtherValid)
    }

    @Test("S is below the order of the group, whoever is asked")
    func sPlusOrder() throws {
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 7, count: 32)))
        let signature = signer.sign([1, 2, 3])
        let order: [UInt8] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ]
        var bytes = signature.bytes
        var carry = 0
        for i in 0..<32 {
            let sum = Int(bytes[32 + i]) + Int(order[i]) + carry
            (bytes[32 + i], carry) = (UInt8(truncatingIfNeeded: sum), sum >> 8)
        }
        let isValid = judge(try #require(Signature(bytes: bytes)), of: [1, 2, 3], by: signer.publicKey)
        #expect(!isValid)
    }

    @Test("Keys and R of small order, in every form: what libsodium refuses, BoringSSL decides")
    func edgeCases() throws {
        var (accepted, refused) = (0, 0)
        for key in smallOrder {
            for r in smallOrder {
                for message in 0..<UInt8(8) {
                    let signature = try #require(Signature(bytes: r + [UInt8](repeating: 0, count: 32)))
                    let isValid = judge(signature, of: [message], by: try #require(PublicKey(bytes: key)))
                    if isValid { accepted += 1 } else { refused += 1 }
                }
            }
        }
        // S = 0 and R = -hA: true of the identity always, and of the others as often as their order divides h.
        #expect(accepted > 50 && refused > 50)
    }
}
