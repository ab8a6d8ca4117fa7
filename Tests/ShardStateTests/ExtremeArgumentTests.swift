import ExampleProcedures
import Messages
import Randomness
import ShardState
import Testing

/// Puts any number under a key.
private enum Plant: Procedure {
    struct Arguments: Hashable, Sendable, CanonicalCodable {
        let key: String
        let number: UInt64
        init(_ key: String, _ number: UInt64) { (self.key, self.number) = (key, number) }
        init(from reader: inout ByteReader) throws(DecodingFailure) {
            (key, number) = (try reader.value(), try reader.uint64())
        }
        func encode(into writer: inout ByteWriter) {
            writer.put(key)
            writer.put(integer: number)
        }
    }
    static let name = "plant"
    static func run(_ arguments: Arguments, _ context: ProcedureContext) throws -> UInt64 {
        try context.set(arguments.key, to: arguments.number)
        return 0
    }
}

/// Whoever signs chooses the arguments, and by other procedures what is stored. A procedure that traps on them ends every
/// replica of the shard, and again whenever it executes the batch anew.
@Suite struct ExtremeArgumentTests {
    private let alice: Person
    init() throws { alice = try Person(1) }

    private static let extremes: [UInt64] = [0, 1, 2, .max, .max - 1, 1 << 63, (1 << 63) - 1, 1 << 32]

    @Test func aChainEndsWhereANumberWouldBeTooLarge() throws {
        var cluster = try CallCluster(shards: 2) { $0.register(Plant.self) }
        let (a, b) = (cluster.key(on: 0), cluster.key(on: 1))
        try cluster.run(cluster.call(alice, 0, .key(b), Plant.name, Plant.Arguments(b, .max - 1)))
        let arguments = [
            Chain.Arguments(keys: [a], place: .max), Chain.Arguments(keys: [a, b], place: .max - 1),
            Chain.Arguments(keys: [a, b]),
        ]
        for (number, arguments) in arguments.enumerated() {
            let outcome = try cluster.run(cluster.call(alice, UInt64(1 + number), .key(a), Chain.name, arguments))
            #expect(outcome?.description.contains("would be too large") == true, "\(number): \(outcome as Any)")
        }
        #expect(try cluster.number(a) == nil && cluster.number(b) == .max - 1)
        let last = try cluster.run(cluster.call(alice, 9, .key(b), Chain.name, Chain.Arguments(keys: [b])))
        #expect(try cluster.result(last) == [.max - 1] as [UInt64])
        #expect(try cluster.number(b) == .max)
    }

    /// Bytes as arguments are made of, drawn by seed.
    @Test(arguments: ExampleProcedures.registry.names) func noProcedureTraps(_ name: String) throws {
        var cluster = try CallCluster(shards: 1) { $0.register(Plant.self) }
        var random = SplitMix64(seed: UInt64(name.utf8.reduce(0) { Int($0) &* 31 &+ Int($1) }.magnitude))
        let keys = ["k", "bank/0", "smallbank/checking/1", "ycsb/1", "list-0"]
        var number: UInt64 = 0
        for (key, value) in zip(keys, Self.extremes.dropFirst(3)) {
            try cluster.submit(cluster.call(alice, number, .key(key), Plant.name, Plant.Arguments(key, value)))
            number += 1
        }
        let parts = name.split(separator: "@")
        let version = try #require(UInt16(parts[1]))
        var (ended, returned) = (0, 0)
        for _ in 0..<400 {
            var writer = ByteWriter()
            for _ in 0..<1 + random.below(6) {
                switch random.below(6) {
                case 0: writer.put(UInt32(random.below(3)))
                case 1, 2: writer.put(keys[random.below(keys.count)])
                case 3: writer.put(UInt8(random.below(3)))
                default: writer.put(integer: Self.extremes[random.below(Self.extremes.count)])
                }
            }
            let invocation = Invocation(
                target: .key(keys[random.below(keys.count)]), procedure: String(parts[0]), version: version,
                arguments: writer.bytes)
            let root = cluster.base.request(
                alice, number, acknowledging: number, deadline: seconds(30), [.call(invocation, continues: nil)])
            number += 1
            try cluster.submit(root)
            if let status = cluster.status(root) {
                ended += 1
                if case .returned = status { returned += 1 }
            }
        }
        #expect(ended > 300, "\(name): \(ended) of 400 calls ended, \(returned) of them with a result")
    }
}
