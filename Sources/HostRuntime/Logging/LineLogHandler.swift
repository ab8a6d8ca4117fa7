import Logging

/// One line a record, as text or as JSON, to where a `LogOutput` writes.
public struct LineLogHandler: LogHandler {
    private var ownLevel: Logger.Level?
    /// The `Logger` hands over nothing below it. The output's, which may change while the process runs, unless this
    /// logger was given one of its own.
    public var logLevel: Logger.Level {
        get { ownLevel ?? output.level }
        set { ownLevel = newValue }
    }
    /// What is added to every record; a record's own value for a key replaces it.
    public var metadata: Logger.Metadata = [:]
    private let label: String
    private let output: LogOutput

    /// - Parameters:
    ///   - label: who speaks: `host-2`, `gateway`.
    ///   - level: nil for the output's.
    public init(label: String, level: Logger.Level? = .info, output: LogOutput = .standardError) {
        (self.label, self.output, ownLevel) = (label, output, level)
    }

    /// A logger that writes so, to standard error, at a level of its own.
    public static func logger(_ label: String, level: Logger.Level = .info) -> Logger {
        Logger(label: label) { LineLogHandler(label: $0, level: level) }
    }

    /// A logger that writes to `output`, at the output's level.
    public static func logger(_ label: String, to output: LogOutput) -> Logger {
        Logger(label: label) { LineLogHandler(label: $0, level: nil, output: output) }
    }

    /// One entry of `metadata`; nil if there is none, and to remove it.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the record with one `write`. A line that the descriptor does not take is counted, and its loss is said
    /// when a line fits again; so is one that is left out because it repeats others.
    public func log(event: LogEvent) {
        output.write(
            LogRecord(
                level: event.level, label: label, message: event.message.description,
                metadata: metadata.merging(event.metadata ?? [:]) { $1 }))
    }
}
