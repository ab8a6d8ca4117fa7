import ShardState

/// Procedures that show what procedures are for. The hosts of the tool `quorate` have them.
public enum ExampleProcedures {
    /// A registry with `Credit` and all examples, and nothing else.
    public static var registry: ProcedureRegistry {
        var registry = ProcedureRegistry()
        register(in: &registry)
        return registry
    }

    /// Adds `Credit` and all examples.
    /// - Precondition: none of them is registered yet.
    public static func register(in registry: inout ProcedureRegistry) {
        registry.register(Credit.self)
        registry.register(PublishPrice.self)
        registry.register(SpotPrice.self)
        registry.register(BuyAtMost.self)
        registry.register(OfferForSale.self)
        registry.register(RecordOffer.self)
        registry.register(TakeOffer.self)
        registry.register(ReleaseDelivery.self)
        registry.register(Settle.self)
        registry.register(SetScreeningLimits.self)
        registry.register(ListParties.self)
        registry.register(AdmitHolder.self)
        registry.register(ApplyRules.self)
        registry.register(Screen.self)
        registry.register(ScreenedTransfer.self)
        registry.register(Chain.self)
        register(operations: ListOperation.self, in: &registry)
        register(operations: BankOperation.self, in: &registry)
        register(operations: TextOperation.self, in: &registry)
        registry.register(Balance.self)
        registry.register(DepositChecking.self)
        registry.register(TransactSavings.self)
        registry.register(WriteCheck.self)
        registry.register(SendPayment.self)
        registry.register(MoveChecking.self)
        registry.register(Amalgamate.self)
        registry.register(EmptyCustomer.self)
        registry.register(ReadRecord.self)
        registry.register(UpdateRecord.self)
        registry.register(MoveUnit.self)
        registry.register(TakeUnit.self)
        registry.register(ReadKeys.self)
    }

    private static func register<Operation: KeyedOperation>(
        operations _: Operation.Type, in registry: inout ProcedureRegistry
    ) {
        registry.register(KeyedTransaction<Operation>.self)
        registry.register(KeyedOfShard<Operation>.self)
    }
}
