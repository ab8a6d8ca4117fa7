import Messages
import Randomness
import StrictInput

/// How an argument of a user's procedure is drawn, and how it is encoded.
indirect enum ValueGenerator: Sendable {
    /// Encoded as it is to be sent; as a key, if it is a text.
    case constant([UInt8], key: String?)
    case uniform(ClosedRange<Int128>, as: IntegerType)
    /// A text: the prefix, and a number by its popularity.
    case key(String, SkewedChoice)
    case account(SkewedChoice)
    case list([ValueGenerator])

    /// As canonical encodings have them: the lowest byte first.
    enum IntegerType: String, CaseIterable, Sendable {
        case uint8, uint16, uint32, uint64, uint128, int64

        var range: ClosedRange<Int128> {
            switch self {
            case .uint8: 0...Int128(UInt8.max)
            case .uint16: 0...Int128(UInt16.max)
            case .uint32: 0...Int128(UInt32.max)
            case .uint64: 0...Int128(UInt64.max)
            case .uint128: 0...Int128.max
            case .int64: Int128(Int64.min)...Int128(Int64.max)
            }
        }

        func put(_ value: Int128, into writer: inout ByteWriter) {
            switch self {
            case .uint8: writer.put(integer: UInt8(truncatingIfNeeded: value))
            case .uint16: writer.put(integer: UInt16(truncatingIfNeeded: value))
            case .uint32: writer.put(integer: UInt32(truncatingIfNeeded: value))
            case .uint64: writer.put(integer: UInt64(truncatingIfNeeded: value))
            case .uint128: writer.put(integer: UInt128(truncatingIfNeeded: value))
            case .int64: writer.put(integer: Int64(truncatingIfNeeded: value))
            }
        }
    }

    /// What was drawn for one call.
    struct Drawn {
        var bytes = ByteWriter()
        /// Keys and accounts, in the order in which they were drawn.
        var targets: [CallTarget] = []
        /// Accounts, by index.
        var accounts: [Int] = []
    }

    func draw(into drawn: inout Drawn, _ ids: [AccountID], using random: inout SplitMix64) {
        switch self {
        case .constant(let bytes, let key):
            drawn.bytes.put(raw: bytes)
            if let key { drawn.targets.append(.key(key)) }
        case .uniform(let range, let type):
            let width = range.upperBound - range.lowerBound
            // Ranges beyond 64 bits are drawn from their first 2^64 - 1 values.
            let offset = Int128(random.below(UInt64(clamping: width) &+ (width < Int128(UInt64.max) ? 1 : 0)))
            type.put(range.lowerBound + offset, into: &drawn.bytes)
        case .key(let prefix, let choice):
            let key = prefix + String(choice.sample(&random))
            drawn.bytes.put(key)
            drawn.targets.append(.key(key))
        case .account(let choice):
            let account = choice.sample(&random)
            drawn.bytes.put(ids[account])
            drawn.targets.append(.account(ids[account]))
            drawn.accounts.append(account)
        case .list(let elements):
            drawn.bytes.put(UInt32(elements.count))
            for element in elements { element.draw(into: &drawn, ids, using: &random) }
        }
    }

    /// Whether it always draws a key or an account.
    var givesTarget: Bool {
        switch self {
        case .constant(_, let key): key.map { 1...CallTarget.maxKeyBytes ~= $0.utf8.count } ?? false
        case .uniform: false
        case .key, .account: true
        case .list(let elements): elements.first?.givesTarget ?? false
        }
    }

    /// What it encodes to at most.
    var maxBytes: Int {
        switch self {
        case .constant(let bytes, _): bytes.count
        case .uniform, .account: 16
        // A count, the prefix, and up to eight digits.
        case .key(let prefix, _): 4 + prefix.utf8.count + 8
        case .list(let elements): elements.reduce(4) { $0 + $1.maxBytes }
        }
    }
}

extension ValueGenerator {
    private static let forms = "an object with one of the keys constant, uniform, key, account and list"

    /// - Parameter accounts: how many there are; nil if none.
    init(reading value: JSONReader, accounts: Int?) throws(InputProblem) {
        if (try? value.peek("constant")) != nil {
            self = try Self.constant(value)
        } else if (try? value.peek("uniform")) != nil {
            self = try Self.uniform(value)
        } else if (try? value.peek("key")) != nil {
            let fields = try value.object(["key", "count"], optional: ["skew"])
            let prefix = try fields["key"].string()
            guard prefix.utf8.count <= 200 else {
                throw fields["key"].problem("\(prefix.utf8.count) bytes", expected: "at most 200")
            }
            let count = try fields["count"].integer(in: 1...10_000_000)
            self = .key(prefix, SkewedChoice(try Self.skew(fields.optional("skew")), count: count))
        } else if (try? value.peek("account")) != nil {
            let field = try value.object(["account"])["account"]
            guard let accounts else {
                throw field.problem("the file has no accounts", expected: "\"accounts\": a number")
            }
            self = .account(SkewedChoice(try Self.skew(field), count: accounts))
        } else if (try? value.peek("list")) != nil {
            var elements: [ValueGenerator] = []
            for element in try value.object(["list"])["list"].elements(limit: 256) {
                elements.append(try ValueGenerator(reading: element, accounts: accounts))
            }
            self = .list(elements)
        } else {
            throw value.problem("no generator", expected: Self.forms)
        }
    }

    private static func skew(_ value: JSONReader?) throws(InputProblem) -> Skew {
        guard let value else { return .uniform }
        let text = try value.string()
        guard let skew = Skew(text) else { throw value.problem("no skew", expected: Skew.forms) }
        return skew
    }

    private static func type(_ value: JSONReader?) throws(InputProblem) -> IntegerType {
        guard let value else { return .uint64 }
        let text = try value.string()
        guard let type = IntegerType(rawValue: text) else {
            throw value.problem(
                "no type of number", expected: IntegerType.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return type
    }

    /// A number as 64 bits unless it is said, a text, or true or false.
    private static func constant(_ value: JSONReader) throws(InputProblem) -> ValueGenerator {
        let fields = try value.object(["constant"], optional: ["as"])
        let field = fields["constant"]
        var writer = ByteWriter()
        if let text = try? field.string() {
            if let type = fields.optional("as") { throw type.problem("a type", expected: "none for a text") }
            writer.put(text)
            return .constant(writer.bytes, key: text)
        }
        if let flag = try? field.boolean() {
            if let type = fields.optional("as") { throw type.problem("a type", expected: "none for true and false") }
            writer.put(flag)
            return .constant(writer.bytes, key: nil)
        }
        let type = try type(fields.optional("as"))
        type.put(try field.integer(in: type.range), into: &writer)
        return .constant(writer.bytes, key: nil)
    }

    private static func uniform(_ value: JSONReader) throws(InputProblem) -> ValueGenerator {
        let fields = try value.object(["uniform"], optional: ["as"])
        let type = try type(fields.optional("as"))
        let bounds = try fields["uniform"].elements()
        guard bounds.count == 2 else {
            throw fields["uniform"].problem("\(bounds.count) elements", expected: "the lowest and the highest number")
        }
        let lowest = try bounds[0].integer(in: type.range)
        return .uniform(lowest...(try bounds[1].integer(in: lowest...type.range.upperBound)), as: type)
    }
}
