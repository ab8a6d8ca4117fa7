import Client
import ExampleProcedures
import HostRuntime
import Messages
import ShardState
import StrictInput

/// A procedure whose arguments and result the tool can write as JSON.
struct KnownProcedure: Sendable {
    let name: String
    let version: UInt16
    /// What its JSON looks like.
    let usage: String
    let invocation: @Sendable (JSONReader, Accounts) throws -> Invocation
    let result: @Sendable ([UInt8]) throws -> CallValue

    /// Accounts may be given by their names.
    struct Accounts: Sendable {
        let folder: ClusterFolder
        func id(_ value: JSONReader) throws -> AccountID {
            try AccountFile.id(of: try value.string(), cluster: folder.path, manifest: folder.manifest)
        }
    }

    static func make<P: Procedure>(
        _: P.Type, _ usage: String,
        _ arguments: @escaping @Sendable (JSONReader, Accounts) throws -> (target: CallTarget, P.Arguments),
        _ result: @escaping @Sendable (P.Result) -> CallValue
    ) -> KnownProcedure {
        KnownProcedure(
            name: P.name, version: P.version, usage: usage,
            invocation: { json, accounts in
                let (target, arguments) = try arguments(json, accounts)
                return Invocation(target: target, procedure: P.name, version: P.version, arguments: arguments.encoded())
            },
            result: { result(try P.Result(decoding: $0)) })
    }

    static let all: [KnownProcedure] = ofExamples + ofSmallBank

    private static let ofExamples: [KnownProcedure] = [
        make(
            PublishPrice.self, #"{"symbol": "GOLD", "price": 1800}"#,
            { json, _ in
                let fields = try json.object(["symbol", "price"])
                let symbol = try fields["symbol"].string()
                return (
                    .key(Oracle.priceKey(symbol)),
                    PublishPrice.Arguments(symbol: symbol, price: try fields["price"].integer())
                )
            }, { _ in .nothing }),
        make(
            SpotPrice.self, #"{"symbol": "GOLD"}"#,
            { json, _ in
                let symbol = try json.object(["symbol"])["symbol"].string()
                return (.key(Oracle.priceKey(symbol)), symbol)
            }, { .number($0) }),
        make(
            BuyAtMost.self,
            #"{"buyer": "alice", "seller": "bob", "asset": 1, "symbol": "GOLD", "quantity": 2, "most_per_unit": 1900}"#,
            { json, accounts in
                let fields = try json.object(["buyer", "seller", "asset", "symbol", "quantity", "most_per_unit"])
                let buyer = try accounts.id(fields["buyer"])
                return (
                    .account(buyer),
                    BuyAtMost.Arguments(
                        buyer: buyer, seller: try accounts.id(fields["seller"]),
                        asset: AssetID(try fields["asset"].integer()),
                        symbol: try fields["symbol"].string(), quantity: try fields["quantity"].integer(),
                        mostPerUnit: try fields["most_per_unit"].integer())
                )
            }, { .text("\($0)") }),
        make(
            OfferForSale.self,
            #"{"securities": "alice", "id": "o1", "cash": "alice-cash", "price": {"asset": 1, "amount": 500}, "custody": ID, "quantity": {"asset": 2, "amount": 10}}"#,
            { json, accounts in
                let fields = try json.object(["securities", "id", "cash", "price", "custody", "quantity"])
                let securities = try accounts.id(fields["securities"])
                let offer = Offer(
                    id: try fields["id"].string(), cash: try accounts.id(fields["cash"]),
                    price: try money(fields["price"]),
                    custody: try accounts.id(fields["custody"]), quantity: try money(fields["quantity"]))
                return (.account(securities), OfferForSale.Arguments(securities: securities, offer: offer))
            }, { _ in .nothing }),
        make(
            Settle.self, #"{"offer": "o1", "cash": "bob-cash", "securities": "bob"}"#,
            { json, accounts in
                let fields = try json.object(["offer", "cash", "securities"])
                let cash = try accounts.id(fields["cash"])
                return (
                    .account(cash),
                    Settle.Arguments(
                        offer: try fields["offer"].string(), cash: cash,
                        securities: try accounts.id(fields["securities"]))
                )
            },
            { offer in
                .object([
                    "id": .text(offer.id), "cash": .text(offer.cash.hex), "custody": .text(offer.custody.hex),
                    "price": value(offer.price), "quantity": value(offer.quantity),
                ])
            }),
        make(
            SetScreeningLimits.self, #"{"policy": "retail", "per_transfer": 1000, "per_day": 5000}"#,
            { json, _ in
                let fields = try json.object(["policy", "per_transfer", "per_day"])
                let policy = try fields["policy"].string()
                return (
                    .key(Screening.limitsKey(policy)),
                    SetScreeningLimits.Arguments(
                        policy: policy, perTransfer: Amount(try fields["per_transfer"].integer()),
                        perDay: Amount(try fields["per_day"].integer()))
                )
            }, { _ in .nothing }),
        make(
            ListParties.self, #"{"policy": "retail", "accounts": ["mallory"], "listed": true}"#,
            { json, accounts in
                let fields = try json.object(["policy", "accounts", "listed"])
                let policy = try fields["policy"].string()
                return (
                    .key(Screening.limitsKey(policy)),
                    ListParties.Arguments(
                        policy: policy, accounts: try fields["accounts"].elements(limit: 64).map(accounts.id),
                        listed: try fields["listed"].boolean())
                )
            }, { _ in .nothing }),
        make(
            ScreenedTransfer.self, #"{"from": ID, "to": "bob", "money": {"asset": 1, "amount": 500}}"#,
            { json, accounts in
                let fields = try json.object(["from", "to", "money"])
                let from = try accounts.id(fields["from"])
                return (
                    .account(from),
                    ScreenedTransfer.Arguments(
                        from: from, payment: Payment(try money(fields["money"]), to: try accounts.id(fields["to"])))
                )
            }, { _ in .nothing }),
        make(
            ListTransaction.self, #"{"operations": [{"key": "a", "append": 7}, {"key": "b"}]}"#,
            { json, accounts in
                let elements = try json.object(["operations"])["operations"]
                let operations = try elements.elements(limit: 256).map { element in
                    let fields = try element.object(["key"], optional: ["append"])
                    return ListOperation(
                        key: try fields["key"].string(), value: try fields.optional("append")?.integer(UInt64.self))
                }
                guard let home = ListTransaction.home(of: operations, in: accounts.folder.manifest.shardMap) else {
                    throw elements.problem("no operations", expected: "one at least")
                }
                return (home, operations)
            }, { .list($0.map { .list($0.map(CallValue.number)) }) }),
        make(
            Chain.self, #"{"keys": ["a", "b"]}"#,
            { json, _ in
                let keys = try json.object(["keys"])["keys"]
                let names = try keys.elements(limit: 16).map { try $0.string() }
                guard let first = names.first else { throw keys.problem("no keys", expected: "one at least") }
                return (.key(first), Chain.Arguments(keys: names))
            }, { .list($0.map(CallValue.number)) }),
    ]

    static func find(_ name: String, version: UInt16?) -> KnownProcedure? {
        all.first { $0.name == name && (version == nil || $0.version == version) }
    }

    private static func money(_ value: JSONReader) throws -> Payment.Money {
        let fields = try value.object(["asset", "amount"])
        return Payment.Money(try fields["amount"].integer(), of: AssetID(try fields["asset"].integer()))
    }

    private static func value(_ money: Payment.Money) -> CallValue {
        .object(["asset": .number(UInt64(money.asset.number)), "amount": .text(money.amount.description)])
    }
}
