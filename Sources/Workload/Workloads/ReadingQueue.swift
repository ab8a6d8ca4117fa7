/// What is to be read when a load is over: what could not be read is tried again, after all others.
public struct ReadingQueue<Piece: Sendable>: Sendable {
    private var pieces: [Piece]
    private var next = 0
    /// How many were read.
    public private(set) var done = 0

    /// In this order.
    public init(_ pieces: [Piece]) { self.pieces = pieces }

    /// - Returns: nil if nothing is left, but what others are about to read.
    public mutating func take() -> Piece? {
        guard next < pieces.count else { return nil }
        next += 1
        return pieces[next - 1]
    }

    /// A piece that was taken was read, or was not and is tried again.
    public mutating func settle(_ piece: Piece, wasRead: Bool) {
        if wasRead { done += 1 } else { pieces.append(piece) }
    }
}
