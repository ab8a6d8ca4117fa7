import Messages

/// What a receipt of a call shows beyond its operation and status.
enum CallText {
    static func arguments(of request: Request?) -> [String] {
        guard let call = request?.rootCall else { return [] }
        return ["    version \(call.version), arguments \(bytes(call.arguments))"]
    }

    /// The result, and the calls whose effects are committed with it (R13).
    static func results(in leaf: Leaf?) -> [String] {
        (leaf?.entries ?? []).flatMap { entry -> [String] in
            guard case .returned(let result, let consumed) = entry.status else { return [] }
            return ["    result \(bytes(result))"]
                + consumed.map { "    with call \($0.path), which shard \($0.shard) answered" }
        }
    }

    /// Whoever knows the procedure can decode them; the receipt has them whole.
    private static func bytes(_ bytes: [UInt8]) -> String {
        guard !bytes.isEmpty else { return "of no bytes" }
        return Hex.encode(Array(bytes.prefix(64))) + (bytes.count > 64 ? "… (\(bytes.count) bytes)" : "")
    }
}
