import Messages

/// The shapes of what goes in and out. What is read strictly has no other keys.
enum OpenAPISchemas {
    static func all(_ options: APIOptions) -> [(key: String, value: WebJSON)] {
        numbers + requests + receipts + reads + cluster + [
            ("Problem", problem), ("ProblemExplanation", explanation), ("Document", ["type": "object"]),
        ]
    }

    private static func ref(_ schema: String) -> WebJSON { OpenAPI.reference(schema) }

    /// An object with exactly these keys.
    private static func object(
        _ required: [(key: String, value: WebJSON)], optional: [(key: String, value: WebJSON)] = []
    ) -> WebJSON {
        [
            "type": "object", "properties": .object(required + optional),
            "required": .array(required.map { .string($0.key) }), "additionalProperties": false,
        ]
    }

    private static func array(_ items: WebJSON, from least: Int = 0, to most: Int? = nil) -> WebJSON {
        var members: [(key: String, value: WebJSON)] = [("type", "array"), ("items", items)]
        if least > 0 { members.append(("minItems", .number(least))) }
        if let most { members.append(("maxItems", .number(most))) }
        return .object(members)
    }

    private static func hex(_ digits: Int) -> WebJSON {
        ["type": "string", "pattern": .string("^[0-9a-f]{\(digits)}$")]
    }

    /// Pairs of digits, of so many bytes.
    private static func hex(bytes: ClosedRange<Int>) -> WebJSON {
        [
            "type": "string", "pattern": "^([0-9a-f]{2})*$", "minLength": .number(bytes.lowerBound * 2),
            "maxLength": .number(bytes.upperBound * 2),
        ]
    }

    private static func digits(_ most: Int, _ what: String) -> WebJSON {
        [
            "type": "string", "pattern": .string("^(0|[1-9][0-9]{0,\(most - 1)})$"),
            "description": .string("\(what), in decimal digits."),
        ]
    }

    private static func integer(_ most: Int) -> WebJSON {
        ["type": "integer", "minimum": 0, "maximum": .number(most)]
    }

    private static let text: WebJSON = ["type": "string"]

    private static var numbers: [(key: String, value: WebJSON)] {
        [
            ("Bytes32", hex(64)), ("SignatureBytes", hex(128)), ("AccountID", hex(32)),
            ("UInt16", integer(Int(UInt16.max))), ("UInt32", integer(Int(UInt32.max))),
            ("UInt64", digits(20, "0 to 2^64 - 1")), ("Amount", digits(39, "0 to 2^128 - 1, in minor units")),
            ("UInt16Text", digits(5, "0 to 65535")), ("UInt32Text", digits(10, "0 to 2^32 - 1")),
        ]
    }

    private static var requests: [(key: String, value: WebJSON)] {
        [
            ("SignedRequest", object([("request", ref("Request")), ("signature", ref("SignatureBytes"))])),
            (
                "Request",
                object(
                    [
                        ("cluster", ref("Bytes32")), ("epoch", ref("UInt32")), ("principal", ref("Bytes32")),
                        ("number", ref("UInt64")), ("acknowledged_below", ref("UInt64")),
                        ("issued_at", ref("UInt64")), ("deadline", ref("UInt64")),
                        ("mode", ["enum": ["atomic", "independent"]]),
                        ("operations", array(ref("Operation"), from: 1, to: Messages.Request.maxOperations)),
                    ],
                    optional: [("follows", array(ref("Predecessor"), from: 1, to: Messages.Request.maxPredecessors))])
            ),
            (
                "Predecessor",
                object([("shard", ref("UInt16")), ("number", ref("UInt64")), ("deadline", ref("UInt64"))])
            ),
            (
                "Operation",
                [
                    "oneOf": .array(["Transfer", "Open", "Issue", "Read", "Call"].map(ref)),
                    "discriminator": [
                        "propertyName": "kind",
                        "mapping": .object(
                            zip(RequestJSON.operationKinds, ["Transfer", "Open", "Issue", "Read", "Call"]).map {
                                ($0, .string("#/components/schemas/\($1)"))
                            }),
                    ],
                ]
            ),
            (
                "Transfer",
                object([
                    ("kind", ["const": "transfer"]), ("from", ref("AccountID")), ("to", ref("AccountID")),
                    ("asset", ref("UInt32")), ("amount", ref("Amount")),
                ])
            ),
            (
                "Open",
                object([
                    ("kind", ["const": "open"]), ("owner", ref("Bytes32")), ("asset", ref("UInt32")),
                    ("index", ref("UInt64")),
                ])
            ),
            (
                "Issue",
                object([
                    ("kind", ["const": "issue"]), ("to", ref("AccountID")), ("asset", ref("UInt32")),
                    ("amount", ref("Amount")),
                ])
            ),
            ("Read", object([("kind", ["const": "read"]), ("account", ref("AccountID"))])),
            (
                "Call",
                object(
                    [
                        ("kind", ["const": "call"]), ("target", ref("CallTarget")),
                        ("procedure", ["type": "string", "maxLength": .number(Invocation.maxNameBytes)]),
                        ("version", ref("UInt16")), ("arguments", hex(bytes: 0...Invocation.maxValueBytes)),
                    ], optional: [("continues", ref("UInt64"))])
            ),
            (
                "CallTarget",
                [
                    "oneOf": [
                        object([("account", ref("AccountID"))]),
                        object([("key", hex(bytes: 1...CallTarget.maxKeyBytes))]),
                    ]
                ]
            ),
        ]
    }

