import Cores
import Messages

/// Something that binds a host, or that a client was told, at one place in the order of writes and syncs.
enum Mark: CanonicalCodable {
    /// Everything is set up; the power may go from here on. Nanoseconds.
    case time(UInt64)
    case sent(host: UInt16, Said, Digest)
    case attested(host: UInt16, AttestationStatement)
    case executed(shard: ShardID, SequenceNumber, history: Digest)
    case submitted(client: UInt16, SignedRequest)
    /// The client's receipt decides every leg: committed or not.
    case answered(Digest, [Bool])

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.uint8() {
        case 1: self = .time(try reader.uint64())
        case 2: self = .sent(host: try reader.uint16(), try reader.value(), try reader.value())
        case 3: self = .attested(host: try reader.uint16(), try reader.value())
        case 4: self = .executed(shard: try reader.value(), try reader.value(), history: try reader.value())
        case 5: self = .submitted(client: try reader.uint16(), try reader.value())
        case 6: self = .answered(try reader.value(), try reader.blob(limit: 4096).map { $0 != 0 })
        default: throw reader.invalid("mark")
        }
    }

    func encode(into writer: inout ByteWriter) {
        switch self {
        case .time(let time):
            writer.put(UInt8(1))
            writer.put(time)
        case .sent(let host, let said, let digest):
            writer.put(UInt8(2))
            writer.put(host)
            writer.put(said)
            writer.put(digest)
        case .attested(let host, let statement):
            writer.put(UInt8(3))
            writer.put(host)
            writer.put(statement)
        case .executed(let shard, let sequence, let history):
            writer.put(UInt8(4))
            writer.put(shard)
            writer.put(sequence)
            writer.put(history)
        case .submitted(let client, let request):
            writer.put(UInt8(5))
            writer.put(client)
            writer.put(request)
        case .answered(let request, let legs):
            writer.put(UInt8(6))
            writer.put(request)
            writer.put(blob: legs.map { $0 ? 1 : 0 })
        }
    }
}

/// What a message is about: a host that says two different things about one of these contradicts itself.
struct Said: Hashable, CanonicalCodable, CustomStringConvertible {
    enum Kind: UInt8 {
        case prePrepare = 1
        case prepare, commit, viewChange, newView, checkpoint
    }

    let kind: Kind
    let shard: ShardID
    let view: View
    let sequence: SequenceNumber

    init(_ kind: Kind, _ shard: ShardID, _ view: View, _ sequence: SequenceNumber) {
        (self.kind, self.shard, self.view, self.sequence) = (kind, shard, view, sequence)
    }

    init(from reader: inout ByteReader) throws(DecodingFailure) {
        guard let kind = Kind(rawValue: try reader.uint8()) else { throw reader.invalid("kind of message") }
        self.init(kind, try reader.value(), try reader.value(), try reader.value())
    }

    func encode(into writer: inout ByteWriter) {
        writer.put(kind.rawValue)
        writer.put(shard)
        writer.put(view)
        writer.put(sequence)
    }

    var description: String { "\(kind) of shard \(shard), view \(view), sequence \(sequence)" }

    /// What `message` binds its sender to; nil if to nothing. `own` is the sender's index in the shard: a NEW-VIEW that
    /// it only passes on is another's word.
    static func of(_ message: PBFTMessage, _ shard: ShardID, own: ReplicaIndex?) -> (Said, Digest)? {
        switch message {
        case .prePrepare(let m): (Said(.prePrepare, shard, m.view, m.sequence), m.batch.digest)
        case .prepare(let m): (Said(.prepare, shard, m.view, m.sequence), m.digest)
        case .commit(let m): (Said(.commit, shard, m.view, m.sequence), m.digest)
        case .viewChange(let m): (Said(.viewChange, shard, m.view, .zero), Hasher256.hash(.viewChange, m.encoded()))
        case .newView(let m) where m.replica == own:
            (Said(.newView, shard, m.view, .zero), Hasher256.hash(.newView, m.encoded()))
        case .checkpoint(let m): (Said(.checkpoint, shard, View(0), m.sequence), m.digest)
        case .newView, .suspect, .status, .fetchBatch, .batch, .fetchCommitted, .committed, .committedBody, .resumed,
            .recollection:
            nil
        }
    }
}

/// Everything that the marks up to one moment say.
struct Evidence {
    struct Contradiction: Error, CustomStringConvertible {
        let description: String
    }
    struct Position: Hashable {
        let shard: ShardID
        let sequence: SequenceNumber
    }
    struct Submitted {
        let client: Int
        let request: SignedRequest
    }

    private(set) var time: UInt64?
    /// By host.
    private(set) var said: [[Said: Digest]]
    private(set) var statements: [Position: AttestationStatement] = [:]
    private(set) var histories: [Position: Digest] = [:]
    private(set) var submitted: [Submitted] = []
    private(set) var answers: [Digest: [Bool]] = [:]

    init(hosts: Int) { said = Array(repeating: [:], count: hosts) }

    mutating func add(_ mark: Mark) throws {
        switch mark {
        case .time(let now): time = now
        case .sent(let host, let key, let digest):
            if let known = said[Int(host)][key], known != digest {
                throw Contradiction(
                    description: "host \(host) says \(digest.short) in its \(key), and had said \(known.short)")
            }
            said[Int(host)][key] = digest
        case .attested(let host, let statement):
            let position = Position(shard: statement.shard, sequence: statement.sequence)
            if let known = statements[position], known != statement {
                throw Contradiction(
                    description:
                        "host \(host) attests another result for shard \(statement.shard), sequence \(statement.sequence)"
                )
            }
            statements[position] = statement
            // A step may execute several batches, and a host be cut between them.
            try note(statement.history, at: position)
            if statement.sequence.number > 1 {
                let before = SequenceNumber(statement.sequence.number - 1)
                try note(statement.previousHistory, at: Position(shard: statement.shard, sequence: before))
            }
        case .executed(let shard, let sequence, let history):
            try note(history, at: Position(shard: shard, sequence: sequence))
        case .submitted(let client, let request):
            if !submitted.contains(where: { $0.request == request }) {
                submitted.append(Submitted(client: Int(client), request: request))
            }
        case .answered(let request, let legs):
            if let known = answers[request], known != legs {
                throw Contradiction(description: "the answer to \(request.short) was \(known) and is \(legs)")
            }
            answers[request] = legs
        }
    }

    private mutating func note(_ history: Digest, at position: Position) throws {
        if let known = histories[position], known != history {
            throw Contradiction(
                description: "shard \(position.shard) executed different batches up to \(position.sequence)")
        }
        histories[position] = history
    }
}
