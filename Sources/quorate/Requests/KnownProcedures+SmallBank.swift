import ExampleProcedures
import Messages
import StrictInput

/// SmallBank's transactions, for `quorate call`.
extension KnownProcedure {
    static let ofSmallBank: [KnownProcedure] = [
        make(
            Balance.self, #"{"customer": 17}"#,
            { json, _ in
                let customer = try json.object(["customer"])["customer"].integer(UInt64.self)
                return (home(customer), customer)
            }, { .text("\($0)") }),
        make(DepositChecking.self, #"{"customer": 17, "amount": 130}"#, { json, _ in try order(json) }, change),
        make(TransactSavings.self, #"{"customer": 17, "amount": -2020}"#, { json, _ in try order(json) }, change),
        make(WriteCheck.self, #"{"customer": 17, "amount": 500}"#, { json, _ in try order(json) }, change),
        make(
            SendPayment.self, #"{"from": 17, "to": 4, "amount": 500}"#,
            { json, accounts in
                let fields = try json.object(["from", "to", "amount"])
                let passage = SmallBank.Passage(
                    from: try fields["from"].integer(), to: try fields["to"].integer(),
                    amount: try fields["amount"].integer())
                let map = accounts.folder.manifest.shardMap
                return (SendPayment.home(from: passage.from, to: passage.to, in: map), passage)
            }, change),
        make(
            Amalgamate.self, #"{"from": 17, "to": 4}"#,
            { json, _ in
                let fields = try json.object(["from", "to"])
                let passage = SmallBank.Passage(from: try fields["from"].integer(), to: try fields["to"].integer())
                return (Amalgamate.home(to: passage.to), passage)
            }, change),
    ]

    private static func home(_ customer: UInt64) -> CallTarget { .key(SmallBank.checkingKey(customer)) }

    private static func order(_ json: JSONReader) throws -> (target: CallTarget, SmallBank.Order) {
        let fields = try json.object(["customer", "amount"])
        let order = SmallBank.Order(
            customer: try fields["customer"].integer(), amount: try fields["amount"].integer())
        return (home(order.customer), order)
    }

    @Sendable private static func change(_ change: SmallBank.Change) -> CallValue {
        .object([
            "checking": .text("\(change.checking)"), "savings": .text("\(change.savings)"),
            "other": .text("\(change.other)"),
        ])
    }
}
