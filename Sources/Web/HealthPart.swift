import Hummingbird

/// `/health/live` says 200 as long as the process answers at all. `/health/ready` says 200 if it does what it is there
/// for, and 503 with the reasons if it does not, a line each.
public struct HealthPart: WebPart {
    private let problems: Recent<[String]>

    /// - Parameter problems: why the process is not ready; empty if it is.
    public init(problems: @escaping @Sendable () async -> [String]) { self.problems = Recent(make: problems) }

    /// Under `/health`.
    public func add(to router: Router<BasicRequestContext>) {
        let problems = problems
        router.get("/health/live") { _, _ in "live\n" }
        router.get("/health/ready") { _, _ -> EditedResponse<String> in
            let found = await problems.value()
            guard !found.isEmpty else { return EditedResponse(response: "ready\n") }
            return EditedResponse(
                status: .serviceUnavailable, response: found.map { $0 + "\n" }.joined())
        }
    }
}
