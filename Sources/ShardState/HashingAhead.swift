/// When changes of a large state are hashed without waiting for the checkpoint, which would be a pause that grows with
/// the state. Nothing is hashed twice for it, as most changes are of parts of their own; it is the nodes above that
/// many changes meet in, so they wait for more. In a state of few parts all waits: what is hashed once a checkpoint,
/// however often it changes, costs least. No digest depends on it.
public struct HashingAhead: Hashable, Sendable {
    /// Entries for each bucket, on the average, from which on a state is large: then most buckets are divided.
    public var entriesPerBucket = Subtree.leafLimit
    /// So many changed keys of accounts and procedures' values are hashed at once.
    public var placedChanges = 256
    /// So many of any kind.
    public var changes = 5000
    /// So many nodes of the tree whose children changed.
    public var nodes = 2048

    /// As measured: decision 0033.
    public init() {}
}
