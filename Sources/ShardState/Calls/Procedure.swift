import Messages

/// A deterministic function that every replica of a shard runs: it reads and writes its shard's keys and accounts
/// through the context, and calls procedures of other shards. It is run again from the start whenever an answer that it
/// waits for has come, so it must do the same each time: no clock but `context.now`, no randomness, no state of its
/// own.
public protocol Procedure: Sendable {
    associatedtype Arguments: CanonicalCodable
    associatedtype Result: CanonicalCodable

    static var name: String { get }
    /// Part of the name: a changed procedure is another one.
    static var version: UInt16 { get }
    /// Called as a root, it takes its locks, and has those that it calls take theirs, in ascending order: by shard, on
    /// a shard accounts before keys, and by their bytes; one call after the other, not beside each other. Then it waits
    /// where others die (R5). If it does not after all, it dies more often, and nothing worse. To change it is to
    /// change the procedure.
    static var locksInOrder: Bool { get }
    /// - Throws: whatever ends the transaction; its description reaches the client.
    static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> Result
}

extension Procedure {
    /// 1, for a procedure that was never changed.
    public static var version: UInt16 { 1 }
    /// False: it promises nothing, and dies where it is younger than who stands in its way.
    public static var locksInOrder: Bool { false }
}

/// The procedures of a host. All replicas of a cluster must have the same ones: the state names them, and a host with
/// others does not start.
public struct ProcedureRegistry: Sendable {
    struct Entry: Sendable {
        let name: String
        let version: UInt16
        let locksInOrder: Bool
        let run: @Sendable ([UInt8], ProcedureContext) throws -> [UInt8]
    }

    /// Ascending by name and version.
    private var entries: [Entry] = []

    /// No procedures: a call of any name fails until they are registered.
    public init() {}

    /// Owns accounts that no person owns: the procedure takes money out of them, and nobody else.
    public static func authority(_ procedure: String, version: UInt16 = 1) -> PublicKey {
        .procedure(procedure, version: version)
    }

    /// - Precondition: no other procedure has this name and version, and the name has 1 to 32 bytes.
    public mutating func register<P: Procedure>(_: P.Type) {
        precondition(
            1...Invocation.maxNameBytes / 2 ~= P.name.utf8.count, "the name of a procedure has 1 to 32 bytes: \(P.name)"
        )
        let place = entries.firstIndex { ($0.name, $0.version) >= (P.name, P.version) } ?? entries.count
        precondition(
            place == entries.count || (entries[place].name, entries[place].version) != (P.name, P.version),
            "\(P.name) twice")
        let entry = Entry(name: P.name, version: P.version, locksInOrder: P.locksInOrder) { bytes, context in
            let arguments: P.Arguments
            do { arguments = try P.Arguments(decoding: bytes) } catch {
                throw context.failure(.badArguments, String(describing: error))
            }
            return try P.run(arguments, context).encoded()
        }
        entries.insert(entry, at: place)
    }

    /// What replicas compare.
    public var names: [String] { entries.map { "\($0.name)@\($0.version)" } }

    /// What a state's metadata and a host's hello carry instead of all the names.
    public var fingerprint: Digest { Self.fingerprint(of: names) }

    /// - Parameter names: as `names` gives them, in that order: another order is another fingerprint.
    /// - Returns: the hash of the list, under a tag of its own.
    public static func fingerprint(of names: [String]) -> Digest {
        var writer = ByteWriter()
        writer.put(array: names)
        return Hasher256.hash(.procedures, writer.bytes)
    }

    func find(_ invocation: Invocation) -> Entry? {
        entries.first { $0.name == invocation.procedure && $0.version == invocation.version }
    }
}
