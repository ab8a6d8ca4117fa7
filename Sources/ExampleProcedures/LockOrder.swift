/// In which order a procedure locks keys of one shard that it is asked for.
public enum LockOrder {
    /// Each once, ascending by bytes. Texts that Unicode takes for equal are different keys, and which those are changes
    /// with its tables: hosts of two versions must not lock in different orders.
    public static func keys(_ keys: some Sequence<String>) -> [[UInt8]] {
        Set(keys.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) }
    }
}
