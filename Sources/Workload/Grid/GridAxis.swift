import StrictInput

/// Something that a grid varies: an option of `quorate bench`, with the values that it takes in turn.
public struct GridAxis: Sendable {
    /// As the option has it, without its dashes: `cross-shard`.
    public let name: String
    /// Different ones, as text, in the order in which they were given.
    public let values: [String]
    /// What holds where nothing is said. It is never handed on, so that a grid to which an axis is added later finds
    /// the cells that it has.
    public let fallback: String
    private let words: @Sendable (String) -> [String]

    /// - Parameters:
    ///   - given: values separated by commas; nil where the command line says nothing.
    ///   - usual: what is measured then; nil for the fallback alone.
    ///   - words: what a value adds to the command line of a run; nil for the option of the same name.
    /// - Throws: `GridProblem` for an empty value, and for one that is there twice.
    public init(
        _ name: String, given: String?, fallback: String, usual: [String]? = nil,
        words: (@Sendable (String) -> [String])? = nil
    ) throws(GridProblem) {
        (self.name, self.fallback) = (name, fallback)
        self.words = words ?? { ["--\(name)=\($0)"] }
        guard let given else {
            values = usual ?? [fallback]
            return
        }
        let values = given.split(separator: ",", omittingEmptySubsequences: false).map { Self.normal(String($0)) }
        guard !values.contains(""), Set(values).count == values.count else {
            throw GridProblem(
                "--\(name) takes different values, separated by commas; got \(Printable.quoted(given.utf8)).")
        }
        self.values = values
    }

    /// One number has one text: `010` is `10`.
    private static func normal(_ text: String) -> String {
        let parts = text.split(separator: " ", omittingEmptySubsequences: true)
        let text = parts.joined(separator: " ")
        return Int(text).map(String.init) ?? text
    }

    /// What a value adds to the command line of a run.
    public func arguments(for value: String) -> [String] { value == fallback ? [] : words(value) }
}

/// Why a grid cannot be measured as it was asked for.
public struct GridProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// What, where and what to do.
    public let description: String

    /// - Parameter description: what, where and what to do.
    public init(_ description: String) { self.description = description }
}
