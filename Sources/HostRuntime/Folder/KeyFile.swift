import Glibc
import Messages

/// Why a secret key cannot be used. Never carries the key.
public enum KeyFileError: Error, Hashable, Sendable, CustomStringConvertible {
    case file(FileFailure)
    case tooOpen(path: String, mode: UInt32)
    case notAKey(path: String)
    /// The key in the folder is not the one that the manifest names.
    case notInManifest(path: String)

    /// What is wrong with which file and what to do; of the key itself it says nothing.
    public var description: String {
        switch self {
        case .file(let failure):
            StorageFailure(failure).description + (failure.code == ENOENT ? ". Restore it from a backup" : "")
        case .tooOpen(let path, let mode):
            "\(path) has mode \(String(mode, radix: 8)), so others may read the secret key. "
                + "Run chmod 600 on it, and replace the key if anyone may have read it"
        case .notAKey(let path):
            "\(path) does not hold a key: exactly 64 hexadecimal digits in lower case, and at most a line feed after them, are expected. Restore it from a backup"
        case .notInManifest(let path):
            "the key in \(path) does not belong to the public key in cluster.json. Use the folder that was made with this manifest, "
                + "or restore the key from a backup if it is damaged"
        }
    }
}

/// A 32-byte Ed25519 seed as hexadecimal text, readable by its owner only.
package enum KeyFile {
    static func create(_ path: String, seed: [UInt8]) throws(FileFailure) {
        try DurableFile.create(path, Array((Hex.encode(seed) + "\n").utf8), mode: 0o600)
    }

    static func read(_ path: String) throws(KeyFileError) -> Ed25519Signer {
        let bytes: [UInt8]
        do {
            let mode = try DurableFile.mode(of: path)
            guard mode & 0o077 == 0 else { throw KeyFileError.tooOpen(path: path, mode: UInt32(mode)) }
            bytes = try DurableFile.read(path, limit: 4096)
        } catch let failure as FileFailure {
            throw .file(failure)
        } catch let error as KeyFileError {
            throw error
        } catch {
            throw .notAKey(path: path)
        }
        return try decode(bytes, path: path)
    }

    /// - Parameter path: of the file that the bytes are from, for the error.
    package static func decode(_ bytes: [UInt8], path: String) throws(KeyFileError) -> Ed25519Signer {
        let digits = bytes.last == 10 ? bytes.dropLast() : bytes[...]
        // One spelling only, as everywhere: what was typed or pasted in another case was not written by us.
        let isOurs = digits.count == 64 && digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        guard isOurs, let seed = Hex.decode(String(decoding: digits, as: UTF8.self)),
            let signer = Ed25519Signer(seed: seed)
        else {
            throw .notAKey(path: path)
        }
        return signer
    }
}
