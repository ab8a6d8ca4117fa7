import Messages

/// Which request numbers of a principal are in use (R11). A value: its owner keeps it.
public struct RequestWindow: Hashable, Sendable {
    /// Shards accept numbers below `acknowledgedBelow` + this.
    public static let width: UInt64 = 1024

    /// Every outcome below it is known, or given up for ever.
    public private(set) var acknowledgedBelow: RequestNumber
    private var next: RequestNumber
    private var known: Set<RequestNumber> = []
    /// From here to the first number, there may be requests of an earlier life, or of another program with the key, whose outcomes
    /// are still to be asked for.
    private let foreign: RequestNumber?
    /// For so many numbers of this window's own nothing of them is acknowledged: their deadlines are over by then, or near it, and
    /// shards need not keep outcomes for ever.
    public static let foreignRoom: UInt64 = 512

    /// - Parameter first: above every number that the principal has used before. Everything below is acknowledged:
    ///   what was under way then and was not executed is refused for ever.
    /// - Parameter keeping: numbers from this one on are not acknowledged at once, though they are below `first`.
    public init(first: RequestNumber, keeping foreign: RequestNumber? = nil) {
        (acknowledgedBelow, next) = (first, first)
        self.foreign = foreign.flatMap { $0 < first ? $0 : nil }
    }

    /// What a request with this number tells the shards that its principal needs no outcomes below.
    public func acknowledgement(with number: RequestNumber) -> RequestNumber {
        guard let foreign, number.number - foreign.number < Self.foreignRoom else { return acknowledgedBelow }
        return foreign
    }

    /// How many outcomes are awaited.
    public var outstanding: Int { Int(next.number - acknowledgedBelow.number) - known.count }

    /// A new number; nil while the oldest request without an outcome is a whole window behind.
    public mutating func open() -> RequestNumber? {
        guard next.number < acknowledgedBelow.number + Self.width else { return nil }
        defer { next = next.next }
        return next
    }

    /// The outcome of `number` is known.
    public mutating func close(_ number: RequestNumber) {
        guard number >= acknowledgedBelow, number < next else { return }
        known.insert(number)
        while known.remove(acknowledgedBelow) != nil { acknowledgedBelow = acknowledgedBelow.next }
    }
}

/// A key with its request numbers, bound to one cluster: makes signed requests. A value, for load generators that
/// keep thousands of them.
public struct Principal: Sendable {
    public let signer: Ed25519Signer
    public let cluster: ClusterID
    public let epoch: Epoch
    public var window: RequestWindow

    public var publicKey: PublicKey { signer.publicKey }

    /// - Parameter first: the first request number; the present time in microseconds is above all that an earlier
    ///   run of the same key can have used, and needs no file.
    public init(
        signer: Ed25519Signer, manifest: Manifest, first: RequestNumber = RequestNumber(WallClock.now().number),
        keeping foreign: RequestNumber? = nil
    ) {
        (self.signer, cluster, epoch) = (signer, manifest.cluster, manifest.epoch)
        window = RequestWindow(first: first, keeping: foreign)
    }

    /// Nil while the window is full. The number stays open until `window.close`.
    public mutating func sign(
        _ operations: [Operation], mode: Request.Mode, issuedAt: Timestamp = WallClock.now(),
        lifetimeMicroseconds: UInt64 = 30_000_000
    ) -> SignedRequest? {
        guard let number = window.open() else { return nil }
        let request = Request(
            cluster: cluster, epoch: epoch, principal: signer.publicKey, number: number,
            acknowledgedBelow: window.acknowledgement(with: number), issuedAt: issuedAt,
            deadline: issuedAt.adding(microseconds: lifetimeMicroseconds), mode: mode, operations: operations)
        return SignedRequest(request, signedBy: signer)
    }
}
