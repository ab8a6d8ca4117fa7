/// A number that is not interchangeable with other numbers.
public protocol NumberNewtype: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
    associatedtype Number: FixedWidthInteger & Sendable
    var number: Number { get }
    init(_ number: Number)
}

extension NumberNewtype {
    public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self.init(try reader.integer()) }
    public func encode(into writer: inout ByteWriter) { writer.put(integer: number) }
    public var description: String { String(number) }
}

/// A group of replicas that owns one slice of the key space. 0 ..< manifest.shardCount.
public struct ShardID: NumberNewtype {
    public let number: UInt16
    public init(_ number: UInt16) { self.number = number }
}

/// One operating-system process, one failure domain. 0 ..< manifest.hosts.count.
public struct HostID: NumberNewtype {
    public let number: UInt16
    public init(_ number: UInt16) { self.number = number }
}

/// A member of one shard's PBFT group: 0 ..< n.
public struct ReplicaIndex: NumberNewtype {
    public let number: UInt8
    public init(_ number: UInt8) { self.number = number }
    public var index: Int { Int(number) }
}

public struct Epoch: NumberNewtype {
    public let number: UInt32
    public init(_ number: UInt32) { self.number = number }
}

/// PBFT's view: its primary orders requests.
public struct View: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a peer.
    public var next: View { View(number == .max ? .max : number + 1) }
}

/// PBFT's sequence number. The first batch has 1; 0 is the state before any.
public struct SequenceNumber: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a peer.
    public var next: SequenceNumber { SequenceNumber(number == .max ? .max : number + 1) }
    public static let zero = SequenceNumber(0)
}

/// A principal's own number for a request; exactly-once is per (principal, number, leg).
public struct RequestNumber: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a client.
    public var next: RequestNumber { RequestNumber(number == .max ? .max : number + 1) }
}

public struct AssetID: NumberNewtype {
    public let number: UInt32
    public init(_ number: UInt32) { self.number = number }
}

/// Wall-clock time in microseconds since 1970 (UTC). What is signed and ordered; never used for timers.
public struct Timestamp: NumberNewtype {
    public let number: UInt64
    public init(_ number: UInt64) { self.number = number }
    public static let zero = Timestamp(0)
    /// Saturates instead of overflowing: the operands may come from outside.
    public func adding(microseconds: UInt64) -> Timestamp {
        let (sum, overflow) = number.addingReportingOverflow(microseconds)
        return Timestamp(overflow ? .max : sum)
    }
    /// Zero if `earlier` is later.
    public func microseconds(since earlier: Timestamp) -> UInt64 {
        number > earlier.number ? number - earlier.number : 0
    }
}

/// What a process knows of time at one step: a monotonic clock for timers and the wall clock for timestamps.
/// Given to protocol code as an argument; protocol code never reads a clock.
public struct Instant: Hashable, Sendable {
    /// Nanoseconds of a monotonic clock with an arbitrary start.
    public var uptime: UInt64
    public var wall: Timestamp

    public init(uptime: UInt64, wall: Timestamp) {
        self.uptime = uptime
        self.wall = wall
    }
    /// Nanoseconds; zero if `earlier` is later.
    public func nanoseconds(since earlier: Instant) -> UInt64 { uptime > earlier.uptime ? uptime - earlier.uptime : 0 }
}

/// An account: the first 16 bytes of a hash of its owner, asset and index, so that nobody can occupy another's.
public struct AccountID: NumberNewtype {
    public let number: UInt128
    public init(_ number: UInt128) { self.number = number }
    public var hex: String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }
    public init?(hex: String) {
        guard hex.utf8.count == 32, Hex.decode(hex) != nil, let number = UInt128(hex, radix: 16) else { return nil }
        self.init(number)
    }
    public var description: String { hex }
}

/// Minor units of an asset. Balances and sums stay below `Amount.limit`, so that no addition of two can overflow.
public struct Amount: NumberNewtype {
    public let number: UInt128
    public init(_ number: UInt128) { self.number = number }
    public static let zero = Amount(0)
    /// 2^126: the largest balance, and the largest sum of balance and reservations.
    public static let limit = Amount(1 << 126)
}
