import Messages

/// What a batch is executed on: the shard's state and its time, under the shard's bounds. `Participant` and `Calls`
/// both work on the one that `ShardExecutor` has. Neither keeps it, and neither sees what the other one keeps: what one
/// leaves for the other is in the state, as a record or as a lock.
package struct ExecutionContext {
    var state: StateView
    /// The largest time of any batch so far (R2).
    package var time: Timestamp
    let limits: ShardLimits

    init(state: StateView, time: Timestamp, limits: ShardLimits) {
        (self.state, self.time, self.limits) = (state, time, limits)
    }

    /// One of an empty state, for tests of what works on it.
    package init(shard: ShardID, map: ShardMap, store: any KeyValueStore, time: Timestamp, limits: ShardLimits)
        throws(ShardStateError)
    {
        self.init(
            state: try StateView(shard: shard, map: map, overlay: Overlay(store: store), ahead: HashingAhead()),
            time: time, limits: limits)
    }

    var shard: ShardID { state.shard }
    var map: ShardMap { state.map }
    /// A frame of that call is for this shard to run.
    func isHere(_ invocation: Invocation) -> Bool { map.shard(of: invocation.target) == shard }

    /// Legs and calls with no decision.
    var undecidedCount: Int { state.indexes.undecided + state.indexes.undecidedCalls }
    /// Records of which another shard may have to be told.
    var openCount: Int { state.indexes.open.count + state.indexes.openCalls.count }
    /// Keys written since the last freeze.
    var overlayCount: Int { state.count }
    /// A frozen state waits to be written down.
    var isFlushing: Bool { state.isFlushing }

    /// Nothing that costs its principal nothing is voted on now, unless it is backed.
    var isPressed: Bool { state.indexes.undecided >= limits.maxUndecided / 2 }

    /// As this replica has it now; nil if there is none.
    package func account(_ id: AccountID) throws(ShardStateError) -> AccountView? {
        try state.account(id).map {
            AccountView(
                owner: $0.owner, asset: $0.asset, posted: Amount($0.posted), pendingDebits: Amount($0.pendingDebits),
                pendingCredits: Amount($0.pendingCredits), freeze: $0.freeze)
        }
    }

    /// Whether a procedure uses the account, so that what it holds is not known before that transaction ends (R6).
    package func isLocked(_ id: AccountID) -> Bool {
        state.indexes.locks.isTouched(StateKey.account(id, in: map).bytes)
    }
}
