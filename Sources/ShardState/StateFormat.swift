import Messages

/// What the state's entries are on the disk and in a transfer, for whoever checks that any bytes can be read: fuzzers.
package enum StateFormat {
    /// - Returns: the entry as it is written again.
    /// - Throws: `corruptEntry`
    package static func again(_ value: [UInt8], of key: [UInt8]) throws(ShardStateError) -> [UInt8] {
        try StateEntry(decoding: value, of: key).encoded()
    }

    /// - Returns: the bucket that the key belongs to; nil if it is none of this map.
    package static func bucket(of key: [UInt8], in map: ShardMap) -> Int? { StateKey.bucket(of: key, in: map) }

    /// - Returns: the node of the tree of digests as it is written again.
    /// - Throws: `corruptEntry`
    package static func nodeAgain(_ value: [UInt8], of key: [UInt8]) throws(ShardStateError) -> [UInt8] {
        try TreeNode(decoding: value, of: key).encoded()
    }

    /// An entry of each kind, in a shard of a cluster of so many: where fuzzers begin.
    /// - Parameter call: a root call.
    package static func examples(
        _ request: SignedRequest, call: SignedRequest, in map: ShardMap
    ) -> [(key: [UInt8], value: [UInt8])] {
        let principal = request.request.principal
        var attempts = RequestRecord()
        var attempt = AttemptRecord(
            digest: request.digest, deadline: request.request.deadline, mode: request.request.mode)
        attempt.put(LegRecord(leg: 0, status: .votedYes, participants: 2, own: 0))
        attempts.attempts = [attempt]
        var record = CallRecord(root: call, age: Timestamp(1), waitsInOrder: true)
        if let invocation = call.request.rootCall {
            record.put(
                Frame(
                    path: CallPath([]), invocation: invocation, caller: ShardID(0), now: Timestamp(2),
                    reach: CallReach.allCases[0]))
        }
        return [
            (
                StateKey.account(AccountID(7), in: map).bytes,
                AccountRecord(owner: principal, asset: AssetID(1)).encoded()
            ),
            (StateKey.body(request.digest).bytes, request.encoded()),
            (StateKey.call(call.digest).bytes, record.encoded()),
            (StateKey.issued(AssetID(1)).bytes, Amount(5).encoded()),
            (StateKey.principal(principal).bytes, PrincipalRecord().encoded()),
            (StateKey.request(principal, request.request.number).bytes, attempts.encoded()),
            (StateKey.value(Array("name".utf8), in: map), [1, 2, 3]),
        ]
    }

    /// A node of the tree of digests, with two children.
    package static func exampleNode() -> [UInt8] {
        let child = Subtree(count: 3, digest: Hasher256.hash(.stateBucket, [1]))
        return TreeNode([child, .empty, child][...]).encoded()
    }
}
