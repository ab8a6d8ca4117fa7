import Messages
import Synchronization
import Workload

/// Keeps the last receipt of some principals: it must decide the same for as long as its principal has signed nothing
/// behind it.
final class ReceiptKeeper: Sendable {
    struct Answers: Codable, Sendable {
        var same = 0
        var different = 0
        /// Its principal has signed another request since, after which nobody need remember the outcome.
        var acknowledged = 0
        var no_answer = 0

        var all: Int { same + different + acknowledged + no_answer }

        static func + (a: Answers, b: Answers) -> Answers {
            Answers(
                same: a.same + b.same, different: a.different + b.different,
                acknowledged: a.acknowledged + b.acknowledged, no_answer: a.no_answer + b.no_answer)
        }
    }

    private let principals: Set<PublicKey>
    private let last = Mutex<[PublicKey: Receipt]>([:])

    init(_ principals: some Sequence<PublicKey>) { self.principals = Set(principals) }

    func keep(_ receipt: Receipt) {
        let principal = receipt.request.request.principal
        guard principals.contains(principal) else { return }
        last.withLock { last in
            // Answers may come in another order than that of the numbers.
            if let known = last[principal], known.request.request.number > receipt.request.request.number { return }
            last[principal] = receipt
        }
    }

    /// Asks for the outcomes of what is kept once more, with the same signed bytes.
    /// - Parameter count: of them at most.
    func askAgain(_ count: Int, _ processes: ClusterProcesses) async throws -> Answers {
        let receipts = last.withLock { $0.values.prefix(count) }
        let gateways = processes.gateways.enumerated().map { (number: $0, address: $1) }
        let opinion = try await SecondOpinion.open(gateways, of: processes.folder.manifest)
        var answers = Answers()
        for receipt in receipts {
            // Through any gateway: none of them has the number.
            switch await opinion.ask(Traffic.Told(receipt: receipt, gateway: -1, wasInFlight: false)) {
            case .same: answers.same += 1
            case .different: answers.different += 1
            case .acknowledged: answers.acknowledged += 1
            case .none: answers.no_answer += 1
            }
            if Task.isCancelled { break }
        }
        await opinion.close()
        return answers
    }
}

/// A way to a gateway whose receipts go into a `ReceiptKeeper`.
struct KeptChannel: RequestChannel {
    let base: GatewayChannel
    let keeper: ReceiptKeeper

    func submit(_ request: SignedRequest, _ completion: @escaping @Sendable (Result<GatewayReply, any Error>) -> Void) {
        base.submit(request) { [keeper] result in
            if case .success(.receipt(_, let receipt, _, _)) = result, receipt.request.digest == request.digest {
                keeper.keep(receipt)
            }
            completion(result)
        }
    }
}
