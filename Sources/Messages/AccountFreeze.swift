/// That an account must not be used for the time being, as the cluster's compliance authority has ordered it
/// (docs/decisions/0047). It holds for what is ordered after it: what was voted on before is decided by those votes.
public struct AccountFreeze: Hashable, Sendable, CanonicalCodable {
    /// Which way money must not go.
    public enum Direction: UInt8, Sendable, CaseIterable, CustomStringConvertible {
        /// Nothing leaves the account.
        case debits = 1
        /// Nothing enters it, neither by a transfer nor by an issue.
        case credits = 2
        /// Neither.
        case both = 3

        /// "debits", "credits" or "both".
        public var description: String {
            switch self {
            case .debits: "debits"
            case .credits: "credits"
            case .both: "both"
            }
        }
        /// As `description` has it.
        public init?(_ text: String) {
            guard let found = Self.allCases.first(where: { $0.description == text }) else { return nil }
            self = found
        }
    }

    /// Which way money must not go.
    public let direction: Direction
    /// A code of the authority's own, which it keeps the meaning of. A number, so that nobody's name gets in.
    public let reason: UInt32

    /// Any reason is taken.
    public init(_ direction: Direction, reason: UInt32) { (self.direction, self.reason) = (direction, reason) }
    /// A byte, 1 to 3, and the reason; any other direction is invalid.
    public init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let direction = Direction(rawValue: try reader.uint8()) else { throw reader.invalid("freeze direction") }
        self.init(direction, reason: try reader.uint32())
    }
    /// The direction's byte, then the reason.
    public func encode(into writer: inout ByteWriter) {
        writer.put(direction.rawValue)
        writer.put(reason)
    }

    /// Whether nothing may leave the account.
    public var stopsDebits: Bool { direction != .credits }
    /// Whether nothing may enter it.
    public var stopsCredits: Bool { direction != .debits }
}
