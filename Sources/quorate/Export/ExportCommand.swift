import ArgumentParser
import Foundation
import HostRuntime
import ManifestFile
import Messages
import QuorateHost
import StrictInput
import Web

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Every executed transaction of every shard, in order and with certificates; and its verification.",
        discussion: """
            The hosts keep what they have executed. An export asks them from a cursor on, believes none of them alone, and \
            writes what f + 1 have signed:

              quorate export demo > all.jsonl
              quorate export verify all.jsonl --manifest demo/cluster.json
              quorate export demo --from 0:1234,1:998 > rest.jsonl
              quorate export demo --follow
              quorate export demo --format csv > table.csv

            docs/EXPORT.md has the format.
            """,
        subcommands: [Run.self, Verify.self], defaultSubcommand: Run.self)

    enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case jsonl, csv }

    struct Run: ToolCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Write an export (the word run may be left out).",
            discussion: """
                Shard after shard, to the end that f + 1 hosts have archived when it begins; with --follow all shards side by \
                side, and on until it is interrupted. What to give --from to go on stands in the last line, and on standard error.
                """)
        @Argument(help: "The cluster's folder, or its public part. Default: as --cluster of other commands.")
        var directory: String?
        @Option(
            help: .init(
                "Where to go on: of each shard the last batch that is known.", valueName: "shard:batch,…"))
        var from = ""
        @Option(help: "jsonl has certificates and can be verified; csv is for tables.") var format = Format.jsonl
        @Flag(help: "Go on with what is executed from now on, until it is interrupted.") var follow = false
        @Option(help: .init("Write to a new file, and not to standard output.", valueName: "file")) var output: String?
        @Flag(help: "Print one JSON object about it; needs --output.") var json = false

        struct Result: Encodable, Sendable {
            var schema = 1
            var output: String
            var batches: Int
            var transactions: Int
            var cursor: String
        }

        func validate() throws {
            guard ExportCursor(from) != nil else {
                throw ValidationError(
                    "--from \(from): a cursor is wanted, as 0:1234,1:998: ascending shards, each with the last batch that is known."
                )
            }
            guard !json || output != nil else { throw ValidationError("--json needs --output.") }
        }

        func execute() async throws {
            let manifest = try ClusterCommand.open(try ClusterDirectory.find(directory)).manifest
            let cursor = ExportCursor(from) ?? ExportCursor()
            if let unknown = cursor.last.keys.sorted().first(where: { !manifest.hasShard($0) }) {
                throw ValidationError("--from \(from): there is no shard \(unknown).")
            }
            let sink = try ExportSink(output)
            let client = ArchiveClient(manifest)
            var export = Export(manifest: manifest, client: client, format: format, cursor: cursor, sink: sink)
            do {
                try export.begin()
                if follow { try await export.follow() } else { try await export.toTheEnd() }
                try export.end()
                await client.close()
            } catch {
                // What is written is whole, and says where to go on; unless a line may be half there.
                if !sink.hasFailed { try? export.end() }
                await client.close()
                Console.error("cursor \(export.cursor)")
                // A question that was cut off looks as if nobody answered.
                throw Task.isCancelled ? CancellationError() : error
            }
            if json {
                return try Console.json(
                    Result(
                        output: output ?? "", batches: export.batches, transactions: export.transactions,
                        cursor: export.cursor.description))
            }
            Console.error(
                "\(export.batches) batches, \(export.transactions) transactions\(export.cursor.last.isEmpty ? "" : "; cursor \(export.cursor)")"
            )
        }
    }

    struct Verify: ToolCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check exports offline, with the manifest alone.",
            discussion: """
                That no batch is missing, twice or out of order, that f + 1 replicas have signed each, and that every line says \
                what was signed. Several files are checked as one, each going on where the one before ends. The exit code is \
                \(ExitReason.invalidExport.rawValue) if anything is wrong; the line is named.
                """)
        @Argument(help: "The files, in their order; - is standard input.") var files: [String]
        @OptionGroup var manifest: ReceiptCommand.ManifestOption
        @Flag(help: "Print one JSON object.") var json = false

        struct Result: Encodable, Sendable {
            var schema = 1
            var valid = true
            var batches: Int
            var transactions: Int
            var outcomes: [String: Int]
            var without_request: Int
            var shards_without_batches: [Int]
            var from: String
            var cursor: String
            var ended: Bool
        }

        func execute() async throws {
            let manifest = try manifest.load()
            var verifier = ExportVerifier(manifest, file: files[0])
            for file in files {
                let lines = try ExportSource(file)
                verifier.next(file: file)
                do throws(ExportProblem) {
                    while let line = lines.next() { try verifier.take(line) }
                } catch {
                    throw ToolError(.invalidExport, "\(Printable.line(file)): \(Printable.line(error.description))")
                }
                if let error = lines.failure { throw ToolError(.failure, error) }
            }
            let summary: ExportVerifier.Summary
            do { summary = try verifier.finish() } catch {
                throw ToolError(
                    .invalidExport, "\(Printable.line(files[files.count - 1])): \(Printable.line(error.description))")
            }
            if json {
                return try Console.json(
                    Result(
                        batches: summary.batches, transactions: summary.transactions, outcomes: summary.outcomes,
                        without_request: summary.withoutRequest,
                        shards_without_batches: summary.withoutBatches.map { Int($0.number) },
                        from: summary.from.description, cursor: summary.cursor.description, ended: summary.isEnded))
            }
            let begin = summary.from.last.isEmpty ? "the beginning" : "\(summary.from)"
            Console.out("complete and genuine: from \(begin) to \(summary.cursor)")
            Console.out("\(summary.batches) batches, \(summary.transactions) transactions")
            for (outcome, count) in summary.outcomes.sorted(by: { $0.key < $1.key }) {
                Console.out("  \(count) \(outcome)")
            }
            if !summary.withoutBatches.isEmpty {
                let shards = summary.withoutBatches.map { "\($0)" }.joined(separator: ", ")
                Console.out("no batch at all is here of these shards: \(shards)")
            }
            if summary.withoutRequest > 0 {
                Console.out("\(summary.withoutRequest) transactions stand without their request")
            }
            if !summary.isEnded { Console.out("there is no last line, so more may have followed") }
        }
    }
}