    private static var receipts: [(key: String, value: WebJSON)] {
        let count: WebJSON = ["type": "integer", "minimum": 0]
        let statement = object([
            ("cluster", ref("Bytes32")), ("epoch", ref("UInt32")), ("shard", ref("UInt16")), ("sequence", count),
            ("previous_history", ref("Bytes32")), ("batch", ref("Bytes32")), ("leaves_root", ref("Bytes32")),
        ])
        let leaf = object([
            ("bytes", ["type": "string"]), ("request", ref("Bytes32")),
            ("legs", array(object([("leg", ref("UInt16")), ("status", text)]))),
        ])
        let path = object([("index", count), ("count", count), ("siblings", array(ref("Bytes32")))])
        let signature = object([("replica", integer(255)), ("signature", ref("SignatureBytes"))])
        let certificate = object([
            ("shard", ref("UInt16")), ("statement", statement), ("leaf", leaf), ("path", path),
            ("signatures", array(signature)),
        ])
        let transaction = object([
            ("txid", ref("Bytes32")), ("operations", array(text)), ("shards", array(ref("UInt16"))), ("outcome", text),
        ])
        let signed = object([
            ("bytes", text), ("digest", ref("Bytes32")), ("signature", ref("SignatureBytes")),
            ("principal", ref("Bytes32")), ("number", count),
        ])
        let pending: [(key: String, value: WebJSON)] = [("txid", ref("Bytes32")), ("request", ref("Bytes32"))]
        return [
            (
                "Receipt",
                object([
                    ("schema", ["const": 1]), ("cluster", ref("Bytes32")), ("request", signed),
                    ("certificates", array(certificate)), ("transactions", array(transaction)),
                ])
            ),
            ("Pending", object(pending + [("state", ["const": "pending"])])),
            (
                "Transaction",
                [
                    "oneOf": [
                        ref("Pending"),
                        object(pending + [("state", ["const": "decided"]), ("receipt", ref("Receipt"))]),
                        object(pending + [("state", ["const": "unknown"]), ("problem", ref("Problem"))]),
                    ]
                ]
            ),
        ]
    }

    private static var reads: [(key: String, value: WebJSON)] {
        let answer = object([
            ("replica", integer(255)), ("time", ref("UInt64")), ("clock", ref("UInt64")),
            ("signature", ref("SignatureBytes")),
        ])
        let proof: [(key: String, value: WebJSON)] = [
            ("shard", ref("UInt16")), ("nonce", ref("Bytes32")), ("statement", text),
            ("answers", array(answer, from: 3, to: 64)),
        ]
        return [
            (
                "AccountRead",
                object(
                    [("account", ref("AccountID")), ("exists", ["type": "boolean"])] + proof,
                    optional: [
                        ("owner", ref("Bytes32")), ("asset", ref("UInt32")), ("posted", ref("Amount")),
                        ("pending_debits", ref("Amount")), ("pending_credits", ref("Amount")),
                    ])
            ),
            (
                "PrincipalRead",
                object(
                    [
                        ("principal", ref("Bytes32")), ("acknowledged_below", ref("UInt64")),
                        ("next_number", ref("UInt64")),
                    ] + proof)
            ),
        ]
    }

    private static var cluster: [(key: String, value: WebJSON)] {
        let host = object([
            ("address", text), ("port", integer(65535)), ("public_key", ref("Bytes32")),
        ])
        let manifest = object([
            ("cluster", ref("Bytes32")), ("epoch", ref("UInt32")), ("hosts", array(host)), ("issuer", ref("Bytes32")),
            ("shards", array(array(ref("UInt16")))), ("version", ["type": "integer"]),
        ])
        let shard = object([
            ("shard", ref("UInt16")), ("hosts", array(ref("UInt16"))), ("faults_tolerated", integer(21)),
            ("quorum", integer(64)), ("first_account", ref("AccountID")),
        ])
        return [
            ("Cluster", object([("cluster", ref("Bytes32")), ("digest", ref("Bytes32")), ("manifest", manifest)])),
            ("Shards", object([("count", ["type": "integer", "minimum": 1]), ("shards", array(shard, from: 1))])),
            (
                "Procedures",
                object([("procedures", array(object([("name", text), ("version", ref("UInt16"))])))])
            ),
        ]
    }

    private static var problem: WebJSON {
        [
            "type": "object",
            "properties": [
                "type": ["type": "string", "format": "uri-reference"], "title": text,
                "status": ["type": "integer", "minimum": 400, "maximum": 599], "detail": text, "advice": text,
                "retry_after_ms": ["type": "integer", "minimum": 0], "txid": ref("Bytes32"), "digest": ref("Bytes32"),
                "receipt": ref("Receipt"),
            ],
            "required": ["type", "title", "status", "detail", "advice"],
        ]
    }

    private static var explanation: WebJSON {
        object([
            ("type", ["type": "string", "format": "uri-reference"]), ("title", text),
            ("status", ["type": "integer", "minimum": 400, "maximum": 599]), ("advice", text),
        ])
    }
}
