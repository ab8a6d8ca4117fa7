import Messages
import StrictInput

/// A signed request as JSON. It has one translation into canonical bytes, and those are what the principal signs: the
/// JSON itself is never signed, so its white space and the order of its keys mean nothing.
///
/// Numbers of 64 bits and more are strings of decimal digits, because many readers of JSON round them; hexadecimal digits
/// are in lower case. Unknown and repeated keys are refused.
package enum RequestJSON {
    static let operationKinds = ["transfer", "open", "issue", "read", "call", "freeze", "release"]

    /// The signature is not checked.
    package static func decode(_ bytes: [UInt8], limit: Int) throws(InputProblem) -> SignedRequest {
        var limits = JSONReader.Limits()
        // An operation has at most eight values, so that the most that a request may have fit twice.
        (limits.bytes, limits.depth, limits.values) = (limit, 8, 16 * Request.maxOperations)
        let root = try JSONReader(bytes, file: "body", limits: limits)
        let fields = try root.object(["request", "signature"])
        let request = try request(fields["request"])
        let encoded = request.encoded()
        guard encoded.count <= SignedRequest.maxBytes else {
            throw fields["request"].problem(
                "\(encoded.count) canonical bytes", expected: "at most \(SignedRequest.maxBytes)")
        }
        var writer = ByteWriter(reserving: encoded.count + 68)
        writer.put(blob: encoded)
        writer.put(raw: try fields["signature"].hex(count: 64))
        // Decoded again, so that nothing comes in by this door that would not come in by the other.
        do { return try SignedRequest(decoding: writer.bytes) } catch {
            throw fields["request"].problem("\(error)", expected: "a request (docs/HTTP.md)")
        }
    }

    private static func request(_ value: JSONReader) throws(InputProblem) -> Request {
        let fields = try value.object(
            [
                "cluster", "epoch", "principal", "number", "acknowledged_below", "issued_at", "deadline", "mode",
                "operations",
            ], optional: ["follows"])
        var follows: [Predecessor] = []
        if let list = fields.optional("follows") {
            let elements = try list.elements(limit: Request.maxPredecessors)
            // No predecessors have one writing.
            guard !elements.isEmpty else { throw list.problem("no elements", expected: "one at least, or no such key") }
            for element in elements {
                let one = try element.object(["shard", "number", "deadline"])
                follows.append(
                    Predecessor(
                        shard: ShardID(try one["shard"].integer()),
                        number: RequestNumber(try one["number"].decimal()),
                        deadline: Timestamp(try one["deadline"].decimal())))
            }
        }
        let mode: Request.Mode =
            switch try fields["mode"].string() {
            case "atomic": .atomic
            case "independent": .independent
            case let other:
                throw fields["mode"].problem(
                    Printable.quoted(other.utf8, limit: 40), expected: "\"atomic\" or \"independent\"")
            }
        let elements = try fields["operations"].elements(limit: Request.maxOperations)
        guard !elements.isEmpty else { throw fields["operations"].problem("no elements", expected: "one at least") }
        var operations: [Operation] = []
        for element in elements { operations.append(try operation(element)) }
        return Request(
            cluster: try fields["cluster"].bytes32(), epoch: Epoch(try fields["epoch"].integer()),
            principal: try fields["principal"].bytes32(), number: RequestNumber(try fields["number"].decimal()),
            acknowledgedBelow: RequestNumber(try fields["acknowledged_below"].decimal()), follows: follows,
            issuedAt: Timestamp(try fields["issued_at"].decimal()),
            deadline: Timestamp(try fields["deadline"].decimal()),
            mode: mode, operations: operations)
    }

    private static func operation(_ value: JSONReader) throws(InputProblem) -> Operation {
        let kind = try value.peek("kind")
        switch try kind.string() {
        case "transfer":
            let fields = try value.object(["kind", "from", "to", "asset", "amount"])
            return .transfer(
                Transfer(
                    from: try fields["from"].account(), to: try fields["to"].account(),
                    asset: AssetID(try fields["asset"].integer()), amount: Amount(try fields["amount"].decimal())))
        case "open":
            let fields = try value.object(["kind", "owner", "asset", "index"])
            return .open(
                AccountSpecification(
                    owner: try fields["owner"].bytes32(), asset: AssetID(try fields["asset"].integer()),
                    index: try fields["index"].decimal()))
        case "issue":
            let fields = try value.object(["kind", "to", "asset", "amount"])
            return .issue(
                to: try fields["to"].account(), asset: AssetID(try fields["asset"].integer()),
                amount: Amount(try fields["amount"].decimal()))
        case "read":
            return .read(try value.object(["kind", "account"])["account"].account())
        case "freeze":
            let fields = try value.object(["kind", "account", "direction", "reason"])
            let text = try fields["direction"].string()
            guard let direction = AccountFreeze.Direction(text) else {
                throw fields["direction"].problem(
                    Printable.quoted(text.utf8, limit: 40), expected: "one of debits, credits, both")
            }
            return .freeze(
                try fields["account"].account(), AccountFreeze(direction, reason: try fields["reason"].integer()))
        case "release":
            return .release(try value.object(["kind", "account"])["account"].account())
        case "call":
            let fields = try value.object(
                ["kind", "target", "procedure", "version", "arguments"], optional: ["continues"])
            let arguments = try fields["arguments"].hex()
            guard arguments.count <= Invocation.maxValueBytes else {
                throw fields["arguments"].problem(
                    "\(arguments.count) bytes", expected: "at most \(Invocation.maxValueBytes)")
            }
            let procedure = try fields["procedure"].string()
            guard procedure.utf8.count <= Invocation.maxNameBytes else {
                throw fields["procedure"].problem(
                    "\(procedure.utf8.count) bytes", expected: "at most \(Invocation.maxNameBytes) bytes of UTF-8")
            }
            var continued: RequestNumber?
            if let number = fields.optional("continues") { continued = RequestNumber(try number.decimal()) }
            return .call(
                Invocation(
                    target: try target(fields["target"]), procedure: procedure,
                    version: try fields["version"].integer(), arguments: arguments), continues: continued)
        case let other:
            throw kind.problem(
                Printable.quoted(other.utf8, limit: 40), expected: "one of \(operationKinds.joined(separator: ", "))")
        }
    }

    /// Exactly one of an account and a key; the key in hexadecimal, because it need not be text.
    private static func target(_ value: JSONReader) throws(InputProblem) -> CallTarget {
        let fields = try value.object([], optional: ["account", "key"])
        switch (fields.optional("account"), fields.optional("key")) {
        case (let account?, nil): return .account(try account.account())
        case (nil, let key?):
            let bytes = try key.hex()
            guard (1...CallTarget.maxKeyBytes).contains(bytes.count) else {
                throw key.problem("\(bytes.count) bytes", expected: "1 to \(CallTarget.maxKeyBytes)")
            }
            return .key(bytes)
        default: throw value.problem("not one key", expected: "either account or key")
        }
    }
}

extension JSONReader {
    /// A number as a string of decimal digits: no sign, no leading zero.
    func decimal<T: FixedWidthInteger & UnsignedInteger>(_: T.Type = T.self) throws(InputProblem) -> T {
        let text = try string()
        guard let number = T(decimalDigits: text) else {
            throw problem(
                Printable.quoted(text.utf8, limit: 48),
                expected: "a string of the decimal digits of a number from 0 to \(T.max), without leading zeros")
        }
        return number
    }

    func bytes32<T: Bytes32>(_: T.Type = T.self) throws(InputProblem) -> T {
        guard let value = T(bytes: try hex(count: 32)) else { throw problem("not 32 bytes") }
        return value
    }

    /// 32 digits, the most significant first.
    func account() throws(InputProblem) -> AccountID {
        AccountID(try hex(count: 16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) })
    }
}

extension FixedWidthInteger where Self: UnsignedInteger {
    /// Nil unless the text is how the number is written: ASCII digits, no sign, no leading zero.
    init?(decimalDigits text: some StringProtocol) {
        let digits = text.utf8
        guard digits.allSatisfy({ (48...57).contains($0) }), digits.count == 1 || digits.first != 48,
            let number = Self(text)
        else { return nil }
        self = number
    }
}
