/// Where a dashboard gets what it shows.
public protocol DashboardSource: Sendable {
    /// The cluster as it is now: one JSON object on one line; nil if there is none just now. Within a second or two.
    func picture() async -> [UInt8]?
    /// One request's waterfall.
    /// - Parameter transaction: as it stands in the address.
    func trace(_ transaction: String) async -> TraceAnswer
    /// Nobody looks any more; a call of `picture` may come at any time again.
    func rest() async
}

/// What is known of a request's waterfall.
public enum TraceAnswer: Sendable {
    /// One JSON object.
    case found([UInt8])
    case problem(WebProblem)
}

/// Why a question has no answer, as RFC 9457 has it.
public struct WebProblem: Error, Sendable, Encodable {
    /// None of them is described elsewhere.
    public let type = "about:blank"
    /// In a few words, the same each time.
    public let title: String
    /// Of HTTP.
    public let status: Int
    /// What was wrong, and what to do.
    public let detail: String

    /// - Parameter detail: may quote nothing from outside that was not made printable.
    public init(status: Int, title: String, detail: String) {
        (self.status, self.title, self.detail) = (status, title, detail)
    }
}
