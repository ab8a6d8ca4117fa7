import Messages

/// A lock that a frame holds: on a key of the state.
struct HeldLock: Hashable, CanonicalCodable {
    let resource: [UInt8]
    var isExclusive: Bool

    init(resource: [UInt8], isExclusive: Bool) { (self.resource, self.isExclusive) = (resource, isExclusive) }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (resource, isExclusive) = (try reader.blob(limit: 511), try reader.bool())
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(blob: resource)
        writer.put(isExclusive)
    }
}

/// What a frame will write to a key of the state; nil removes it.
struct FrameWrite: Hashable, CanonicalCodable {
    let key: [UInt8]
    let value: [UInt8]?

    init(key: [UInt8], value: [UInt8]?) { (self.key, self.value) = (key, value) }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        key = try reader.blob(limit: 511)
        value = try reader.bool() ? try reader.blob(limit: 1 << 20) : nil
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(blob: key)
        writer.put(value != nil)
        if let value { writer.put(blob: value) }
    }
}

extension CallResponse {
    /// Bytes, roughly.
    var weight: Int {
        switch answer {
        case .returned(let bytes): bytes.count + 64 * (1 + consumed.count + flows.count)
        case .failed: 512
        }
    }
}

struct FrameCall: Hashable, CanonicalCodable {
    let call: IssuedCall
    /// Recorded once.
    var response: CallResponse?

    init(call: IssuedCall) { self.call = call }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        call = try reader.value()
        response = try reader.bool() ? try reader.value() : nil
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(call)
        writer.put(response != nil)
        if let response { writer.put(response) }
    }
}

/// One run of a procedure within a transaction on this shard. Locks and writes are its own (R14).
struct Frame: Hashable, CanonicalCodable {
    enum Phase: Hashable {
        case waiting(resource: [UInt8], isExclusive: Bool, ordinal: UInt64)
        case calling
        case responded(CallResponse)
    }

    let path: CallPath
    let invocation: Invocation
    /// Who called, and gets the response. For the root this shard.
    let caller: ShardID
    /// The shard's time at the first run.
    let now: Timestamp
    /// What the caller's shard has certified, if that is another one; of the root that it comes with nothing (R5).
    let reach: CallReach
    var phase = Phase.calling
    /// Ascending by path.
    var calls: [FrameCall] = []
    var locks: [HeldLock] = []
    /// What this frame changes, with what the calls that returned to it changed here; ascending by key.
    var writes: [FrameWrite] = []

    init(path: CallPath, invocation: Invocation, caller: ShardID, now: Timestamp, reach: CallReach) {
        (self.path, self.invocation, self.caller, self.now, self.reach) = (path, invocation, caller, now, reach)
    }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (path, invocation, caller, now) = (
            try reader.value(), try reader.value(), try reader.value(), try reader.value()
        )
        guard let reach = CallReach(rawValue: try reader.uint8()) else { throw reader.invalid("reach of a frame") }
        self.reach = reach
        switch try reader.uint8() {
        case 1:
            phase = .waiting(
                resource: try reader.blob(limit: 511), isExclusive: try reader.bool(), ordinal: try reader.uint64())
        case 2: phase = .calling
        case 3: phase = .responded(try reader.value())
        default: throw reader.invalid("phase of a frame")
        }
        (calls, locks, writes) = (
            try reader.array(limit: 256), try reader.array(limit: 4096), try reader.array(limit: 4096)
        )
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(path)
        writer.put(invocation)
        writer.put(caller)
        writer.put(now)
        writer.put(reach.rawValue)
        switch phase {
        case .waiting(let resource, let isExclusive, let ordinal):
            writer.put(UInt8(1))
            writer.put(blob: resource)
            writer.put(isExclusive)
            writer.put(ordinal)
        case .calling: writer.put(UInt8(2))
        case .responded(let response):
            writer.put(UInt8(3))
            writer.put(response)
        }
        writer.put(array: calls)
        writer.put(array: locks)
        writer.put(array: writes)
    }

    var response: CallResponse? {
        switch phase {
        case .responded(let response): response
        case .waiting, .calling: nil
        }
    }
    var isWaiting: Bool { if case .waiting = phase { true } else { false } }
    /// Bytes, roughly.
    var weight: Int {
        var sum = invocation.arguments.count + 128 + locks.reduce(0) { $0 + $1.resource.count + 8 }
        for write in writes { sum += write.key.count + (write.value?.count ?? 0) + 16 }
        for call in calls { sum += call.call.invocation.arguments.count + 128 + (call.response?.weight ?? 0) }
        return sum + (response?.weight ?? 0)
    }
    var waitsForAnswers: Bool { phase == .calling && calls.contains { $0.response == nil } }
}

