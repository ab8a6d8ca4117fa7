import ExampleProcedures
import Messages
import Randomness
import StrictInput
import Testing
import Workload

struct ProcedureFileTests {
    private func file(_ text: String) throws -> ProcedureFile {
        try ProcedureFile(JSONReader(Array(text.utf8), file: "mine.json"))
    }

    private func problem(_ text: String) -> String {
        do {
            _ = try file(text)
            return ""
        } catch { return "\(error)" }
    }

    private static let map = ShardMap(shardCount: 4)

    @Test func `arguments are drawn in their order and encoded as procedures read them`() throws {
        let file = try file(
            """
            {"procedures": [{"name": "chain", "weight": 3, "target": {"argument": 0}, "arguments": [
                {"list": [{"key": "a", "count": 10, "skew": "zipf:0.9"}, {"key": "b", "count": 5}]},
                {"constant": 0}]}]}
            """)
        #expect(file.kinds == ["chain"] && file.accounts == 0)
        var mix = ProcedureMix(file, keys: nil, map: Self.map)
        var random = SplitMix64(seed: 1)
        for _ in 0..<100 {
            let drawn = mix.draw(using: &random)
            guard case .call(let invocation, _)? = drawn.operations.first else {
                Issue.record("no call")
                continue
            }
            let arguments = try Chain.Arguments(decoding: invocation.arguments)
            #expect(arguments.keys.map { $0.prefix(1) } == ["a", "b"] && arguments.place == 0)
            #expect(invocation.target == .key(arguments.keys[0]))
            #expect(drawn.isCross == (Set(arguments.keys.map { Self.map.shard(of: .key($0)) }).count > 1))
        }
    }

    @Test func `numbers have their types and ranges, and accounts their owners`() throws {
        let file = try file(
            """
            {"accounts": 20, "balance": 500, "procedures": [{"name": "pay", "version": 2,
                "target": {"account": "uniform"}, "arguments": [
                {"account": "hot:1:1.0"}, {"constant": 1, "as": "uint32"}, {"uniform": [5, 9], "as": "uint128"},
                {"uniform": [-3, -3], "as": "int64"}, {"constant": true}, {"constant": "text"}]}]}
            """)
        #expect(file.kinds == ["pay@2"] && file.accounts == 20 && file.balance == 500)
        let keys = AccountKeys(accounts: 20, members: 3, seed: 1)
        var mix = ProcedureMix(file, keys: keys, map: Self.map)
        var random = SplitMix64(seed: 1)
        var amounts: Set<UInt128> = []
        for _ in 0..<200 {
            let drawn = mix.draw(using: &random)
            guard case .call(let invocation, _)? = drawn.operations.first,
                case .account(let target) = invocation.target
            else {
                Issue.record("no call of an account")
                continue
            }
            var reader = ByteReader(invocation.arguments)
            #expect(try reader.value() as AccountID == keys.ids[0])
            #expect(try reader.uint32() == 1)
            amounts.insert(try reader.uint128())
            #expect(try reader.value() as Int64 == -3)
            #expect(try reader.bool() && reader.value() as String == "text")
            // The target is drawn first, so its owner signs.
            #expect(drawn.principal == keys.ids.firstIndex(of: target).map { keys.owner(of: $0) })
        }
        #expect(amounts == [5, 6, 7, 8, 9])
    }

    @Test(arguments: [
        (#"{"procedures": []}"#, "1:16, at procedures: no procedure with a weight"),
        (
            #"{"procedures": [{"name": "", "target": {"key": "a", "count": 1}, "arguments": []}]}"#,
            "procedures[0].name: 0 bytes"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"argument": 0}, "arguments": []}]}"#,
            "target.argument: there are no arguments"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"argument": 0}, "arguments": [{"constant": 1}]}]}"#,
            "argument 0 says no shard"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"argument": 1}, "arguments": [{"constant": "k"}]}]}"#,
            "expected an integer from 0 to 0"
        ),
        (#"{"procedures": [{"name": "x", "target": {"uniform": [1, 2]}, "arguments": []}]}"#, "it says no shard"),
        (
            #"{"procedures": [{"name": "x", "target": {"account": "uniform"}, "arguments": []}]}"#,
            "the file has no accounts"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 0}, "arguments": []}]}"#,
            "target.count: the number 0; expected an integer from 1"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 1, "skew": "steep"}, "arguments": []}]}"#,
            "target.skew: no skew; expected uniform"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 1}, "arguments": [{"zipf": 1}]}]}"#,
            "arguments[0]: no generator"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 1}, "arguments": [{"uniform": [9, 5]}]}]}"#,
            "uniform[1]: the number 5; expected an integer from 9"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 1}, "arguments": [{"constant": 300, "as": "uint8"}]}]}"#,
            "expected an integer from 0 to 255"
        ),
        (
            #"{"procedures": [{"name": "x", "target": {"key": "a", "count": 1}, "arguments": [{"constant": 3, "as": "byte"}]}]}"#,
            "no type of number; expected uint8"
        ),
        (#"{"procedure": []}"#, "procedure: unknown key"),
        (#"{"procedures": [{"name": "x", "weigth": 1}]}"#, "unknown key"),
    ])
    func `what is wrong with a file is said with its place`(_ text: String, _ expected: String) {
        let problem = problem(text)
        #expect(problem.hasPrefix("mine.json:1:") && problem.contains(expected), "\(problem)")
    }

    @Test func `calls of a procedure that is not there fail the check, and refusals do not`() throws {
        var mix = ProcedureMix(
            try file(#"{"procedures": [{"name": "x", "target": {"constant": "k"}, "arguments": []}]}"#), keys: nil,
            map: Self.map)
        mix.failed(CallFailure(.account, shard: ShardID(0), procedure: "x"))
        // Nothing of what was left is looked at.
        #expect(mix.verdict(FinalValues()).holds && mix.verdict(FinalValues()).isConsistent == nil)
        mix.failed(CallFailure(.unknownProcedure, shard: ShardID(0), procedure: "x"))
        #expect(mix.verdict(FinalValues()).text == ["x on shard 0: no such procedure"])
        #expect(mix.verdict(FinalValues()).isConsistent == false)
    }
}
