/// A number that is not interchangeable with other numbers.
public protocol NumberNewtype: Hashable, Comparable, Sendable, CanonicalCodable, CustomStringConvertible {
    associatedtype Number: FixedWidthInteger & Sendable
    /// The number itself, for arithmetic and for indexing.
    var number: Number { get }
    /// Takes any number: bounds are the manifest's or the receiver's to know.
    init(_ number: Number)
}

extension NumberNewtype {
    /// As the numbers compare.
    public static func < (a: Self, b: Self) -> Bool { a.number < b.number }
    /// As many bytes as the number has, the lowest first; every value is one.
    public init(from reader: inout ByteReader) throws(DecodingFailure) { self.init(try reader.integer()) }
    /// As many bytes as the number has, the lowest first.
    public func encode(into writer: inout ByteWriter) { writer.put(integer: number) }
    /// In decimal, without a name or unit.
    public var description: String { String(number) }
}

/// A group of replicas that owns one slice of the key space. 0 ..< manifest.shardCount.
public struct ShardID: NumberNewtype {
    /// Counts the lists in `Manifest.shards`.
    public let number: UInt16
    /// Not checked: see `Manifest.hasShard`.
    public init(_ number: UInt16) { self.number = number }
}

/// One operating-system process, one failure domain. 0 ..< manifest.hosts.count.
public struct HostID: NumberNewtype {
    /// Counts `Manifest.hosts`.
    public let number: UInt16
    /// Not checked against any manifest.
    public init(_ number: UInt16) { self.number = number }
}

/// A member of one shard's PBFT group: 0 ..< n.
public struct ReplicaIndex: NumberNewtype {
    /// Counts a shard's list in `Manifest.shards`.
    public let number: UInt8
    /// Not checked against any group.
    public init(_ number: UInt8) { self.number = number }
    /// For subscripts.
    public var index: Int { Int(number) }
}

/// For how long one set of keys counts: part of what is signed, so that nothing passes from one into another. Until now
/// a cluster has one only.
public struct Epoch: NumberNewtype {
    /// As the manifest has it.
    public let number: UInt32
    /// A new cluster has 1.
    public init(_ number: UInt32) { self.number = number }
}

/// PBFT's view: its primary orders requests.
public struct View: NumberNewtype {
    /// Counted up from 0; which replica leads follows from it and the shard (`ReplicaGroup.primary`).
    public let number: UInt64
    /// Any number: a peer may claim one that no replica has entered.
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a peer.
    public var next: View { View(number == .max ? .max : number + 1) }
}

/// PBFT's sequence number. The first batch has 1; 0 is the state before any.
public struct SequenceNumber: NumberNewtype {
    /// How many batches there are with this one.
    public let number: UInt64
    /// Any number: the watermarks bound what is taken.
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a peer.
    public var next: SequenceNumber { SequenceNumber(number == .max ? .max : number + 1) }
    /// Before the first batch. Where a number is optional on the wire it stands for none.
    public static let zero = SequenceNumber(0)
}

/// A principal's own number for a request; exactly-once is per (principal, number, leg).
public struct RequestNumber: NumberNewtype {
    /// Chosen by the principal, one for each thing that is to happen once: another attempt at it comes under the same
    /// number.
    public let number: UInt64
    /// Shards take numbers from `acknowledgedBelow` on, 1,024 of them (R11).
    public init(_ number: UInt64) { self.number = number }
    /// Saturates: the number may come from a client.
    public var next: RequestNumber { RequestNumber(number == .max ? .max : number + 1) }
}

/// A currency, a security, or whatever else accounts count. Amounts of two assets are never added up.
public struct AssetID: NumberNewtype {
    /// There is no register of assets: an account may be opened in any.
    public let number: UInt32
    /// Every number is an asset.
    public init(_ number: UInt32) { self.number = number }
}

/// Wall-clock time in microseconds since 1970 (UTC). What is signed and ordered; never used for timers.
public struct Timestamp: NumberNewtype {
    /// Microseconds since 1970, UTC.
    public let number: UInt64
    /// Any number: what a signer or a peer says of time is judged where it is used.
    public init(_ number: UInt64) { self.number = number }
    /// 1970. Stands for "no time": of a shard that has ordered nothing, of a null request.
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
    /// The wall clock at the same moment. May jump, also back.
    public var wall: Timestamp

    /// Two readings of one moment.
    public init(uptime: UInt64, wall: Timestamp) {
        self.uptime = uptime
        self.wall = wall
    }
    /// Nanoseconds; zero if `earlier` is later.
    public func nanoseconds(since earlier: Instant) -> UInt64 { uptime > earlier.uptime ? uptime - earlier.uptime : 0 }
}

/// An account: the first 16 bytes of a hash of its owner, asset and index, so that nobody can occupy another's.
public struct AccountID: NumberNewtype {
    /// The first 16 bytes of the hash, as a number with the highest byte first.
    public let number: UInt128
    /// Not checked: that an account exists, only its shard knows.
    public init(_ number: UInt128) { self.number = number }
    /// 32 hexadecimal digits in lower case, leading zeros included.
    public var hex: String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }
    /// Nil unless the text is exactly 32 hexadecimal digits, of either case.
    public init?(hex: String) {
        guard hex.utf8.count == 32, Hex.decode(hex) != nil, let number = UInt128(hex, radix: 16) else { return nil }
        self.init(number)
    }
    /// As `hex`, unlike other numbers: so it stands in files and commands.
    public var description: String { hex }
}

/// Minor units of an asset. Balances and sums stay below `Amount.limit`, so that no addition of two can overflow.
public struct Amount: NumberNewtype {
    /// Minor units, such as cents. How many make the unit that people name is recorded nowhere.
    public let number: UInt128
    /// Takes any number; what is above `limit` is refused where money moves.
    public init(_ number: UInt128) { self.number = number }
    /// No money. Refused as an amount to be moved.
    public static let zero = Amount(0)
    /// 2^126: the largest balance, and the largest sum of balance and reservations.
    public static let limit = Amount(1 << 126)
}