/// Everything that this shard has recorded of one root call.
struct CallRecord: Hashable, CanonicalCodable {
    enum Ending: UInt8 {
        case committed = 1
        case aborted = 2
    }
    struct Involved: Hashable, CanonicalCodable {
        let shard: ShardID
        /// Certified decided, or certified never to have heard of it.
        var isDone = false

        init(shard: ShardID) { self.shard = shard }
        init(from reader: inout ByteReader) throws(DecodingFailure) {
            (shard, isDone) = (try reader.value(), try reader.bool())
        }
        func encode(into writer: inout ByteWriter) {
            writer.put(shard)
            writer.put(isDone)
        }
    }

    let root: SignedRequest
    /// When the transaction was there first, by home's time (R5).
    let age: Timestamp
    /// In which of the two classes it waits for locks (R5).
    let waitsInOrder: Bool
    /// At home: how often it has started over.
    private(set) var startOvers: UInt8 = 0
    /// Ascending by path.
    private(set) var frames: [Frame] = []
    /// Nil while the home shard has not decided, as far as is known here.
    var ending: Ending?
    /// At home: the shards that were called, by this shard or by others, ascending (R13).
    private(set) var involved: [Involved] = []

    init(root: SignedRequest, age: Timestamp, waitsInOrder: Bool) {
        (self.root, self.age, self.waitsInOrder) = (root, age, waitsInOrder)
    }
    init(from reader: inout ByteReader) throws(DecodingFailure) {
        (root, age) = (try reader.value(), try reader.value())
        (waitsInOrder, startOvers) = (try reader.bool(), try reader.uint8())
        frames = try reader.array(limit: 256)
        let code = try reader.uint8()
        guard code == 0 || Ending(rawValue: code) != nil else { throw reader.invalid("ending") }
        ending = Ending(rawValue: code)
        involved = try reader.array(limit: 4096)
        for (a, b) in zip(frames, frames.dropFirst()) where a.path >= b.path { throw reader.invalid("order of frames") }
    }
    func encode(into writer: inout ByteWriter) {
        writer.put(root)
        writer.put(age)
        writer.put(waitsInOrder)
        writer.put(startOvers)
        writer.put(array: frames)
        writer.put(ending?.rawValue ?? 0)
        writer.put(array: involved)
    }

    var deadline: Timestamp { root.request.deadline }
    var cursor: RecoveryCursor {
        RecoveryCursor(
            deadline: deadline, principal: root.request.principal, number: root.request.number, request: root.digest)
    }

    /// Bytes, roughly.
    var weight: Int { frames.reduce(0) { $0 + $1.weight } }

    func index(of path: CallPath) -> Int? { frames.firstIndex { $0.path == path } }

    mutating func put(_ frame: Frame) {
        let place = frames.firstIndex { $0.path >= frame.path } ?? frames.count
        if place < frames.count, frames[place].path == frame.path {
            frames[place] = frame
        } else {
            frames.insert(frame, at: place)
        }
    }

    /// All that it did here is as if it had not been.
    mutating func startOver(_ frame: Frame) {
        precondition(ending == nil, "a decided call starts over")
        (startOvers, frames) = (startOvers + 1, [frame])
    }

    /// What is decided needs no frames.
    mutating func end(_ ending: Ending) {
        precondition(self.ending == nil, "a decided call is decided again")
        self.ending = ending
        frames = []
    }

    mutating func involve(_ shard: ShardID) {
        let place = involved.firstIndex { $0.shard >= shard } ?? involved.count
        if place == involved.count || involved[place].shard != shard {
            involved.insert(Involved(shard: shard), at: place)
        }
    }

    /// False if that is known already.
    mutating func noteDone(_ shard: ShardID) -> Bool {
        guard let place = involved.firstIndex(where: { $0.shard == shard }), !involved[place].isDone else {
            return false
        }
        involved[place].isDone = true
        return true
    }

    /// Nothing that another shard could still need.
    var isSettled: Bool { ending != nil && involved.allSatisfy(\.isDone) }
    /// Something here ends when the deadline passes.
    func expires(isHome: Bool) -> Bool { ending == nil && (isHome || frames.contains { $0.response == nil }) }

    /// Frames whose nearest caller on this shard is `path`; nil for those that have none. Ascending.
    func frames(below path: CallPath?) -> [Frame] {
        frames.filter { frame in
            let nearest = frames.last { $0.path.isAncestor(of: frame.path) }
            return nearest?.path == path
        }
    }
}
