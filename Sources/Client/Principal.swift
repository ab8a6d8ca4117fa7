import Messages

/// Which request numbers of a principal are in use (R11). A value: its owner keeps it.
public struct RequestWindow: Hashable, Sendable {
    /// Shards accept numbers below `acknowledgedBelow` + this.
    public static let width: UInt64 = 1024
    /// For so many numbers of this window's own, none of the last 511 is acknowledged that others with the key may have
    /// open. By then their deadline is over, or near, and shards need not keep outcomes for ever.
    public static let foreignRoom: UInt64 = 512

    /// Every outcome of this window's own below it is known, or given up for ever.
    public private(set) var acknowledgedBelow: RequestNumber
    private var next: RequestNumber
    private var awaited: Set<RequestNumber> = []
    /// From here to the first number, there may be requests of an earlier life, or of another program with the key,
    /// whose outcomes are still to be asked for.
    private var foreign: RequestNumber?
    /// The first number with which they are acknowledged.
    private var foreignUntil: RequestNumber

    /// - Parameters:
    ///   - first: above every number that the principal has used before.
    ///   - foreign: outcomes from this number on, which lies below the first, are not acknowledged at once. Nil: what
    ///     was under way before and was not executed is refused for ever.
    public init(first: RequestNumber, keeping foreign: RequestNumber? = nil) {
        (acknowledgedBelow, next, foreignUntil) = (first, first, first)
        if let foreign { keep(foreign) }
    }

    /// As much of it as leaves `foreignRoom` numbers from the next one on: together the two are less than the width.
    private mutating func keep(_ foreign: RequestNumber) {
        let (until, overflow) = next.number.addingReportingOverflow(Self.foreignRoom)
        foreignUntil = RequestNumber(overflow ? .max : until)
        let lowest = next.number - min(next.number, Self.foreignRoom - 1)
        self.foreign = foreign < next ? RequestNumber(max(foreign.number, lowest)) : nil
    }

    /// How many outcomes are awaited.
    public var outstanding: Int { awaited.count }

    /// A new number; nil while the oldest request without an outcome is a whole window behind.
    public mutating func open() -> RequestNumber? {
        guard next.number - acknowledgedBelow.number < Self.width, next.number < UInt64.max else { return nil }
        defer { next = next.next }
        awaited.insert(next)
        return next
    }

    /// The outcome of `number` is known.
    public mutating func close(_ number: RequestNumber) {
        guard awaited.remove(number) != nil, number == acknowledgedBelow else { return }
        acknowledgedBelow = awaited.min() ?? next
    }

    /// Leaves numbers out that others with the key have used.
    /// - Parameters:
    ///   - next: above all of theirs. It need not be above this window's own.
    ///   - foreign: as in `init`.
    public mutating func raise(to next: RequestNumber, keeping foreign: RequestNumber) {
        // What was kept before is kept, unless its time is over.
        let kept = self.next < foreignUntil ? self.foreign : nil
        if next > self.next {
            if awaited.isEmpty { acknowledgedBelow = next }
            self.next = next
        } else {
            // Theirs lie below this window's own, if there are any.
            guard foreign < next else { return }
        }
        keep(min(foreign, kept ?? foreign))
    }

    /// What a request with this number tells the shards that its principal needs no outcomes below.
    public func acknowledgement(with number: RequestNumber) -> RequestNumber {
        guard let foreign, number < foreignUntil else { return acknowledgedBelow }
        return min(foreign, acknowledgedBelow)
    }
}

/// A key with its request numbers, bound to one cluster: makes signed requests. A value, for load generators that
/// keep thousands of them.
public struct Principal: Sendable {
    /// The key. Whoever has it may sign as this principal.
    public let signer: Ed25519Signer
    /// Signed into every request.
    public let cluster: ClusterID
    /// Signed into every request.
    public let epoch: Epoch
    /// Which of its numbers are open: to be closed as outcomes become known.
    public var window: RequestWindow

    /// By which shards and others know this principal.
    public var publicKey: PublicKey { signer.publicKey }

    /// - Parameters:
    ///   - first: the first request number, above all that the key has signed: 1 for a new key. For any other the
    ///     shards know it (`QuorateClient.standing`).
    ///   - foreign: see `RequestWindow.init`.
    public init(
        signer: Ed25519Signer, manifest: Manifest, first: RequestNumber = RequestNumber(1),
        keeping foreign: RequestNumber? = nil
    ) {
        (self.signer, cluster, epoch) = (signer, manifest.cluster, manifest.epoch)
        window = RequestWindow(first: first, keeping: foreign)
    }

    /// Nil while the window is full. The number stays open until `window.close`.
    /// - Parameter follows: what it comes after (`RequestOrder`).
    public mutating func sign(
        _ operations: [Operation], mode: Request.Mode, follows: [Predecessor] = [],
        issuedAt: Timestamp = WallClock.now(), lifetimeMicroseconds: UInt64 = 30_000_000
    ) -> SignedRequest? {
        guard let number = window.open() else { return nil }
        let request = Request(
            cluster: cluster, epoch: epoch, principal: signer.publicKey, number: number,
            acknowledgedBelow: window.acknowledgement(with: number), follows: follows, issuedAt: issuedAt,
            deadline: issuedAt.adding(microseconds: lifetimeMicroseconds), mode: mode, operations: operations)
        return SignedRequest(request, signedBy: signer)
    }
}
