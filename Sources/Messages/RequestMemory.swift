import Synchronization

/// Requests that were decoded lately. A replica reads each request twice, from a gateway and in a proposal: the second
/// time the same bytes need not be copied, hashed and decoded again, and share the memory of the first.
public final class RequestMemory: Sendable {
    /// Of encoded requests. More than what is on its way at once; one that is dropped is only decoded again.
    public static let maxBytes = 8 << 20
    private static let places = 4096

    private struct Held {
        /// By the signature; a later one takes the place of an earlier one.
        var requests: [SignedRequest?] = Array(repeating: nil, count: RequestMemory.places)
        var bytes = 0
    }

    private let held = Mutex(Held())

    /// Remembers nothing yet.
    public init() {}

    /// Signatures look random; who makes some that do not displaces others at worst.
    private static func place(_ signature: Signature) -> Int {
        Int(truncatingIfNeeded: signature.low.w0) & (places - 1)
    }

    /// Remembers a request for as long as there is room.
    public func note(_ request: SignedRequest) {
        held.withLock { held in
            if held.bytes + request.bytes.count > Self.maxBytes { held = Held() }
            let place = Self.place(request.signature)
            held.bytes += request.bytes.count - (held.requests[place]?.bytes.count ?? 0)
            held.requests[place] = request
        }
    }

    /// - Returns: the request that was noted with exactly these bytes and this signature.
    func request(_ bytes: UnsafeRawBufferPointer, _ signature: Signature) -> SignedRequest? {
        guard let found = held.withLock({ $0.requests[Self.place(signature)] }), found.signature == signature,
            found.bytes.withUnsafeBytes({ Self.areEqual($0, bytes) })
        else { return nil }
        return found
    }

    /// Word by word, which byte by byte is not.
    private static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        var offset = 0
        while offset + 8 <= a.count {
            guard
                a.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    == b.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            else { return false }
            offset += 8
        }
        while offset < a.count {
            guard a[offset] == b[offset] else { return false }
            offset += 1
        }
        return true
    }
}
