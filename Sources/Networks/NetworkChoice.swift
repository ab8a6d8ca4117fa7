/// What `--network` is told: a profile that is built in, or a matrix file.
public enum NetworkChoice: Sendable, Equatable {
    case builtIn(NetworkProfile)
    case file(String)

    /// A file is what ends in `.json` or has a slash. Nil for another word than the names that are built in.
    public init?(_ text: String) {
        if text.hasSuffix(".json") || text.contains("/") {
            guard !text.utf8.contains(0) else { return nil }
            self = .file(text)
        } else if let profile = NetworkProfile.builtIn.first(where: { $0.name == text }) {
            self = .builtIn(profile)
        } else {
            return nil
        }
    }

    /// For whoever gave another word.
    public static var expected: String {
        "\(NetworkProfile.builtIn.map(\.name).joined(separator: ", ")), or a file whose name ends in .json or has a slash"
    }

    /// - Throws: what is wrong with the file, and where.
    public func profile() throws -> NetworkProfile {
        switch self {
        case .builtIn(let profile): profile
        case .file(let path): try NetworkProfile(reading: path)
        }
    }
}