/// An export under way.
private struct Export {
    let manifest: Manifest
    let client: ArchiveClient
    let format: ExportCommand.Format
    private(set) var cursor: ExportCursor
    let sink: ExportSink
    private(set) var batches = 0
    private(set) var transactions = 0
    private var histories: [ShardID: Digest] = [:]

    private static let pause = Duration.milliseconds(200)
    /// So often it is asked again for what hosts said that they have.
    private static let tries = 25

    init(
        manifest: Manifest, client: ArchiveClient, format: ExportCommand.Format, cursor: ExportCursor, sink: ExportSink
    ) {
        (self.manifest, self.client, self.format) = (manifest, client, format)
        (self.cursor, self.sink) = (cursor, sink)
    }

    private var shards: [ShardID] { (0..<manifest.shardCount).map { ShardID(UInt16($0)) } }

    func begin() throws {
        switch format {
        case .jsonl: try sink.write([ExportLines.begin(manifest, from: cursor)])
        case .csv: try sink.write([ExportLines.csvHeader])
        }
    }

    func end() throws {
        if format == .jsonl { try sink.write([ExportLines.end(cursor)]) }
    }

    mutating func toTheEnd() async throws {
        for shard in shards {
            let end = try await client.end(of: shard)
            var tries = 0
            while cursor[shard] < end {
                let left = end.number - cursor[shard].number
                if try await next(shard, count: Int(clamping: left)) {
                    tries = 0
                    continue
                }
                tries += 1
                guard tries < Self.tries else {
                    throw ArchiveClientError.short(shard, after: cursor[shard], end: end)
                }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    mutating func follow() async throws {
        while true {
            try Task.checkCancellation()
            var hasMore = false
            for shard in shards where try await next(shard, count: Int(ArchiveQuery.maxCount)) { hasMore = true }
            if !hasMore { try await Task.sleep(for: Self.pause) }
        }
    }

    /// - Returns: whether there was anything.
    private mutating func next(_ shard: ShardID, count: Int) async throws -> Bool {
        let all = try await client.batches(
            of: shard, after: cursor[shard], history: histories[shard], count: min(count, Int(ArchiveQuery.maxCount)))
        for batch in all {
            try sink.write(format == .jsonl ? try ExportLines.batch(batch) : try ExportLines.csv(batch))
            cursor[shard] = batch.batch.sequence
            histories[shard] = batch.batch.statement.history
            batches += 1
            transactions += batch.batch.leaves.count
        }
        return !all.isEmpty
    }
}

/// Where lines go.
private final class ExportSink {
    private let file: FileHandle?
    /// What was written last may be there in part.
    private(set) var hasFailed = false

    /// - Parameter path: of a file that must not exist; nil for standard output.
    init(_ path: String?) throws {
        guard let path else {
            file = nil
            return
        }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            let code = errno
            throw ToolError(
                code == EEXIST ? .folderExists : .output, "\(path): \(String(cString: strerror(code)))")
        }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func write(_ lines: [String]) throws {
        guard !lines.isEmpty else { return }
        let text = lines.joined(separator: "\n") + "\n"
        guard let file else { return Console.write(text, to: STDOUT_FILENO) }
        do { try file.write(contentsOf: Data(text.utf8)) } catch {
            hasFailed = true
            throw ToolError(.output, "the export cannot be written: \(error)")
        }
    }
}

/// Lines of a file, one after the other.
private final class ExportSource {
    private let file: FileHandle
    private let name: String
    private var waiting: [UInt8] = []
    /// Where in it the next line begins, and how far no line break was found.
    private var (start, searched) = (0, 0)
    private var isAtEnd = false
    /// Why it cannot be read to its end.
    private(set) var failure: String?

    init(_ path: String) throws {
        name = path
        if path == "-" {
            file = .standardInput
        } else {
            guard let file = FileHandle(forReadingAtPath: path) else {
                throw ToolError(
                    .failure, "\(Printable.line(path)) cannot be opened: \(String(cString: strerror(errno)))")
            }
            self.file = file
        }
    }

    /// Nil after the last. Of a line that is longer than any may be, the beginning.
    func next() -> [UInt8]? {
        while true {
            if let end = waiting[searched...].firstIndex(of: 0x0a) {
                defer { (start, searched) = (end + 1, end + 1) }
                return Array(waiting[start..<end])
            }
            searched = waiting.count
            // A line that was cut off is read as it is, and is wrong where it ends.
            if isAtEnd || searched - start > ExportVerifier.maxLineBytes {
                guard searched > start else { return nil }
                defer { (waiting, start, searched) = ([], 0, 0) }
                return Array(waiting[start...])
            }
            do {
                let more = try file.read(upToCount: 1 << 20) ?? Data()
                isAtEnd = more.isEmpty
                waiting.removeFirst(start)
                (searched, start) = (searched - start, 0)
                waiting += more
            } catch {
                failure = "\(Printable.line(name)) cannot be read: \(error)"
                isAtEnd = true
            }
        }
    }
}

/// Executed batches from the archives of the hosts, for a gateway's HTTP side.
struct ArchivedDecisions: DecisionSource {
    let client: ArchiveClient

    func batches(
        of shard: ShardID, after: SequenceNumber, history: Digest?, count: Int
    ) async throws -> [ExportedBatch] {
        try await client.batches(of: shard, after: after, history: history, count: count)
    }
}
