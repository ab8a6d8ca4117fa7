import Messages
import ShardState

/// Whether what has waited for long is still to be ordered. What came after its own execution, or was overtaken by
/// other certificates, will never be: it must not make this replica suspect the primary.
struct Forwarding {
    /// How often what would change nothing is handed on, unless it is needed here.
    private static let maxVain = 4

    let setting: ShardSetting
    let now: Instant

    func wants(
        _ item: BatchItem, forwarded times: Int, _ executor: borrowing ShardExecutor, _ proposer: Proposer,
        _ answering: Answering, _ pushes: Pushes
    ) throws(ShardStateError) -> Bool {
        let time = executor.time
        func isNeeded(_ request: SignedRequest) -> Bool { pushes.isNeeded(request, answering, time: time, now: now) }
        switch item {
        case .request(let request):
            if let leaf = answering.recent.leaf(for: request.digest), setting.isComplete(leaf, request) { return false }
            if times <= Self.maxVain || isNeeded(request) { return true }
            // Past its deadline it has no effect any more. Who alone holds it under a mute primary would suspect that
            // one for ever.
            guard max(now.wall, time) <= request.request.deadline else { return false }
            return try !executor.isAnswered(request)
        case .decide(let decide):
            return switch try executor.effect(of: decide) {
            case .notes, .decides: true
            // The vote that it waited for was refused; whoever votes again is pushed again.
            case .noRecord: proposer.isWaiting(request: decide.request)
            case .nothing: false
            }
        case .evidence(let evidence):
            return switch try executor.effect(of: evidence, wall: now.wall) {
            case .changes: true
            case .question: times <= Self.maxVain || isNeeded(evidence.root)
            case .nothing: false
            }
        }
    }
}
