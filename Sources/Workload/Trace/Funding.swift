/// The opening balances with which every transfer of a trace can commit.
public enum Funding {
    /// Each account's largest prefix deficit: how far below zero it would fall if it started with nothing and all
    /// rows committed in order. One unit less and some row could not be paid.
    /// - Parameter passes: how often the trace is replayed, one pass after the other. An account that loses money in
    ///   a pass needs that loss again for every further pass.
    public static func openingBalances(of trace: Trace, passes: Int = 1) -> [UInt128] {
        precondition(passes >= 1)
        var balance = [Int128](repeating: 0, count: trace.accounts.count)
        var lowest = balance
        for row in trace.rows {
            let (from, to) = (Int(row.from), Int(row.to))
            balance[from] -= Int128(row.amount)
            lowest[from] = min(lowest[from], balance[from])
            balance[to] += Int128(row.amount)
        }
        return lowest.indices.map { account in
            // Pass k starts at k * balance: the last pass is the deepest for an account that loses, else the first.
            let start = Int128(passes - 1) * min(0, balance[account])
            return UInt128(max(0, -(start + lowest[account])))
        }
    }
}
