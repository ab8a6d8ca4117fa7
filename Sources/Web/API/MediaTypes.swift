/// Media types as header fields name them.
package enum MediaTypes {
    /// Whether a client takes an answer in JSON.
    /// - Parameter accept: nil if it says nothing, and takes anything.
    package static func acceptsJSON(_ accept: String?) -> Bool { accepts("application/json", accept) }

    /// Whether a client asks for server-sent events, and not only takes anything.
    static func prefersEvents(_ accept: String?) -> Bool {
        guard let accept else { return false }
        return accept.split(separator: ",").contains { base(String($0)) == "text/event-stream" }
            && accepts("text/event-stream", accept)
    }

    /// Whether a client takes an answer of this type.
    /// - Parameter accept: nil if it says nothing, and takes anything.
    static func accepts(_ wanted: String, _ accept: String?) -> Bool {
        guard let accept, accept.contains(where: { $0 != " " }) else { return true }
        // The most specific range counts (RFC 9110 §12.5.1).
        var (best, weight) = (-1, true)
        for range in accept.split(separator: ",") {
            let parts = range.split(separator: ";").map(trimmed)
            guard let type = parts.first else { continue }
            let specificity: Int
            switch type {
            case wanted: specificity = 2
            case wanted.prefix { $0 != "/" } + "/*": specificity = 1
            case "*/*": specificity = 0
            default: continue
            }
            let isExcluded = parts.dropFirst().contains { part in
                guard part.hasPrefix("q="), let q = Double(part.dropFirst(2)) else { return false }
                return q == 0
            }
            if specificity > best { (best, weight) = (specificity, !isExcluded) }
        }
        return best >= 0 && weight
    }

    /// Without parameters, in lower case.
    package static func base(_ contentType: String) -> String {
        contentType.split(separator: ";", omittingEmptySubsequences: false).first.map(trimmed) ?? ""
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
            .lowercased()
    }
}
