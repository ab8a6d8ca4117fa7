import Crypto
import Messages
import Testing

@Suite struct CryptographyTests {
    struct Vector: Sendable {
        let seed, publicKey, message, signature: String
    }

    /// RFC 8032 §7.1, tests 1 to 3.
    static let vectors = [
        Vector(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
            signature:
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        Vector(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
            signature:
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        Vector(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
            signature:
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ]

    @Test(arguments: vectors)
    func ed25519AgreesWithTheStandard(vector: Vector) throws {
        let signer = try #require(Ed25519Signer(seed: Hex.decode(vector.seed) ?? []))
        let message = try #require(Hex.decode(vector.message))
        let signature = try #require(Signature(bytes: Hex.decode(vector.signature) ?? []))
        #expect(signer.publicKey.hex == vector.publicKey)
        #expect(Ed25519Scheme().isValid(signature, of: message, by: signer.publicKey))
        #expect(Ed25519Scheme().isValid(signer.sign(message), of: message, by: signer.publicKey))
        #expect(!Ed25519Scheme().isValid(signature, of: message + [0], by: signer.publicKey))
        #expect(Hex.encode(signer.seed) == vector.seed)
    }

    @Test(arguments: vectors)
    func theSameSignatureInAnotherFormIsRefused(vector: Vector) throws {
        // RFC 8032 §5.1.7: S must be below L; S + L would verify as well under a lax verifier, and give one request two
        // forms.
        let order = try #require(Hex.decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"))
        var bytes = try #require(Hex.decode(vector.signature))
        var carry = 0
        for i in 0..<32 {
            carry += Int(bytes[32 + i]) + Int(order[i])
            bytes[32 + i] = UInt8(truncatingIfNeeded: carry)
            carry >>= 8
        }
        let signature = try #require(Signature(bytes: bytes))
        let key = try #require(PublicKey(hex: vector.publicKey))
        #expect(!Ed25519Scheme().isValid(signature, of: try #require(Hex.decode(vector.message)), by: key))
    }

    @Test func keysAndSignaturesThatAreNoPointsAreRefusedQuietly() {
        for byte in [UInt8(0), 1, 0x7F, 0xFF] {
            let key = PublicKey(bytes: [UInt8](repeating: byte, count: 32)) ?? PublicKey(FixedBytes32())
            let signature = Signature(bytes: [UInt8](repeating: byte, count: 64)) ?? Signature()
            _ = Ed25519Scheme().isValid(signature, of: [1, 2, 3], by: key)
        }
        #expect(Ed25519Signer(seed: []) == nil)
        #expect(Ed25519Signer(seed: [UInt8](repeating: 1, count: 31)) == nil)
        #expect(Signature(bytes: [1, 2]) == nil)
    }

    @Test func hashingIsSHA256() {
        var hasher = Hasher256()
        hasher.update(Array("abc".utf8))
        #expect(hasher.finish().hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        var pieces = Hasher256()
        for byte in "abc".utf8 { pieces.update(byte) }
        #expect(pieces.finish().bytes == Array(SHA256.hash(data: Array("abc".utf8))))
    }

    @Test func aSignatureForOnePurposeIsWorthlessForAnother() throws {
        let signer = try #require(Ed25519Signer(seed: [UInt8](repeating: 3, count: 32)))
        let digest = Hasher256.hash(.batch, [1])
        let signature = signer.sign(signingInput(.request, digest))
        #expect(Ed25519Scheme().isValid(signature, of: signingInput(.request, digest), by: signer.publicKey))
        for domain in [Domain.attestation, .viewChange, .newView, .manifest] {
            #expect(!Ed25519Scheme().isValid(signature, of: signingInput(domain, digest), by: signer.publicKey))
            #expect(Hasher256.hash(domain, [1]) != Hasher256.hash(.batch, [1]))
        }
    }
}
