/// One thing that reads bytes which anybody may have written. Whoever fuzzes gives it bytes; a trap, memory beyond a
/// small multiple of them, or a `FuzzFinding` is an error of ours.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    /// Also the folder of its corpus in `Tests/Fuzz`.
    package let name: String
    /// Longer inputs find nothing new, and take longer.
    package let maxLength: Int
    /// What its format is made of, for who changes inputs.
    package let words: [String]
    /// Real encodings, to begin with.
    package let seeds: @Sendable () throws -> [[UInt8]]
    /// - Returns: whether the bytes were accepted.
    /// - Throws: `FuzzFinding`; whatever else the reader throws is its refusal, and is caught.
    package let run: @Sendable ([UInt8]) throws(FuzzFinding) -> Bool

    package var description: String { name }

    /// - Parameter read: a `FuzzFinding` is a finding, any other error a refusal.
    init(
        _ name: String, maxLength: Int = 4096, words: [String] = [],
        seeds: @escaping @Sendable () throws -> [[UInt8]], read: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        (self.name, self.maxLength, self.words, self.seeds) = (name, maxLength, words, seeds)
        run = { bytes throws(FuzzFinding) in
            do { try read(bytes) } catch let finding as FuzzFinding { throw finding } catch {
                // What is said of it must not trap either.
                _ = "\(error)".utf8.count
                return false
            }
            return true
        }
    }

    package static let all: [FuzzTarget] =
        [frames, greeting, greetingAnswer] + messages + [certificate, receipt, receiptFile, batch, journalRecord]
        + [stateEntry, stateNode, journal, stateFile]
        + [json, manifest, requestJSON, httpQuery, settings, gateways, network, report, history]
        + [keyFile, trace, scenario, shellWords, keyboard]

    /// - Parameter name: nil if there is none.
    package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// What a reader did that it must never do.
package struct FuzzFinding: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// - Throws: `FuzzFinding` unless the condition holds.
func require(_ condition: Bool, _ what: @autoclosure () -> String) throws(FuzzFinding) {
    if !condition { throw FuzzFinding(what()) }
}
